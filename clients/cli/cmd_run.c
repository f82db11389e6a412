/*
 * clients/cli/cmd_run.c -- joblog run: a command whose output is a job's log.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "clients/cli/child.h"
#include "clients/cli/cli.h"
#include "clients/cli/deliver.h"
#include "clients/cli/plan.h"
#include "clients/cli/redaction.h"
#include "clients/cli/sampler.h"
#include "clients/cli/splitter.h"
#include "job/record.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct run_options {
    struct args_common common;
    struct plan_options plan;
    const char *name, *spool, *redact_patterns;
    struct args_list labels;
    int64_t spool_bytes, flush_us, sample_us;
    int quiet, redact;
};

static const struct args_option options[] = {
    {'j', "job", ARGS_TEXT, offsetof(struct run_options, plan.job), "J",
     "the job's id (or JOBLOG_JOB, SLURM_JOB_ID; else made)", NULL, 0, 0},
    {0, "ranks", ARGS_COUNT, offsetof(struct run_options, plan.ranks), "N",
     "how many ranks the job has (or WORLD_SIZE …)", NULL, 1, PLAN_RANKS_MAX},
    {0, "rank", ARGS_COUNT, offsetof(struct run_options, plan.rank), "R",
     "which one this is (or RANK, SLURM_PROCID)", NULL, 0, RECORD_RANK_MAX},
    {0, "producer", ARGS_TEXT, offsetof(struct run_options, plan.producer), "ID",
     "default rank-R, else HOST-PID", NULL, 0, 0},
    {0, "name", ARGS_TEXT, offsetof(struct run_options, name), "TEXT", "the job's name, for people",
     NULL, 0, 0},
    {'l', "label", ARGS_LIST, offsetof(struct run_options, labels), "K=V", "may be repeated", NULL,
     0, 0},
    {0, "spool", ARGS_TEXT, offsetof(struct run_options, spool), "DIR",
     "for lines while the server is away (a local disk)",
     NULL, 0, 0},
    {0, "spool-bytes", ARGS_BYTES, offsetof(struct run_options, spool_bytes), "SIZE",
     "at most so much (256MiB): then the oldest go", NULL, 0, 0},
    {0, "flush-timeout", ARGS_DURATION, offsetof(struct run_options, flush_us), "D",
     "wait so long for the server at the end (60s)", NULL, 0, 0},
    {0, "stop-grace", ARGS_DURATION, offsetof(struct run_options, plan.stop_grace_us), "D",
     "from SIGTERM to SIGKILL when the job is stopped (30s)", NULL, 0, 0},
    {0, "sample-interval", ARGS_DURATION, offsetof(struct run_options, sample_us), "D",
     "of this node's CPU, memory, GPUs (10s; 0: never)", NULL, 0, 0},
    {0, "redact", ARGS_FLAG, offsetof(struct run_options, redact), NULL,
     "take secrets out first (or JOBLOG_REDACT=1)", NULL, 0, 0},
    {0, "redact-patterns", ARGS_TEXT, offsetof(struct run_options, redact_patterns), "FILE",
     "and what its lines NAME=RE match", NULL, 0, 0},
    {0, "quiet", ARGS_FLAG, offsetof(struct run_options, quiet), NULL, "say only what is lost",
     NULL, 0, 0},
};

struct run {
    struct child child;
    struct deliver *deliver;
    struct sampler *sampler;
    struct splitter splitters[AGENT_STREAMS];
    struct redaction redaction;
};

static const char *const stream_names[AGENT_STREAMS] = {"stdout", "stderr"};

struct line_target {
    struct agent *agent;
    const char *stream;
};

static int on_line(void *user, const struct splitter_line *l)
{
    const struct line_target *t = user;

    agent_line(t->agent, t->stream, l->text, l->len, l->fields, l->fields_len);
    return 0;
}

static void show_live(struct run *r, int stream)
{
    const char *text = NULL;
    size_t len = 0;

    if (!splitter_live(&r->splitters[stream], &text, &len))
        len = 0;
    agent_progress(deliver_agent(r->deliver), (unsigned)stream, text, len);
}

static void on_bytes(void *user, int stream, const char *data, size_t len)
{
    struct run *r = user;
    struct line_target t = {deliver_agent(r->deliver), stream_names[stream]};

    splitter_feed(&r->splitters[stream], data, len, on_line, &t);
    agent_flush(t.agent);
    show_live(r, stream);
    deliver_notice(r->deliver);
}

static void on_end_of(void *user, int stream)
{
    struct run *r = user;
    struct line_target t = {deliver_agent(r->deliver), stream_names[stream]};

    splitter_flush(&r->splitters[stream], on_line, &t);
    agent_flush(t.agent);
    show_live(r, stream);
}

static void on_stop(void *user)
{
    struct run *r = user;
    char grace[32];

    cli_say("the job was stopped: ending the command (SIGTERM, SIGKILL after %s)",
            clock_format_duration(r->child.stop_grace_us, grace));
}

static int is_interrupted(void *user)
{
    struct run *r = user;

    return child_interrupted(&r->child);
}

/* The body of POST /v1/jobs. ERR_INVALID was said. */
static int make_job(struct buf *out, const struct run_options *o, const struct plan *p,
                    const struct http_server *s)
{
    struct json j;

    json_init(&j, out);
    json_obj(&j);
    json_kstr(&j, "id", p->job);
    if (s->project)
        json_kstr(&j, "project", s->project);
    if (o->name)
        json_kstr(&j, "name", o->name);
    if (p->agent.ranks > 0)
        json_ki64(&j, "ranks", p->agent.ranks);
    if (o->labels.count) {
        json_key(&j, "labels");
        json_obj(&j);
        for (unsigned i = 0; i < o->labels.count; i++) {
            const char *text = o->labels.items[i], *eq = cli_label_value(text);
            struct buf key = BUF_INIT;

            if (!eq)
                return ERR_INVALID;
            buf_add(&key, text, (size_t)(eq - text));
            json_kstr(&j, buf_cstr(&key), eq + 1);
            buf_release(&key);
        }
        json_end(&j);
    }
    json_end(&j);
    return json_err(&j);
}

static const char *from_env(const char *name)
{
    return getenv(name);
}

static int make_plan(struct plan *p, const struct run_options *o)
{
    char host[HOST_NAME_MAX + 1] = "host", why[512];

    gethostname(host, sizeof host - 1);
    if (plan_make(p, &o->plan, from_env, host, (int64_t)getpid(), clock_wall_us(), why,
                  sizeof why) >= 0)
        return 0;
    cli_say("%s", why);
    return ERR_INVALID;
}

static void set_environment(const struct plan *p, const struct http_server *s)
{
    setenv("PYTHONUNBUFFERED", "1", 0);
    setenv("JOBLOG_JOB", p->job, 1);
    setenv("JOBLOG_URL", s->url, 1);
}

/* A node is measured for one job; its project tells jobs of one name apart. */
static void start_sampler(struct run *r, const struct run_options *o, const struct plan *p, const struct http_server *s)
{
    char name[2 * ID_BYTES_MAX + 2];

    if (!o->sample_us || r->child.exec_errno)
        return;
    snprintf(name, sizeof name, "%s/%s", s->project ? s->project : "", p->job);
    if (sampler_start(deliver_agent(r->deliver), name, o->sample_us, &r->sampler) < 0)
        cli_say("cannot measure this node: no thread is left");
}

static int run(struct run *r, const struct run_options *o, const struct plan *p,
               const struct http_server *s, char **argv, const char *create_json)
{
    struct deliver_options d = {.server = *s,
                                .spool_base = o->spool,
                                .spool_bytes = o->spool_bytes,
                                .create_json = create_json,
                                .is_quiet = o->quiet,
                                .interrupted = is_interrupted,
                                .user = r};
    struct child_handler h = {.on_bytes = on_bytes, .on_end_of = on_end_of, .user = r};
    struct agent_end end;
    int code, err;

    snprintf(d.meta.url, sizeof d.meta.url, "%s", s->url);
    snprintf(d.meta.project, sizeof d.meta.project, "%s", s->project ? s->project : "");
    snprintf(d.meta.job, sizeof d.meta.job, "%s", p->job);
    d.meta.agent = p->agent;
    err = deliver_open(&d, &r->deliver);
    if (err < 0) {
        cli_say("cannot keep lines: %s", err_text(err));
        return CLI_EXIT_CANNOT;
    }
    set_environment(p, s);
    if (child_start(&r->child, argv) < 0) {
        cli_say("cannot start %s: no process or pipe is left", argv[0]);
        return CLI_EXIT_CANNOT_EXEC;
    }
    if (r->child.exec_errno)
        cli_say("cannot run %s: %s", argv[0], strerror(r->child.exec_errno));
    r->child.stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->child.stop_grace_us = o->plan.stop_grace_us;
    r->child.on_stop = on_stop;
    r->child.stop_user = r;
    agent_on_stop(deliver_agent(r->deliver), r->child.stop_fd);
    if (deliver_start(r->deliver) < 0)
        cli_say("cannot start the sender: lines are kept in the spool");
    start_sampler(r, o, p, s);
    child_listen(&r->child, &h);
    sampler_stop(&r->sampler);
    agent_on_stop(deliver_agent(r->deliver), -1);
    close(r->child.stop_fd);
    code = plan_end(p, r->child.wait_status, r->child.exec_errno, r->child.is_stopped, &end);
    err = deliver_finish(r->deliver, &end, o->flush_us);
    if (!o->quiet)
        redaction_tell(&r->redaction);
    if (err >= 0 && p->agent.ranks > 1 && code == 0 && !r->child.is_stopped)
        deliver_complete_job(s, p->job, p->agent.ranks);
    return code;
}

static int main_run(int argc, char **argv)
{
    struct run_options o = {.plan = {.rank = -1, .ranks = -1, .stop_grace_us = PLAN_STOP_GRACE_US},
                            .spool_bytes = SPOOL_BYTES_DEFAULT,
                            .flush_us = DELIVER_FLUSH_US,
                            .sample_us = SAMPLER_INTERVAL_US};
    struct http_server s;
    struct plan p;
    struct run r = {0};
    struct buf create = BUF_INIT;
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_run, argc, argv, &o, &operands, &count, &code))
        return code;
    operands[count] = NULL;
    o.plan.command = operands;
    if (cli_server(&o.common, &s) < 0 || make_plan(&p, &o) < 0)
        return CLI_EXIT_USAGE;
    if (o.spool_bytes < SPOOL_BYTES_MIN) {
        cli_say("--spool-bytes: at least 1MiB");
        return CLI_EXIT_USAGE;
    }
    if (o.sample_us && o.sample_us < SAMPLER_INTERVAL_US_MIN) {
        cli_say("--sample-interval: at least 100ms, or 0");
        return CLI_EXIT_USAGE;
    }
    if (o.plan.stop_grace_us > PLAN_STOP_GRACE_US_MAX) {
        cli_say("--stop-grace: at most 1h");
        return CLI_EXIT_USAGE;
    }
    if (redaction_open(&r.redaction, o.redact, o.redact_patterns) < 0)
        return CLI_EXIT_USAGE;
    if (make_job(&create, &o, &p, &s) < 0) {
        code = CLI_EXIT_USAGE;
        goto out;
    }
    if (p.job_is_fresh && !o.quiet)
        cli_say("job %s (joblog tail %s)", p.job, p.job);
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        splitter_init(&r.splitters[i]);
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        splitter_redact(&r.splitters[i], r.redaction.rules, 0, &r.redaction.counts);
    code = run(&r, &o, &p, &s, operands, buf_cstr(&create));
    deliver_close(&r.deliver);
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        splitter_release(&r.splitters[i]);
out:
    redaction_release(&r.redaction);
    buf_release(&create);
    return code;
}

const struct args_command cli_run = {
    .name = "run",
    .usage = "run [options] [--] COMMAND [ARGS]",
    .summary = "Run a command, pass its output through and ship it. Exits with its exit code.",
    .example = "  joblog run --job demo -- python train.py\n  srun joblog run -- python train.py",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = ARGS_ANY,
    .wraps = 1,
    .main = main_run,
};

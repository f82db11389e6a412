/*
 * clients/cli/cmd_ship.c -- joblog ship: files, stdin, or what an earlier run could not deliver.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "clients/cli/cli.h"
#include "clients/cli/feed.h"
#include "job/record.h"
#include "job/state.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FEEDS_MAX 64
#define PAUSE_MS 200       /* a followed file is looked at so often */
#define GOODBYE_US 5000000 /* an interrupted ship waits so long */

struct ship_options {
    struct args_common common;
    int follow, json, redact;
    const char *producer, *stream, *state, *spool, *redact_patterns;
    int64_t rank, spool_bytes, flush_us;
};

static const struct args_option options[] = {
    {'F', "follow", ARGS_FLAG, offsetof(struct ship_options, follow), NULL,
     "go on as the files grow, also when they are rotated", NULL, 0, 0},
    {0, "json", ARGS_FLAG, offsetof(struct ship_options, json), NULL,
     "lines that are JSON objects are records", NULL, 0, 0},
    {0, "rank", ARGS_COUNT, offsetof(struct ship_options, rank), "R",
     "the rank the lines belong to", NULL, 0, RECORD_RANK_MAX},
    {0, "stream", ARGS_TEXT, offsetof(struct ship_options, stream), "S",
     "the stream they belong to, like stdout", NULL, 0, 0},
    {0, "producer", ARGS_TEXT, offsetof(struct ship_options, producer), "ID",
     "default: made of host and path (one file only)", NULL, 0, 0},
    {0, "state", ARGS_TEXT, offsetof(struct ship_options, state), "S",
     "then say this state, like COMPLETED", NULL, 0, 0},
    {0, "spool", ARGS_TEXT, offsetof(struct ship_options, spool), "DIR",
     "without JOB: send what lies in DIR; with stdin: where lines wait", NULL, 0, 0},
    {0, "spool-bytes", ARGS_BYTES, offsetof(struct ship_options, spool_bytes), "SIZE",
     "of the spool for stdin (256MiB); reading waits when half is used", NULL, 0, 0},
    {0, "redact", ARGS_FLAG, offsetof(struct ship_options, redact), NULL,
     "take secrets out before they are sent (or JOBLOG_REDACT=1)", NULL, 0, 0},
    {0, "redact-patterns", ARGS_TEXT, offsetof(struct ship_options, redact_patterns), "FILE",
     "and what its lines NAME=RE match", NULL, 0, 0},
    {0, "flush-timeout", ARGS_DURATION, offsetof(struct ship_options, flush_us), "D",
     "give up so long after the end (default: never)", NULL, 0, 0},
};

static int draining; /* interrupted once: now the rest is sent */

static int is_interrupted(void *user)
{
    return cli_interrupted() && !draining;
}

static void make_job(struct buf *out, const char *job, const char *project)
{
    struct json j;

    json_init(&j, out);
    json_obj(&j);
    json_kstr(&j, "id", job);
    if (project && *project)
        json_kstr(&j, "project", project);
    json_end(&j);
}

/* ---- a spool ---- */

/* One spool directory. Exit code; -1: there is none. */
static int ship_spool(const struct ship_options *o, const char *dir)
{
    struct deliver_options d = {
        .spool_dir = dir, .spool_bytes = INT64_MAX / 2, .interrupted = is_interrupted};
    struct args_common common = o->common;
    struct deliver *deliver = NULL;
    struct agent_end end = {.fin = 1};
    struct buf create = BUF_INIT;
    struct agent_status s;
    int err = spool_meta_read(dir, &d.meta);

    if (err == ERR_NOT_FOUND)
        return -1;
    if (err < 0) {
        cli_say("%s: %s", dir, err_text(err));
        return CLI_EXIT_CANNOT;
    }
    if (!common.url && !getenv("JOBLOG_URL"))
        common.url = d.meta.url;
    if (!common.project && d.meta.project[0])
        common.project = d.meta.project;
    if (cli_server(&common, &d.server) < 0)
        return CLI_EXIT_USAGE;
    make_job(&create, d.meta.job, d.meta.project);
    d.create_json = buf_cstr(&create);
    if (d.meta.has_end)
        end = d.meta.end;
    if (o->state)
        end.has_state = state_parse(o->state, strlen(o->state), &end.state) == 0;
    err = deliver_open(&d, &deliver);
    if (err >= 0)
        err = deliver_start(deliver);
    if (err < 0) {
        cli_say("%s: %s", dir, err == ERR_BUSY ? "its run is still alive" : err_text(err));
    } else {
        err = deliver_finish(deliver, &end, o->flush_us);
        agent_get_status(deliver_agent(deliver), &s);
        if (err >= 0)
            cli_say("delivered: %s, producer %s, up to line %llu", d.meta.job,
                    d.meta.agent.producer, (unsigned long long)s.last);
        if (err >= 0 && d.meta.agent.ranks > 1 && !end.has_state)
            deliver_complete_job(&d.server, d.meta.job, d.meta.agent.ranks);
    }
    deliver_close(&deliver);
    buf_release(&create);
    return err >= 0 ? CLI_EXIT_OK : cli_interrupted() ? CLI_EXIT_INTERRUPTED : CLI_EXIT_CANNOT;
}

/* dir itself, or the spools up to two levels below it. */
static int ship_spools(const struct ship_options *o, const char *dir, int depth)
{
    int code = ship_spool(o, dir), found = 0, worst = CLI_EXIT_OK;
    struct dirent *e;
    DIR *d;

    if (code >= 0)
        return code;
    d = depth > 0 ? opendir(dir) : NULL;
    while (d && (e = readdir(d))) {
        struct buf sub = BUF_INIT;

        if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
            continue;
        buf_addf(&sub, "%s/%s", dir, e->d_name);
        code = ship_spools(o, buf_cstr(&sub), depth - 1);
        buf_release(&sub);
        if (code < 0)
            continue;
        found = 1;
        if (code > worst)
            worst = code;
    }
    if (d)
        closedir(d);
    return found ? worst : -1;
}

/* ---- files ---- */

/* Feed until all are at their end, or for ever. 0, or the first failure. */
static int feed_all(struct feed **feeds, unsigned count, int follow)
{
    unsigned char ended[FEEDS_MAX] = {0};
    unsigned left = count;
    int worst = 0;

    while (left && !cli_interrupted()) {
        struct pollfd p[2] = {{.fd = cli_wake_fd(), .events = POLLIN},
                              {.fd = -1, .events = POLLIN}};
        int busy = 0;

        for (unsigned i = 0; i < count; i++) {
            int err;

            if (ended[i])
                continue;
            err = feed_step(feeds[i]);
            if (err > 0)
                busy = 1;
            if (err >= 0) {
                if (count == 1)
                    p[1].fd = feed_fd(feeds[i]);
                continue;
            }
            ended[i] = 1;
            left--;
            if (err != ERR_CLOSED)
                worst = err;
        }
        if (!busy && left)
            poll(p, 2, PAUSE_MS);
    }
    return worst;
}

static int finish_all(struct feed **feeds, unsigned count, const struct ship_options *o, int worst)
{
    int64_t flush_us = o->flush_us;
    int interrupted = cli_interrupted();

    if (interrupted)
        flush_us = GOODBYE_US;
    draining = interrupted;
    for (unsigned i = 0; i < count; i++) {
        struct agent_end end = {.fin = !interrupted};
        int err;

        if (o->state && !interrupted && worst >= 0 && i == count - 1)
            end.has_state = state_parse(o->state, strlen(o->state), &end.state) == 0;
        err = feed_finish(&feeds[i], &end, flush_us);
        if (err < 0)
            worst = err;
    }
    return interrupted ? CLI_EXIT_INTERRUPTED : worst < 0 ? CLI_EXIT_CANNOT : CLI_EXIT_OK;
}

static int ship_files(const struct ship_options *o, char **operands, unsigned count)
{
    struct feed_options fo = {.job = operands[0],
                              .producer = o->producer,
                              .stream = o->stream,
                              .rank = (int32_t)o->rank,
                              .is_json = o->json,
                              .follow = o->follow,
                              .spool = o->spool,
                              .spool_bytes = o->spool_bytes,
                              .interrupted = is_interrupted};
    struct feed *feeds[FEEDS_MAX] = {NULL};
    struct redaction redaction;
    char host[HOST_NAME_MAX + 1] = "host";
    struct buf create = BUF_INIT;
    unsigned opened = 0;
    int worst = 0, code;

    if (cli_check_job(operands[0]) < 0 || cli_server(&o->common, &fo.server) < 0)
        return CLI_EXIT_USAGE;
    if (o->producer && count > 2) {
        cli_say("--producer names one producer: one file");
        return CLI_EXIT_USAGE;
    }
    if (redaction_open(&redaction, o->redact, o->redact_patterns) < 0)
        return CLI_EXIT_USAGE;
    fo.redaction = &redaction;
    gethostname(host, sizeof host - 1);
    fo.host = host;
    make_job(&create, operands[0], fo.server.project);
    fo.create_json = buf_cstr(&create);
    for (unsigned i = 1; i < count || (count == 1 && i == 1); i++) {
        const char *path = count == 1 || !strcmp(operands[i], "-") ? NULL : operands[i];
        int err = feed_open(&fo, path, &feeds[opened]);

        if (err < 0)
            worst = err;
        else
            opened++;
    }
    if (worst >= 0)
        worst = feed_all(feeds, opened, o->follow);
    code = finish_all(feeds, opened, o, worst);
    redaction_tell(&redaction);
    redaction_release(&redaction);
    buf_release(&create);
    return code;
}

static int main_ship(int argc, char **argv)
{
    struct ship_options o = {
        .rank = RECORD_RANK_NONE, .spool_bytes = SPOOL_BYTES_DEFAULT, .flush_us = -1};
    enum job_state state;
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_ship, argc, argv, &o, &operands, &count, &code))
        return code;
    if (o.state && state_parse(o.state, strlen(o.state), &state) < 0) {
        cli_say("--state: %s is no state", o.state);
        return CLI_EXIT_USAGE;
    }
    if (o.producer && !id_valid(o.producer, strlen(o.producer))) {
        cli_say("--producer: %s is no id: letters, digits, '.', '_', '-', at most %d", o.producer,
                ID_BYTES_MAX);
        return CLI_EXIT_USAGE;
    }
    if (!count && !o.spool) {
        cli_say("usage: joblog %s", cli_ship.usage);
        return CLI_EXIT_USAGE;
    }
    if (o.spool_bytes < SPOOL_BYTES_MIN) {
        cli_say("--spool-bytes: at least 1MiB");
        return CLI_EXIT_USAGE;
    }
    cli_catch_signals();
    if (count)
        return ship_files(&o, operands, count);
    code = ship_spools(&o, o.spool, 2);
    if (code >= 0)
        return code;
    cli_say("there is no spool in %s: nothing waits there", o.spool);
    return CLI_EXIT_CANNOT;
}

const struct args_command cli_ship = {
    .name = "ship",
    .usage = "ship JOB [FILE...] [options], or ship --spool DIR",
    .summary =
        "Send files or stdin into a job.\nA file shipped again goes on where the server stopped.",
    .example = "  joblog ship demo -F /var/log/train.log --rank 0",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_max = FEEDS_MAX,
    .main = main_ship,
};

/*
 * clients/cli/tail_many.c -- one connection of Server-Sent Events, read on from the cursor it told last.
 *
 * What comes again after a break is known by its number: for each job the last record shown.
 */
#include "clients/cli/tail_many.h"

#include "base/check.h"
#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "clients/cli/cli.h"
#include "clients/cli/palette.h"
#include "clients/cli/resume.h"
#include "job/id.h"
#include "job/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct seen {
    uint64_t epoch, seq;
};

struct many {
    const struct pick *pick;
    const struct args_list *labels;
    struct http_server server;
    struct term term;
    struct resume feed;
    struct map *jobs; /* "project/job" -> struct seen */
    struct buf msg;
};

/* ---- records ---- */

static const char *text_of(const struct json_tree *v, const char *key)
{
    const char *s = json_tree_str(json_tree_get(v, key));

    return s ? s : "";
}

/* "project/job"; its length. What is longer is no job of a server of ours, and cut. */
static size_t key_of(const char *project, const char *job, char out[JOB_KEY_TEXT_BYTES])
{
    snprintf(out, JOB_KEY_TEXT_BYTES, "%s/%s", project, job);
    return strlen(out);
}

static struct seen *seen_of(struct many *m, const char *project, const char *job)
{
    char key[JOB_KEY_TEXT_BYTES];
    size_t len = key_of(project, job, key);
    struct seen *s = map_get(m->jobs, key, len);

    if (!s) {
        s = must_calloc(1, sizeof *s);
        map_put(m->jobs, key, len, s);
    }
    return s;
}

static void forget(struct many *m, const char *project, const char *job)
{
    char key[JOB_KEY_TEXT_BYTES];
    size_t len = key_of(project, job, key);

    free(map_del(m->jobs, key, len));
}

/* A colour of its own, the same each time. */
static const char *job_sgr(const char *job)
{
    uint32_t h = 2166136261u;

    for (; *job; job++)
        h = (h ^ (unsigned char)*job) * 16777619u;
    return palette_rank((int32_t)(h % PALETTE_RANKS));
}

static void add_prefix(struct many *m, const char *project, const char *job, int32_t rank)
{
    if (m->pick->no_prefix)
        return;
    if (m->term.color)
        buf_addf(&m->feed.out, "\x1b[%sm", job_sgr(job));
    if (!m->server.project)
        buf_addf(&m->feed.out, "%s/", project);
    buf_adds(&m->feed.out, job);
    if (rank != RECORD_RANK_NONE)
        buf_addf(&m->feed.out, " rank %" PRId32, rank);
    if (m->term.color)
        buf_adds(&m->feed.out, TERM_RESET);
    buf_adds(&m->feed.out, " | ");
}

static void show(struct many *m, const char *project, const char *job, const char *line, size_t len)
{
    struct seen *s = seen_of(m, project, job);
    struct record_view v;

    if (record_parse(line, len, &v) < 0 || v.seq <= s->seq)
        return;
    s->seq = v.seq;
    if (pick_is_json(m->pick)) {
        buf_adds(&m->feed.out, "{\"project\":\"");
        json_escape(&m->feed.out, project, strlen(project));
        buf_adds(&m->feed.out, "\",\"job\":\"");
        json_escape(&m->feed.out, job, strlen(job));
        buf_adds(&m->feed.out, "\",");
        buf_add(&m->feed.out, line + 1, len - 1);
        buf_addc(&m->feed.out, '\n');
        return;
    }
    buf_clear(&m->msg);
    record_msg(&v, &m->msg);
    add_prefix(m, project, job, v.rank);
    if (m->term.is_tty)
        term_clean(&m->feed.out, buf_cstr(&m->msg), m->msg.len,
                   m->term.color ? TERM_COLOR_KEEP : TERM_COLOR_DROP, NULL);
    else
        buf_add(&m->feed.out, buf_cstr(&m->msg), m->msg.len);
    if (m->term.color)
        buf_adds(&m->feed.out, TERM_RESET);
    buf_addc(&m->feed.out, '\n');
}

/* ---- messages ---- */

static void on_end(struct many *m, const struct json_tree *v)
{
    const char *project = text_of(v, "project"), *job = text_of(v, "job");

    cli_say("%s%s%s is %s%s", m->server.project ? "" : project, m->server.project ? "" : "/", job,
            cli_short_state(text_of(v, "state")),
            json_tree_true(json_tree_get(v, "complete")) ? "" : ", its log is incomplete");
    forget(m, project, job);
}

static int control(struct many *m, const struct sse_event *e, const struct json_tree *v)
{
    int64_t from = 0, to = 0, skipped = 0;

    if (!strcmp(e->type, "hello")) {
        resume_alive(&m->feed);
    } else if (!strcmp(e->type, "end")) {
        on_end(m, v);
    } else if (!strcmp(e->type, "reset")) {
        cli_say("%s: %s", text_of(v, "job"),
                json_tree_true(json_tree_get(v, "deleted"))
                    ? "the job was deleted"
                    : "stored history was lost or replaced; what is held now follows");
        forget(m, text_of(v, "project"), text_of(v, "job"));
    } else if (!strcmp(e->type, "gap") && *text_of(v, "job")) {
        json_tree_get_i64(v, "from", &from);
        json_tree_get_i64(v, "to", &to);
        cli_say("%s: records %lld to %lld are lost", text_of(v, "job"), (long long)from,
                (long long)to);
    } else if (!strcmp(e->type, "gap")) {
        cli_say("jobs may have begun and ended that cannot be told of any more");
    } else if (!strcmp(e->type, "full")) {
        json_tree_get_i64(v, "skipped", &skipped);
        cli_say(skipped ? "there are more jobs than can be followed at once: %lld are left out"
                        : "as many jobs as can be followed at once: later ones wait for an end",
                (long long)skipped);
    }
    return 0;
}

static int on_event(void *user, const struct sse_event *e)
{
    struct many *m = user;
    struct json_tree *v = NULL;
    const char *line;
    size_t pos = 0, len;
    int is_lines = !strcmp(e->type, "lines"), is_state = !strcmp(e->type, "state"), err = 0;

    if (json_tree_parse_max(e->data, e->len, 64UL << 20, &v, NULL) < 0)
        return ERR_PROTOCOL;
    if (is_lines) {
        while ((err = lines_next(e->data, e->len, &pos, &line, &len)) > 0)
            show(m, text_of(v, "project"), text_of(v, "job"), line, len);
    } else if (is_state && pick_is_json(m->pick)) {
        struct buf canonical = BUF_INIT;
        if (lines_state(e->data, e->len, &canonical) >= 0)
            show(m, text_of(v, "project"), text_of(v, "job"), canonical.data, canonical.len);
        buf_release(&canonical);
    } else if (is_state) {
        cli_say("%s is %s", text_of(v, "job"), cli_short_state(text_of(v, "state")));
    } else {
        err = control(m, e, v);
    }
    json_tree_free(&v);
    return err;
}

/* ---- connections ---- */

static int make_path(void *user, struct buf *path)
{
    struct many *m = user;

    buf_adds(path, "/v1/tail");
    if (m->server.project)
        http_arg(path, "project", m->server.project);
    pick_args(path, m->pick, 1);
    if (!*m->feed.cursor && m->pick->count)
        http_arg(path, "tail", m->pick->count);
    if (cli_label_args(path, m->labels) < 0)
        return ERR_INVALID;
    return 0;
}

static int over(void *user, int err, const struct http_reply *r)
{
    struct many *m = user;

    return m->pick->no_reconnect ? cli_complain(&m->server, NULL, err, r) : -1;
}

static int check(const struct pick *p)
{
    if (p->template || p->fold || p->raw || p->timestamps || p->has_context || p->invert ||
        p->wait) {
        cli_say("-t, -v, -A, -B, -C, --fold, --raw, --template and --wait are of one job's tail");
        return ERR_INVALID;
    }
    return 0;
}

int tail_many(struct pick *p, const struct args_list *labels)
{
    struct many m = {.pick = p, .labels = labels};
    struct seen *s;
    size_t pos = 0;
    int code = CLI_EXIT_USAGE;

    if (check(p) < 0 || cli_server(&p->common, &m.server) < 0)
        return code;
    if (!m.server.project && !labels->count) {
        cli_say("a job, --project or --label is wanted");
        return code;
    }
    cli_catch_signals();
    term_init(&m.term, STDOUT_FILENO, p->color ? p->color : "auto");
    m.jobs = map_new();
    m.feed = (struct resume){.server = &m.server,
                             .has_header = 1,
                             .make_path = make_path,
                             .on_event = on_event,
                             .over = over,
                             .user = &m};
    resume_init(&m.feed);
    code = resume_run(&m.feed);
    while ((s = map_next(m.jobs, &pos, NULL, NULL)))
        free(s);
    map_free(&m.jobs);
    resume_release(&m.feed);
    buf_release(&m.msg);
    return code;
}

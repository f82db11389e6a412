/*
 * clients/cli/cmd_tail.c -- joblog tail: follow a job over Server-Sent Events until its end.
 *
 *     connect --hello--> lines, state, progress, gap … --end--> verdict
 *        ^                        | broken, silent, 5xx
 *        +------- backoff --------+   after=<the last cursor given out>
 *
 * Promises   Every record once and in order over any number of reconnects, or a notice and exit code 5.
 */
#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/backoff.h"
#include "clients/cli/cli.h"
#include "clients/cli/pick.h"
#include "clients/cli/sse.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_US 45000000      /* the server says something every 15 s */
#define WAIT_DEFAULT_US 30000000 /* the server's own default for a job that does not exist yet */
#define VERDICT_CALL_US 5000000
#define LOCATE_CALL_US 30000000
#define LINES_DEFAULT "10"
#define NOTICE_AFTER_US 1000000 /* a shorter break is not worth a word */

static const struct args_option options[] = {
    {'n', "tail", ARGS_TEXT, offsetof(struct pick, count), "N",
     "begin N lines before the end, or all (default 10)", NULL, 0, 0},
    PICK_OPTIONS,
    {0, "wait", ARGS_TEXT, offsetof(struct pick, wait), "D",
     "wait for a job that is not there yet (default 30s)", NULL, 0, 0},
    {0, "no-reconnect", ARGS_FLAG, offsetof(struct pick, no_reconnect), NULL,
     "give up when the connection breaks", NULL, 0, 0},
    {'f', "follow", ARGS_FLAG, offsetof(struct pick, follow), NULL, "(tail always follows)", NULL,
     0, 0},
};

struct tail {
    const struct pick *pick;
    const char *job;
    struct http_server server;
    struct render render;
    struct sse sse;
    struct buf canonical;
    struct backoff backoff;
    char cursor[SSE_ID_BYTES_MAX]; /* "": nothing was given yet */
    int connected;                 /* once at least */
    int incomplete;                /* a gap or reset was told */
    int deleted;
    int write_err;
    int64_t broken_us; /* since when there is no connection; 0: there is one */
    int break_told;
    struct json_tree *end; /* the end message */
};

/* A word to the person, not part of the log. */
static void note(struct tail *t, const char *text)
{
    if (render_clear_row(&t->render) >= 0)
        cli_say("%s", text);
}

static int on_hello(struct tail *t, const struct json_tree *m)
{
    int64_t ranks = 0;

    json_tree_get_i64(json_tree_get(m, "job"), "ranks", &ranks);
    render_ranks(&t->render, ranks);
    backoff_reset(&t->backoff);
    if (t->break_told)
        note(t, "connected again");
    t->connected = 1;
    t->broken_us = 0;
    t->break_told = 0;
    return 0;
}

static int on_lines(struct tail *t, const struct sse_event *e)
{
    const char *line;
    size_t pos = 0, len;
    int err;

    while ((err = lines_next(e->data, e->len, &pos, &line, &len)) > 0) {
        err = render_line(&t->render, line, len);
        if (err < 0)
            return err;
    }
    return err;
}

static int on_state(struct tail *t, const struct sse_event *e)
{
    struct record_view v;
    struct buf text = BUF_INIT;
    int err;

    buf_clear(&t->canonical);
    err = lines_state(e->data, e->len, &t->canonical);
    if (err >= 0 && t->render.json)
        return render_line(&t->render, t->canonical.data, t->canonical.len);
    if (err >= 0)
        err = record_parse(t->canonical.data, t->canonical.len, &v);
    if (err >= 0 && v.is_state && !state_is_terminal(v.state)) {
        buf_addf(&text, "%s is %s", t->job, state_short(v.state));
        if (v.msg_json_len) {
            buf_adds(&text, ": ");
            record_msg(&v, &text);
        }
        note(t, buf_cstr(&text));
    }
    buf_release(&text);
    return err;
}

static int on_gap(struct tail *t, const struct json_tree *m)
{
    char text[160];
    int64_t from = 0, to = 0;
    const char *reason = NULL;

    json_tree_get_i64(m, "from", &from);
    json_tree_get_i64(m, "to", &to);
    json_tree_get_str(m, "reason", &reason);
    snprintf(text, sizeof text, "records %lld to %lld are lost: %.80s", (long long)from,
             (long long)to, reason ? reason : "?");
    note(t, text);
    t->incomplete = 1;
    return 0;
}

static int on_reset(struct tail *t, const struct json_tree *m)
{
    json_tree_get_bool(m, "deleted", &t->deleted);
    t->incomplete = 1;
    if (!t->deleted)
        note(t, "stored history was lost or replaced; what is held now follows");
    return 0;
}

static int on_control(struct tail *t, const struct sse_event *e)
{
    struct json_tree *m = NULL;
    const char *text = NULL;
    int64_t rank = RECORD_RANK_NONE;
    int err = json_tree_parse(e->data, e->len, &m, NULL);

    if (err < 0)
        return ERR_PROTOCOL;
    if (!strcmp(e->type, "hello")) {
        err = on_hello(t, m);
    } else if (!strcmp(e->type, "gap")) {
        err = on_gap(t, m);
    } else if (!strcmp(e->type, "reset")) {
        err = on_reset(t, m);
    } else if (!strcmp(e->type, "progress")) {
        json_tree_get_i64(m, "rank", &rank);
        if (json_tree_get_str(m, "msg", &text) > 0)
            err = render_progress(&t->render, (int32_t)rank, text, strlen(text));
    } else if (!strcmp(e->type, "end")) {
        json_tree_free(&t->end);
        t->end = m;
        return ERR_CLOSED;
    }
    json_tree_free(&m);
    return err;
}

static int on_event(void *user, const struct sse_event *e)
{
    struct tail *t = user;
    int err;

    if (!strcmp(e->type, "lines"))
        err = on_lines(t, e);
    else if (!strcmp(e->type, "state"))
        err = on_state(t, e);
    else
        err = on_control(t, e);
    if (e->id[0])
        snprintf(t->cursor, sizeof t->cursor, "%s", e->id);
    return err;
}

static int on_data(void *user, const char *data, size_t len)
{
    struct tail *t = user;
    int err = sse_feed(&t->sse, data, len, on_event, t), flushed = render_flush(&t->render);

    if (flushed < 0)
        t->write_err = flushed;
    return flushed < 0 ? flushed : err;
}

/* The server counts records, people count lines: find the N-th line from the end, and begin before it. */
static void locate(struct tail *t)
{
    const struct pick *p = t->pick;
    struct http_reply r = {0};
    struct record_view v;
    struct buf path = BUF_INIT;

    cli_job_path(&path, &t->server, t->job, "/logs");
    pick_args(&path, p);
    http_arg(&path, "tail", p->count ? p->count : LINES_DEFAULT);
    http_arg(&path, "format", "ndjson");
    http_arg(&path, "states", "0");
    http_arg(&path, "limit", "1");
    if (http_call(&t->server, "GET", buf_cstr(&path), NULL, LOCATE_CALL_US, &r) >= 0 &&
        r.status == 200 && r.body.len && record_parse(r.body.data, r.body.len, &v) >= 0 && v.seq)
        snprintf(t->cursor, sizeof t->cursor, "%llu", (unsigned long long)v.seq - 1);
    buf_release(&path);
    http_reply_release(&r);
}

static void make_path(struct tail *t, struct buf *path)
{
    const struct pick *p = t->pick;

    cli_job_path(path, &t->server, t->job, "/tail");
    pick_args(path, p);
    if (t->cursor[0])
        http_arg(path, "after", t->cursor);
    else if (p->count)
        http_arg(path, "tail", p->count);
    if (p->wait)
        http_arg(path, "wait", p->wait);
}

static void pause_us(int64_t us)
{
    struct pollfd wake = {.fd = cli_wake_fd(), .events = POLLIN};
    int64_t until = clock_mono_us() + us, now;

    while (!cli_interrupted() && (now = clock_mono_us()) < until)
        poll(&wake, 1, (int)((until - now) / 1000) + 1);
}

static void tell_break(struct tail *t, const char *why)
{
    char text[320];
    int64_t now = clock_mono_us();

    if (!t->broken_us)
        t->broken_us = now;
    if (t->break_told || now - t->broken_us < NOTICE_AFTER_US)
        return;
    snprintf(text, sizeof text, "the connection to %.100s is lost (%.120s); trying again",
             t->server.url, why);
    note(t, text);
    t->break_told = 1;
}

/* One connection. 1: try again; 0: t->end or the exit code in *ret_exit says how it ended. */
static int follow_once(struct tail *t, int64_t wait_us, int *ret_exit)
{
    struct http_stream o = {.accept = "text/event-stream",
                            .silence_us = SILENCE_US,
                            .first_us = wait_us + SILENCE_US,
                            .wake_fd = cli_wake_fd(),
                            .on_data = on_data,
                            .user = t};
    struct http_reply r = {0};
    struct buf path = BUF_INIT;
    int err, again = 0;
    int64_t pause;

    make_path(t, &path);
    sse_release(&t->sse);
    sse_init(&t->sse);
    err = http_stream(&t->server, buf_cstr(&path), &o, &r);
    pause = backoff_next(&t->backoff, (uint32_t)random());
    if (t->end || r.status == 204) {
        *ret_exit = CLI_EXIT_OK;
    } else if (t->deleted) {
        note(t, "the job was deleted");
        *ret_exit = CLI_EXIT_CANNOT;
    } else if (t->write_err == ERR_CLOSED) {
        cli_die_of_pipe();
    } else if (cli_interrupted() || err == ERR_CANCELLED) {
        *ret_exit = CLI_EXIT_INTERRUPTED;
    } else if (t->write_err < 0) {
        *ret_exit = CLI_EXIT_CANNOT;
    } else if (t->pick->no_reconnect || (!t->connected && r.status == 0) ||
               (r.status >= 300 && r.status != 429 && r.status < 500)) {
        render_clear_row(&t->render);
        if (r.status == 200)
            cli_say("the connection broke: %s", r.error[0] ? r.error : "the server closed it");
        *ret_exit = r.status == 200 ? CLI_EXIT_CANNOT : cli_complain(&t->server, t->job, err, &r);
    } else {
        tell_break(t, r.status == 200 ? (r.error[0] ? r.error : "closed")
                      : r.status      ? "not ready"
                                      : r.error);
        pause_us(r.retry_after_us > pause ? r.retry_after_us : pause);
        again = 1;
    }
    buf_release(&path);
    http_reply_release(&r);
    return again;
}

/* The end in one sentence, with what the job's page knows beyond the end message. */
static int verdict(struct tail *t)
{
    struct json_tree *page = NULL;
    const struct json_tree *m;
    struct buf path = BUF_INIT, text = BUF_INIT;
    const char *state = NULL, *message = NULL;
    char number[32];
    int64_t lines = 0, exit_code;
    int complete = 0, code;

    cli_job_path(&path, &t->server, t->job, "");
    cli_get_json(&t->server, t->job, buf_cstr(&path), VERDICT_CALL_US, 1, &page);
    m = t->end ? t->end : page;
    json_tree_get_str(m, "state", &state);
    json_tree_get_i64(m, "lines", &lines);
    json_tree_get_bool(m, "complete", &complete);
    code = cli_exit_of_state(state);
    buf_addf(&text, "%s %s", t->job, cli_short_state(state));
    if (page && json_tree_is_num(json_tree_get(page, "duration_s")))
        buf_addf(&text, " after %s",
                 clock_format_duration(
                     (int64_t)(json_tree_double(json_tree_get(page, "duration_s")) * 1e6), number));
    if (json_tree_get_str(page, "error_message", &message) > 0)
        buf_addf(&text, ": %s", message);
    else if (code != CLI_EXIT_OK && json_tree_get_i64(m, "exit_code", &exit_code) > 0)
        buf_addf(&text, ": exit code %lld", (long long)exit_code);
    buf_addf(&text, " (%s line%s, ", cli_thousands((uint64_t)lines, number), lines == 1 ? "" : "s");
    if (complete && !t->incomplete) {
        buf_adds(&text, "complete)");
    } else if (complete) {
        buf_adds(&text, "records are missing)");
    } else {
        const struct json_tree *missing = json_tree_first(json_tree_get(m, "missing"));

        buf_adds(&text, "incomplete");
        for (const char *sep = ": never finished "; missing;
             missing = json_tree_next(missing), sep = ", ")
            if (json_tree_str(missing))
                buf_addf(&text, "%s%s", sep, json_tree_str(missing));
        buf_adds(&text, ")");
    }
    note(t, buf_cstr(&text));
    if (!complete || t->incomplete)
        code = CLI_EXIT_CANNOT;
    json_tree_free(&page);
    buf_release(&path);
    buf_release(&text);
    return code;
}

int tail_follow(const struct pick *p, const char *job)
{
    struct tail t = {.pick = p, .job = job};
    int64_t wait_us = WAIT_DEFAULT_US;
    int code = CLI_EXIT_USAGE;

    if (pick_check(p) < 0 || cli_check_job(job) < 0 || cli_server(&p->common, &t.server) < 0)
        return code;
    if (p->wait && clock_parse_duration(p->wait, strlen(p->wait), &wait_us) < 0) {
        cli_say("--wait: %s is no duration like 30s or 5m", p->wait);
        return code;
    }
    cli_catch_signals();
    srandom((unsigned)clock_wall_us());
    render_init(&t.render, p->color, strcmp(p->output, "text") != 0, p->timestamps, p->no_prefix);
    if (!t.render.json && !(p->since && !p->count) && !(p->count && !strcmp(p->count, "all")))
        locate(&t);
    while (follow_once(&t, wait_us, &code)) {
    }
    render_clear_row(&t.render);
    if (code == CLI_EXIT_OK)
        code = verdict(&t);
    json_tree_free(&t.end);
    sse_release(&t.sse);
    buf_release(&t.canonical);
    render_release(&t.render);
    return code;
}

static int main_tail(int argc, char **argv)
{
    struct pick p;
    char **operands;
    unsigned count;
    int code;

    pick_init(&p);
    if (args_begin(&cli_tail, argc, argv, &p, &operands, &count, &code))
        return code;
    return tail_follow(&p, operands[0]);
}

const struct args_command cli_tail = {
    .name = "tail",
    .usage = "tail JOB [options]",
    .summary = "Follow a job until it ends. Exit code: 0 COMPLETED, 1 FAILED, 3 STOPPED,\n"
               "4 DEPLOY_FAILED, 5 incomplete or could not go on, 130 interrupted.",
    .example = "  joblog tail demo -n 100 --rank 0,3-5 --level warn",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
    .main = main_tail,
};

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
#include "clients/cli/logs.h"
#include "clients/cli/scout.h"
#include "clients/cli/sse.h"
#include "clients/cli/status.h"
#include "clients/cli/tail_many.h"
#include "clients/cli/tty.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_US 45000000      /* the server says something every 15 s */
#define WAIT_DEFAULT_US 30000000 /* the server's own default for a job that does not exist yet */
#define VERDICT_CALL_US 5000000
#define LINES_DEFAULT "10"
#define TICK_US 250000
#define FOLD_TICK_US 50000
#define STATUS_AFTER_US 400000 /* what is over at once needs no status */
#define NOTICE_AFTER_US 1000000 /* a shorter break is not worth a word */

static const struct args_option options[] = {
    PICK_TEXT('n', "tail", count, "N", "N (10) or all"),
    PICK_WHICH,
    PICK_TEXT(0, "wait", wait, "D", "for the job (30s)"),
    PICK_FLAG(0, "no-reconnect", no_reconnect, "give up at once"),
    PICK_FLAG('f', "follow", follow, "(always)"),
    PICK_HOW,
    PICK_FLAG(0, "no-status", no_status, "no status line"),
    {'l', "label", ARGS_LIST, offsetof(struct pick, labels), "K=V", "of jobs with it", NULL, 0, 0},
};

struct tail {
    const struct pick *pick;
    const char *job;
    struct http_server server;
    struct render render;
    struct context *context; /* NULL: lines around are not wanted */
    int is_local;            /* what is looked for is found here */
    struct buf scratch;
    struct scout *scout; /* NULL: there is no line of status */
    uint64_t seq;        /* of the last record given out */
    int64_t last_ts_us;
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
    int64_t started_us;
    struct json_tree *end; /* the end message */
};

/* A word to the person, not part of the log. */
static void note(struct tail *t, const char *text)
{
    if (render_hide(&t->render) >= 0)
        cli_say("%s", text);
}

static int on_hello(struct tail *t, const struct json_tree *m)
{
    const struct json_tree *job = json_tree_get(m, "job");
    const char *start = NULL;
    int64_t ranks = 0, start_us;

    json_tree_get_i64(job, "ranks", &ranks);
    render_ranks(&t->render, ranks);
    if (json_tree_get_str(job, "started_at", &start) <= 0)
        json_tree_get_str(job, "created_at", &start);
    if (start && clock_parse_rfc3339(start, strlen(start), &start_us) >= 0)
        render_start(&t->render, start_us);
    backoff_reset(&t->backoff);
    if (t->break_told)
        note(t, "connected again");
    t->connected = 1;
    t->broken_us = 0;
    t->break_told = 0;
    return 0;
}

static int give(void *user, enum context_kind kind, const char *line, size_t len)
{
    struct tail *t = user;

    return kind == CONTEXT_SEPARATOR ? render_separator(&t->render)
                                     : render_line(&t->render, line, len);
}

/* One record: shown, or judged first when that is done here. */
static int take_record(struct tail *t, const char *line, size_t len)
{
    struct record_view v;
    int err = record_parse(line, len, &v), is_match;

    if (err < 0)
        return err;
    t->seq = v.seq;
    t->last_ts_us = v.ts_us;
    if (!t->is_local || v.is_state)
        return render_record(&t->render, &v, line, len);
    buf_clear(&t->scratch);
    record_msg(&v, &t->scratch);
    is_match = match_is(t->pick->match, t->scratch.data ? t->scratch.data : "", t->scratch.len);
    if (t->context)
        return context_feed(t->context, line, len, is_match);
    return is_match ? render_record(&t->render, &v, line, len) : 0;
}

static int on_lines(struct tail *t, const struct sse_event *e)
{
    const char *line;
    size_t pos = 0, len;
    int err;

    while ((err = lines_next(e->data, e->len, &pos, &line, &len)) > 0) {
        err = take_record(t, line, len);
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
    if (err >= 0 && record_parse(t->canonical.data, t->canonical.len, &v) >= 0)
        t->seq = v.seq;
    if (err >= 0 && t->render.o.form == RENDER_JSON)
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
    int err = json_tree_parse_own(e->data, e->len, &m);

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
        scout_heard(t->scout, (int32_t)rank);
        if (json_tree_get_str(m, "msg", &text) > 0)
            render_progress(&t->render, (int32_t)rank, text, strlen(text));
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

static void show_status(struct tail *t)
{
    const struct status s = {t->job, t->connected && !t->broken_us, t->broken_us, t->seq,
                             t->last_ts_us};
    struct scout_view v;
    struct buf text = BUF_INIT;

    scout_look(t->scout, &v);
    status_add(&text, &s, &v, clock_mono_us(), clock_wall_us());
    render_status(&t->render, buf_cstr(&text));
    buf_release(&text);
}

/* Enter makes room on the screen, as people like to do before the next thing happens. */
static void take_keys(struct tail *t)
{
    char keys[256];
    size_t n = tty_read(keys, sizeof keys);

    for (size_t i = 0; i < n; i++)
        if (keys[i] == '\n')
            render_blank(&t->render);
}

/* Signals of the terminal, and what is due by time. */
static int on_tick(void *user)
{
    struct tail *t = user;
    unsigned signals = cli_take_signals();

    if (signals & CLI_SIGNAL_STOP) {
        render_hide(&t->render);
        tty_restore();
        cli_suspend();
    }
    if (signals)
        render_resized(&t->render);
    if (t->scout || board_is_drawn(&t->render.board)) {
        tty_hush();
        take_keys(t);
    }
    if (t->scout && clock_mono_us() - t->started_us > STATUS_AFTER_US)
        show_status(t);
    return t->write_err = render_flush(&t->render);
}

/* The server counts records, people count lines: find the N-th line from the end, and begin before it; with lines
 * around, before those. What goes wrong here shows again when the tail itself is asked for. */
static void locate(struct tail *t)
{
    struct logs l = {.pick = t->pick, .job = t->job, .server = t->server, .quiet = 1};
    const char *count = t->pick->count ? t->pick->count : LINES_DEFAULT;
    uint64_t n = strtoull(count, NULL, 10), after = 0;
    int64_t seq = n ? logs_locate(&l, n) : 0;

    if (seq > 0) {
        after = (uint64_t)seq - 1;
        if (t->context)
            logs_before(&l, (uint64_t)seq, (uint64_t)t->pick->before, &after);
        snprintf(t->cursor, sizeof t->cursor, "%llu", (unsigned long long)after);
    } else if (t->is_local && !l.code && n) {
        snprintf(t->cursor, sizeof t->cursor, "0"); /* fewer than N: from the start */
    }
    buf_release(&l.scratch);
}

static void make_path(struct tail *t, struct buf *path)
{
    const struct pick *p = t->pick;

    cli_job_path(path, &t->server, t->job, "/tail");
    pick_args(path, p, !t->is_local);
    if (t->cursor[0])
        http_arg(path, "after", t->cursor);
    else if (p->count)
        http_arg(path, "tail", p->count);
    if (p->wait)
        http_arg(path, "wait", p->wait);
}

static void pause_us(struct tail *t, int64_t us)
{
    struct pollfd wake = {.fd = cli_wake_fd(), .events = POLLIN};
    int64_t until = clock_mono_us() + us, now;

    while (!cli_interrupted() && (now = clock_mono_us()) < until && on_tick(t) >= 0)
        poll(&wake, 1, (int)((until - now < TICK_US ? until - now : TICK_US) / 1000) + 1);
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
                            .tick_us = t->pick->fold ? FOLD_TICK_US : TICK_US,
                            .on_data = on_data,
                            .on_tick = on_tick,
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
        render_hide(&t->render);
        if (r.status == 200)
            cli_say("the connection broke: %s", r.error[0] ? r.error : "the server closed it");
        *ret_exit = r.status == 200 ? CLI_EXIT_CANNOT : cli_complain(&t->server, t->job, err, &r);
    } else {
        tell_break(t, r.status == 200 ? (r.error[0] ? r.error : "closed")
                      : r.status      ? "not ready"
                                      : r.error);
        pause_us(t, r.retry_after_us > pause ? r.retry_after_us : pause);
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
    int64_t lines = 0, exit_code, us;
    int complete = 0, code;

    cli_job_path(&path, &t->server, t->job, "");
    cli_get_json(&t->server, t->job, buf_cstr(&path), VERDICT_CALL_US, 1, &page);
    m = t->end ? t->end : page;
    json_tree_get_str(m, "state", &state);
    json_tree_get_i64(m, "lines", &lines);
    json_tree_get_bool(m, "complete", &complete);
    code = cli_exit_of_state(state);
    buf_addf(&text, "%s %s", t->job, cli_short_state(state));
    if (json_tree_us(json_tree_get(page, "duration_s"), &us) == 0)
        buf_addf(&text, " after %s", clock_format_duration(us, number));
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

/* How the options say it: what is drawn, what is found here, where to begin. */
static void prepare(struct tail *t)
{
    const struct pick *p = t->pick;
    struct render_options o = pick_render(p, t->job);

    o.has_board = !pick_is_json(p) && term_can_move();
    o.is_live = 1;
    t->is_local = p->match && (p->invert || p->has_context);
    render_init(&t->render, &o);
    if (p->has_context)
        t->context = context_new((size_t)p->before, (size_t)p->after, give, t);
    if ((o.form != RENDER_JSON || t->is_local) && !(p->since && !p->count) &&
        !(p->count && !strcmp(p->count, "all")))
        locate(t);
}

int tail_follow(struct pick *p, const char *job)
{
    struct tail t = {.pick = p, .job = job, .started_us = clock_mono_us()};
    int64_t wait_us = WAIT_DEFAULT_US;
    int code = CLI_EXIT_USAGE;

    if (cli_check_job(job) < 0 || cli_server(&p->common, &t.server) < 0)
        return code;
    if (p->wait && clock_parse_duration(p->wait, strlen(p->wait), &wait_us) < 0) {
        cli_say("--wait: %s is no duration like 30s or 5m", p->wait);
        return code;
    }
    cli_catch_signals();
    srandom((unsigned)clock_wall_us());
    prepare(&t);
    if (t.render.term.is_tty)
        cli_catch_terminal_signals();
    if (t.render.term.is_tty && t.render.o.has_board && !p->no_status)
        scout_start(&t.server, job, &t.scout);
    while (follow_once(&t, wait_us, &code)) {
    }
    scout_stop(&t.scout);
    if (render_finish(&t.render) == ERR_CLOSED)
        cli_die_of_pipe();
    tty_restore();
    if (code == CLI_EXIT_OK)
        code = verdict(&t);
    json_tree_free(&t.end);
    sse_release(&t.sse);
    context_free(&t.context);
    buf_release(&t.scratch);
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
    if (pick_check(&p) < 0)
        code = CLI_EXIT_USAGE;
    else if (count && !p.labels.count)
        code = tail_follow(&p, operands[0]);
    else if (count)
        code = (cli_say("--label is for many jobs: without JOB"), CLI_EXIT_USAGE);
    else
        code = tail_many(&p, &p.labels);
    pick_release(&p);
    return code;
}

const struct args_command cli_tail = {
    .name = "tail",
    .usage = "tail JOB | --project P | -l K=V [options]",
    .summary = "Follow a job until it ends; without JOB all jobs of a project, later ones\n"
               "included. Exit code: 0 COMPLETED, 1 FAILED, 3 STOPPED,\n"
               "4 DEPLOY_FAILED, 5 incomplete or could not go on, 130 interrupted.",
    .example = "  joblog tail demo -n 100 --rank 0,3-5 --level warn",
    .notes = PICK_NOTES,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 0,
    .operands_max = 1,
    .main = main_tail,
};

/*
 * serve/tail_many.c -- a follower of many jobs: its beginning, the jobs that begin, its cursor.
 *
 * Which jobs begin is read from the feed: a state without one before it. When it cannot tell all of them any more (it was
 * trimmed, or lost) that is said, and the jobs that are not over are listed anew.
 */
#include "serve/tail_many.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/quotas.h"
#include "serve/tail_many_int.h"
#include "stream/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 100
#define LIST_PAGE 200
#define SUBPROTOCOL "joblog.tail.v1"

static void pull_feed(struct many *m);

/* ---- saying ---- */

void many__say(struct many *m, const char *type, const char *more)
{
    struct buf cursor = BUF_INIT, out = BUF_INIT;

    many__cursor_write(m, &cursor);
    if (m->form == MANY_MESSAGES) {
        buf_addf(&out, "{\"type\":\"%s\",\"cursor\":\"%s\"%s}", type, buf_cstr(&cursor), more);
        pipe_send(m->pipe, type, buf_cstr(&cursor), out.data, out.len);
    } else if (m->form == MANY_NDJSON) {
        if (*more)
            buf_addf(&out, "{\"%s\":{%s}}\n", type, more + 1);
        buf_addf(&out, "{\"cursor\":\"%s\"}\n", buf_cstr(&cursor));
        pipe_write(m->pipe, out.data, out.len);
    } else if (strcmp(type, "gap") == 0) {
        buf_adds(&out, "[joblog: jobs may have begun that cannot be told of any more]\n");
        pipe_write(m->pipe, out.data, out.len);
    }
    m->has_moved = 0;
    m->told_us = clock_mono_us();
    buf_release(&cursor);
    buf_release(&out);
}

static void say_full(struct many *m)
{
    char more[80];

    if (m->said_full)
        return;
    m->said_full = 1;
    snprintf(more, sizeof more, ",\"jobs\":%" PRIu32 ",\"skipped\":%" PRIu32, m->follow_count,
             m->skipped);
    many__say(m, "full", more);
}

/* ---- jobs that are there ---- */

static void list(struct many *m, int64_t before_us, const char *before_key);

static void start_all(struct many *m)
{
    struct follow *f;

    TAILQ_FOREACH(f, &m->follows, link)
    if (!f->tail && !f->retry_us && !f->is_over)
        many__start(f);
}

static void listed(struct many *m)
{
    if (!m->said_hello) {
        m->said_hello = 1;
        many__say(m, "hello", "");
    }
    if (m->skipped)
        say_full(m);
    start_all(m);
    pull_feed(m);
}

static void release(struct many *m)
{
    if (!m->is_gone || m->calls)
        return;
    event_query_release(&m->jobs);
    query_release(&m->lines);
    free(m);
}

static void on_list(void *user, int err, const struct job_info *const *infos, uint32_t count,
                    int64_t next_us, const char *next_key)
{
    struct many *m = user;

    m->calls--;
    if (m->is_gone) {
        release(m);
        return;
    }
    m->is_listing = 0;
    if (m->is_over)
        return;
    if (err < 0) { /* the timer asks again */
        m->is_list_wanted = 1;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct job_info *info = infos[i];
        struct cursor at = {info->epoch, info->seq};
        if (info->sealed || many__find(m, &info->key))
            continue;
        if (!many__has_room(m, &info->key)) {
            m->skipped++;
            continue;
        }
        if (m->said_hello) /* it began while the feed could not tell */
            at = (struct cursor){0, 0};
        many__follow(m, &info->key, at, !m->said_hello && m->lines.tail != 0);
    }
    if (next_us)
        list(m, next_us, next_key);
    else
        listed(m);
}

/* Jobs of a project that the caller may not see. */
static int is_foreign(const struct event_query *q)
{
    return *q->own_project && *q->project && strcmp(q->own_project, q->project) != 0;
}

static void list(struct many *m, int64_t before_us, const char *before_key)
{
    const struct event_query *j = &m->jobs;
    struct job_list_query q = {.active_only = 1, .limit = LIST_PAGE, .before_us = before_us};

    if (before_us)
        snprintf(q.before_key, sizeof q.before_key, "%s", before_key);
    q.project = *j->own_project ? j->own_project : *j->project ? j->project : NULL;
    for (uint32_t i = 0; i < j->label_count; i++) {
        q.label_keys[i] = j->label_keys[i];
        q.label_values[i] = j->label_values[i];
    }
    q.label_count = j->label_count;
    m->is_list_wanted = 0;
    if (is_foreign(j)) {
        listed(m);
        return;
    }
    m->is_listing = 1;
    m->calls++;
    stream_job_list(m->ctx->stream, &q, on_list, m);
}

/* ---- jobs that begin ---- */

static int is_beginning(const struct alert_event *e)
{
    struct json_tree *root = NULL;
    const struct json_tree *from;
    int yes;

    if (strcmp(e->type, "state") != 0 || json_tree_parse_own(e->json, e->len, &root) < 0)
        return 0;
    from = json_tree_get(root, "from");
    yes = from && json_tree_is_null(from);
    json_tree_free(&root);
    return yes;
}

/* 0: there is no place for it now. */
static int take_event(struct many *m, const struct alert_event *e)
{
    struct follow *f;

    if (event_query_takes(&m->jobs, e) && is_beginning(e) && !many__find(m, &e->key)) {
        if (!many__has_room(m, &e->key))
            return 0;
        f = many__follow(m, &e->key, (struct cursor){0, 0}, 0);
        m->has_moved = 1;
        if (m->said_hello)
            many__start(f);
    }
    m->feed_n = e->n;
    return 1;
}

static void feed_broke(struct many *m, const char *reason)
{
    char more[80];

    snprintf(more, sizeof more, ",\"reason\":\"%s\"", reason);
    many__say(m, "gap", more);
    m->is_list_wanted = 1;
}

/* Nothing is taken before it is known where the feed is, and while jobs are listed. */
static void pull_feed(struct many *m)
{
    while (m->is_open && !m->is_over && !m->is_listing && !m->is_list_wanted) {
        struct alert_event *e = NULL;
        uint64_t gap_to = 0;
        int n;

        if (m->held) {
            if (!take_event(m, m->held)) {
                say_full(m);
                return;
            }
            alert_event_unref(&m->held);
        }
        n = event_reader_next(m->reader, &e, &gap_to);
        if (n == 1) {
            m->held = e;
        } else if (n == ERR_LAGGED) {
            m->feed_n = gap_to;
            feed_broke(m, "trimmed");
        } else if (n == ERR_RESET) {
            m->feed_epoch = alert_feed_epoch(m->ctx->alert);
            m->feed_n = 0;
            feed_broke(m, "lost");
        } else {
            break;
        }
    }
    if (m->is_open && !m->is_over && m->is_list_wanted && !m->is_listing)
        list(m, 0, "");
}

/* Once the feed's place is known, the jobs that are there are asked for: whatever begins meanwhile is behind that place. */
static void begin(struct many *m)
{
    uint64_t epoch = alert_feed_epoch(m->ctx->alert), n;

    if (m->has_begun || !epoch)
        return;
    if (!m->lines.has_after) {
        struct alert_event *e = NULL;
        uint64_t gap_to;
        if (event_reader_next(m->reader, &e, &gap_to) == 1)
            m->held = e;
        n = event_reader_cursor(m->reader);
        if (n == UINT64_MAX)
            return;
        m->feed_n = m->held ? m->held->n - 1 : n;
        m->is_list_wanted = 1;
    } else {
        m->said_hello = 1;
    }
    if (!m->feed_epoch)
        m->feed_epoch = epoch;
    m->has_begun = 1;
    if (m->said_hello) {
        many__say(m, "hello", "");
        start_all(m);
    }
    pull_feed(m);
}

static void go_on(struct many *m)
{
    if (!m->is_open || m->is_over)
        return;
    if (!m->has_begun) {
        begin(m);
        return;
    }
    many__pull(m);
    pull_feed(m);
}

/* ---- the session ---- */

static void on_feed(void *user)
{
    struct many *m = user;

    if (!m->is_open || m->is_over)
        return;
    m->has_begun ? pull_feed(m) : begin(m);
}

/* Its time is over, and what was there has been said. */
static int is_enough(const struct many *m, int64_t now_us)
{
    return m->until_us && now_us >= m->until_us && m->said_hello && !m->is_listing &&
           !m->is_list_wanted && many__is_quiet(m) && !pipe_is_full(m->pipe);
}

static void on_timer(uv_timer_t *timer)
{
    struct many *m = timer->data;
    int64_t now_us = clock_mono_us();

    if (!m->is_open || m->is_over)
        return;
    pipe_beat(m->pipe, now_us);
    if (!m->has_begun) {
        begin(m);
        return;
    }
    if (many__reap(m, 0)) {
        m->said_full = 0;
        m->has_moved = 1;
        m->skipped = 0;
    }
    pull_feed(m);
    if (is_enough(m, now_us)) {
        many__say(m, "cursor", "");
        m->is_over = 1;
        pipe_close(m->pipe, 1000, "");
        return;
    }
    m->has_spoken = 0;
    if (m->said_hello && m->has_moved && now_us - m->told_us >= TAIL_MANY_CURSOR_US &&
        !pipe_is_full(m->pipe))
        many__say(m, "cursor", "");
}

static void on_opened(void *user)
{
    struct many *m = user;

    m->is_open = 1;
    event_reader_open(m->ctx->alert, m->feed_epoch, m->lines.has_after ? m->feed_n : UINT64_MAX, 0,
                      on_feed, m, &m->reader);
    begin(m);
}

static void on_drained(void *user)
{
    go_on(user);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct many *m = handle->data;

    m->is_gone = 1;
    release(m);
}

static void free_if_over(struct manys *all)
{
    if (all->is_over && LIST_EMPTY(&all->all))
        free(all);
}

static void on_gone(void *user)
{
    struct many *m = user;

    m->is_over = 1;
    many__reap(m, 1);
    event_reader_close(&m->reader);
    alert_event_unref(&m->held);
    LIST_REMOVE(m, link);
    m->all->sessions--;
    free_if_over(m->all);
    uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}

static const struct pipe_ops ndjson_ops = {on_opened, on_drained, NULL, on_gone, NULL};
static const struct pipe_ops text_ops = {on_opened, on_drained, NULL, on_gone,
                                         "text/plain; charset=utf-8"};

void tail_many_http(struct serve_ctx *ctx, struct http *x)
{
    struct caller *caller = http_guest(x);
    struct many *m;

    if (ctx->manys->sessions >= TAIL_MANY_SESSIONS_MAX) {
        http_set_header(x, "Retry-After", "5");
        http_reply_error(x, 503, "limit", "at most %d follow many jobs at a time",
                         TAIL_MANY_SESSIONS_MAX);
        return;
    }
    m = must_calloc(1, sizeof *m);
    m->ctx = ctx;
    m->all = ctx->manys;
    TAILQ_INIT(&m->follows);
    if (many__query_read(m, x) < 0)
        goto refused;
    if (caller_tail(caller) < 0) {
        quotas_refuse(ctx, x, caller->token, QUOTA_TAILERS);
        goto refused;
    }
    if (m->lines.wait_us >= 0)
        m->until_us = clock_mono_us() + m->lines.wait_us;
    LIST_INSERT_HEAD(&ctx->manys->all, m, link);
    ctx->manys->sessions++;
    CHECK(uv_timer_init(ctx->loop, &m->timer) == 0);
    m->timer.data = m;
    uv_timer_start(&m->timer, on_timer, TICK_MS, TICK_MS);
    pipe_open(ctx, x, SUBPROTOCOL, m->form == MANY_TEXT ? &text_ops : &ndjson_ops, m, &m->pipe);
    if (pipe_kind(m->pipe) != PIPE_LINES)
        m->form = MANY_MESSAGES;
    return;
refused: /* it was answered */
    many__reap(m, 1);
    m->is_gone = 1;
    release(m);
}

/* ---- all of them ---- */

void tail_many_drain_all(struct serve_ctx *ctx, int code)
{
    struct many *m;

    LIST_FOREACH(m, &ctx->manys->all, link)
    {
        if (m->is_open && m->said_hello && m->has_moved && !m->is_over)
            many__say(m, "cursor", "");
        m->is_over = 1;
        pipe_drop(m->pipe, code);
        many__reap(m, 1); /* before the tails end */
    }
}

void tail_many_stats(const struct serve_ctx *ctx, uint64_t *ret_sessions, uint64_t *ret_jobs)
{
    const struct many *m;

    *ret_sessions = ctx->manys->sessions;
    *ret_jobs = 0;
    LIST_FOREACH(m, &ctx->manys->all, link) *ret_jobs += m->follow_count;
}

struct manys *manys_new(void)
{
    return must_calloc(1, sizeof(struct manys));
}

void manys_free(struct manys **manys)
{
    struct manys *m = *manys;

    *manys = NULL;
    if (!m)
        return;
    m->is_over = 1;
    free_if_over(m);
}

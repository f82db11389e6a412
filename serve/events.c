/*
 * serve/events.c -- readers of the feed: pull, filter, say; groups: take, hand out, acknowledge.
 */
#include "serve/events_int.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "serve/auth.h"
#include "serve/json_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 200
#define GROUP_LOOK_US 1000000 /* for what others have not acknowledged */
#define SUBPROTOCOL "joblog.events.v1"

struct event_session {
    LIST_ENTRY(event_session) link;
    struct serve_ctx *ctx;
    struct event_sessions *all;
    struct event_query q;
    struct pipe *pipe;
    struct event_reader *reader; /* without a group */
    struct event_bell *bell;     /* with one */
    int is_open, said_hello, taking, again, is_over;
    uint64_t said, window;
    int64_t until_us, next_take_us;
    uint32_t calls; /* of the group that are due */
    int is_gone;
};

struct event_sessions {
    struct serve_ctx *ctx;
    LIST_HEAD(, event_session) all;
    uint32_t count;
    uv_timer_t timer;
    int is_over; /* freed with the last session */
};

/* ---- saying ---- */

static const char *cursor_text(struct event_session *s, uint64_t n, char out[CURSOR_TEXT_BYTES])
{
    struct cursor c = {alert_feed_epoch(s->ctx->alert), n};

    return cursor_format(&c, out);
}

/* {"type":…,"cursor":…} and further members. */
static void say(struct event_session *s, const char *type, uint64_t n, const char *more)
{
    char cursor[CURSOR_TEXT_BYTES];
    struct buf out = BUF_INIT;

    buf_addf(&out, "{\"type\":\"%s\",\"cursor\":\"%s\"%s}", type, cursor_text(s, n, cursor), more);
    pipe_send(s->pipe, type, cursor, buf_cstr(&out), out.len);
    buf_release(&out);
}

static void say_event(struct event_session *s, const struct alert_event *e, int is_again)
{
    char cursor[CURSOR_TEXT_BYTES];
    struct buf out = BUF_INIT;

    CHECK(e->len > 2 && e->json[0] == '{');
    buf_addf(&out, "{\"cursor\":\"%s\",", cursor_text(s, e->n, cursor));
    if (e->is_capped)
        buf_adds(&out, "\"suppressed\":true,");
    if (is_again)
        buf_adds(&out, "\"redelivered\":true,");
    buf_add(&out, e->json + 1, e->len - 1);
    pipe_send(s->pipe, e->type, cursor, buf_cstr(&out), out.len);
    buf_release(&out);
    s->said++;
}

static void end(struct event_session *s)
{
    s->is_over = 1;
    event_reader_close(&s->reader);
    event_bell_close(&s->bell);
    pipe_close(s->pipe, 1000, "");
}

/* ---- a reader of its own ---- */

static int is_long_read(const struct event_session *s)
{
    return s->q.wait_us >= 0;
}

static int has_enough(const struct event_session *s)
{
    return s->q.limit && s->said >= s->q.limit;
}

static void finish_long_read(struct event_session *s)
{
    say(s, "cursor", event_reader_cursor(s->reader), "");
    end(s);
}

static void pull(struct event_session *s)
{
    while (!s->is_over && s->is_open && !pipe_is_full(s->pipe)) {
        struct alert_event *e = NULL;
        uint64_t before = event_reader_cursor(s->reader), gap_to = 0;
        char more[64];
        int n;
        if (has_enough(s)) {
            is_long_read(s) ? finish_long_read(s) : end(s);
            return;
        }
        n = event_reader_next(s->reader, &e, &gap_to);
        if (!s->said_hello && alert_feed_epoch(s->ctx->alert)) {
            s->said_hello = 1;
            say(s, "hello",
                n == 1 || n == ERR_LAGGED
                    ? before == UINT64_MAX ? event_reader_cursor(s->reader) - 1 : before
                    : event_reader_cursor(s->reader),
                "");
        }
        if (n == 1) {
            if (event_query_takes(&s->q, e))
                say_event(s, e, 0);
            alert_event_unref(&e);
        } else if (n == ERR_LAGGED) {
            snprintf(more, sizeof more, ",\"from\":%" PRIu64 ",\"to\":%" PRIu64, before + 1,
                     gap_to);
            say(s, "gap", gap_to, more);
        } else if (n == ERR_RESET) {
            say(s, "reset", 0, "");
        } else {
            if (is_long_read(s) && s->said && event_reader_is_idle(s->reader))
                finish_long_read(s);
            return;
        }
    }
}

static void on_wake(void *user)
{
    pull(user);
}

/* ---- a group ---- */

static void release(struct event_session *s)
{
    if (!s->is_gone || s->calls)
        return;
    event_query_release(&s->q);
    free(s);
}

static void take(struct event_session *s);

static void on_taken(void *user, int err, struct alert_event *const *events, const uint8_t *again,
                     uint32_t count)
{
    struct event_session *s = user;
    uint64_t unwanted[2 * EVENTS_READ_MAX];
    uint32_t unwanted_count = 0, before = (uint32_t)s->said;

    s->calls--;
    s->taking = 0;
    if (s->is_gone || s->is_over) {
        release(s);
        return;
    }
    if (err == ERR_LIMIT) {
        say(s, "error", 0, ",\"code\":\"limit\",\"message\":\"there are too many groups\"");
        end(s);
        return;
    }
    for (uint32_t i = 0; err == 0 && i < count; i++) {
        if (event_query_takes(&s->q, events[i])) {
            say_event(s, events[i], again[i]);
            s->window++;
        } else {
            unwanted[unwanted_count++] = events[i]->n;
        }
    }
    if (unwanted_count)
        alert_group_ack(s->ctx->alert, s->q.group, unwanted, unwanted_count, NULL, NULL);
    if ((is_long_read(s) && s->said) || has_enough(s)) {
        end(s);
        return;
    }
    if (s->again || count == EVENTS_READ_MAX || (err == 0 && s->said > before))
        take(s);
}

static void take(struct event_session *s)
{
    uint64_t room = EVENTS_READ_MAX;

    if (s->is_over || !s->is_open || pipe_is_full(s->pipe))
        return;
    if (s->taking) {
        s->again = 1;
        return;
    }
    if (pipe_kind(s->pipe) == PIPE_WS)
        room = s->window < EVENTS_WINDOW_MAX ? EVENTS_WINDOW_MAX - s->window : 0;
    if (s->q.limit && s->q.limit - s->said < room)
        room = s->q.limit - s->said;
    if (room == 0)
        return;
    s->again = 0;
    s->taking = 1;
    s->calls++;
    s->next_take_us = clock_mono_us() + GROUP_LOOK_US;
    alert_group_take(s->ctx->alert, s->q.group, s->q.consumer,
                     s->q.has_after ? s->q.after.seq : UINT64_MAX, (uint32_t)room, s->q.ack_us,
                     on_taken, s);
}

static void on_bell(void *user)
{
    take(user);
}

/* ---- acknowledging ---- */

/* The numbers of {"cursor":…} or {"cursors":[…]}; how many, ERR_INVALID. Of another epoch: passed over. */
static int read_acks(const struct json_tree *v, uint64_t epoch, uint64_t numbers[EVENTS_ACKS_MAX])
{
    const struct json_tree *one = json_tree_get(v, "cursor"), *list = json_tree_get(v, "cursors");
    struct cursor c;
    int n = 0;

    if (one ? list != NULL : !list || !json_tree_is_arr(list))
        return ERR_INVALID;
    for (const struct json_tree *at = one ? one : json_tree_first(list); at;
         at = one ? NULL : json_tree_next(at)) {
        const char *s = json_tree_str(at);
        if (!s || n == EVENTS_ACKS_MAX || cursor_parse(s, strlen(s), &c) < 0)
            return ERR_INVALID;
        if (c.epoch == 0 || c.epoch == epoch)
            numbers[n++] = c.seq;
    }
    return n;
}

static void on_heard(void *user, const char *data, size_t len)
{
    struct event_session *s = user;
    uint64_t numbers[EVENTS_ACKS_MAX];
    struct json_tree *root = NULL;
    int n = ERR_INVALID;

    if (!s->q.group[0] || s->is_over)
        return;
    if (json_tree_parse_own(data, len, &root) == 0)
        n = read_acks(root, alert_feed_epoch(s->ctx->alert), numbers);
    json_tree_free(&root);
    if (n < 0) {
        say(s, "error", 0,
            ",\"code\":\"bad_request\",\"message\":\"{\\\"type\\\":\\\"ack\\\",\\\"cursor\\\":…} "
            "is wanted\"");
        return;
    }
    if (n > 0)
        alert_group_ack(s->ctx->alert, s->q.group, numbers, (uint32_t)n, NULL, NULL);
    s->window -= s->window < (uint64_t)n ? s->window : (uint64_t)n;
    take(s);
}

struct ack_call {
    struct http *x; /* NULL: the client has gone */
};

static void on_ack_close(struct http *x, int clean)
{
    struct ack_call *c = http_user(x);

    c->x = NULL;
}

static const struct http_handler ack_handler = {.on_close = on_ack_close};

static void on_acked(void *user, int err, uint64_t count)
{
    struct ack_call *c = user;
    struct http *x = c->x;
    char body[48];

    free(c);
    if (!x)
        return;
    http_handle(x, NULL, NULL);
    if (err < 0) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, err_code(err), "%s", err_text(err));
        return;
    }
    http_reply(x, 200, "application/json", body,
               (size_t)snprintf(body, sizeof body, "{\"acked\":%" PRIu64 "}\n", count));
}

static void on_ack_body(struct serve_ctx *ctx, struct http *x, const struct json_tree *root)
{
    const char *project = http_arg(x, "project"), *own = caller_project(auth_caller(x));
    uint64_t numbers[EVENTS_ACKS_MAX];
    char group[EVENTS_GROUP_BYTES];
    struct ack_call *c;
    int n = read_acks(root, alert_feed_epoch(ctx->alert), numbers);

    if (n < 0) {
        http_reply_error(x, 400, "bad_request", "cursors: a list of at most %d cursors is wanted",
                         EVENTS_ACKS_MAX);
        return;
    }
    if (project && !id_valid(project, strlen(project))) {
        http_reply_error(x, 400, "bad_id", "project is [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
        return;
    }
    if (event_group_name(x, project ? project : "", own ? own : "", group) < 0)
        return;
    if (n == 0) {
        http_reply(x, 200, "application/json", "{\"acked\":0}\n", 12);
        return;
    }
    c = must_calloc(1, sizeof *c);
    c->x = x;
    http_handle(x, &ack_handler, c);
    alert_group_ack(ctx->alert, group, numbers, (uint32_t)n, on_acked, c);
}

void events_ack_http(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, PIPE_HEARD_BYTES_MAX * 4, on_ack_body);
}

/* ---- sessions ---- */

static void on_opened(void *user)
{
    struct event_session *s = user;

    s->is_open = 1;
    if (!s->q.group[0]) {
        event_reader_open(s->ctx->alert, s->q.after.epoch,
                          s->q.has_after ? s->q.after.seq : UINT64_MAX, s->q.tail, on_wake, s,
                          &s->reader);
        pull(s);
        return;
    }
    event_bell_open(s->ctx->alert, on_bell, s, &s->bell);
    if (!is_long_read(s))
        say(s, "hello", 0, "");
    take(s);
}

static void on_drained(void *user)
{
    struct event_session *s = user;

    if (!s->is_open)
        return;
    s->q.group[0] ? take(s) : pull(s);
}

static void free_if_over(struct event_sessions *all)
{
    if (all->is_over == 2 && all->count == 0)
        free(all);
}

static void on_gone(void *user)
{
    struct event_session *s = user;
    struct event_sessions *all = s->all;

    s->is_gone = 1;
    event_reader_close(&s->reader);
    event_bell_close(&s->bell);
    LIST_REMOVE(s, link);
    all->count--;
    release(s);
    free_if_over(all);
}

static const struct pipe_ops pipe_ops = {on_opened, on_drained, on_heard, on_gone, NULL};

void events_http(struct serve_ctx *ctx, struct http *x)
{
    struct event_session *s;

    if (ctx->events->count >= EVENTS_SESSIONS_MAX) {
        http_set_header(x, "Retry-After", "5");
        http_reply_error(x, 503, "limit", "at most %d read the feed at a time",
                         EVENTS_SESSIONS_MAX);
        return;
    }
    s = must_calloc(1, sizeof *s);
    if (event_query_read(&s->q, x) < 0) {
        event_query_release(&s->q);
        free(s);
        return;
    }
    s->ctx = ctx;
    s->all = ctx->events;
    if (is_long_read(s)) {
        s->until_us = clock_mono_us() + s->q.wait_us;
        if (!s->q.limit)
            s->q.limit = EVENTS_READ_MAX;
    }
    LIST_INSERT_HEAD(&ctx->events->all, s, link);
    ctx->events->count++;
    pipe_open(ctx, x, SUBPROTOCOL, &pipe_ops, s, &s->pipe);
}

static void tick(struct event_session *s, int64_t now_us)
{
    if (!s->is_open || s->is_over)
        return;
    pipe_beat(s->pipe, now_us);
    if (is_long_read(s) && now_us >= s->until_us) {
        if (!s->q.group[0] && alert_feed_epoch(s->ctx->alert))
            finish_long_read(s);
        else
            end(s);
        return;
    }
    if (s->q.group[0] && now_us >= s->next_take_us)
        take(s);
}

static void on_timer(uv_timer_t *timer)
{
    struct event_sessions *all = timer->data;
    struct event_session *s, *next;
    int64_t now_us = clock_mono_us();

    for (s = LIST_FIRST(&all->all); s; s = next) {
        next = LIST_NEXT(s, link);
        tick(s, now_us);
    }
}

struct event_sessions *event_sessions_new(struct serve_ctx *ctx)
{
    struct event_sessions *s = must_calloc(1, sizeof *s);

    s->ctx = ctx;
    CHECK(uv_timer_init(ctx->loop, &s->timer) == 0);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_timer, TICK_MS, TICK_MS);
    return s;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct event_sessions *s = handle->data;

    s->is_over = 2;
    free_if_over(s);
}

void event_sessions_free(struct event_sessions **sessions)
{
    struct event_sessions *s = *sessions;

    *sessions = NULL;
    if (!s)
        return;
    s->is_over = 1;
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void events_drain_all(struct serve_ctx *ctx, int code)
{
    struct event_session *s;

    LIST_FOREACH(s, &ctx->events->all, link)
    {
        s->is_over = 1;
        pipe_drop(s->pipe, code);
    }
}

uint32_t events_open_count(const struct serve_ctx *ctx)
{
    return ctx->events->count;
}

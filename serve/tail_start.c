/*
 * serve/tail_start.c -- from the request to the first record: find the job, wait for it, choose
 * the cursor.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "serve/job_json.h"
#include "serve/quotas.h"
#include "serve/tail_int.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void refuse(struct tail *t, int status, int err, const char *text)
{
    struct http *x = t->x;

    tail__over(t);
    if (t->sink->refuse) {
        t->sink->refuse(t, status, err);
        return;
    }
    if (status == 503)
        http_set_header(x, "Retry-After", "1");
    http_reply_error(x, status, err_code(err), "%s", text);
}

static void open_sink(struct tail *t)
{
    t->phase = TAIL_OPENING;
    t->sink->open(t);
}

/* ---- where to begin ---- */

void tail__located(struct tail *t)
{
    struct reader_item item;

    while (reader_next(t->reader, &item)) {
        if (item.kind == READER_SLICE)
            t->nth = item.slice.given_seq;
        if (item.kind != READER_END && item.kind != READER_FAILED)
            continue;
        reader_close(&t->reader);
        if (item.kind == READER_FAILED) {
            refuse(t, item.err == ERR_NOT_FOUND ? 404 : 503, item.err, err_text(item.err));
            return;
        }
        if (item.limited)
            t->cursor = t->nth - 1;
        open_sink(t);
        return;
    }
}

static void on_readable(void *user)
{
    tail__located(user);
}

static void locate(struct tail *t, uint64_t upto)
{
    struct reader_options o = {
        .key = t->key,
        .epoch = t->epoch,
        .after = t->cursor,
        .upto = upto,
        .backward = 1,
        .shape = t->shape,
        .records_max = t->query.tail,
        .urgent = 1,
    };

    o.shape.kind = SHAPE_COUNT;
    o.shape.split_states = 0;
    t->phase = TAIL_LOCATE;
    reader_open(t->ctx, &o, on_readable, t, &t->reader);
    tail__located(t);
}

/* after= or Last-Event-ID. 1: it stands at the end of a sealed job. A cursor of this epoch that is ahead of what is known here
 * was given out by another node, or is of nothing: the hub asks and decides. A plain number is a place, not a cursor. */
static int set_cursor(struct tail *t, const struct job_info *info)
{
    const struct query *q = &t->query;

    t->cursor = 0;
    if (!q->has_after)
        return 0;
    if (q->after.epoch && q->after.epoch != info->epoch) {
        t->needs_reset = 1;
        return 0;
    }
    t->cursor = q->after.seq;
    if (t->cursor > info->seq && (info->sealed || !q->after.epoch))
        t->cursor = info->seq;
    if (t->cursor && FAULT_PLANT("cursor"))
        t->cursor--;
    return info->sealed && t->cursor == info->seq;
}

static void begin(struct tail *t, const struct job_info *info)
{
    struct query *q = &t->query;
    struct buf hello;
    int at_end;

    hub_sub_expect(t->sub);
    t->epoch = info->epoch;
    at_end = set_cursor(t, info);
    if (at_end && t->sink == &tail__sse && http_header(t->x, "Last-Event-ID")) {
        struct http *x = t->x;

        tail__over(t);
        http_reply(x, 204, NULL, NULL, 0);
        return;
    }
    buf_init(&hello, 0);
    if (job_json_compact(&hello, info, clock_wall_us()) >= 0)
        t->hello = buf_steal(&hello, NULL);
    buf_release(&hello);
    if (!q->has_tail)
        q->tail = q->has_after || q->has_since ? QUERY_TAIL_ALL : TAIL_LINES_DEFAULT;
    if (q->tail == QUERY_TAIL_ALL || t->needs_reset || t->cursor >= info->seq) {
        open_sink(t);
    } else if (!q->tail) {
        t->cursor = info->seq;
        open_sink(t);
    } else if (sieve_is_open(q->sieve) && !t->shape.skip_states) {
        if (info->seq - t->cursor > q->tail)
            t->cursor = info->seq - q->tail;
        open_sink(t);
    } else {
        locate(t, info->seq);
    }
}

/* ---- the job ---- */

static void wait_for_job(struct tail *t)
{
    int64_t now_us = clock_mono_us();

    if (!t->wait_until_us)
        t->wait_until_us = now_us + t->query.wait_us;
    if (now_us >= t->wait_until_us) {
        refuse(t, 404, ERR_NOT_FOUND, "there is no such job");
        return;
    }
    t->phase = TAIL_WAIT;
    t->ctx->tails->stats.waiting++;
    tail__set_ticking(t, 1);
}

static void on_info(void *user, int err, const struct job_info *info)
{
    struct tail *t = user;

    t->calls--;
    if (t->is_gone) {
        tail__gone(t);
        return;
    }
    if (t->phase != TAIL_LOOKUP)
        return;
    if (err == ERR_NOT_FOUND)
        wait_for_job(t);
    else if (err < 0)
        refuse(t, 503, err, err_text(err));
    else
        begin(t, info);
}

static void look_up(struct tail *t)
{
    t->phase = TAIL_LOOKUP;
    t->calls++;
    stream_job_get(t->ctx->stream, &t->key, 0, on_info, t);
}

void tail__woken(struct tail *t)
{
    t->ctx->tails->stats.waiting--;
    tail__set_ticking(t, 0);
    look_up(t);
}

void tail__wait_tick(struct tail *t, int64_t now_us)
{
    if (hub_sub_info(t->sub)) {
        tail__woken(t);
    } else if (now_us >= t->wait_until_us) {
        t->ctx->tails->stats.waiting--;
        refuse(t, 404, ERR_NOT_FOUND, "there is no such job, and it did not appear in time");
    }
}

static void on_wake(void *user)
{
    struct tail *t = user;

    if (t->phase == TAIL_WAIT)
        tail__woken(t);
    else
        tail__pull(t);
}

static void on_hub_progress(void *user, int32_t rank, const char *text, size_t len)
{
    tail__on_progress(user, rank, text, len);
}

static const struct hub_sub_ops hub_ops = {.wake = on_wake, .progress = on_hub_progress};

void tail__start(struct tail *t)
{
    const struct job_info *info;

    hub_subscribe(t->ctx->stream, &t->key, 0, &hub_ops, t, &t->sub);
    info = hub_sub_info(t->sub);
    if (info)
        begin(t, info);
    else
        look_up(t);
}

/* ---- the request ---- */

static void on_drain(struct http *x)
{
    tail__pull(http_user(x));
}

static void on_close(struct http *x, int clean)
{
    struct tail *t = http_user(x);

    t->x = NULL;
    if (t->upgraded)
        return; /* the WebSocket goes on */
    if (t->accepting) {
        t->is_gone = 1; /* ws_accept() is on the stack: it decides */
        return;
    }
    if (t->phase == TAIL_WAIT)
        t->ctx->tails->stats.waiting--;
    tail__gone(t);
}

static const struct http_handler handler = {.on_drain = on_drain, .on_close = on_close};

/* Is type among the media ranges of an Accept value? */
static int accepts(const char *accept, const char *type)
{
    size_t want = strlen(type);

    while (accept && *accept) {
        accept += strspn(accept, " \t,");
        if (!strncasecmp(accept, type, want) && strchr(" \t;,", accept[want]))
            return 1;
        accept += strcspn(accept, ",");
    }
    return 0;
}

static const struct tail_sink *choose_sink(const struct http *x, const struct query *q)
{
    if (http_is_upgrade(x))
        return &tail__ws;
    if (!q->has_format && accepts(http_header(x, "Accept"), "text/event-stream"))
        return &tail__sse;
    return &tail__text;
}

static void choose_shape(struct tail *t)
{
    int json = t->sink->json;
    int text = !json && t->query.format == QUERY_TEXT;

    if (t->query.states < 0)
        t->query.states = !text;
    t->shape = (struct shape){
        .kind = json   ? SHAPE_ARRAY
                : text ? SHAPE_TEXT
                       : SHAPE_NDJSON,
        .sieve = t->query.sieve,
        .skip_states = !t->query.states,
        .split_states = json,
    };
}

void tail__begin(struct serve_ctx *ctx, struct tail *t, const struct tail_sink *sink,
                 const struct job_key *key)
{
    t->ctx = ctx;
    t->sink = sink;
    t->key = *key;
    choose_shape(t);
    link_init(&t->in_all);
    link_init(&t->in_ticking);
    link_move_tail(&ctx->tails->all, &t->in_all);
    ctx->tails->stats.sessions++;
    tail__start(t);
}

void tail_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    struct caller *caller = http_guest(x);
    const struct tail_sink *sink;
    const char *last_id;
    struct query query;
    struct tail *t;
    char why[256];

    if (query_parse(&query, x, QUERY_TAIL, why, sizeof why) < 0) {
        http_reply_error(x, 400, err_code(ERR_INVALID), "%s", why);
        return;
    }
    sink = choose_sink(x, &query);
    last_id = sink == &tail__sse ? http_header(x, "Last-Event-ID") : NULL;
    if (last_id && last_id[0]) {
        query.has_after = 1;
        query.has_tail = 0;
        if (cursor_parse(last_id, strlen(last_id), &query.after) < 0) {
            http_reply_error(x, 400, err_code(ERR_INVALID), "Last-Event-ID: not a cursor");
            query_release(&query);
            return;
        }
    }
    if (caller_tail(caller) < 0) {
        quotas_refuse(ctx, x, caller->token, QUOTA_TAILERS);
        query_release(&query);
        return;
    }
    if (query.wait_us < 0)
        query.wait_us = TAIL_WAIT_US_DEFAULT;
    if (query.wait_us > TAIL_WAIT_US_MAX)
        query.wait_us = TAIL_WAIT_US_MAX;
    t = must_calloc(1, sizeof *t);
    t->x = x;
    t->query = query;
    http_handle(x, &handler, t);
    tail__begin(ctx, t, sink, key);
}

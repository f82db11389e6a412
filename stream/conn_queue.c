/*
 * stream/conn_queue.c -- requests on their way: waiting -> sent -> answered, and the detours.
 *
 *     conn_send -> waiting -> sent -> done()
 *                     ^        |  \-> parked (LOADING, NOSCRIPT, …) -> waiting, when all sent are answered
 *                     |        |      (READONLY of what sentinels called the master: then they are asked anew)
 *                     '--------'   lost and idempotent
 *     failed: ends from the loop, never from inside conn_send()
 *
 * Every list is in the order of serial.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/conn_int.h"
#include "stream/stream.h"

#include <string.h>

#define PARK_FIRST_US 50000
#define PARK_MAX_US 500000

static void finish(struct conn *c, struct conn_request *r, int err, const struct reply *reply)
{
    conn_reply_fn *done = r->done;

    if (!r->internal) {
        c->inflight_bytes -= r->wire.len;
        c->inflight_calls--;
    }
    r->done = NULL;
    if (done)
        done(r->user, err, reply);
    conn_request_unref(&r);
}

static void deliver_failed(struct conn *c)
{
    struct conn_request *r;

    while ((r = TAILQ_FIRST(&c->failed)) != NULL) {
        TAILQ_REMOVE(&c->failed, r, link);
        finish(c, r, r->err, NULL);
    }
}

static void on_later(uv_timer_t *timer)
{
    deliver_failed(timer->data);
}

/* r is on no list. */
static void fail_later(struct conn *c, struct conn_request *r, int err)
{
    r->err = err;
    conn_request_drop_parts(r);
    TAILQ_INSERT_TAIL(&c->failed, r, link);
    uv_timer_start(&c->later, on_later, 0, 0);
}

void conn_send(struct conn *c, struct conn_request **r, int flags, int64_t deadline_us, conn_reply_fn *done, void *user)
{
    struct conn_request *q = *r;
    int64_t now = clock_mono_us();

    *r = NULL;
    CHECK(q->words_left == 0 && q->parts_due > 0 && !c->subscriber && c->state != CONN_CLOSED);
    q->flags = flags;
    q->deadline_us = deadline_us ? deadline_us : now + STREAM_CALL_US_MAX;
    q->done = done;
    q->user = user;
    q->serial = ++c->serial;
    c->inflight_bytes += q->wire.len;
    c->inflight_calls++;
    if (q->build_err < 0)
        fail_later(c, q, q->build_err);
    else if (c->inflight_bytes > c->inflight_bytes_max)
        fail_later(c, q, ERR_BUSY);
    else if (c->down_since_us && now - c->down_since_us > CONN_PATIENCE_US)
        fail_later(c, q, ERR_UNAVAILABLE);
    else
        TAILQ_INSERT_TAIL(&c->waiting, q, link);
}

void conn__flush_queue(struct conn *c)
{
    struct conn_request *batch[CONN_WRITE_BATCH];
    int64_t now = clock_mono_us();
    int err;

    while (c->state == CONN_OPEN && !TAILQ_EMPTY(&c->waiting)) {
        uint32_t n = 0;

        for (struct conn_request *r; n < CONN_WRITE_BATCH && (r = TAILQ_FIRST(&c->waiting)) != NULL;) {
            TAILQ_REMOVE(&c->waiting, r, link);
            TAILQ_INSERT_TAIL(&c->sent, r, link);
            r->sent_us = now;
            batch[n++] = r;
        }
        err = conn_link_write(c->link, batch, n);
        if (err < 0) {
            conn__lost(c, uv_strerror(err));
            return;
        }
    }
}

void conn__send_internal(struct conn *c, struct conn_request **r, conn_reply_fn *done)
{
    struct conn_request *q = *r;
    int err;

    *r = NULL;
    q->internal = 1;
    q->serial = ++c->serial;
    q->sent_us = clock_mono_us();
    q->done = done;
    q->user = c;
    TAILQ_INSERT_TAIL(&c->sent, q, link);
    err = conn_link_write(c->link, &q, 1);
    if (err < 0)
        conn__lost(c, uv_strerror(err));
}

/* ---- answers ---- */

static void count_fault(struct conn *c, enum reply_fault fault)
{
    switch (fault) {
    case FAULT_NONE: break;
    case FAULT_LOADING: c->stats.errors_loading++; break;
    case FAULT_BUSY: c->stats.errors_busy++; break;
    case FAULT_NOSCRIPT: c->stats.errors_noscript++; break;
    case FAULT_OOM: c->stats.errors_oom++; break;
    case FAULT_MISCONF: c->stats.errors_misconf++; break;
    case FAULT_READONLY: c->stats.errors_readonly++; break;
    case FAULT_OTHER: c->stats.errors_other++; break;
    }
}

/* The error of r: its main command's, or with EXECABORT the one that caused it. NULL: none. */
static const struct reply *find_error(const struct conn_request *r)
{
    const struct reply *main_reply = &r->parts[r->main_part]->root;

    if (main_reply->kind != REPLY_ERROR)
        return NULL;
    if (strncmp(main_reply->str, "EXECABORT", 9) == 0)
        for (uint32_t i = 0; i < r->main_part; i++)
            if (r->parts[i]->root.kind == REPLY_ERROR)
                return &r->parts[i]->root;
    return main_reply;
}

static void deliver(struct conn *c, struct conn_request *r)
{
    struct reply items[CONN_PARTS_MAX];
    struct reply all = {.kind = REPLY_ARRAY, .str = "", .items = items, .count = r->parts_have};

    for (uint32_t i = 0; i < r->parts_have; i++)
        items[i] = r->parts[i]->root;
    finish(c, r, 0, r->parts_due == 1 ? &r->parts[0]->root : &all);
}

/* A later ordered request was stored: parked ones may not follow it any more. */
static void fail_overtaken(struct conn *c)
{
    struct conn_request *r = TAILQ_FIRST(&c->parked), *next;

    for (; r; r = next) {
        next = TAILQ_NEXT(r, link);
        if (r->flags & CONN_ORDERED) {
            TAILQ_REMOVE(&c->parked, r, link);
            fail_later(c, r, ERR_UNAVAILABLE);
        }
    }
}

static void park(struct conn *c, struct conn_request *r, enum reply_fault fault)
{
    conn_request_drop_parts(r);
    TAILQ_INSERT_TAIL(&c->parked, r, link);
    if (fault == FAULT_LOADING)
        c->loading = 1;
    if (c->state == CONN_OPEN) {
        c->state = CONN_PARKED;
        c->park_only_noscript = 1;
    }
    if (fault != FAULT_NOSCRIPT)
        c->park_only_noscript = 0;
}

/* All that was sent is answered: what was parked goes first, after a pause. */
static void unpark(struct conn *c)
{
    int64_t pause = 0;

    if (c->demoted) {
        conn__lost(c, "the master has become a replica");
        return;
    }
    TAILQ_CONCAT(&c->parked, &c->waiting, link);
    TAILQ_CONCAT(&c->waiting, &c->parked, link);
    if (!c->park_only_noscript) {
        pause = c->park_pause_us ? c->park_pause_us : PARK_FIRST_US;
        c->park_pause_us = pause * 2 < PARK_MAX_US ? pause * 2 : PARK_MAX_US;
    }
    conn__pause_greeting(c, pause);
}

static void log_error_reply(const struct reply *error)
{
    static struct log_every every;
    uint64_t silent;

    if (log_every(&every, 5000000, &silent))
        log_warn("stream", "redis answered an error", "reply=" LOG_Q("%.*s") " suppressed=%llu",
                 (int)(error->len < 200 ? error->len : 200), error->str, (unsigned long long)silent);
}

static void answered(struct conn *c, struct conn_request *r)
{
    const struct reply *error = find_error(r);
    enum reply_fault fault = FAULT_NONE;
    int err = 0, is_demoted;

    if (error) {
        err = reply_fault(error->str, error->len, &fault);
        count_fault(c, fault);
    }
    if (r->abandoned || r->internal) {
        if (r->internal)
            deliver(c, r);
        else
            finish(c, r, err, NULL);
        return;
    }
    is_demoted = fault == FAULT_READONLY && c->addr.sentinel_count;
    c->demoted |= is_demoted;
    if (fault == FAULT_LOADING || fault == FAULT_BUSY || fault == FAULT_NOSCRIPT || is_demoted) {
        park(c, r, fault);
        return;
    }
    if (err < 0) {
        log_error_reply(error);
        finish(c, r, err, NULL);
        return;
    }
    c->park_pause_us = 0;
    if ((r->flags & CONN_ORDERED) && !TAILQ_EMPTY(&c->parked))
        fail_overtaken(c);
    deliver(c, r);
}

void conn__on_reply(struct conn *c, struct reply_tree **tree)
{
    struct conn_request *r = TAILQ_FIRST(&c->sent);

    if (!r) {
        if (c->subscriber)
            conn__on_push(c, &(*tree)->root);
        reply_tree_free(tree);
        if (!c->subscriber)
            conn__lost(c, "Redis sent a reply nobody asked for");
        return;
    }
    CHECK(r->parts_have < r->parts_due);
    r->parts[r->parts_have++] = *tree;
    *tree = NULL;
    if (r->parts_have < r->parts_due)
        return;
    TAILQ_REMOVE(&c->sent, r, link);
    if (r->sent_us > c->heard_us)
        c->heard_us = r->sent_us;
    answered(c, r);
    if (c->state == CONN_PARKED && TAILQ_EMPTY(&c->sent))
        unpark(c);
}

/* ---- lost, late, closed ---- */

void conn__requeue_lost(struct conn *c)
{
    struct conn_queue again = TAILQ_HEAD_INITIALIZER(again);

    for (;;) {
        struct conn_request *p = TAILQ_FIRST(&c->parked), *s = TAILQ_FIRST(&c->sent);
        int from_parked = p && (!s || p->serial < s->serial);
        struct conn_request *r = from_parked ? p : s;

        if (!r)
            break;
        TAILQ_REMOVE(from_parked ? &c->parked : &c->sent, r, link);
        conn_request_drop_parts(r);
        if (r->internal || r->abandoned) {
            r->done = NULL;
            finish(c, r, ERR_UNAVAILABLE, NULL);
        } else if (from_parked || (r->flags & CONN_IDEMPOTENT)) {
            TAILQ_INSERT_TAIL(&again, r, link);
        } else {
            fail_later(c, r, ERR_UNAVAILABLE);
        }
    }
    TAILQ_CONCAT(&again, &c->waiting, link);
    TAILQ_CONCAT(&c->waiting, &again, link);
}

void conn_refuse_waiting(struct conn *c)
{
    struct conn_request *r;

    CHECK(TAILQ_EMPTY(&c->sent) && TAILQ_EMPTY(&c->parked));
    while ((r = TAILQ_FIRST(&c->waiting)) != NULL) {
        TAILQ_REMOVE(&c->waiting, r, link);
        fail_later(c, r, ERR_UNAVAILABLE);
    }
}

static void expire_unsent(struct conn *c, struct conn_queue *q, int64_t now)
{
    struct conn_request *r = TAILQ_FIRST(q), *next;

    for (; r; r = next) {
        next = TAILQ_NEXT(r, link);
        if (r->deadline_us > now)
            continue;
        TAILQ_REMOVE(q, r, link);
        c->stats.timeouts++;
        fail_later(c, r, ERR_UNAVAILABLE);
    }
}

void conn__expire(struct conn *c, int64_t now)
{
    struct conn_request *r, *next;

    expire_unsent(c, &c->waiting, now);
    expire_unsent(c, &c->parked, now);
    for (r = TAILQ_FIRST(&c->sent); r; r = next) {
        conn_reply_fn *done = r->done;

        next = TAILQ_NEXT(r, link);
        if (r->internal || r->abandoned || r->deadline_us > now)
            continue;
        /* Its answer is still due, so its place stays; a stand-in carries the bad news. */
        r->abandoned = 1;
        r->done = NULL;
        c->stats.timeouts++;
        if (done) {
            struct conn_request *news = conn_request_new(0);

            news->done = done;
            news->user = r->user;
            c->inflight_calls++;
            fail_later(c, news, ERR_TIMEOUT);
        }
    }
    deliver_failed(c);
}

void conn__cancel_all(struct conn *c)
{
    struct conn_queue *queues[] = {&c->sent, &c->parked, &c->waiting};
    struct conn_request *r;

    deliver_failed(c);
    for (int i = 0; i < 3; i++) {
        while ((r = TAILQ_FIRST(queues[i])) != NULL) {
            TAILQ_REMOVE(queues[i], r, link);
            if (r->internal)
                r->done = NULL;
            conn_request_drop_parts(r);
            finish(c, r, ERR_CANCELLED, NULL);
        }
    }
}

/*
 * alert/events.c -- the ring of recent events, and readers that pull.
 *
 *     Redis  1 … [trimmed] first ……………………………………… last
 *     ring                           start ………… end
 *
 * One read of the feed's end is under way at a time, for all; one that is behind the ring has its own.
 */
#include "alert/events.h"

#include "alert/alert_int.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define EVENTS_KEY "jl:{alert}:events"
#define SEQ_KEY "jl:{alert}:seq"
#define EPOCH_KEY "jl:{alert}:epoch"
#define LOOK_US 1000000 /* the safety net under the bell */

struct event_reader {
    LIST_ENTRY(event_reader) link;
    struct alert *a;
    void (*wake)(void *user);
    void *user;
    uint64_t epoch, cursor, back;
    int from_now, is_reset, is_idle, is_closed, is_reading;
    uint64_t gap_to;                            /* trimmed up to here */
    struct alert_event *batch[EVENTS_READ_MAX]; /* of its own reads */
    uint32_t at, count;
};

struct event_bell {
    LIST_ENTRY(event_bell) link;
    void (*wake)(void *user);
    void *user;
};

struct events {
    LIST_HEAD(, event_reader) readers;
    LIST_HEAD(, event_bell) bells;
    struct alert_event *ring[EVENTS_RING_MAX];
    uint32_t head, count;
    size_t bytes;
    uint64_t end;   /* last number in the ring, or before it */
    uint64_t heard; /* highest the bell has told of */
    uint64_t epoch; /* 0: not known */
    int reading;
    int64_t next_look_us;
};

void alert_event_unref(struct alert_event **event)
{
    struct alert_event *e = *event;

    *event = NULL;
    if (e && --e->refs == 0)
        free(e);
}

struct alert_event *alert_event_ref(struct alert_event *e)
{
    e->refs++;
    return e;
}

/* An entry of the stream: [id, [field, value, …]]; NULL when it is none. */
struct alert_event *alert__event_read(const struct reply *entry)
{
    const struct reply *fields = reply_at(entry, 1), *d = reply_field(fields, "d"),
                       *job = reply_field(fields, "j");
    struct alert_event *e;

    if (d->kind != REPLY_STR)
        return NULL;
    e = must_calloc(1, sizeof *e + d->len + 1);
    e->refs = 1;
    e->n = strtoull(reply_at(entry, 0)->str, NULL, 10);
    e->at_us = reply_i64(reply_field(fields, "at"));
    e->is_capped = reply_i64(reply_field(fields, "x")) != 0;
    snprintf(e->type, sizeof e->type, "%s", reply_field(fields, "t")->str);
    job_key_parse(&e->key, job->str, job->len);
    e->len = d->len;
    memcpy(e->json, d->str, d->len);
    return e;
}

/* ---- the ring ---- */

static void evict(struct events *v)
{
    v->bytes -= v->ring[v->head]->len;
    alert_event_unref(&v->ring[v->head]);
    v->head = (v->head + 1) % EVENTS_RING_MAX;
    v->count--;
}

static void clear(struct events *v, uint64_t end)
{
    while (v->count)
        evict(v);
    v->end = end;
}

static void add(struct events *v, struct alert_event *e)
{
    if (e->n != v->end + 1) /* something before it was trimmed, or it is there */
        clear(v, e->n - 1);
    while (v->count == EVENTS_RING_MAX || (v->count && v->bytes + e->len > EVENTS_RING_BYTES))
        evict(v);
    v->ring[(v->head + v->count++) % EVENTS_RING_MAX] = e;
    v->bytes += e->len;
    v->end = e->n;
}

static void wake_all(struct events *v)
{
    struct event_reader *r, *next;
    struct event_bell *b, *next_bell;

    for (r = LIST_FIRST(&v->readers); r; r = next) {
        next = LIST_NEXT(r, link);
        if (r->is_idle) {
            r->is_idle = 0;
            r->wake(r->user);
        }
    }
    for (b = LIST_FIRST(&v->bells); b; b = next_bell) {
        next_bell = LIST_NEXT(b, link);
        b->wake(b->user);
    }
}

/* The feed went back, or is another one: nothing that was read of it holds. */
static void reset(struct events *v, uint64_t epoch)
{
    struct event_reader *r;

    clear(v, 0);
    v->epoch = epoch;
    v->heard = 0;
    LIST_FOREACH(r, &v->readers, link) r->is_reset = 1;
}

/* ---- reading the end ---- */

static void look(struct alert *a);

static void on_lost(void *user, int err, const struct reply *reply)
{
}

/* Entries were seen that Redis does not hold any more: cursors of then must not be taken for those of now. */
static void history_lost(struct alert *a)
{
    char number[24];

    log_error("alert", "the feed has lost events: its epoch changes", NULL);
    snprintf(number, sizeof number, "%lld", (long long)clock_wall_us());
    conn_words(a->cmd, CONN_IDEMPOTENT, on_lost, a, "SET", EPOCH_KEY, number, NULL);
}

static void on_looked(void *user, int err, const struct reply *reply)
{
    struct alert *a = user;
    struct events *v = a->feed_events;
    const struct reply *list;
    uint64_t seq, epoch;

    if (err == ERR_CANCELLED)
        return;
    v->reading = 0;
    v->next_look_us = clock_mono_us() + LOOK_US;
    if (err < 0)
        return;
    seq = reply_u64(reply_at(reply, 0));
    epoch = reply_u64(reply_at(reply, 1));
    list = reply_at(reply, 2);
    if (v->epoch && epoch == v->epoch && seq < v->end) {
        history_lost(a);
        return;
    }
    if (v->epoch != epoch) {
        if (v->epoch)
            reset(v, epoch);
        v->epoch = epoch;
        v->heard = seq;
        clear(v, seq > EVENTS_READ_MAX ? seq - EVENTS_READ_MAX : 0);
        wake_all(v);
        look(a);
        return;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        struct alert_event *e = alert__event_read(reply_at(list, i));
        if (e)
            add(v, e);
    }
    if (list->count == 0 && seq > v->end)
        clear(v, seq); /* trimmed already */
    if (list->count)
        wake_all(v);
    if (v->heard > v->end && list->count)
        look(a);
}

static void look(struct alert *a)
{
    struct events *v = a->feed_events;
    struct conn_request *r;
    char from[32], count[16];

    if (v->reading || a->closing || !conn_is_open(a->cmd))
        return;
    v->reading = 1;
    r = conn_request_new(0);
    conn_request_begin(r, 2);
    conn_request_str(r, "GET");
    conn_request_str(r, SEQ_KEY);
    conn_request_begin(r, 2);
    conn_request_str(r, "GET");
    conn_request_str(r, EPOCH_KEY);
    snprintf(from, sizeof from, "(%llu-0", (unsigned long long)v->end);
    snprintf(count, sizeof count, "%d", EVENTS_READ_MAX);
    conn_request_begin(r, 6);
    conn_request_str(r, "XRANGE");
    conn_request_str(r, EVENTS_KEY);
    conn_request_str(r, from);
    conn_request_str(r, "+");
    conn_request_str(r, "COUNT");
    conn_request_str(r, count);
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_looked, a);
}

void events_heard(struct alert *a, uint64_t n)
{
    struct events *v = a->feed_events;

    if (n > v->heard)
        v->heard = n;
    if (!LIST_EMPTY(&v->readers) || !LIST_EMPTY(&v->bells))
        look(a);
}

void events_tick(struct alert *a)
{
    struct events *v = a->feed_events;

    if ((!LIST_EMPTY(&v->readers) || !LIST_EMPTY(&v->bells)) && clock_mono_us() >= v->next_look_us)
        look(a);
}

/* ---- readers ---- */

void event_reader_open(struct alert *a, uint64_t epoch, uint64_t after, uint64_t back,
                       void (*wake)(void *user), void *user, struct event_reader **ret)
{
    struct events *v = a->feed_events;
    struct event_reader *r = must_calloc(1, sizeof *r);

    r->a = a;
    r->wake = wake;
    r->user = user;
    r->epoch = epoch;
    r->cursor = after;
    r->back = back;
    r->from_now = after == UINT64_MAX;
    r->is_idle = 1;
    if (LIST_EMPTY(&v->readers) && LIST_EMPTY(&v->bells))
        v->epoch = 0; /* nobody has listened: what is in the ring may be old */
    LIST_INSERT_HEAD(&v->readers, r, link);
    look(a);
    *ret = r;
}

static void free_reader(struct event_reader *r)
{
    while (r->at < r->count)
        alert_event_unref(&r->batch[r->at++]);
    free(r);
}

static void on_batch(void *user, int err, const struct reply *reply)
{
    struct event_reader *r = user;

    r->is_reading = 0;
    if (r->is_closed) {
        free_reader(r);
        return;
    }
    if (err == ERR_CANCELLED)
        return;
    for (uint32_t i = 0; err == 0 && i < reply->count && r->count < EVENTS_READ_MAX; i++) {
        struct alert_event *e = alert__event_read(reply_at(reply, i));
        if (e)
            r->batch[r->count++] = e;
    }
    if (r->count && r->batch[0]->n > r->cursor + 1)
        r->gap_to = r->batch[0]->n - 1;
    else if (err == 0 && r->count == 0)
        r->gap_to =
            r->a->feed_events->end - r->a->feed_events->count; /* all up to the ring is gone */
    r->is_idle = 0;
    r->wake(r->user);
}

static void read_batch(struct event_reader *r)
{
    char from[32], count[16];

    r->at = r->count = 0;
    r->is_reading = 1;
    snprintf(from, sizeof from, "(%llu-0", (unsigned long long)r->cursor);
    snprintf(count, sizeof count, "%d", EVENTS_READ_MAX);
    conn_words(r->a->cmd, CONN_IDEMPOTENT, on_batch, r, "XRANGE", EVENTS_KEY, from, "+", "COUNT",
               count, NULL);
}

static int idle(struct event_reader *r)
{
    r->is_idle = 1;
    return 0;
}

int event_reader_next(struct event_reader *r, struct alert_event **ret, uint64_t *ret_gap_to)
{
    struct events *v = r->a->feed_events;
    uint64_t start = v->end - v->count; /* the ring holds what is after */

    if (!v->epoch || r->is_reading)
        return idle(r);
    if (r->is_reset || (r->epoch && r->epoch != v->epoch) ||
        (!r->from_now && r->cursor > v->end && r->cursor > v->heard)) {
        r->is_reset = 0;
        r->epoch = v->epoch;
        r->cursor = 0;
        r->from_now = 0;
        while (r->at < r->count)
            alert_event_unref(&r->batch[r->at++]);
        return ERR_RESET;
    }
    r->epoch = v->epoch;
    if (r->from_now) {
        r->from_now = 0;
        r->cursor = v->end > v->heard ? v->end : v->heard;
        r->cursor -= r->back < r->cursor ? r->back : r->cursor;
    }
    if (r->gap_to > r->cursor) {
        *ret_gap_to = r->cursor = r->gap_to;
        r->gap_to = 0;
        return ERR_LAGGED;
    }
    if (r->at < r->count) {
        *ret = r->batch[r->at++];
        r->cursor = (*ret)->n;
        return 1;
    }
    if (r->cursor >= v->end)
        return idle(r);
    if (r->cursor < start) {
        read_batch(r);
        return idle(r);
    }
    *ret = alert_event_ref(v->ring[(v->head + (uint32_t)(r->cursor - start)) % EVENTS_RING_MAX]);
    r->cursor++;
    CHECK((*ret)->n == r->cursor);
    return 1;
}

uint64_t alert_feed_epoch(const struct alert *a)
{
    return a->feed_events->epoch;
}

uint64_t event_reader_cursor(const struct event_reader *r)
{
    return r->cursor;
}

int event_reader_is_idle(const struct event_reader *r)
{
    return r->is_idle && !r->is_reading && r->a->feed_events->epoch != 0 && !r->from_now;
}

void event_reader_close(struct event_reader **reader)
{
    struct event_reader *r = *reader;

    *reader = NULL;
    if (!r)
        return;
    LIST_REMOVE(r, link);
    if (r->is_reading)
        r->is_closed = 1;
    else
        free_reader(r);
}

/* ---- bells ---- */

void event_bell_open(struct alert *a, void (*wake)(void *user), void *user, struct event_bell **ret)
{
    struct event_bell *b = must_calloc(1, sizeof *b);

    b->wake = wake;
    b->user = user;
    LIST_INSERT_HEAD(&a->feed_events->bells, b, link);
    *ret = b;
}

void event_bell_close(struct event_bell **bell)
{
    struct event_bell *b = *bell;

    *bell = NULL;
    if (!b)
        return;
    LIST_REMOVE(b, link);
    free(b);
}

/* ---- life ---- */

void events_open(struct alert *a)
{
    a->feed_events = must_calloc(1, sizeof *a->feed_events);
}

void events_close(struct alert *a)
{
    clear(a->feed_events, 0);
    free(a->feed_events);
    a->feed_events = NULL;
}

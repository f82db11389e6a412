/*
 * alert/events_group.c -- teams of readers: Redis' consumer groups on the feed.
 */
#include "alert/alert_int.h"
#include "alert/events.h"
#include "base/check.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_KEY "jl:{alert}:events"
#define GROUP_BYTES (2 * ID_BYTES_MAX + 2)

struct take {
    struct alert *a;
    char group[GROUP_BYTES], consumer[EVENTS_CONSUMER_BYTES_MAX + 1];
    uint64_t after;
    uint32_t max;
    int64_t ack_us;
    int is_made; /* the group was made for this call */
    alert_group_fn *done;
    void *user;
};

static void end_take(struct take *t, int err, struct alert_event **events, const uint8_t *again,
                     uint32_t count)
{
    t->done(t->user, err, events, again, count);
    for (uint32_t i = 0; i < count; i++)
        alert_event_unref(&events[i]);
    free(t);
}

static void send_take(struct take *t);

/* ---- making the group ---- */

static void on_made(void *user, int err, const struct reply *reply)
{
    struct take *t = user;

    if (err < 0 && err != ERR_IO && err != ERR_EXISTS && err != ERR_PROTOCOL) {
        end_take(t, err, NULL, NULL, 0);
        return;
    }
    t->is_made = 1; /* or somebody else was first */
    send_take(t);
}

static void on_groups(void *user, int err, const struct reply *reply)
{
    struct take *t = user;
    char from[32];

    if (err == 0 && reply->kind == REPLY_ARRAY && reply->count >= EVENTS_GROUPS_MAX) {
        end_take(t, ERR_LIMIT, NULL, NULL, 0);
        return;
    }
    if (err == ERR_CANCELLED || err == ERR_UNAVAILABLE || err == ERR_TIMEOUT) {
        end_take(t, err, NULL, NULL, 0);
        return;
    }
    if (t->after == UINT64_MAX)
        strcpy(from, "$");
    else
        snprintf(from, sizeof from, "%llu-0", (unsigned long long)t->after);
    conn_words(t->a->cmd, 0, on_made, t, "XGROUP", "CREATE", EVENTS_KEY, t->group, from, "MKSTREAM",
               NULL);
}

/* ---- taking ---- */

static uint32_t read_entries(const struct reply *entries, struct alert_event **events,
                             uint32_t count, uint32_t max)
{
    for (uint32_t i = 0; i < entries->count && count < max; i++) {
        struct alert_event *e = alert__event_read(reply_at(entries, i));
        if (e)
            events[count++] = e;
    }
    return count;
}

static void on_taken(void *user, int err, const struct reply *reply)
{
    struct take *t = user;
    struct alert_event *events[2 * EVENTS_READ_MAX];
    uint8_t again[2 * EVENTS_READ_MAX] = {0};
    uint32_t count;

    if (err < 0 && !t->is_made && err != ERR_CANCELLED && err != ERR_UNAVAILABLE &&
        err != ERR_TIMEOUT) {
        conn_words(t->a->cmd, CONN_IDEMPOTENT, on_groups, t, "XINFO", "GROUPS", EVENTS_KEY, NULL);
        return;
    }
    if (err < 0) {
        end_take(t, err, NULL, NULL, 0);
        return;
    }
    count =
        read_entries(reply_at(reply_at(reply, 0), 1), events, 0, 2 * EVENTS_READ_MAX); /* claimed */
    memset(again, 1, count);
    count = read_entries(reply_at(reply_at(reply_at(reply, 1), 0), 1), events, count,
                         2 * EVENTS_READ_MAX);
    end_take(t, 0, events, again, count);
}

/* First what nobody has acknowledged in time, then what is new. */
static void send_take(struct take *t)
{
    struct conn_request *r = conn_request_new(0);
    char max[16], idle[24];

    snprintf(max, sizeof max, "%u", t->max);
    snprintf(idle, sizeof idle, "%lld", (long long)(t->ack_us / 1000));
    conn_request_begin(r, 8);
    conn_request_str(r, "XAUTOCLAIM");
    conn_request_str(r, EVENTS_KEY);
    conn_request_str(r, t->group);
    conn_request_str(r, t->consumer);
    conn_request_str(r, idle);
    conn_request_str(r, "0-0");
    conn_request_str(r, "COUNT");
    conn_request_str(r, max);
    conn_request_begin(r, 9);
    conn_request_str(r, "XREADGROUP");
    conn_request_str(r, "GROUP");
    conn_request_str(r, t->group);
    conn_request_str(r, t->consumer);
    conn_request_str(r, "COUNT");
    conn_request_str(r, max);
    conn_request_str(r, "STREAMS");
    conn_request_str(r, EVENTS_KEY);
    conn_request_str(r, ">");
    conn_request_main(r);
    /* not sent twice: what a lost answer held is claimed again after ack_us */
    conn_send(t->a->cmd, &r, 0, 0, on_taken, t);
}

void alert_group_take(struct alert *a, const char *group, const char *consumer, uint64_t after,
                      uint32_t max, int64_t ack_us, alert_group_fn *done, void *user)
{
    struct take *t = must_calloc(1, sizeof *t);

    t->a = a;
    snprintf(t->group, sizeof t->group, "%s", group);
    snprintf(t->consumer, sizeof t->consumer, "%s", consumer);
    t->after = after;
    t->max = max < EVENTS_READ_MAX ? max : EVENTS_READ_MAX;
    t->ack_us = ack_us;
    t->done = done;
    t->user = user;
    send_take(t);
}

/* ---- acknowledging ---- */

struct ack {
    void (*done)(void *user, int err, uint64_t count);
    void *user;
};

static void on_acked(void *user, int err, const struct reply *reply)
{
    struct ack *k = user;

    if (k->done)
        k->done(k->user, err, err < 0 ? 0 : reply_u64(reply));
    free(k);
}

void alert_group_ack(struct alert *a, const char *group, const uint64_t *numbers, uint32_t count,
                     void (*done)(void *user, int err, uint64_t count), void *user)
{
    struct conn_request *r = conn_request_new(0);
    struct ack *k = must_calloc(1, sizeof *k);
    char id[32];

    k->done = done;
    k->user = user;
    conn_request_begin(r, 3 + count);
    conn_request_str(r, "XACK");
    conn_request_str(r, EVENTS_KEY);
    conn_request_str(r, group);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(id, sizeof id, "%llu-0", (unsigned long long)numbers[i]);
        conn_request_str(r, id);
    }
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_acked, k);
}

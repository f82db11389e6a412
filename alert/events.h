/*
 * alert/events.h -- reading the feed: states and alerts of all jobs, numbered 1, 2, 3 …
 *
 * A reader is a cursor that is woken when there may be more; it pulls. What was published last is kept in a ring on this node
 * while anybody reads; a reader behind it reads Redis, EVENTS_READ_MAX at a time.
 *
 * Groups     hand each event to one of their readers, until it is acknowledged: Redis' consumer groups on the feed.
 * Promises   Every event after the cursor once and in order; what was trimmed is told as a gap, a feed that was
 *            lost as a reset. wake() comes from the loop, never from inside the calls of its reader.
 */
#ifndef ALERT_EVENTS_H
#define ALERT_EVENTS_H

#include "alert/alert.h"

#define EVENTS_READ_MAX 64
#define EVENTS_RING_MAX 512
#define EVENTS_RING_BYTES (8 * 1024 * 1024)
#define EVENTS_GROUPS_MAX 64
#define EVENTS_ACK_US 60000000 /* not acknowledged for so long: handed to somebody again */
#define EVENTS_CONSUMER_BYTES_MAX ID_BYTES_MAX

struct alert_event {
    int refs;
    uint64_t n;
    struct job_key key;
    char type[16];
    int is_capped; /* over its rule's limit: nobody was told but the feed */
    int64_t at_us;
    size_t len;
    char json[];
};
void alert_event_unref(struct alert_event **e);
struct alert_event *alert_event_ref(struct alert_event *e);

struct event_reader;
/* epoch of the cursor, 0: the current one; after UINT64_MAX: `back` events before now. wake() may
 * close its own reader, no other. */
void event_reader_open(struct alert *a, uint64_t epoch, uint64_t after, uint64_t back,
                       void (*wake)(void *user), void *user, struct event_reader **ret);
/* 1: *ret is next (a reference is the caller's). 0: wake() follows when there is one. ERR_LAGGED: those up to ret_gap_to were
 * trimmed; ERR_RESET: the feed is another one, go on from its start. */
int event_reader_next(struct event_reader *r, struct alert_event **ret, uint64_t *ret_gap_to);
/* Of the feed; 0 until known. */
uint64_t alert_feed_epoch(const struct alert *a);
uint64_t event_reader_cursor(const struct event_reader *r);
/* Caught up with all that is known? */
int event_reader_is_idle(const struct event_reader *r);
void event_reader_close(struct event_reader **r);

/* ---- groups ---- */
/* again[i]: it was handed to somebody before and not acknowledged. Events are borrowed. */
typedef void alert_group_fn(void *user, int err, struct alert_event *const *events,
                            const uint8_t *again, uint32_t count);
/* The next events for a consumer of the group: those nobody had, and those not acknowledged in time. The group is made when it
 * is not there: from `after` on (UINT64_MAX: from now). ERR_LIMIT: EVENTS_GROUPS_MAX. */
void alert_group_take(struct alert *a, const char *group, const char *consumer, uint64_t after,
                      uint32_t max, int64_t ack_us, alert_group_fn *done, void *user);
/* Acknowledge by number. done may be NULL; count: how many were waiting. */
void alert_group_ack(struct alert *a, const char *group, const uint64_t *numbers, uint32_t count,
                     void (*done)(void *user, int err, uint64_t count), void *user);
/* Woken at each new event (for groups). */
struct event_bell;
void event_bell_open(struct alert *a, void (*wake)(void *user), void *user,
                     struct event_bell **ret);
void event_bell_close(struct event_bell **b);

/* alert.c: the bell has told of event n. */
struct events;
void events_open(struct alert *a);
void events_close(struct alert *a);
void events_heard(struct alert *a, uint64_t n);
void events_tick(struct alert *a);

#endif

/*
 * alert/deliver.h -- deliveries on their way out: lanes claimed in Redis, posted, and what became of them written back.
 *
 *     lane (Redis) --claim--> POST --answer--> finish: sent | later | dead      (docs/decisions/009-alerting.md)
 *
 * Promises   In order for each receiver and job; at least once: what this node held when it died is claimed by another
 *            one after DELIVER_SLACK_US more than the receiver's timeout, with the same id. A receiver that is slow or
 *            away holds up no other.
 * Limits     DELIVER_SLOTS of one receiver at a time, DELIVER_MAX together.
 * Threads    The loop thread.
 */
#ifndef ALERT_DELIVER_H
#define ALERT_DELIVER_H

#include "alert/alert.h"
#include "job/id.h"

#define DELIVER_SLOTS 8
#define DELIVER_MAX 64
#define DELIVER_SLACK_US 5000000
#define DELIVER_LOOK_US 5000000  /* the safety net under the bell */
#define DELIVER_RETRY_US 1000000 /* Redis did not take what became of one */
#define DELIVER_STOP_US 2000000  /* at the end, for those under way; then they are given back */
#define DELIVER_ORPHAN_US                                                                          \
    600000000 /* a receiver that nobody knows any more: what waits for it is given up */
#define DELIVER_PAUSE_US_ALERTMANAGER 60000000 /* it forgets what it is not told */

struct deliver_counts {
    uint64_t sent, failed /* attempts */, dead;
    uint64_t queued, queued_bytes; /* in Redis, of all nodes, as of the last look */
};

void deliver_open(struct alert *a, const struct alert_options *o);
struct reply;
/* For how long a delivery to r may be claimed while it is queued; 0: it is not to be, there is no place. */
int64_t deliver_visible_us(const struct alert *a, const struct receiver *r);
#define DELIVER_TOKEN_BYTES 48
/* One of its own for each call that claims. */
void deliver_token(struct alert *a, char out[DELIVER_TOKEN_BYTES]);
/* A lane was claimed with the token, and this is its first. */
void deliver_take(struct alert *a, const char *token, const struct reply *lane,
                  const struct reply *parcel);
/* Something may be due. */
void deliver_poke(struct alert *a);
void deliver_tick(struct alert *a);
void deliver_stop(struct alert *a);
int deliver_idle(const struct alert *a);
/* closed(a) when its handles are. */
void deliver_close(struct alert *a, void (*closed)(void *user));
/* After that. */
void deliver_release(struct alert *a);

/* Everything that waits for the receiver goes to the dead letters. is_checked: only when Redis does not hold it either. */
void deliver_flush(struct alert *a, const char *receiver_key, const char *why, int is_checked);
/* What lasts is told to the Alertmanagers again: done(user, how many last). 0 when err < 0 is not told. */
void deliver_refresh(struct alert *a, const struct job_key *key,
                     void (*done)(void *user, int err, uint64_t standing), void *user);
/* Zeroes when nothing is known of it. */
void deliver_counts(const struct alert *a, const char *receiver_key, struct deliver_counts *ret);
/* How many there are. */
uint64_t deliver_dead_letters(const struct alert *a);

#endif

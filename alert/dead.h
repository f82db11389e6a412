/*
 * alert/dead.h -- what waits to be delivered, and what was given up: looked at, sent again, thrown away.
 *
 * Dead letters are a list in Redis (alert/script.lua, bury), the oldest first; the oldest go when there are too many.
 * Promises   Every callback comes once, from the loop, never from inside the call; with ERR_CANCELLED at the end of the room.
 */
#ifndef ALERT_DEAD_H
#define ALERT_DEAD_H

#include "alert/alert.h"

#define DEAD_ID_BYTES 48
#define DEAD_PAGE 100
#define DEAD_REPLAY_MAX 1000 /* ids of one call */

struct dead_letter {
    const char *id; /* "1764…-0": where it is in the list */
    int64_t at_us;  /* given up */
    int64_t queued_us;
    char project[ID_BYTES_MAX + 1]; /* of the receiver; "": of all */
    const char *receiver;           /* its id */
    struct job_key job;
    const char *alert; /* the id that all attempts had */
    size_t alert_len;
    const char *body;
    size_t body_len;
    const char *why;
    uint32_t attempts;
};
/* Borrowed during the call. is_end: there are no more behind these. */
typedef void dead_list_fn(void *user, int err, const struct dead_letter *list, uint32_t count,
                          int is_end);
/* At most DEAD_PAGE behind the id after; "": from the first. */
void alert_dead_list(struct alert *a, const char *after, dead_list_fn *done, void *user);
/* count: how many of them were there. again: back into their lanes, in the order given; else away for good. */
void alert_dead_replay(struct alert *a, const char *const *ids, uint32_t count, int again,
                       void (*done)(void *user, int err, uint64_t count), void *user);
/* Is it the id of a dead letter? */
int alert_dead_id_valid(const char *id);

struct waiting {
    const struct receiver *receiver;
    uint64_t queued, queued_bytes;
    int64_t next_us; /* the next attempt; 0: none is due */
};
/* All receivers as they are now; dead: letters. list: borrowed. */
typedef void waiting_fn(void *user, int err, const struct waiting *list, uint32_t count,
                        uint64_t dead);
void alert_waiting(struct alert *a, waiting_fn *done, void *user);

#endif

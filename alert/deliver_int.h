/*
 * alert/deliver_int.h -- one delivery under way, and the table of them.
 *
 * deliver.c: claims, attempts, their ends. deliver_request.c: what is posted. deliver_count.c: figures and housekeeping.
 */
#ifndef ALERT_DELIVER_INT_H
#define ALERT_DELIVER_INT_H

#include "alert/alert_int.h"
#include "alert/deliver.h"
#include "alert/post.h"
#include "alert/publish.h"
#include "alert/schedule.h"
#include "base/map.h"

#include <sys/queue.h>

#define DELIVER_HEAD_BYTES 64
#define DELIVER_FLUSH_MAX 500 /* at a time */

struct sending {
    LIST_ENTRY(sending) link;
    struct alert *a;
    char lane[LANE_BYTES];
    char receiver[RULE_KEY_BYTES];
    char token[DELIVER_TOKEN_BYTES];
    char head[DELIVER_HEAD_BYTES]; /* "<id> <queued_us> " */
    char *parcel;
    size_t parcel_len;
    uint32_t tries;
    struct post_call *call; /* under way */
    /* what became of it, until Redis has taken that */
    const char *outcome; /* NULL: not known */
    char arg[SCHEDULE_WHY_BYTES];
    int is_telling;
    int64_t retry_us;
};

struct deliver {
    struct poster *poster;
    struct address_list allowed;
    char *ca_file;
    struct schedule schedule;
    LIST_HEAD(, sending) sendings;
    uint32_t count;
    uint64_t claims;
    char run[17];                    /* this process */
    char token[DELIVER_TOKEN_BYTES]; /* of the claim under way */
    int claiming, again, stopping, counting;
    int64_t next_us;       /* loop time of the next claim */
    int64_t next_count_us; /* of the next look at what waits */
    int64_t stop_us;
    struct map *counts; /* receiver key -> struct counted */
    uint64_t dead_letters;
};

struct counted {
    struct deliver_counts c;
    int64_t orphan_us; /* nobody knows the receiver since; 0: somebody does */
};

/* Kept for as long as the process lives: as many as there ever were receivers. */
struct counted *deliver__counted(struct alert *a, const char *receiver_key);
void deliver__count_tick(struct alert *a, int64_t now_us);
void deliver__counts_free(struct deliver *d);

/* The receiver of a key in the ruleset of now; NULL. */
const struct receiver *deliver__receiver(const struct alert *a, const char *receiver_key);
/* Post the parcel of s to r: done(s) follows. ERR_CORRUPT: it cannot be read. */
int deliver__post(struct sending *s, const struct receiver *r, post_done_fn *done);

#endif

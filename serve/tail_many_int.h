/*
 * serve/tail_many_int.h -- one follower of many jobs.
 *
 *     feed (alert/events.h) ──a job begins──► follow ──tail.c──► sink ──► pipe
 *
 * A followed job is a session of tail.c with a sink of ours. tail_many.c: the session, the feed. tail_many_job.c: one job.
 * tail_many_query.c: the request and its cursor.
 */
#ifndef SERVE_TAIL_MANY_INT_H
#define SERVE_TAIL_MANY_INT_H

#include "serve/events_int.h"
#include "serve/pipe.h"
#include "serve/tail_int.h"
#include "serve/tail_many.h"

#include <sys/queue.h>

enum many_form { MANY_MESSAGES /* WebSocket, SSE */, MANY_NDJSON, MANY_TEXT };

struct follow;
/* A session of tail.c, freed by it. */
struct follow_tail {
    struct tail t;    /* first */
    struct follow *f; /* NULL: let go of */
};

struct follow {
    TAILQ_ENTRY(follow) link;
    struct many *m;
    struct job_key key;
    struct cursor at;         /* while there is no tail: where to begin; epoch 0: whatever it is */
    int from_end;             /* of a job that was there before: by tail= */
    int is_over;              /* everything was said */
    struct follow_tail *tail; /* NULL: it could not be begun yet */
    int64_t retry_us;
    size_t cursor_bytes;
};

struct many {
    LIST_ENTRY(many) link;
    struct serve_ctx *ctx;
    struct manys *all;
    struct pipe *pipe;
    struct event_query jobs; /* which jobs */
    struct query lines;      /* which lines */
    enum many_form form;
    struct event_reader *reader;
    uint64_t feed_epoch, feed_n; /* every beginning up to here was looked at */
    TAILQ_HEAD(, follow) follows;
    uint32_t follow_count;
    size_t cursor_bytes;
    struct alert_event *held; /* of the feed, not looked at yet; NULL */
    int is_open, has_begun, is_over, is_gone, is_listing, is_list_wanted, said_hello, said_full;
    int has_moved;    /* since the cursor was told */
    int has_spoken;   /* since the timer looked last */
    int64_t until_us; /* the answer ends then; 0: it does not */
    uint32_t calls, skipped;
    int64_t told_us;
    uv_timer_t timer;
};

struct manys {
    LIST_HEAD(, many) all;
    uint64_t sessions;
    int is_over; /* freed with the last session */
};

/* ---- tail_many_query.c ---- */
/* 0, or an answered error; release both in any case. */
int many__query_read(struct many *m, struct http *x);
/* "E:N;job=E:S;…" into m: its feed position and follows. ERR_INVALID. */
int many__cursor_read(struct many *m, const char *text);
void many__cursor_write(const struct many *m, struct buf *out);
/* How many bytes of it are key's. */
size_t many__cursor_bytes(const struct many *m, const struct job_key *key);

/* ---- tail_many_job.c ---- */
struct follow *many__find(const struct many *m, const struct job_key *key);
/* Is there a place for one more? */
int many__has_room(const struct many *m, const struct job_key *key);
struct follow *many__follow(struct many *m, const struct job_key *key, struct cursor at,
                            int from_end);
void many__start(struct follow *f);
/* Pull of all, the first one another each time. */
void many__pull(struct many *m);
/* Let go of those that are over (all: of every one). How many went. */
uint32_t many__reap(struct many *m, int all);
/* Has every job been begun, and said all that there is? */
int many__is_quiet(const struct many *m);
/* Where it is. */
struct cursor many__at(const struct follow *f);

/* ---- tail_many.c ---- */
/* {"type":type,"cursor":…more}; NDJSON: {"type":{…}} and {"cursor":…}; text: nothing but gaps. */
void many__say(struct many *m, const char *type, const char *more);

#endif

/*
 * serve/moment.h -- moments of a job's log: which record a time of receipt leads to, and when a record was
 * received, wherever the records lie.
 *
 * Redis is asked first (stream/place.h); what it no longer holds is looked up in the archive on a worker
 * thread. A look reads no record.
 * Threads    The loop thread.
 */
#ifndef SERVE_MOMENT_H
#define SERVE_MOMENT_H

#include "job/id.h"
#include "serve/ctx.h"
#include "stream/place.h"

#define MOMENTS_MAX STREAM_PLACES_MAX

/* seq != 0: when was this record received? Else: the first record received at us or later. */
struct moment_ask {
    uint64_t seq;
    int64_t us;
};
struct moments {
    uint64_t epoch, seq; /* of the job at that time */
    struct {
        uint64_t seq; /* by time: seq of the job + 1 when there is none */
        int64_t ns;   /* by record: 0 when it is not known */
    } at[MOMENTS_MAX];
};
/* m is NULL with an error: ERR_NOT_FOUND (no such job), ERR_UNAVAILABLE and the like. */
typedef void moments_fn(void *user, int err, const struct moments *m);
/* done comes once, from the loop. close_ms: as for stream_find_places. */
void moments_find(struct serve_ctx *ctx, const struct job_key *key, int close_ms,
                  const struct moment_ask *asks, uint32_t count, moments_fn *done, void *user);

#endif

/*
 * serve/stats.h -- GET /v1/jobs/J/stats: a job's lines over time, its ranks, metrics and sections.
 *
 *     buckets=N   at most so many buckets (200; 1 … STATS_BUCKETS_MAX): their width is 0.1 s times a power of two
 *     points=N    at most so many points of a metric (0: none; 256 at most; not given: 256, but about
 *                 STATS_POINTS_ALL of all metrics together, at least STATS_POINTS_MIN of each)
 *
 * Answered from the job's digest (serve/digests.h), never by reading the log. Shape: serve/openapi.json.
 * Answers: 400 bad argument, 404 no such job, 503 (Retry-After) when Redis is away.
 */
#ifndef SERVE_STATS_H
#define SERVE_STATS_H

#include "digest/digest.h"
#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define STATS_BUCKETS_DEFAULT 200
#define STATS_BUCKETS_MAX 2000
#define STATS_RANKS_MAX 1024 /* told one by one */
#define STATS_POINTS_ALL 16384
#define STATS_POINTS_MIN 16
#define STATS_POINTS_AUTO UINT32_MAX

struct stats_options {
    uint32_t buckets, points;
};

/* The arguments of x. ERR_INVALID: x was answered. */
int stats_options_read(struct http *x, struct stats_options *ret);
void stats_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);

/* The answer's text. d is settled. Any thread. */
int stats_json(struct buf *out, const struct job_key *key, uint64_t epoch, const struct digest *d,
               const struct stats_options *o);
/* How many times the digest's bucket width doubles so that at most max buckets are left; the first bucket then,
 * and how many there are. */
unsigned stats_zoom(const struct digest_time *t, uint32_t max, int64_t *ret_first, uint32_t *ret_count);

#endif

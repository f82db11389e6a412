/*
 * serve/tail_many.h -- GET /v1/tail: the lines of many jobs at once, those that begin later included.
 *
 *     project=P label.K=V         jobs of this project, with these labels (at most 8); else all that the caller may read
 *     after=CURSOR | tail=N|all   where to begin; without: with what comes from now on. Last-Event-ID too
 *     rank= level= q= re= …       which lines, as of one job's tail (serve/query.h)
 *     wait=30s                    the answer ends after so long, when what is there has been said; 0s: at once
 *     format=text|ndjson          of the answer that is neither WebSocket nor SSE
 *
 * Without a cursor it begins with the jobs that are not over; jobs that begin later come from their first line. It ends when
 * the client leaves.
 *
 * Messages   as of one job's tail, each with `project` and `job`, their `cursor` being that of the job; `job` in place of
 *            `hello`. `hello` {cursor} is first; `cursor` {cursor} tells at most once a second where all of them are:
 *            that is what after= takes (the SSE id). `gap` without a job: jobs began that could not be told of any more.
 *            `full`: TAIL_MANY_JOBS_MAX are followed, further ones wait until one of them ends; with `skipped` so many that were
 *            there at the start are not followed.
 *            NDJSON: records with `project` and `job` first, {"cursor":…}, {"gap":…}, {"end":…}. Text: "JOB: line".
 * Promises   Read on from any cursor, every later record of every job comes, in order for each job, or a gap or reset;
 *            what came after the cursor was told comes again (`seq` tells).
 * Limits     TAIL_MANY_*.
 */
#ifndef SERVE_TAIL_MANY_H
#define SERVE_TAIL_MANY_H

#include "http/http.h"
#include "serve/ctx.h"

#define TAIL_MANY_JOBS_MAX 500
#define TAIL_MANY_CURSOR_BYTES 10000 /* it must fit into a request's head (over 7 KB: as Last-Event-ID); over it: `full` */
#define TAIL_MANY_CURSOR_US 1000000
#define TAIL_MANY_SESSIONS_MAX 1000

void tail_many_http(struct serve_ctx *ctx, struct http *x);

struct manys;
struct manys *manys_new(void);
/* Their last callbacks may still come. */
void manys_free(struct manys **m);
void tail_many_drain_all(struct serve_ctx *ctx, int code);
/* Open sessions; jobs that they follow, together. */
void tail_many_stats(const struct serve_ctx *ctx, uint64_t *ret_sessions, uint64_t *ret_jobs);

#endif

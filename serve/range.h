/*
 * serve/range.h -- what part of a job a read covers, and how one that cannot be is answered.
 *
 * Shared by /logs (serve/history.h) and /search (serve/search.h).
 */
#ifndef SERVE_RANGE_H
#define SERVE_RANGE_H

#include "http/http.h"
#include "job/info.h"
#include "serve/query.h"

#define RANGE_RETRY_AFTER_S 1

/* By the query's cursors: records with *ret_after < seq <= *ret_upto, which is fixed to what is
 * there now. ERR_RESET for a cursor of another epoch. */
int range_of(const struct query *q, const struct job_info *info, uint64_t *ret_after,
             uint64_t *ret_upto);
/* 409 `reset` with the epoch the job has. */
void range_reply_reset(struct http *x, uint64_t epoch);
/* The answer to a read that failed: 404, 409, or 503 with Retry-After. An answer that was begun is
 * broken off: x's on_close may have run when this returns. */
void range_reply_failed(struct http *x, const struct job_key *key, int err);

#endif

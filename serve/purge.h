/*
 * serve/purge.h -- one job removed for good: from the archive, from Redis and its index.
 *
 *     archive (job.json first) -> stream (tails end with reset) -> archive again
 *
 * The archive goes first: a job that were gone from Redis alone would come back from it. Killed in between, the job is still
 * listed, and removing it again finishes. The second time is for what an archiver was writing meanwhile.
 * Threads    The loop thread; directories are emptied on worker threads.
 */
#ifndef SERVE_PURGE_H
#define SERVE_PURGE_H

#include "job/id.h"
#include "serve/ctx.h"

/* err: 0, or what the first step that failed said; ERR_NOT_FOUND: there was no such job. */
typedef void purge_fn(void *user, int err);
void purge_job(struct serve_ctx *ctx, const struct job_key *key, purge_fn *done, void *user);

#endif

/*
 * serve/digest_feed.h -- a job's digest from and to its file, and fed with archived records.
 *
 * Threads    All blocking: worker threads only. A digest belongs to one at a time.
 */
#ifndef SERVE_DIGEST_FEED_H
#define SERVE_DIGEST_FEED_H

#include "digest/digest_file.h"
#include "storage/archive.h"

#define DIGEST_FEED_STEP_US 100000 /* a step ends at the first frame after this */

/* The digest beside the job's segments, when it can be used: of this epoch and our versions. ERR_NOT_FOUND: it is
 * missing, old or damaged (told to the log): to be made anew. */
int digest_feed_load(const struct archive *a, const struct job_key *key, uint64_t epoch, struct digest **ret_digest);
int digest_feed_store(const struct archive *a, const struct job_key *key, const struct digest *d, uint64_t epoch);
/* Feed the records (d->upto, to] that the archive has, what it lost as gaps; at most about a step. 1: call again. 0: d is
 * at `to`, or at the end of the archive. */
int digest_feed_archive(const struct archive *a, const struct job_key *key, struct digest *d, uint64_t to);

#endif

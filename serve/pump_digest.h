/*
 * serve/pump_digest.h -- the digest of the job that the pump is archiving, fed with what it writes.
 *
 * Never in the way of archiving: whatever goes wrong here, the digest is dropped, and a reader makes it anew
 * (serve/digests.h).
 * Threads    Worker threads, one step of the job at a time.
 */
#ifndef SERVE_PUMP_DIGEST_H
#define SERVE_PUMP_DIGEST_H

#include "serve/digest_feed.h"

#define PUMP_DIGEST_BEHIND_MAX 100000 /* records that the pump reads again for it; more are left to a reader */

struct pump_digest {
    struct digest *digest; /* NULL: none */
    int is_tried;          /* it was looked for */
};

/* Before the first record after pos: the job's file, brought up to pos. */
void pump_digest_begin(struct pump_digest *pd, const struct archive *a, const struct job_key *key, uint64_t epoch,
                       uint64_t pos);
/* f was written to a segment. */
void pump_digest_add(struct pump_digest *pd, const struct frame *f);
/* The segment is verified: leave the file beside it. */
void pump_digest_store(struct pump_digest *pd, const struct archive *a, const struct job_key *key, uint64_t epoch);
void pump_digest_drop(struct pump_digest *pd);

#endif

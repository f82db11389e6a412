/*
 * serve/digests.h -- the digest of a job as of now: its file, and what Redis holds behind it.
 *
 *     file (beside the segments) --decode--> digest --archive, if the file is behind--> --Redis--> now
 *
 * Digests lately asked for are kept, and only fed with what is new. One that had to be made from the segments is left
 * beside them for the next.
 *
 * Promises   An answer holds every record that Redis had when digests_get() was called. done() is called once, from the
 *            loop, never from inside digests_get(); not after digests_cancel().
 * Memory     DIGESTS_KEPT_MAX jobs, DIGESTS_BYTES_MAX together; what is being answered is not counted.
 * Limits     DIGESTS_BUSY_MAX jobs are fed at a time, the others wait in line.
 * Threads    The loop thread; decoding, reading segments and feeding are worker steps.
 */
#ifndef SERVE_DIGESTS_H
#define SERVE_DIGESTS_H

#include "digest/digest.h"
#include "job/info.h"
#include "serve/ctx.h"

#define DIGESTS_KEPT_MAX 32
#define DIGESTS_BYTES_MAX (128UL << 20)
#define DIGESTS_BUSY_MAX 2
#define DIGESTS_FRAMES 16 /* asked of Redis at a time */

struct digests_view {
    int refs;
    uint64_t epoch;
    struct digest *digest; /* settled: only to be read. digest->upto: the record it goes up to */
};
/* Keep the view beyond done(); any number of times, the loop thread only. A worker may read one that is kept. */
struct digests_view *digests_ref(struct digests_view *v);
void digests_unref(struct digests_view **v);

/* err 0: v (borrowed). ERR_NOT_FOUND: no such job. ERR_UNAVAILABLE and the like of Redis; ERR_NOMEM; ERR_IO. */
typedef void digests_fn(void *user, int err, struct digests_view *v);
struct digests_wait;
void digests_get(struct serve_ctx *ctx, const struct job_key *key, digests_fn *done, void *user,
                 struct digests_wait **ret_wait);
/* The same, but where it takes longer than until by_us (clock_mono_us()) the answer is what was read so far: digest->upto says up
 * to which record. At least something of it was read. */
void digests_get_by(struct serve_ctx *ctx, const struct job_key *key, int64_t by_us, digests_fn *done, void *user,
                    struct digests_wait **ret_wait);
/* done() will not be called. Takes and NULLs; NULL is fine, and must not be used after done(). */
void digests_cancel(struct digests_wait **w);

struct digests_stats {
    uint64_t asked, loaded /* files */, made /* from segments */, records /* fed */, failed;
    uint32_t kept, busy;
    uint64_t kept_bytes;
};
void digests_stats(const struct serve_ctx *ctx, struct digests_stats *ret);

struct digests;
struct digests *digests_new(uv_loop_t *loop);
/* Everyone who waits was answered or has cancelled. Worker steps under way end by themselves. */
void digests_free(struct digests **ds);

#endif

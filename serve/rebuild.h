/*
 * serve/rebuild.h -- brings jobs of the archive back into Redis: at start, and when Redis has become another one.
 *
 *     new round of Redis -> scan the archive, REBUILD_STEP jobs a step -> ask Redis how far they go
 *                        -> missing, or less than the archive: stream_recover() -> … -> stream_note_whole()
 *
 * Promises   joblogd serves meanwhile: what is asked for before its turn is brought back first (stream/recover.h).
 *            A job that cannot be brought back is logged, and the scan is repeated after REBUILD_RETRY_US.
 * Threads    The loop thread; directories are read on worker threads.
 * Memory     REBUILD_STEP jobs, REBUILD_RECOVERIES_MAX of them being restored.
 */
#ifndef SERVE_REBUILD_H
#define SERVE_REBUILD_H

#include "storage/archive.h"
#include "stream/past.h"

#define REBUILD_STEP 256
#define REBUILD_RECOVERIES_MAX 32
#define REBUILD_TICK_MS 200
#define REBUILD_RETRY_US 30000000

struct rebuild_stats {
    int running;
    uint64_t rounds;            /* ended */
    uint64_t scanned, restored; /* jobs, of the running or last round */
    uint64_t errors;            /* of all rounds */
};

struct rebuild;
void rebuild_open(uv_loop_t *loop, struct stream *st, struct archive *a, struct rebuild **ret_rebuild);
/* Start nothing new. */
void rebuild_stop(struct rebuild *r);
int rebuild_idle(const struct rebuild *r);
/* Detach and free, also while something is under way. The loop must run once more. Takes and NULLs; NULL is fine. */
void rebuild_close(struct rebuild **r);
void rebuild_stats(const struct rebuild *r, struct rebuild_stats *ret);

#endif

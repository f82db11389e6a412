/*
 * serve/settle.h -- the settler: when a job is over, its segments are written anew, small and few, on idle CPU.
 *
 *     archived whole (the pump says so, or a look through the archive) -> lease
 *       -> write and read back, on a thread of the lowest priority -> publish (storage/archive_settle.h) -> next segment
 *
 * One job at a time, one segment at a time. Every node does this; the archive lease of the job keeps them apart.
 * A look through the archive at the start, and every SETTLE_SCAN_US, finds what a killed settler, or an older release,
 * left behind.
 *
 * Promises   Those of storage/archive_settle.h. A job that others read is left alone until they are done, for
 *            SETTLE_HELD_US at most; then the work is thrown away and the next look begins it again.
 *            Below PUMP_RESERVE_BYTES of free disk nothing is written.
 * Threads    The loop thread; one of its own (SCHED_IDLE, nice 19, idle I/O class); publishing on worker threads.
 * Memory     SETTLE_QUEUE_MAX jobs; one segment writer at its level (about 10 MiB).
 */
#ifndef SERVE_SETTLE_H
#define SERVE_SETTLE_H

#include "storage/archive.h"
#include "stream/stream.h"

#define SETTLE_LEVEL_DEFAULT 16
#define SETTLE_QUEUE_MAX 1024 /* jobs waiting; more are found by the next look */
#define SETTLE_TICK_MS 500
#define SETTLE_FIRST_SCAN_US 2000000
#define SETTLE_SCAN_US INT64_C(3600000000)
#define SETTLE_PAUSE_US 30000000 /* after an error of the disk or of Redis */
#define SETTLE_HELD_US 60000000

struct settle_options {
    uv_loop_t *loop;
    struct stream *stream;
    struct archive *archive;
    int level; /* 1 … 19 */
};

struct settle_stats {
    uint64_t jobs, segments /* written */, replaced, bytes_before, bytes_after, errors, held /* thrown away */;
    uint64_t cpu_us; /* of the thread */
    uint32_t waiting;
    int active, paused;
};

struct settle;
void settle_open(const struct settle_options *o, struct settle **ret_settle);
/* The job is archived whole. */
void settle_job(struct settle *s, const struct job_key *key);
/* Start nothing new; what is being written is given up. */
void settle_stop(struct settle *s);
int settle_idle(const struct settle *s);
/* Takes and NULLs; NULL is fine. The loop must run once more. 1: the thread did not stop in time and still uses the
 * archive, which must stay open. */
int settle_close(struct settle **s);
void settle_stats(const struct settle *s, struct settle_stats *ret);

#endif

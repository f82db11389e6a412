/*
 * serve/pump.h -- the archiver: carries records from Redis into segments, then lets Redis forget.
 *
 *     hot job -> lease -> read frames -> write segment -> durable -> verify
 *             -> commit archived_upto -> trim
 *
 * A job is due when it has segment_bytes of unarchived records, when its oldest unarchived record
 * is older than age_us, or when it is sealed (then everything is trimmed and the job leaves the hot
 * list). While a job lives, Redis keeps about hot_bytes of archived records. With the last segment of
 * a run job.json is written: the job as of its last record, from which it can be taken up again
 * (serve/past.h).
 *
 * Promises   Nothing is trimmed that was not written, made durable, read back and committed under
 *            the lease. Any step may fail or be killed: the next round starts at archived_upto.
 * Fault      Points pump.before_commit pump.after_commit pump.after_verify pump.before_trim
 *            pump.before_put_job.
 * Threads    The loop thread; files are touched on worker threads only.
 * Memory     PUMP_JOBS_MAX jobs at a time, each about 4 MiB of frames and a segment writer.
 */
#ifndef SERVE_PUMP_H
#define SERVE_PUMP_H

#include "storage/archive.h"
#include "stream/stream.h"

#define PUMP_JOBS_MAX 2
#define PUMP_TICK_US 500000
#define PUMP_LOOKS_MAX 64                /* jobs looked at in one tick */
#define PUMP_RESERVE_BYTES (64ULL << 20) /* free disk below which nothing is written: ERR_FULL */
#define PUMP_BACKOFF_US_MIN 1000000
#define PUMP_BACKOFF_US_MAX 30000000

struct pump_options {
    uv_loop_t *loop;
    struct stream *stream;
    struct archive *archive;
    uint64_t segment_bytes; /* 0: 8 MiB of NDJSON */
    int64_t age_us;         /* 0: 5 min */
    uint64_t hot_bytes;     /* 0: 4 MiB */
    int level;              /* 0: SEGMENT_LEVEL_DEFAULT */
    void (*on_cold)(void *user, const struct job_key *key); /* a job is over and archived whole; may be NULL */
    void *user;
};

struct pump_stats {
    uint64_t segments, records, bytes /* of NDJSON */, jobs_finished, errors, fenced, busy,
        lost_records;
    uint32_t jobs_active;
    uint32_t hot_jobs;            /* at the last look */
    int64_t oldest_unarchived_us; /* age of the oldest mark on the hot list; 0: none */
    int backing_off;
    char last_error[160]; /* "" when the last round succeeded */
};

struct pump;
void pump_open(const struct pump_options *o, struct pump **ret_pump);
/* Start nothing new; running jobs commit what they have written so far. */
void pump_stop(struct pump *p);
/* True when no job is being archived and no call or worker step is under way. */
int pump_idle(const struct pump *p);
/* Detach and free: also while something is under way (its temp file is removed by archive_sweep).
 * The loop must run once more. Takes and NULLs; NULL is fine. */
void pump_close(struct pump **p);
void pump_stats(const struct pump *p, struct pump_stats *ret);

#endif

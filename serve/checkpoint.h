/*
 * serve/checkpoint.h -- the job as of the last record of its archive, producers and all, whenever it is asked for.
 *
 *     job.json as of M | prepared: job.json.next as of N   the segment M+1 .. N gets its name   set: job.json as of N
 *     ---------------- archive ends at M ----------------|------------- archive ends at N -------------
 *
 * A producer whose lines of M+1 .. N are in the archive, and are lost in Redis, must not be asked for them: they would be stored
 * a second time. So what is held of it is durable before the segment has its name (docs/decisions/008-recovery.md).
 *
 * Promises   A run that is killed at any step leaves a text as of the record that the archive ends with, when the run's last
 *            segment ends there. Behind the earlier segments of a long run (PUMP_RUN_SEGMENTS) there is none.
 * Threads    All blocking: worker threads; all but checkpoint_read() under the lease of the job.
 */
#ifndef SERVE_CHECKPOINT_H
#define SERVE_CHECKPOINT_H

#include "job/info.h"
#include "storage/archive.h"

/* json: the job as of the end of the segment that gets its name next. */
int checkpoint_prepare(const struct archive *a, const struct job_key *key, const char *json, size_t len);
/* The segment has its name, durably. */
int checkpoint_set(const struct archive *a, const struct job_key *key);
/* A run begins; the archive ends at last and the log has all of that. What an interrupted one prepared holds now, or is void. */
int checkpoint_mend(const struct archive *a, const struct job_key *key, uint64_t last);
/* *info (of job.json) is replaced by what was prepared, when that is as of last: the archive ends there. */
int checkpoint_read(const struct archive *a, const struct job_key *key, uint64_t last, struct job_info **info);

#endif

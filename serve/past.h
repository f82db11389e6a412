/*
 * serve/past.h -- what the archive knows of a job, for the stream to ask (struct stream_past).
 *
 *     job.json (as of some record) + the records of the segments behind it = the job as of its last record
 *
 * Threads    Asked on the loop thread, read on worker threads. A job without job.json is read whole.
 */
#ifndef SERVE_PAST_H
#define SERVE_PAST_H

#include "job/info.h"
#include "storage/archive.h"
#include "stream/past.h"

struct past {
    uv_loop_t *loop;
    const struct archive *archive;
};
extern const struct stream_past past_ops; /* user: struct past */

/* Blocks. The job as of its last archived record, with ranks and producers. ERR_NOT_FOUND: the archive has nothing of it. */
int past_read(const struct archive *a, const struct job_key *key, struct job_info **ret_info);

#endif

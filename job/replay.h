/*
 * job/replay.h -- what is known of a job, carried on over records that came after it was written down.
 *
 * Used when the index of jobs is rebuilt from the archive: job.json is as of some record, the segments
 * may go on behind it (a crash between the two), or there is no job.json at all.
 * Not here   Who sent the records: producers and their sequence numbers are in no record.
 */
#ifndef JOB_REPLAY_H
#define JOB_REPLAY_H

#include "job/info.h"
#include "job/record.h"

/* A job of which only its key is known: epoch 1, CREATED, no record. */
struct job_info *job_replay_new(const struct job_key *key);
/* v (numbered) is the record after info->seq, or a later one: what lies between is lost. recv_us: when it was
 * received, 0 when not known. scratch is used. ERR_NOMEM. */
int job_replay(struct job_info *info, const struct record_view *v, int64_t recv_us, struct buf *scratch);

#endif

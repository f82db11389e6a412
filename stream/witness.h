/*
 * stream/witness.h -- may Redis have lost records of a job that this process has not seen, but readers have?
 *
 *     joblogd and a Redis that fsyncs every second are killed together, or a replica is promoted: the new joblogd knows of no
 *     record that is missing, so the floor of stream/known.h cannot tell. The history of Redis can: each job's hash keeps the
 *     replication id under which its log was made or last looked at (`run`). Another one now, and no clean stop in between: the
 *     epoch is changed, so that every cursor of what may be lost answers `reset`.
 *
 * Why not the run id: it is a process's. A master that hung, was replaced, came back as a replica and is promoted once more has
 * the one it had, though what it showed last is gone. The replication id is new with every promotion and every start.
 *
 * Asked once per job, at its first use by this process, and only where a loss is possible: class accepted, or a Redis that is not
 * our own (it may fail over). In class durable with the embedded Redis what was shown was fsynced. With a Redis that is not our
 * own also at the first use in each new history: other nodes may have shown records that this one's floors know nothing of.
 * Threads    The loop thread.
 */
#ifndef STREAM_WITNESS_H
#define STREAM_WITNESS_H

#include "job/id.h"
#include "stream/stream.h"

/* Is a loss possible here at all? */
int witness__wanted(const struct stream *st);
/* then(arg, err) when the job's log is sound, or has its new epoch. A job that does not exist is sound. */
typedef void witness_then_fn(void *arg, int err);
void witness__check(struct stream *st, const struct job_key *key, witness_then_fn *then, void *arg);
/* The job's log was looked at in this history of Redis. */
void witness__note(struct stream *st, const struct job_key *key);

#endif

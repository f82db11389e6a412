/*
 * stream/observe.h -- what this node does to jobs, for who wants to know (alert/).
 *
 * Part of stream/stream.h, which includes it.
 */
#ifndef STREAM_OBSERVE_H
#define STREAM_OBSERVE_H

#include "job/id.h"

struct stream;

struct stream_observer {
    void (*lines)(void *user, const struct job_key *key);  /* it has stored lines of the job */
    void (*states)(void *user, const struct job_key *key); /* it has made the job, or changed or sealed its state */
};
/* Called from inside the answers: no stream_close() there. At most one; ops stays valid. NULL: nobody any more. */
void stream_observe(struct stream *st, const struct stream_observer *ops, void *user);
/* zset marked_us, "project/job": jobs whose states may not have been told yet. Entries are taken out by who tells. */
#define STREAM_KEY_UNFED "jl:unfed"

#endif

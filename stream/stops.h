/*
 * stream/stops.h -- news of stopped jobs, from whichever node stopped them.
 *
 * The script publishes each move to STOPPED on one channel of all jobs, so that nodes with agents need not
 * listen to every bell of theirs.
 */
#ifndef STREAM_STOPS_H
#define STREAM_STOPS_H

#include "job/id.h"

struct stream;

/* key NULL: news may have been missed (Redis was away); look at the jobs that matter. */
typedef void stream_stopped_fn(void *user, const struct job_key *key);
/* One watcher at a time; fn NULL ends it. From the loop, never from inside this call. */
void stream_watch_stops(struct stream *st, stream_stopped_fn *fn, void *user);

#endif

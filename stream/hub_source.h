/*
 * stream/hub_source.h -- where the hub's truth comes from: Redis, or a test's model.
 */
#ifndef STREAM_HUB_SOURCE_H
#define STREAM_HUB_SOURCE_H

#include "stream/conn.h"
#include "stream/jobs_int.h"
#include "stream/stream.h"

struct hub_source {
    void (*read)(struct stream *st, const struct job_key *key, uint64_t after, uint32_t frames_max, stream_read_fn *done,
                 void *user);
    void (*load)(struct stream *st, const struct job_key *key, jobs__loaded_fn *done, void *user);
    void (*subscribe)(struct stream *st, const struct job_key *key, const struct conn_channel_ops *ops, void *user);
    void (*unsubscribe)(struct stream *st, const struct job_key *key);
    void (*bump)(struct stream *st, const struct job_key *key, uint64_t old_epoch,
                 void (*done)(void *user, int err, uint64_t epoch), void *user);
};
extern const struct hub_source hub_source_redis;

#endif

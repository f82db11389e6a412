/*
 * stream/nodes.h -- samples of the nodes that run a job, until the job is archived.
 *
 * Kept in a hash of the job by a script of its own (nodes.lua), thinned as they grow: a node has at most
 * NODES_SAMPLES_MAX points, all nodes of a job together NODES_JOB_SAMPLES_MAX, but at least 64 each.
 * A sample may be lost (Redis is away, or full): the next one comes soon.
 */
#ifndef STREAM_NODES_H
#define STREAM_NODES_H

#include "base/buf.h"
#include "job/node.h"

struct stream;

#define NODES_MAX 1024 /* of a job; samples of more are dropped */
#define NODES_SAMPLES_MAX 768
#define NODES_JOB_SAMPLES_MAX 65536

/* Nothing is answered. Samples of a job that does not exist or is sealed are dropped. */
void stream_node_sample(struct stream *st, const struct job_key *key, const struct node_about *about,
                        const struct node_sample *sample);
/* All nodes of the job, by name, one JSON line each (job/node.h); empty when there are none. Borrowed. */
typedef void stream_nodes_fn(void *user, int err, const char *lines, size_t len);
void stream_nodes_get(struct stream *st, const struct job_key *key, stream_nodes_fn *done, void *user);
/* They are archived. */
void stream_nodes_drop(struct stream *st, const struct job_key *key);

#endif

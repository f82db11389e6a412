/*
 * serve/nodes.h -- the machines a job runs on: their samples, from Redis or from beside the segments.
 *
 *     GET /v1/jobs/J/nodes    {"nodes":[{…}]}, an element a node (job/node.h); none is an empty list
 *
 * While a job lives its samples are in Redis (stream/nodes.h). When it is archived the pump writes them to
 * nodes.jsonl beside its segments, a line a node, and Redis forgets them.
 */
#ifndef SERVE_NODES_H
#define SERVE_NODES_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

/* Lines of JSON, one a node; borrowed. err: ERR_UNAVAILABLE and the like; a job without any is not one. */
typedef void nodes_fn(void *user, int err, const char *lines, size_t len);
void nodes_load(struct serve_ctx *ctx, const struct job_key *key, nodes_fn *done, void *user);

void nodes_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);

#endif

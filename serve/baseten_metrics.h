/*
 * serve/baseten_metrics.h -- node samples as metrics of the Baseten training API.
 *
 *     GET, POST …/J/metrics {start_epoch_millis?, end_epoch_millis?}
 *     {"training_job":{…},"cache":null,"per_node_metrics":[{"node_id":"node-1","metrics":M}],…M}
 *     M = {"cpu_usage":[{"timestamp":"…","value":3.2}],           cores
 *          "cpu_memory_usage_bytes":[…],"gpu_utilization":{"0":[…]},"gpu_memory_usage_bytes":{"0":[…]},
 *          "ephemeral_storage":{"usage_bytes":[…],"utilization":[…]}}
 *
 * The members of M stand at the top too: those of the node when there is one, else empty. What was not
 * measured is an empty list. An end within minutes of now is open, as for logs.
 */
#ifndef SERVE_BASETEN_METRICS_H
#define SERVE_BASETEN_METRICS_H

#include "http/http.h"
#include "serve/ctx.h"

void baseten_metrics(struct serve_ctx *ctx, struct http *x);

#endif

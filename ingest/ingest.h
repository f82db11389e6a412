/*
 * ingest/ingest.h -- the doors in: endpoints that take lines and events.
 *
 *     POST /v1/jobs/J/logs    -> ingest_http_logs     (decode, append, ack)
 *     POST /v1/jobs/J/events  -> ingest_http_events   (state change)
 *     GET  /v1/jobs/J/ingest  -> ingest_ws            (WebSocket, joblog.ingest.v1: the agent's road)
 *
 * The router (serve/router.h) has resolved the job's key before it calls these. Wire format in docs/protocol.md.
 */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "auth/quota.h"
#include "http/http.h"
#include "http/ws.h"
#include "ingest/decode.h"
#include "stream/stream.h"

struct ingest;
struct ingest_options {
    uv_loop_t *loop;
    struct stream *stream;
    size_t line_bytes_max;
    uint64_t body_bytes_max;   /* decoded */
    uint64_t memory_bytes_max; /* all bodies being decoded together; over it 429 with Retry-After */
    const struct redact *redact; /* takes secrets out of what comes in; borrowed; NULL: nothing does */
};
struct ingest_stats {
    uint64_t requests, lines, bytes, batches, refused_bad, refused_too_large, refused_gap, refused_fenced, refused_sealed,
        refused_busy, refused_unavailable,
        refused_quota[QUOTA_COUNT], utf8_replaced, nul_kept, lines_split, lines_skipped_bad, agents_open;
    struct redact_counts redacted;
};
int ingest_open(const struct ingest_options *o, struct ingest **ret_ingest);
void ingest_close(struct ingest **i);
void ingest_stats(const struct ingest *i, struct ingest_stats *ret);
/* Nothing is in flight: for the drain of SIGTERM. ingest_drain: agents are told to reconnect (1012) once acked. */
void ingest_drain(struct ingest *i);
int ingest_idle(const struct ingest *i);

void ingest_http_logs(struct ingest *i, struct http *x, const struct job_key *key);
void ingest_http_events(struct ingest *i, struct http *x, const struct job_key *key);
void ingest_ws(struct ingest *i, struct http *x, const struct job_key *key);

#endif

/*
 * serve/tail.h -- GET /v1/jobs/J/tail: follow a job until it ends.
 *
 * One session core (tail.c) with three doors: WebSocket (tail_ws.c) for an upgrade, SSE
 * (tail_sse.c) for Accept: text/event-stream, else chunked text or NDJSON (tail_text.c).
 *
 *     WAIT -> hello -> BACKLOG (reader) <-> LIVE (hub) -> end
 *
 * A session is a cursor and a filter, never a queue: it pulls while its sink has room and stops
 * above the high mark; one that falls off the hub's ring reads history from its cursor and joins
 * again.
 *
 * Promises   Every record after the cursor once and in order, or an explicit gap or reset. `end` is
 *            last, after the last record. A peer without write progress is dropped by http/.
 * Messages   hello lines state progress gap reset end (tail_message.c).
 * Limits     TAIL_* below.
 */
#ifndef SERVE_TAIL_H
#define SERVE_TAIL_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define TAIL_LINES_DEFAULT 10
#define TAIL_WAIT_US_DEFAULT 30000000
#define TAIL_WAIT_US_MAX INT64_C(3600000000)
#define TAIL_BACKLOG_BYTES (64 * 1024) /* a sink with more queued is not fed */
#define TAIL_MESSAGE_BYTES (64 * 1024) /* lines are coalesced up to about this */
#define TAIL_HEARTBEAT_US 15000000     /* SSE comment when nothing else was sent */
#define TAIL_PROGRESS_US 250000        /* at most one progress per rank in this time */
#define TAIL_PROGRESS_RANKS_MAX 64     /* of a session; redraws of further ranks are dropped */
#define TAIL_PROGRESS_BYTES_MAX 4096   /* cut at a character boundary */

/* key need not exist yet: ?wait= (default 30 s), then 404. */
void tail_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);

struct tail_stats { /* open now, then counters since start */
    uint64_t open_ws, open_sse, open_text, many_jobs /* of serve/tail_many.h */, waiting;
    uint64_t sessions, messages, lines, ends, gaps, resets, lagged /* fell back to history */;
};
void tail_stats(const struct serve_ctx *ctx, struct tail_stats *ret);
/* Send every follower away: WebSockets are closed with code (1012: come back now), SSE and text are
 * broken off so that clients reconnect from their cursor. */
void tail_drain_all(struct serve_ctx *ctx, int code);

#endif

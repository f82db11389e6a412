/*
 * serve/events.h -- GET /v1/events: states and alerts of all jobs that a caller may see.
 *
 *     after=E:N | tail=N          where to begin; without: from now on. SSE: Last-Event-ID too
 *     project=P label.K=V         of this project; of jobs with this label (at most 8)
 *     type=alert,state,end        only these
 *     wait=30s limit=N            a long read: answers when there is something, at most N (64), and ends
 *     group=G consumer=C          each event to one reader of the group, until it is acknowledged
 *     ack_time=60s                not acknowledged for so long: to another one (1s to 1h)
 *
 * Doors as in serve/pipe.h. Messages: `hello` with the cursor to begin with; events with their `cursor`; `gap` {from, to}
 * for events that were trimmed; `reset` when the feed is another one. A long read closes with `cursor`.
 * Acknowledging: over WebSocket {"type":"ack","cursor":"E:N"} or "cursors":[…]; else POST /v1/events/ack?group=G
 * {"cursors":[…]}. All readers of a group must ask with the same filters: what they do not want is acknowledged unseen.
 * Limits     EVENTS_* below; groups: alert/events.h.
 */
#ifndef SERVE_EVENTS_H
#define SERVE_EVENTS_H

#include "http/http.h"
#include "serve/ctx.h"

#define EVENTS_LABELS_MAX 8
#define EVENTS_WINDOW_MAX 64 /* of a group, over WebSocket: handed out and not acknowledged */
#define EVENTS_SESSIONS_MAX 5000
#define EVENTS_WAIT_US_MAX INT64_C(600000000)
#define EVENTS_ACKS_MAX 1000 /* in one message */

struct event_sessions;
struct event_sessions *event_sessions_new(struct serve_ctx *ctx);
void event_sessions_free(struct event_sessions **s);
/* Send every reader away; they come back from their cursors. */
void events_drain_all(struct serve_ctx *ctx, int code);
uint32_t events_open_count(const struct serve_ctx *ctx);

void events_http(struct serve_ctx *ctx, struct http *x);
void events_ack_http(struct serve_ctx *ctx, struct http *x);

#endif

/*
 * serve/pipe.h -- one long answer of JSON messages through any of three doors.
 *
 *     WebSocket (an upgrade)              one text message each
 *     SSE (Accept: text/event-stream)     event: TYPE, id: ID, data: JSON; a comment every PIPE_BEAT_US
 *     lines (else)                        one JSON a line, application/x-ndjson
 *
 * Promises   opened() comes once, later; gone() is the last callback and always comes. Between them callbacks come
 *            from the loop, never from inside pipe_* calls. Nothing is sent above PIPE_BACKLOG_BYTES unless the
 *            owner does not look at pipe_is_full().
 * Threads    The loop thread.
 */
#ifndef SERVE_PIPE_H
#define SERVE_PIPE_H

#include "http/http.h"
#include "serve/ctx.h"

#include <stddef.h>

#define PIPE_BACKLOG_BYTES (64 * 1024)
#define PIPE_BEAT_US 15000000
#define PIPE_HEARD_BYTES_MAX 16384 /* of a message from the other side */

struct pipe;
enum pipe_kind { PIPE_WS, PIPE_SSE, PIPE_LINES };

struct pipe_ops {
    void (*opened)(void *user);
    void (*drained)(void *user);                             /* not full any more */
    void (*heard)(void *user, const char *data, size_t len); /* WebSocket only; may be NULL */
    void (*gone)(void *user);
    const char *lines_type; /* of the third door; NULL: application/x-ndjson */
};
/* Answers x. is_head: only the head is sent, then gone(). */
void pipe_open(struct serve_ctx *ctx, struct http *x, const char *subprotocol,
               const struct pipe_ops *ops, void *user, struct pipe **ret);
enum pipe_kind pipe_kind(const struct pipe *p);
/* json: one object without a newline. id may be NULL. */
void pipe_send(struct pipe *p, const char *type, const char *id, const char *json, size_t len);
int pipe_is_full(const struct pipe *p);
/* Through the third door: these bytes as they are. */
void pipe_write(struct pipe *p, const char *data, size_t len);
/* A comment when nothing was said for PIPE_BEAT_US: call it now and then. */
void pipe_beat(struct pipe *p, int64_t now_us);
/* Everything was said. gone() follows. */
void pipe_close(struct pipe *p, int code, const char *reason);
/* At once, so that the other side comes back from where it was. gone() follows. */
void pipe_drop(struct pipe *p, int code);

#endif

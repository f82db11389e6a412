/*
 * serve/tail_sse.c -- a tail's Server-Sent Events door (WHATWG HTML, "Server-sent events").
 *
 *     event: lines
 *     id: 1:812
 *     data: {"type":"lines",…}
 *
 * JSON has no raw newline, so every message is one data line. A comment every TAIL_HEARTBEAT_US
 * keeps proxies from closing a silent stream.
 */
#include "job/cursor.h"
#include "serve/tail_int.h"

#include <string.h>

#define SSE_RETRY "retry: 1000\n\n"

static void open_sse(struct tail *t)
{
    http_set_header(t->x, "Cache-Control", "no-store");
    http_set_header(t->x, "X-Accel-Buffering", "no");
    http_start(t->x, 200, "text/event-stream", -1);
    if (!strcmp(http_method(t->x), "HEAD")) {
        struct http *x = t->x;

        tail__over(t);
        http_finish(x);
        return;
    }
    http_write(t->x, SSE_RETRY, strlen(SSE_RETRY));
    tail__set_ticking(t, 1);
    tail__opened(t);
}

static uint64_t *open_count(struct tail_stats *s)
{
    return &s->open_sse;
}

static void emit(struct tail *t, const char *type, const char *json, size_t len)
{
    struct cursor c = {t->epoch, t->cursor};
    char text[CURSOR_TEXT_BYTES];
    struct buf event;

    buf_init(&event, 0);
    if (buf_addf(&event, "event: %s\nid: %s\ndata: ", type, cursor_format(&c, text)) >= 0 &&
        buf_add(&event, json, len) >= 0 && buf_adds(&event, "\n\n") >= 0)
        http_write(t->x, event.data, event.len);
    buf_release(&event);
}

static void close_sse(struct tail *t, int code, const char *reason)
{
    http_finish(t->x);
}

static void drop_sse(struct tail *t, int code)
{
    http_abort(t->x);
}

static size_t backlog(const struct tail *t)
{
    return http_backlog(t->x);
}

const struct tail_sink tail__sse = {
    .json = 1,
    .open_count = open_count,
    .open = open_sse,
    .emit = emit,
    .close = close_sse,
    .drop = drop_sse,
    .backlog = backlog,
};

/*
 * serve/pipe.c -- three doors for one kind of answer.
 */
#include "serve/pipe.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "http/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pipe {
    struct serve_ctx *ctx;
    enum pipe_kind kind;
    struct http *x; /* until its on_close */
    struct ws *w;   /* from on_open to on_close */
    const struct pipe_ops *ops;
    void *user;
    int upgraded, is_over /* closed or dropped */, is_head;
    int64_t sent_us;
    uv_timer_t soon; /* opened() and gone() come from the loop */
    int opening, going;
};

/* ---- the end ---- */

static void on_soon_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_soon(uv_timer_t *timer)
{
    struct pipe *p = timer->data;

    if (p->opening && !p->going) {
        p->opening = 0;
        if (p->is_head)
            http_finish(p->x);
        else
            p->ops->opened(p->user);
        return;
    }
    if (p->going) {
        p->ops->gone(p->user);
        uv_close((uv_handle_t *)&p->soon, on_soon_closed);
    }
}

static void later(struct pipe *p)
{
    uv_timer_start(&p->soon, on_soon, 0, 0);
}

static void is_gone(struct pipe *p)
{
    p->going = 1;
    later(p);
}

/* ---- HTTP ---- */

static void on_http_drain(struct http *x)
{
    struct pipe *p = http_user(x);

    if (!p->is_over && !p->opening)
        p->ops->drained(p->user);
}

static void on_http_close(struct http *x, int clean)
{
    struct pipe *p = http_user(x);

    p->x = NULL;
    if (!p->upgraded)
        is_gone(p);
}

static const struct http_handler http_ops = {.on_drain = on_http_drain, .on_close = on_http_close};

static void open_http(struct pipe *p)
{
    http_set_header(p->x, "Cache-Control", "no-store");
    http_set_header(p->x, "X-Accel-Buffering", "no");
    http_start(p->x, 200, p->kind == PIPE_SSE      ? "text/event-stream"
               : p->ops->lines_type ? p->ops->lines_type
                                    : "application/x-ndjson",
               -1);
    if (p->kind == PIPE_SSE)
        http_write(p->x, "retry: 1000\n\n", 13);
    p->opening = 1;
    later(p);
}

/* ---- WebSocket ---- */

static void on_ws_open(struct ws *w)
{
    struct pipe *p = ws_user(w);

    p->w = w;
    if (p->ctx->draining)
        pipe_drop(p, 1012);
    else
        p->ops->opened(p->user);
}

static void on_ws_message(struct ws *w, const char *data, size_t len, int is_binary)
{
    struct pipe *p = ws_user(w);

    if (p->ops->heard && !p->is_over)
        p->ops->heard(p->user, data, len);
}

static void on_ws_drain(struct ws *w)
{
    struct pipe *p = ws_user(w);

    if (!p->is_over)
        p->ops->drained(p->user);
}

static void on_ws_close(struct ws *w, int code)
{
    struct pipe *p = ws_user(w);

    p->w = NULL;
    is_gone(p);
}

static const struct ws_handler ws_ops = {.on_open = on_ws_open,
                                         .on_message = on_ws_message,
                                         .on_drain = on_ws_drain,
                                         .on_close = on_ws_close};

static void open_ws(struct pipe *p, const char *subprotocol)
{
    struct http *x = p->x;
    int offered = http_offers_subprotocol(x, subprotocol);

    p->upgraded = 1; /* its on_close is not the end */
    if (ws_accept(x, offered ? subprotocol : NULL, PIPE_HEARD_BYTES_MAX, &ws_ops, p) >= 0)
        return;
    p->upgraded = 0; /* refused, and answered */
    if (!p->x)
        is_gone(p);
}

/* ---- the face ---- */

void pipe_open(struct serve_ctx *ctx, struct http *x, const char *subprotocol,
               const struct pipe_ops *ops, void *user, struct pipe **ret)
{
    struct pipe *p = must_calloc(1, sizeof *p);
    const char *accept = http_header(x, "Accept");

    p->ctx = ctx;
    p->x = x;
    p->ops = ops;
    p->user = user;
    p->is_head = strcmp(http_method(x), "HEAD") == 0;
    p->sent_us = clock_mono_us();
    CHECK(uv_timer_init(ctx->loop, &p->soon) == 0);
    p->soon.data = p;
    p->kind = http_is_upgrade(x)                              ? PIPE_WS
              : accept && strstr(accept, "text/event-stream") ? PIPE_SSE
                                                              : PIPE_LINES;
    *ret = p;
    http_handle(x, &http_ops, p);
    if (p->kind == PIPE_WS)
        open_ws(p, subprotocol);
    else
        open_http(p);
}

enum pipe_kind pipe_kind(const struct pipe *p)
{
    return p->kind;
}

void pipe_send(struct pipe *p, const char *type, const char *id, const char *json, size_t len)
{
    struct buf head = BUF_INIT;

    if (p->is_over)
        return;
    p->sent_us = clock_mono_us();
    if (p->w) {
        ws_send_text(p->w, json, len);
    } else if (p->x && p->kind == PIPE_SSE) {
        buf_addf(&head, "event: %s\n", type);
        if (id)
            buf_addf(&head, "id: %s\n", id);
        buf_adds(&head, "data: ");
        buf_add(&head, json, len);
        buf_adds(&head, "\n\n");
        http_write(p->x, head.data, head.len);
        buf_release(&head);
    } else if (p->x) {
        http_write(p->x, json, len);
        http_write(p->x, "\n", 1);
    }
}

void pipe_write(struct pipe *p, const char *data, size_t len)
{
    if (p->is_over || !p->x || p->kind != PIPE_LINES)
        return;
    p->sent_us = clock_mono_us();
    http_write(p->x, data, len);
}

int pipe_is_full(const struct pipe *p)
{
    size_t backlog = p->w ? ws_backlog(p->w) : p->x && p->kind != PIPE_WS ? http_backlog(p->x) : 0;

    return p->is_over || backlog > PIPE_BACKLOG_BYTES;
}

void pipe_beat(struct pipe *p, int64_t now_us)
{
    if (p->is_over || p->kind != PIPE_SSE || !p->x || now_us - p->sent_us < PIPE_BEAT_US)
        return;
    p->sent_us = now_us;
    http_write(p->x, ":\n\n", 3);
}

void pipe_close(struct pipe *p, int code, const char *reason)
{
    if (p->is_over)
        return;
    p->is_over = 1;
    if (p->w)
        ws_close(p->w, code, reason);
    else if (p->x && p->kind != PIPE_WS)
        http_finish(p->x);
}

void pipe_drop(struct pipe *p, int code)
{
    if (p->is_over)
        return;
    p->is_over = 1;
    if (p->w)
        ws_close(p->w, code, "restart");
    else if (p->x && p->kind != PIPE_WS)
        http_abort(p->x);
}

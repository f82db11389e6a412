/*
 * serve/tail_ws.c -- a tail's WebSocket door: one JSON text message after the other.
 */
#include "base/check.h"
#include "base/err.h"
#include "serve/tail_int.h"

#include <stdlib.h>

#define TAIL_SUBPROTOCOL "joblog.tail.v1"

/* Hung on a frame for all who follow it unfiltered; of one epoch. */
struct wire {
    uint64_t epoch;
    struct ws_message *message;
};

static void free_wire(void *user)
{
    struct wire *wire = user;

    ws_message_unref(&wire->message);
    free(wire);
}

static void on_open(struct ws *w)
{
    struct tail *t = ws_user(w);

    t->w = w;
    if (t->ctx->draining)
        ws_close(w, 1012, "restart");
    else if (t->phase == TAIL_OPENING)
        tail__opened(t);
}

static void on_message(struct ws *w, const char *data, size_t len, int is_binary)
{
}

static void on_drain(struct ws *w)
{
    tail__pull(ws_user(w));
}

static void on_close(struct ws *w, int code)
{
    struct tail *t = ws_user(w);

    t->w = NULL;
    tail__gone(t);
}

static const struct ws_handler ws_ops = {
    .on_open = on_open, .on_message = on_message, .on_drain = on_drain, .on_close = on_close};

static void open_ws(struct tail *t)
{
    struct http *x = t->x;
    int offered = http_offers_subprotocol(x, TAIL_SUBPROTOCOL), err;

    t->accepting = 1;
    t->upgraded = 0;
    err = ws_accept(x, offered ? TAIL_SUBPROTOCOL : NULL, TAIL_WS_MESSAGE_BYTES_MAX, &ws_ops, t);
    t->accepting = 0;
    if (err >= 0) {
        t->upgraded = 1;
        t->is_gone = 0;
        return;
    }
    if (t->is_gone)
        tail__gone(t); /* its on_close came from inside */
    else
        tail__over(t);
}

static uint64_t *open_count(struct tail_stats *s)
{
    return &s->open_ws;
}

static void emit(struct tail *t, const char *type, const char *json, size_t len)
{
    if (t->w)
        ws_send_text(t->w, json, len);
}

/* The frame's message, made by the first who needs it. */
static struct ws_message *wire_of(struct tail *t, struct frame *f)
{
    struct wire *wire = f->wire;
    struct buf *out = &t->ctx->tails->message;

    if (wire)
        return f->wire_free == free_wire && wire->epoch == t->epoch ? wire->message : NULL;
    buf_clear(out);
    if (tail__lines_of_frame(out, t->epoch, f) < 0)
        return NULL;
    wire = must_calloc(1, sizeof *wire);
    wire->epoch = t->epoch;
    wire->message = ws_message_new(out->data, out->len, 0);
    f->wire = wire;
    f->wire_free = free_wire;
    return wire->message;
}

static void send_frame(struct tail *t, struct frame *f)
{
    struct ws_message *m = wire_of(t, f);

    if (!t->w)
        return;
    if (m) {
        ws_send_message(t->w, m);
    } else {
        struct buf *out = &t->ctx->tails->message;

        buf_clear(out);
        if (tail__lines_of_frame(out, t->epoch, f) >= 0)
            ws_send_text(t->w, out->data, out->len);
    }
    t->ctx->tails->stats.messages++;
}

static void close_ws(struct tail *t, int code, const char *reason)
{
    if (t->w)
        ws_close(t->w, code, reason);
}

static void drop_ws(struct tail *t, int code)
{
    if (t->w)
        ws_close(t->w, code, "restart");
}

static size_t backlog(const struct tail *t)
{
    return t->w ? ws_backlog(t->w) : 0;
}

const struct tail_sink tail__ws = {
    .json = 1,
    .open_count = open_count,
    .open = open_ws,
    .emit = emit,
    .frame = send_frame,
    .close = close_ws,
    .drop = drop_ws,
    .backlog = backlog,
};

/*
 * serve/tail_ws.c -- a tail's WebSocket door: one JSON text message after the other.
 */
#include "base/check.h"
#include "base/err.h"
#include "serve/tail_int.h"

#include <stdlib.h>

#define TAIL_SUBPROTOCOL "joblog.tail.v1"

/* Messages hung on the first frame of a run, for all who follow it unfiltered: one of that frame alone, and
 * the last longer one. */
struct wire {
    struct ws_message *message;
    uint64_t epoch, last_seq;
    struct wire *next;
};

static void free_wire(void *user)
{
    struct wire *wire = user;

    while (wire) {
        struct wire *next = wire->next;

        ws_message_unref(&wire->message);
        free(wire);
        wire = next;
    }
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

/* Where the message of a run of this kind hangs: NULL there when none does. */
static struct wire **wire_slot(const struct run *run)
{
    struct frame *first = run->frames[0];
    struct wire **slot = (struct wire **)&first->wire;

    while (*slot && ((*slot)->last_seq == frame_last_seq(first)) != (run->count == 1))
        slot = &(*slot)->next;
    return slot;
}

/* The run's message, made by the first who needs it. NULL: out of memory, or the frames' wire is another
 * room's. */
static struct ws_message *wire_of(struct tail *t, const struct run *run)
{
    struct buf *out = &t->ctx->tails->message;
    struct frame *first = run->frames[0];
    struct wire **slot;

    if (first->wire && first->wire_free != free_wire)
        return NULL;
    slot = wire_slot(run);
    if (*slot && (*slot)->epoch == t->epoch && (*slot)->last_seq == run->last_seq)
        return (*slot)->message;
    buf_clear(out);
    if (tail__lines_of_run(out, t->epoch, run) < 0)
        return NULL;
    if (*slot)
        ws_message_unref(&(*slot)->message);
    else
        *slot = must_calloc(1, sizeof **slot);
    (*slot)->epoch = t->epoch;
    (*slot)->last_seq = run->last_seq;
    (*slot)->message = ws_message_new(out->data, out->len, 0);
    first->wire_free = free_wire;
    return (*slot)->message;
}

static void send_run(struct tail *t, const struct run *run)
{
    struct ws_message *m = wire_of(t, run);

    if (!t->w)
        return;
    if (m) {
        ws_send_message(t->w, m);
    } else {
        struct buf *out = &t->ctx->tails->message;

        buf_clear(out);
        if (tail__lines_of_run(out, t->epoch, run) >= 0)
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
    .run = send_run,
    .close = close_ws,
    .drop = drop_ws,
    .backlog = backlog,
};

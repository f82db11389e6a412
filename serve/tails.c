/*
 * serve/tails.c -- all open sessions: their clock, their counts, sending them away.
 */
#include "base/check.h"
#include "base/clock.h"
#include "serve/tail_int.h"

#include <stdlib.h>

static void heartbeat(struct tail *t, int64_t now_us)
{
    if (now_us - t->sent_us < TAIL_HEARTBEAT_US)
        return;
    t->sent_us = now_us;
    if (!tail__is_full(t))
        http_write(t->x, ":\n\n", 3);
}

static void tick(struct tail *t, int64_t now_us)
{
    if (t->phase == TAIL_WAIT) {
        tail__wait_tick(t, now_us);
        return;
    }
    if (t->is_open)
        tail__progress_tick(t, now_us);
    if (t->is_open && t->sink == &tail__sse)
        heartbeat(t, now_us);
    if (t->retry_us && now_us >= t->retry_us)
        tail__retry(t);
    if (t->phase != TAIL_OVER && t->sink != &tail__sse && !t->retry_us &&
        !tail__progress_pending(t))
        tail__set_ticking(t, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct tails *ts = timer->data;
    int64_t now_us = clock_mono_us();
    struct link *l = ts->ticking.next, *next;

    for (; l != &ts->ticking; l = next) {
        next = l->next;
        tick(LINK_OF(l, struct tail, in_ticking), now_us);
    }
    if (link_empty(&ts->ticking))
        uv_timer_stop(timer);
}

void tail__set_ticking(struct tail *t, int on)
{
    struct tails *ts = t->ctx->tails;

    link_del(&t->in_ticking);
    if (!on)
        return;
    link_move_tail(&ts->ticking, &t->in_ticking);
    if (!uv_is_active((uv_handle_t *)&ts->timer))
        uv_timer_start(&ts->timer, on_timer, TAIL_TICK_MS, TAIL_TICK_MS);
}

void tail_stats(const struct serve_ctx *ctx, struct tail_stats *ret)
{
    *ret = ctx->tails->stats;
}

void tail_drain_all(struct serve_ctx *ctx, int code)
{
    struct link *l = ctx->tails->all.next, *next;

    for (; l != &ctx->tails->all; l = next) {
        struct tail *t = LINK_OF(l, struct tail, in_all);

        next = l->next;
        if (t->phase == TAIL_OVER)
            continue;
        if (t->is_open) {
            tail__over(t);
            t->sink->drop(t, code);
        } else if (t->x && !http_started(t->x)) {
            struct http *x = t->x;

            if (t->phase == TAIL_WAIT)
                ctx->tails->stats.waiting--;
            tail__over(t);
            http_set_header(x, "Retry-After", "1");
            http_reply_error(x, 503, "restarting", "the server restarts; come back now");
        }
    }
}

struct tails *tails_new(uv_loop_t *loop)
{
    struct tails *ts = must_calloc(1, sizeof *ts);

    ts->loop = loop;
    link_init(&ts->all);
    link_init(&ts->ticking);
    buf_init(&ts->lines, 0);
    buf_init(&ts->plain, 0);
    buf_init(&ts->message, 0);
    CHECK(uv_timer_init(loop, &ts->timer) == 0);
    ts->timer.data = ts;
    uv_unref((uv_handle_t *)&ts->timer);
    return ts;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct tails *ts = h->data;

    buf_release(&ts->lines);
    buf_release(&ts->plain);
    buf_release(&ts->message);
    free(ts);
}

void tails_free(struct tails **tsp)
{
    struct tails *ts = *tsp;

    *tsp = NULL;
    if (!ts)
        return;
    CHECK(link_empty(&ts->all));
    uv_close((uv_handle_t *)&ts->timer, on_timer_closed);
}

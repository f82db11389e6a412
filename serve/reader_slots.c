/*
 * serve/reader_slots.c -- slots: so many readers hold frames at a time, the others stand in line.
 *
 * Urgent ones come first. A holder whose consumer takes nothing is robbed when others wait; one
 * that had its turn lines up again by itself (reader_next). So memory is bounded whatever the number of
 * followers that catch up, and a short read does not wait for them.
 */
#include "base/check.h"
#include "base/clock.h"
#include "serve/reader_int.h"

#include <stdlib.h>

#define SLOTS_TICK_MS 25
#define READY_SLICE_US 1000 /* ready() calls in one turn of the loop stop after this */

struct readers {
    uv_loop_t *loop;
    uv_timer_t timer;            /* runs while somebody waits */
    struct link urgent, waiting; /* in line, by slot.place */
    struct link holding;         /* least recently used first */
    unsigned held;
    struct link ready;    /* need no slot and wait for their turn, by slot.place */
    uv_idle_t idle;       /* runs while somebody is ready */
    int handles;
    struct shelves *shelves;
    struct run run;
    int is_closed; /* readers_free() was called: the last reader still in a call frees this */
    struct reader_stats stats;
};

static struct slot *slot_at(struct link *l)
{
    return LINK_OF(l, struct slot, place);
}

static int somebody_waits(const struct readers *rs)
{
    return !link_empty(&rs->urgent) || !link_empty(&rs->waiting);
}

static uint64_t loop_us(const struct readers *rs)
{
    return uv_now(rs->loop) * 1000;
}

void slots__serve(struct readers *rs)
{
    while (rs->held < READER_SLOTS_MAX && somebody_waits(rs)) {
        struct slot *s = slot_at(link_empty(&rs->urgent) ? rs->waiting.next : rs->urgent.next);

        link_del(&s->place);
        s->ops->granted(s);
    }
    if (!somebody_waits(rs))
        uv_timer_stop(&rs->timer);
}

static void on_timer(uv_timer_t *timer)
{
    struct readers *rs = timer->data;
    struct link *l = rs->holding.next;

    while (l != &rs->holding && somebody_waits(rs)) {
        struct slot *s = slot_at(l);

        l = l->next;
        if (!s->ops->is_idle(s) || loop_us(rs) < s->used_us + READER_IDLE_US)
            continue;
        s->ops->robbed(s);
        rs->stats.stolen++;
        slots__serve(rs);
        l = rs->holding.next;
    }
}

static void watch(struct readers *rs)
{
    if (!uv_is_active((uv_handle_t *)&rs->timer))
        uv_timer_start(&rs->timer, on_timer, SLOTS_TICK_MS, SLOTS_TICK_MS);
}

void slot__init(struct slot *s, struct readers *rs, int urgent, const struct slot_ops *ops)
{
    *s = (struct slot){.rs = rs, .ops = ops, .urgent = urgent};
    link_init(&s->place);
}

int slot__take(struct slot *s)
{
    struct readers *rs = s->rs;

    if (s->holds)
        return 1;
    if (rs->held >= READER_SLOTS_MAX) {
        link_move_tail(s->urgent ? &rs->urgent : &rs->waiting, &s->place);
        watch(rs);
        return 0;
    }
    rs->held++;
    s->holds = 1;
    s->held_us = loop_us(rs);
    link_move_tail(&rs->holding, &s->place);
    return 1;
}

void slot__give_up(struct slot *s)
{
    link_del(&s->place);
    if (!s->holds)
        return;
    s->holds = 0;
    CHECKF(s->rs->held > 0, "held=%u", s->rs->held);
    s->rs->held--;
}

static void on_ready(uv_idle_t *idle)
{
    struct readers *rs = idle->data;
    int64_t until_us = clock_mono_us() + READY_SLICE_US;
    struct link now;

    link_init(&now);
    link_splice(&now, &rs->ready); /* who is ready again meanwhile waits for the next turn */
    while (!link_empty(&now)) {
        struct slot *s = slot_at(now.next);

        link_del(&s->place);
        s->ops->ready(s);
        if (clock_mono_us() >= until_us)
            break;
    }
    link_splice(&now, &rs->ready);
    link_splice(&rs->ready, &now);
    if (link_empty(&rs->ready))
        uv_idle_stop(idle);
}

void slot__ready(struct slot *s)
{
    CHECK(!s->holds);
    link_move_tail(&s->rs->ready, &s->place);
    if (!s->rs->is_closed)
        uv_idle_start(&s->rs->idle, on_ready);
}

int slot__is_waiting(const struct slot *s)
{
    return !s->holds && !link_empty(&s->place);
}

void slot__note_use(struct slot *s)
{
    s->used_us = loop_us(s->rs);
    if (s->holds)
        link_move_tail(&s->rs->holding, &s->place);
}

int slot__is_turn_over(const struct slot *s)
{
    return s->holds && s->rs->held >= READER_SLOTS_MAX && somebody_waits(s->rs) &&
           s->used_us >= s->held_us + READER_TURN_US;
}

void slot__line_up(struct slot *s)
{
    CHECK(!s->holds);
    s->urgent = 0;
    link_move_tail(&s->rs->waiting, &s->place);
    watch(s->rs);
}

unsigned slots__held(const struct readers *rs)
{
    return rs->held;
}

struct reader_stats *readers__stats(struct readers *rs)
{
    return &rs->stats;
}

static void free_readers(struct readers *rs)
{
    shelves_free(&rs->shelves);
    free(rs);
}

void readers__note_gone(struct readers *rs)
{
    if (--rs->stats.open == 0 && rs->is_closed)
        free_readers(rs);
}

struct shelves *readers__shelves(struct readers *rs)
{
    return rs->shelves;
}

struct run *readers__run(struct readers *rs)
{
    return &rs->run;
}

static uint64_t length(const struct link *head)
{
    uint64_t n = 0;

    for (const struct link *l = head->next; l != head; l = l->next)
        n++;
    return n;
}

void reader_stats(const struct serve_ctx *ctx, struct reader_stats *ret)
{
    const struct readers *rs = ctx->readers;

    *ret = rs->stats;
    ret->holding = rs->held;
    ret->waiting = length(&rs->urgent) + length(&rs->waiting);
}

struct readers *readers_new(uv_loop_t *loop)
{
    struct readers *rs = must_calloc(1, sizeof *rs);

    rs->loop = loop;
    link_init(&rs->urgent);
    link_init(&rs->waiting);
    link_init(&rs->holding);
    link_init(&rs->ready);
    rs->shelves = shelves_new();
    CHECK(uv_timer_init(loop, &rs->timer) == 0 && uv_idle_init(loop, &rs->idle) == 0);
    rs->timer.data = rs->idle.data = rs;
    rs->handles = 2;
    uv_unref((uv_handle_t *)&rs->timer);
    uv_unref((uv_handle_t *)&rs->idle);
    return rs;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct readers *rs = handle->data;

    if (--rs->handles)
        return;
    rs->is_closed = 1;
    if (!rs->stats.open)
        free_readers(rs);
}

void readers_free(struct readers **rs_ref)
{
    struct readers *rs = *rs_ref;

    *rs_ref = NULL;
    if (!rs)
        return;
    CHECKF(rs->held == 0, "held=%u", rs->held);
    uv_close((uv_handle_t *)&rs->timer, on_handle_closed);
    uv_close((uv_handle_t *)&rs->idle, on_handle_closed);
}

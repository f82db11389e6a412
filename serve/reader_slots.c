/*
 * serve/reader_slots.c -- slots: so many readers hold frames at a time, the others stand in line.
 *
 * Urgent ones come first. A holder whose consumer takes nothing is robbed when others wait; one
 * that had its turn lines up again by itself (reader_next). So memory is bounded whatever the number of
 * followers that catch up, and a short read does not wait for them.
 */
#include "base/check.h"
#include "serve/reader_int.h"

#include <stdlib.h>

#define SLOTS_TICK_MS 25

struct readers {
    uv_loop_t *loop;
    uv_timer_t timer;            /* runs while somebody waits */
    struct link urgent, waiting; /* in line, by slot.place */
    struct link holding;         /* least recently used first */
    unsigned held;
    int is_closed; /* readers_free() was called: the last reader still in a call frees this */
    struct reader_stats stats;
};

static struct slot *slot_at(struct link *l)
{
    return LINK_OF(l, struct slot, place);
}

static int somebody_waits(const struct readers *rs)
{
    return !link_alone(&rs->urgent) || !link_alone(&rs->waiting);
}

static uint64_t loop_us(const struct readers *rs)
{
    return uv_now(rs->loop) * 1000;
}

void slots__serve(struct readers *rs)
{
    while (rs->held < READER_SLOTS_MAX && somebody_waits(rs)) {
        struct slot *s = slot_at(link_alone(&rs->urgent) ? rs->waiting.next : rs->urgent.next);

        link_remove(&s->place);
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
        link_append(s->urgent ? &rs->urgent : &rs->waiting, &s->place);
        watch(rs);
        return 0;
    }
    rs->held++;
    s->holds = 1;
    s->held_us = loop_us(rs);
    link_append(&rs->holding, &s->place);
    return 1;
}

void slot__give_up(struct slot *s)
{
    link_remove(&s->place);
    if (!s->holds)
        return;
    s->holds = 0;
    CHECKF(s->rs->held > 0, "held=%u", s->rs->held);
    s->rs->held--;
}

int slot__is_waiting(const struct slot *s)
{
    return !s->holds && !link_alone(&s->place);
}

void slot__note_use(struct slot *s)
{
    s->used_us = loop_us(s->rs);
    if (s->holds)
        link_append(&s->rs->holding, &s->place);
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
    link_append(&s->rs->waiting, &s->place);
    watch(s->rs);
}

struct reader_stats *readers__stats(struct readers *rs)
{
    return &rs->stats;
}

void readers__note_gone(struct readers *rs)
{
    if (--rs->stats.open == 0 && rs->is_closed)
        free(rs);
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
    CHECK(uv_timer_init(loop, &rs->timer) == 0);
    rs->timer.data = rs;
    uv_unref((uv_handle_t *)&rs->timer);
    return rs;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct readers *rs = handle->data;

    rs->is_closed = 1;
    if (!rs->stats.open)
        free(rs);
}

void readers_free(struct readers **rs_ref)
{
    struct readers *rs = *rs_ref;

    *rs_ref = NULL;
    if (!rs)
        return;
    CHECKF(rs->held == 0, "held=%u", rs->held);
    uv_close((uv_handle_t *)&rs->timer, on_timer_closed);
}

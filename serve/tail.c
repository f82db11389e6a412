/*
 * serve/tail.c -- the pull: from hub or history to the sink, as long as it has room.
 *
 * LIVE pulls frames from the hub. ERR_LAGGED moves to BACKLOG: the reader runs from the cursor to
 * what the hub's ring holds, or the end, then the hub takes over at the very next record. The hub keeps a
 * subscriber that was not pulled to the end quiet, so a full sink costs nothing until on_drain.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "serve/tail_int.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

int tail__is_full(const struct tail *t)
{
    return t->sink->backlog(t) >= TAIL_BACKLOG_BYTES;
}

void tail__over(struct tail *t)
{
    t->phase = TAIL_OVER;
    hub_unsubscribe(&t->sub);
    reader_close(&t->reader);
    tail__set_ticking(t, 0);
}

static void free_tail(struct tail *t)
{
    tail__progress_free(t);
    query_release(&t->query);
    free(t->hello);
    free(t);
}

void tail__gone(struct tail *t)
{
    t->is_gone = 1;
    if (t->phase != TAIL_OVER)
        tail__over(t);
    if (t->is_open)
        --*t->sink->open_count(&t->ctx->tails->stats);
    t->is_open = 0;
    link_del(&t->in_all);
    if (!t->calls)
        free_tail(t);
}

/* ---- giving ---- */

/* What has gathered in lines goes out as one message. */
static void flush_lines(struct tail *t)
{
    struct buf *lines = &t->ctx->tails->lines;

    if (!lines->len)
        return;
    tail__say_lines(t, lines->data, lines->len);
    buf_clear(lines);
}

static void count_lines(struct tail *t, uint64_t records)
{
    t->ctx->tails->stats.lines += records;
}

/* A frame of the hub from the cursor on, into lines; flushed when they are many. 0: the sink is
 * full and the frame must come again. */
static int give_frame(struct tail *t, const struct frame *f)
{
    struct buf *lines = &t->ctx->tails->lines;
    struct shape_walk at;
    int more = 1;

    if (!shape_may_match(&t->shape, f)) {
        t->cursor = frame_last_seq(f);
        return 1;
    }
    shape_start(&at, f, t->cursor + 1, UINT64_MAX, 0);
    while (more > 0) {
        struct shape_slice slice;

        if (lines->len >= TAIL_MESSAGE_BYTES || (f->sum.is_state && t->shape.split_states)) {
            flush_lines(t);
            if (tail__is_full(t))
                return 0;
        }
        more = shape_step(&t->shape, f, &at, 0, TAIL_MESSAGE_BYTES, lines, &slice);
        if (more < 0) { /* a lost frame, or our own text: told, not passed over */
            flush_lines(t);
            tail__say_gap(t, t->cursor + 1, frame_last_seq(f), ERR_CORRUPT);
            t->cursor = frame_last_seq(f);
            return 1;
        }
        if (slice.last_seq)
            t->cursor = slice.last_seq;
        count_lines(t, slice.records);
        if (slice.is_state) { /* alone in lines: they were flushed before it */
            tail__say_state(t, lines->data, lines->len);
            buf_clear(lines);
        }
    }
    t->cursor = frame_last_seq(f);
    return 1;
}

static int takes_runs(const struct tail *t)
{
    return t->sink->run && sieve_is_open(t->shape.sieve);
}

/* The frames from the cursor on that can leave as one message, the same for all who stand here. What the hub said
 * last; 1 with an empty run: *ret_frame must be given record by record. */
static int gather_run(struct tail *t, struct run *run, struct frame **ret_frame)
{
    int got;

    run_start(run, t->cursor);
    while ((got = hub_sub_next(t->sub, ret_frame)) == 1) {
        if (run_add(run, *ret_frame))
            continue;
        if (run->count)
            hub_sub_seek(t->sub, run->last_seq);
        break;
    }
    return got;
}

static void share_run(struct tail *t, const struct run *run)
{
    flush_lines(t);
    for (unsigned i = 0; i < run->count; i++)
        tail__progress_over(t, &run->frames[i]->sum);
    count_lines(t, run->last_seq - t->cursor);
    t->cursor = run->last_seq;
    FAULT_POINT("tail.run");
    if (FAULT_PLANT("skip"))
        return;
    t->sink->run(t, run);
}

/* ---- pulling ---- */

static void on_readable(void *user)
{
    tail__pull(user);
}

static void to_backlog(struct tail *t)
{
    struct reader_options o = {
        .key = t->key,
        .epoch = t->epoch,
        .after = t->cursor,
        .upto = hub_sub_end(t->sub),
        .shape = t->shape,
        .slice_bytes = TAIL_MESSAGE_BYTES,
        .whole = takes_runs(t),
    };

    t->ctx->tails->stats.lagged++;
    t->phase = TAIL_BACKLOG;
    reader_open(t->ctx, &o, on_readable, t, &t->reader);
}

static void on_reset_info(void *user, int err, const struct job_info *info)
{
    struct tail *t = user;

    t->calls--;
    if (t->is_gone) {
        tail__gone(t);
        return;
    }
    if (t->phase != TAIL_RESETTING)
        return;
    if (err == ERR_NOT_FOUND) {
        tail__say_reset(t, 1);
        tail__over(t);
        t->sink->close(t, 1000, "deleted");
    } else if (err < 0) {
        t->retry_us = clock_mono_us() + TAIL_RETRY_US;
        tail__set_ticking(t, 1);
    } else {
        t->epoch = info->epoch;
        t->cursor = 0;
        tail__say_reset(t, 0);
        hub_sub_seek(t->sub, 0);
        t->phase = TAIL_LIVE;
        tail__pull(t);
    }
}

static void ask_why(struct tail *t)
{
    t->calls++;
    stream_job_get(t->ctx->stream, &t->key, 0, on_reset_info, t);
}

static void reset(struct tail *t)
{
    flush_lines(t);
    reader_close(&t->reader);
    t->phase = TAIL_RESETTING;
    ask_why(t);
}

void tail__retry(struct tail *t)
{
    t->retry_us = 0;
    if (t->phase == TAIL_RESETTING)
        ask_why(t);
    else
        tail__pull(t);
}

static void end(struct tail *t, const struct job_info *info)
{
    const char *state = state_name(info->state);

    FAULT_POINT("tail.end");
    tail__say_end(t, info);
    tail__over(t);
    t->sink->close(t, 1000, state);
}

/* 1: go on; 0: stop. */
static int pull_live(struct tail *t)
{
    const struct job_info *info = hub_sub_info(t->sub);
    struct run run;
    struct frame *f = NULL;
    int got;

    if (info && info->epoch != t->epoch) {
        reset(t);
        return 0;
    }
    run.count = 0;
    if (takes_runs(t))
        got = gather_run(t, &run, &f);
    else
        got = hub_sub_next(t->sub, &f);
    if (run.count)
        share_run(t, &run);
    if (got == 1 && run.count == 0) {
        tail__progress_over(t, &f->sum);
        if (!give_frame(t, f)) {
            hub_sub_seek(t->sub, t->cursor);
            return 0;
        }
    }
    if (got == 1)
        return 1;
    flush_lines(t);
    if (got == ERR_LAGGED) {
        to_backlog(t);
        return 1;
    }
    if (got == ERR_RESET) {
        reset(t);
        return 0;
    }
    info = hub_sub_info(t->sub);
    if (info && (hub_sub_ended(t->sub) || (state_is_terminal(info->state) && FAULT_PLANT("end"))))
        end(t, info);
    return 0;
}

static void take_slice(struct tail *t, const struct reader_item *item)
{
    count_lines(t, item->slice.records);
    if (item->slice.last_seq > t->cursor)
        t->cursor = item->slice.last_seq;
    if (item->slice.is_state)
        tail__say_state(t, item->data, item->len);
    else if (item->len)
        tail__say_lines(t, item->data, item->len);
}

static void to_live(struct tail *t)
{
    if (reader_position(t->reader) > t->cursor)
        t->cursor = reader_position(t->reader);
    reader_close(&t->reader);
    hub_sub_seek(t->sub, t->cursor);
    t->phase = TAIL_LIVE;
}

static int pull_backlog(struct tail *t)
{
    struct reader_item item;

    if (hub_sub_holds(t->sub, reader_position(t->reader))) {
        to_live(t);
        return 1;
    }
    if (!reader_next(t->reader, &item))
        return 0;
    switch (item.kind) {
    case READER_RUN:
        share_run(t, item.run);
        return 1;
    case READER_SLICE:
        take_slice(t, &item);
        return 1;
    case READER_LOST:
        t->cursor = item.lost_to;
        tail__say_gap(t, item.lost_from, item.lost_to, item.err);
        return 1;
    case READER_END:
        to_live(t);
        return 1;
    case READER_FAILED:
        break;
    }
    if (item.err == ERR_RESET || item.err == ERR_NOT_FOUND) {
        reset(t);
    } else { /* Redis is away: hold on, it is asked again */
        t->retry_us = clock_mono_us() + TAIL_RETRY_US;
        tail__set_ticking(t, 1);
    }
    return 0;
}

void tail__pull(struct tail *t)
{
    struct buf *lines = &t->ctx->tails->lines;

    if (t->retry_us)
        return; /* tail__retry() comes */
    CHECKF(lines->len == 0, "len=%zu", lines->len);
    for (;;) {
        if (t->phase != TAIL_LIVE && t->phase != TAIL_BACKLOG)
            break;
        if (!t->is_open || tail__is_full(t))
            break;
        if (!(t->phase == TAIL_LIVE ? pull_live(t) : pull_backlog(t)))
            break;
    }
    flush_lines(t);
}

void tail__opened(struct tail *t)
{
    CHECK(t->phase == TAIL_OPENING);
    t->is_open = 1;
    ++*t->sink->open_count(&t->ctx->tails->stats);
    t->phase = TAIL_LIVE;
    tail__say_hello(t);
    if (t->needs_reset) {
        tail__say_reset(t, 0);
        t->needs_reset = 0;
    }
    hub_sub_seek(t->sub, t->cursor);
    tail__pull(t);
}

/*
 * serve/reader.c -- joining Redis and the archive under one cursor.
 *
 *     ASK --stream_read--> REDIS (frames in hand) --used up--> ASK
 *      |  first_held is beyond the cursor
 *      '-> ARCHIVE (walk, one step ahead) --end--> ASK; no progress twice: the range is lost
 *
 * A reader that holds frames or a walk holds a slot (reader_slots.c); without one it waits in line.
 */
#include "serve/reader.h"

#include "base/check.h"
#include "base/err.h"
#include "base/pack.h"
#include "serve/link.h"
#include "serve/reader_int.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

#define READER_EMPTY_MAX                                                                           \
    3 /* answers without the records they promise, before these are called lost */
#define READER_PACK_LEVEL 1

enum source { SOURCE_ASK, SOURCE_REDIS, SOURCE_ARCHIVE };

struct reader {
    struct readers *rs;
    struct serve_ctx *ctx;
    struct slot slot;
    struct reader_options o;
    void (*wake)(void *user);
    void *user;
    enum source source;
    int in_call; /* a stream call is under way: the reader lives until it is answered */
    int closed;
    int sleeping;   /* 0 was given: wake is owed */
    uint64_t next;  /* forward: next record; backward: newest not yet given */
    uint64_t given; /* records so far */
    uint64_t epoch;
    int err;            /* to be given as FAILED */
    int at_end;         /* Redis has said that there is no more */
    unsigned empty;     /* rounds without progress */
    uint64_t uncovered; /* next, when the archive did not have it: the second time it is lost */
    uint64_t first_held, tail_seq;
    struct frame *frames[READER_REDIS_FRAMES];
    uint32_t count, index;
    struct shape_walk at;
    int in_frame;
    struct walk *walk;
    int step_ready;
    struct buf out, packed;
};

static void ask(struct reader *r);

/* ---- the slot ---- */

static void drop_frames(struct reader *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        frame_unref(&r->frames[i]);
    r->count = r->index = 0;
    r->in_frame = 0;
}

/* Keep the cursor, drop the rest. */
static void let_go(struct reader *r)
{
    drop_frames(r);
    walk_close(&r->walk);
    buf_release(&r->out);
    buf_release(&r->packed);
    r->step_ready = 0;
    r->source = SOURCE_ASK;
    slot__give_up(&r->slot);
}

static struct reader *reader_of(struct slot *slot)
{
    return LINK_OF(slot, struct reader, slot);
}

static void on_granted(struct slot *slot)
{
    ask(reader_of(slot));
}

static int is_idle(const struct slot *slot)
{
    const struct reader *r = reader_of((struct slot *)(uintptr_t)slot);

    return !r->in_call && !r->sleeping && !(r->walk && walk_busy(r->walk));
}

static void on_robbed(struct slot *slot)
{
    let_go(reader_of(slot));
}

static const struct slot_ops slot_ops = {
    .granted = on_granted, .is_idle = is_idle, .robbed = on_robbed};

/* ---- waking ---- */

static void wake(struct reader *r)
{
    if (!r->sleeping || r->closed)
        return;
    r->sleeping = 0;
    r->wake(r->user);
}

static void free_reader(struct reader *r)
{
    CHECK(r->closed && !r->in_call && !r->walk && !r->slot.holds);
    readers__note_gone(r->rs);
    sieve_unref(&r->o.shape.sieve);
    buf_release(&r->out);
    buf_release(&r->packed);
    free(r);
}

/* ---- bounds ---- */

static int is_past(const struct reader *r)
{
    return r->o.backward ? r->next <= r->o.after : r->next > r->o.upto;
}

/* Everything up to seq (backward: down to seq) has been given. */
static void move_past(struct reader *r, uint64_t seq)
{
    if (r->o.backward) {
        if (seq <= r->next)
            r->next = seq - 1;
    } else if (seq >= r->next) {
        r->next = seq + 1;
    }
}

/* ---- Redis ---- */

static void on_read(void *user, int err, struct frame *const *frames, uint32_t count,
                    uint64_t first_held, uint64_t tail_seq, uint64_t epoch)
{
    struct reader *r = user;

    CHECK(r->in_call);
    r->in_call = 0;
    if (r->closed) {
        free_reader(r);
        return;
    }
    if (err < 0) {
        r->err = err;
    } else if (r->o.epoch && epoch != r->o.epoch) {
        r->err = ERR_RESET;
    } else {
        CHECK(r->count == 0);
        r->epoch = epoch;
        r->first_held = first_held;
        r->tail_seq = tail_seq;
        if (r->o.backward && r->next > tail_seq)
            r->next = tail_seq;
        for (uint32_t i = 0; i < count && i < READER_REDIS_FRAMES; i++)
            r->frames[r->count++] = frame_ref(frames[i]);
        r->source = SOURCE_REDIS;
        r->at_end = !r->o.backward && !count && r->next > tail_seq;
    }
    wake(r);
}

static void ask(struct reader *r)
{
    if (!slot__take(&r->slot))
        return;
    CHECK(!r->in_call && !r->count && !r->walk);
    r->in_call = 1;
    readers__stats(r->rs)->redis_reads++;
    if (r->o.backward)
        stream_read_back(r->ctx->stream, &r->o.key, r->next == UINT64_MAX ? 0 : r->next + 1,
                         READER_REDIS_FRAMES, on_read, r);
    else
        stream_read(r->ctx->stream, &r->o.key, r->next - 1, READER_REDIS_FRAMES, on_read, r);
}

/* ---- the archive ---- */

static void step_walk(struct reader *r)
{
    r->step_ready = 0;
    readers__stats(r->rs)->archive_steps++;
    walk_step(r->walk, r->o.records_max ? r->o.records_max - r->given : 0);
}

static void on_stepped(void *user)
{
    struct reader *r = user;

    r->step_ready = 1;
    wake(r);
}

static void enter_archive(struct reader *r, uint64_t from, uint64_t to)
{
    struct walk_options o = {
        .archive = r->ctx->archive,
        .key = r->o.key,
        .from = from,
        .to = to,
        .backward = r->o.backward,
        .shape = r->o.shape,
        .slice_bytes = r->o.slice_bytes,
        .stored = r->o.stored,
    };

    drop_frames(r);
    r->source = SOURCE_ARCHIVE;
    walk_open(r->ctx->loop, &o, on_stepped, r, &r->walk);
    step_walk(r);
}

static int give_lost(struct reader *r, uint64_t from, uint64_t to, int err, struct reader_item *ret)
{
    ret->kind = READER_LOST;
    ret->lost_from = from;
    ret->lost_to = to;
    ret->err = err;
    readers__stats(r->rs)->lost_ranges++;
    move_past(r, r->o.backward ? from : to);
    return 1;
}

/* A lost range cut to what was not yet given and is wanted. 0: nothing is left of it. */
static int give_lost_cut(struct reader *r, uint64_t from, uint64_t to, int err,
                         struct reader_item *ret)
{
    if (r->o.backward) {
        if (to > r->next)
            to = r->next;
        if (from <= r->o.after)
            from = r->o.after + 1;
    } else {
        if (from < r->next)
            from = r->next;
        if (to > r->o.upto)
            to = r->o.upto;
    }
    return from <= to ? give_lost(r, from, to, err, ret) : 0;
}

static int give_slice(struct reader *r, const struct buf *out, const struct shape_slice *slice,
                      struct reader_item *ret)
{
    ret->kind = READER_SLICE;
    ret->data = out->data;
    ret->len = out->len;
    ret->slice = *slice;
    r->given += slice->records;
    r->empty = 0;
    if (slice->last_seq)
        move_past(r, slice->last_seq);
    return 1;
}

/* The walk is at its end. Asking Redis comes next; what neither has is lost. */
static int end_walk(struct reader *r, const struct walk_result *res, struct reader_item *ret)
{
    uint64_t here, lost_from = res->lost_from;

    if (res->slice.last_seq)
        move_past(r, res->slice.last_seq);
    walk_close(&r->walk);
    r->source = SOURCE_ASK;
    if (is_past(r))
        return 0;
    here = r->next;
    if (r->uncovered != here) {
        r->uncovered = here;
        return 0;
    }
    if (!r->o.backward)
        return here < r->first_held ? give_lost_cut(r, here, r->first_held - 1, ERR_NOT_FOUND, ret)
                                    : 0;
    return give_lost_cut(r, lost_from, here, ERR_NOT_FOUND, ret);
}

/* 1: item; 0: go round again; ERR_BUSY: sleep. */
static int next_archived(struct reader *r, struct reader_item *ret)
{
    struct walk_result *res;
    struct buf swap;

    if (!r->step_ready)
        return ERR_BUSY;
    res = walk_result(r->walk);
    r->step_ready = 0;
    switch (res->kind) {
    case WALK_END:
        return end_walk(r, res, ret);
    case WALK_FAILED:
        r->err = res->err;
        let_go(r);
        return 0;
    case WALK_LOST:
        if (give_lost_cut(r, res->lost_from, res->lost_to, res->err, ret)) {
            step_walk(r);
            return 1;
        }
        step_walk(r);
        return 0;
    case WALK_SLICE:
        break;
    }
    swap = r->out;
    r->out = res->out;
    res->out = swap;
    if (!res->slice.records) {
        if (res->slice.last_seq)
            move_past(r, res->slice.last_seq);
        step_walk(r);
        return 0;
    }
    give_slice(r, &r->out, &res->slice, ret);
    if (!r->o.records_max || r->given < r->o.records_max)
        step_walk(r);
    return 1;
}

/* ---- frames in hand ---- */

/* The hole before the frame in hand, or what lies between it and what the archive must have. 1
 * item, 0 none. */
static int check_hole(struct reader *r, const struct frame *f, struct reader_item *ret)
{
    if (r->o.backward) {
        uint64_t last = frame_last_seq(f);

        if (last >= r->next)
            return 0;
        return give_lost_cut(r, last + 1, r->next, ERR_NOT_FOUND, ret);
    }
    return f->first_seq > r->next ? give_lost_cut(r, r->next, f->first_seq - 1, ERR_NOT_FOUND, ret)
                                  : 0;
}

static int give_redis_slice(struct reader *r, const struct shape_slice *slice,
                            struct reader_item *ret)
{
    int err;

    if (!r->o.stored)
        return give_slice(r, &r->out, slice, ret);
    buf_clear(&r->packed);
    err = pack_zstd(&r->packed, r->out.data, r->out.len, READER_PACK_LEVEL);
    if (err >= 0)
        return give_slice(r, &r->packed, slice, ret);
    r->err = err;
    return 0;
}

/* 1: an item; 0: the frame gave nothing (more). */
static int next_of_frame(struct reader *r, const struct frame *f, struct reader_item *ret)
{
    struct shape_slice slice;
    int more;

    if (!r->in_frame) {
        if (check_hole(r, f, ret))
            return 1;
        if (!shape_may_match(&r->o.shape, f)) {
            move_past(r, r->o.backward ? f->first_seq : frame_last_seq(f));
            r->index++;
            return 0;
        }
        shape_start(&r->at, f, r->o.backward ? r->o.after + 1 : r->next,
                    r->o.backward ? r->next : r->o.upto, r->o.backward);
        r->in_frame = 1;
    }
    buf_clear(&r->out);
    more = shape_step(&r->o.shape, f, &r->at, r->o.records_max ? r->o.records_max - r->given : 0,
                      r->o.slice_bytes, &r->out, &slice);
    if (more < 0) {
        r->in_frame = 0;
        r->index++;
        if (more == ERR_CORRUPT)
            return give_lost_cut(r, f->first_seq, frame_last_seq(f), ERR_CORRUPT, ret);
        r->err = more;
        return 0;
    }
    if (!more) {
        r->in_frame = 0;
        r->index++;
    }
    if (slice.records)
        return give_redis_slice(r, &slice, ret);
    if (slice.last_seq)
        move_past(r, slice.last_seq);
    return 0;
}

/* The answer of Redis starts after the record we are at: does the archive come first? */
static int archive_comes_first(const struct reader *r)
{
    if (r->index || r->in_frame || r->at_end)
        return 0;
    if (r->o.backward)
        return !r->count || r->next < r->first_held;
    return r->next < r->first_held && r->next <= r->tail_seq;
}

/* 1: item; 0: go round again; ERR_BUSY: sleep. */
static int next_held(struct reader *r, struct reader_item *ret)
{
    if (archive_comes_first(r)) {
        if (r->o.backward)
            enter_archive(r, r->o.after + 1, r->next);
        else
            enter_archive(r, r->next,
                          r->o.upto < r->first_held - 1 ? r->o.upto : r->first_held - 1);
        return ERR_BUSY;
    }
    while (r->index < r->count) {
        if (next_of_frame(r, r->frames[r->index], ret))
            return 1;
        if (r->err || is_past(r))
            return 0;
    }
    if (!r->count) { /* promised, but not there: seen when trimming runs beside us */
        if (++r->empty > READER_EMPTY_MAX)
            return give_lost_cut(r, r->next, r->tail_seq, ERR_NOT_FOUND, ret);
    }
    drop_frames(r);
    r->source = SOURCE_ASK;
    return 0;
}

/* ---- the face ---- */

static int finish(struct reader *r, struct reader_item *ret)
{
    let_go(r);
    if (r->err) {
        ret->kind = READER_FAILED;
        ret->err = r->err;
        r->err = 0;
    } else {
        ret->kind = READER_END;
        ret->limited = r->o.records_max && r->given >= r->o.records_max;
    }
    slots__serve(r->rs);
    return 1;
}

int reader_next(struct reader *r, struct reader_item *ret)
{
    CHECK(!r->closed);
    memset(ret, 0, sizeof *ret);
    slot__note_use(&r->slot);
    r->sleeping = 0;
    if (!r->in_call && !r->err && !r->at_end && slot__is_turn_over(&r->slot)) {
        let_go(r); /* what was read ahead is read again */
        slot__line_up(&r->slot);
        slots__serve(r->rs);
    }
    for (;;) {
        int got;

        if (r->in_call || slot__is_waiting(&r->slot))
            break;
        if (r->err || is_past(r) || r->at_end ||
            (r->o.records_max && r->given >= r->o.records_max)) {
            r->at_end = 0;
            return finish(r, ret);
        }
        if (r->source == SOURCE_ASK) {
            ask(r);
            break;
        }
        got = r->source == SOURCE_REDIS ? next_held(r, ret) : next_archived(r, ret);
        if (got == 1)
            return 1;
        if (got == ERR_BUSY)
            break;
    }
    r->sleeping = 1;
    return 0;
}

uint64_t reader_position(const struct reader *r)
{
    return r->o.backward ? r->next + 1 : r->next - 1;
}

uint64_t reader_epoch(const struct reader *r)
{
    return r->epoch;
}

void reader_open(struct serve_ctx *ctx, const struct reader_options *o, void (*wake_fn)(void *user),
                 void *user, struct reader **ret_reader)
{
    struct reader *r = must_calloc(1, sizeof *r);

    CHECK(o->after < UINT64_MAX && (!o->stored || (!o->backward && sieve_is_open(o->shape.sieve))));
    r->rs = ctx->readers;
    r->ctx = ctx;
    r->o = *o;
    r->o.shape.sieve = sieve_ref(o->shape.sieve);
    if (!r->o.slice_bytes)
        r->o.slice_bytes = READER_SLICE_BYTES;
    r->wake = wake_fn;
    r->user = user;
    r->next = o->backward ? o->upto : o->after + 1;
    r->uncovered = UINT64_MAX;
    buf_init(&r->out, 0);
    buf_init(&r->packed, 0);
    slot__init(&r->slot, r->rs, o->urgent, &slot_ops);
    readers__stats(r->rs)->open++;
    readers__stats(r->rs)->opened++;
    *ret_reader = r;
}

void reader_close(struct reader **rp)
{
    struct reader *r = *rp;

    *rp = NULL;
    if (!r)
        return;
    r->closed = 1;
    let_go(r);
    slots__serve(r->rs);
    if (!r->in_call)
        free_reader(r);
}

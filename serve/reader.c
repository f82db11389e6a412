/*
 * serve/reader.c -- joining Redis and the archive under one cursor.
 *
 *     ASK --stream_read--> REDIS (frames in hand) --used up--> ASK
 *      |  first_held is beyond the cursor
 *      '-> ARCHIVE (walk, one step ahead) --end--> ASK; no progress twice: the range is lost
 *
 * A reader that holds frames or a walk holds a slot (reader_slots.c); without one it waits in line.
 * Readers of whole frames take them from the shelf they share (reader_shelf.c), one run in a turn of the loop: so a crowd
 * of them goes over the log abreast. Only who reads for the shelf holds a slot, and only so long.
 */
#include "serve/reader.h"

#include "base/check.h"
#include "base/err.h"
#include "base/pack.h"
#include "base/link.h"
#include "serve/reader_int.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    struct shelf *shelf;  /* NULL: not of whole frames */
    struct link in_shelf; /* reading for it, waiting for one that does, or neither */
    int rests;            /* a run was given in this turn */
    int has_waited;       /* for another one's read since it was last given something */
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
    if (!r->in_call)
        link_del(&r->in_shelf);
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
    struct reader *r = reader_of(slot);

    if (r->shelf && shelf_find(r->shelf, r->next))
        slot__ready(slot);
    else
        ask(r);
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

/* ---- waking ---- */

static void wake(struct reader *r)
{
    if (!r->sleeping || r->closed)
        return;
    r->sleeping = 0;
    r->wake(r->user);
}

static void on_ready(struct slot *slot)
{
    wake(reader_of(slot));
}

static const struct slot_ops slot_ops = {.granted = on_granted, .ready = on_ready, .is_idle = is_idle, .robbed = on_robbed};

static void free_reader(struct reader *r)
{
    CHECK(r->closed && !r->in_call && !r->walk && !r->slot.holds);
    shelf_close(&r->shelf);
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

/* ---- the shelf ---- */

/* Somebody's read is under way that will probably bring what r wants. */
static int is_being_read(const struct reader *r)
{
    const struct link *reading = shelf_reading(r->shelf);

    for (const struct link *l = reading->next; l != reading; l = l->next) {
        const struct reader *other = LINK_OF(l, struct reader, in_shelf);

        if (other->next == r->next || (other->next < r->next && r->next - other->next < shelf_read_records(r->shelf)))
            return 1;
    }
    return 0;
}

/* r's read is over: what it gave is there for all; who waited looks again. */
static void fill_shelf(struct reader *r, struct frame *const *frames, uint32_t count, uint64_t epoch)
{
    struct link *waiting = shelf_waiting(r->shelf);

    link_del(&r->in_shelf);
    while (count && frame_last_seq(frames[count - 1]) > r->o.upto) /* not r's to vouch for */
        count--;
    if (epoch == r->o.epoch)
        shelf_put(r->shelf, frames, count);
    while (!link_empty(waiting)) {
        struct reader *other = LINK_OF(waiting->next, struct reader, in_shelf);

        link_del(&other->in_shelf);
        slot__ready(&other->slot);
    }
}

static void give_up_slot(struct reader *r)
{
    if (!r->slot.holds)
        return;
    slot__give_up(&r->slot);
    slots__serve(r->rs);
}

/* 1: a run; 0: what is next is in hand, no run can begin with it; ERR_BUSY: sleep. */
static int next_shelved(struct reader *r, struct reader_item *ret)
{
    struct frame *f = shelf_find(r->shelf, r->next);
    struct run *run = readers__run(r->rs);

    give_up_slot(r);
    r->has_waited = 0;
    if (r->rests) {
        r->rests = 0;
        slot__ready(&r->slot);
        return ERR_BUSY;
    }
    run_start(run, r->next - 1);
    while (f && frame_last_seq(f) <= r->o.upto && run_add(run, f))
        f = shelf_find(r->shelf, run->last_seq + 1);
    if (!run->count) { /* record by record */
        r->frames[r->count++] = frame_ref(f);
        r->first_held = f->first_seq;
        r->source = SOURCE_REDIS;
        return 0;
    }
    ret->kind = READER_RUN;
    ret->run = run;
    r->given += run->last_seq - r->next + 1;
    r->empty = 0;
    r->rests = 1;
    move_past(r, run->last_seq);
    return 1;
}

/* ---- Redis ---- */

/* Redis gave what follows; not so when there is a hole before it, or r wants only a part of it. */
static int is_for_shelf(const struct reader *r, struct frame *const *frames, uint32_t count)
{
    return r->shelf && count && frames[0]->first_seq <= r->next && frame_last_seq(frames[0]) <= r->o.upto;
}

static void on_read(void *user, int err, struct frame *const *frames, uint32_t count,
                    uint64_t first_held, uint64_t tail_seq, uint64_t epoch)
{
    struct reader *r = user;

    CHECK(r->in_call);
    r->in_call = 0;
    if (r->shelf)
        fill_shelf(r, frames, err < 0 ? 0 : count, epoch);
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
        if (is_for_shelf(r, frames, count)) {
            give_up_slot(r);
        } else {
            for (uint32_t i = 0; i < count && i < READER_REDIS_FRAMES; i++)
                r->frames[r->count++] = frame_ref(frames[i]);
            r->source = SOURCE_REDIS;
        }
        r->at_end = !r->o.backward && !count && r->next > tail_seq;
    }
    wake(r);
}

static void ask(struct reader *r)
{
    if (r->shelf && !r->has_waited && is_being_read(r)) {
        r->has_waited = 1; /* should it bring nothing for r, r reads itself */
        give_up_slot(r);
        link_move_tail(shelf_waiting(r->shelf), &r->in_shelf);
        return;
    }
    if (!slot__take(&r->slot))
        return;
    CHECK(!r->in_call && !r->count && !r->walk);
    r->in_call = 1;
    if (r->shelf)
        link_move_tail(shelf_reading(r->shelf), &r->in_shelf);
    readers__stats(r->rs)->redis_reads++;
    if (r->o.backward)
        stream_read_back(r->ctx->stream, &r->o.key, r->next == UINT64_MAX ? 0 : r->next + 1,
                         READER_REDIS_FRAMES, on_read, r);
    else
        stream_read(r->ctx->stream, &r->o.key, r->next - 1, r->shelf ? shelf_want_frames(r->shelf) : READER_REDIS_FRAMES,
                    on_read, r);
}

/* ---- the archive ---- */

static void step_walk(struct reader *r)
{
    readers__stats(r->rs)->archive_steps++;
    r->step_ready = walk_step(r->walk, r->o.records_max ? r->o.records_max - r->given : 0);
}

static void on_stepped(void *user)
{
    struct reader *r = user;

    r->step_ready = 1;
    wake(r);
}

/* Who waits for much, while few others do, gets two workers. Both open every segment: no gain where the index rules out most
 * frames, and there are more segments than stay open. */
static int lanes_for(const struct reader *r, uint64_t from, uint64_t to)
{
    const struct filter *f = r->o.shape.sieve ? &r->o.shape.sieve->filter : NULL;
    uint64_t records = to >= from ? to - from : 0;
    uint64_t records_max = f && (f->q_len || f->may_match) ? READER_LANES_SOUGHT_MAX : UINT64_MAX;

    if (r->o.records_max || r->o.stored)
        return 1;
    if (r->o.lanes)
        return r->o.lanes;
    return r->o.urgent && records >= READER_LANES_RECORDS_MIN && records <= records_max &&
                   slots__held(r->rs) <= READER_LANES_HELD_MAX && sysconf(_SC_NPROCESSORS_ONLN) > 1
               ? 2
               : 1;
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
        .lanes = lanes_for(r, from, to),
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

/* A range that one of two workers called lost is not given by the other after all. */
static int is_behind(const struct reader *r, const struct shape_slice *slice)
{
    return slice->last_seq && (r->o.backward ? slice->last_seq > r->next : slice->last_seq < r->next);
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
    if (!res->slice.records || is_behind(r, &res->slice)) {
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

        if (r->in_call || slot__is_waiting(&r->slot) || !link_empty(&r->in_shelf))
            break;
        if (r->err || is_past(r) || r->at_end ||
            (r->o.records_max && r->given >= r->o.records_max)) {
            r->at_end = 0;
            return finish(r, ret);
        }
        if (r->source == SOURCE_ASK && !(r->shelf && shelf_find(r->shelf, r->next))) {
            ask(r);
            break;
        }
        got = r->source == SOURCE_ASK     ? next_shelved(r, ret)
              : r->source == SOURCE_REDIS ? next_held(r, ret)
                                          : next_archived(r, ret);
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
    CHECK(!o->whole || (!o->backward && !o->stored && !o->records_max && o->epoch && sieve_is_open(o->shape.sieve)));
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
    link_init(&r->in_shelf);
    if (o->whole)
        r->shelf = shelf_open(readers__shelves(r->rs), &o->key, o->epoch);
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

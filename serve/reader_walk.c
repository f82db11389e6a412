/*
 * serve/reader_walk.c -- archive walks in steps on worker threads.
 *
 *     loop:   walk_step ------------------.            .-- stepped(): take the result, step again
 *     worker:                 work_step --+--> result -'
 *
 * A long walk goes in two lanes, each with every second frame of the files; both work at once. The loop gives the results in
 * the order of the log:
 *
 *     lane 0   | frame 0 |            | frame 2 | …      a result is given when no lane can come before it any more:
 *     lane 1             | frame 1 |                     each says how far it has told all of its own (reach)
 *
 * Closing is two steps: the owner is detached at once; the files are closed by a last worker step.
 */
#include "serve/reader_int.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/link.h"

#include <stdlib.h>
#include <string.h>

struct lane {
    uv_work_t req;
    struct walk *walk;
    int busy, is_started;
    int is_told; /* result is there, not given yet; the loop's */
    int hurry; /* __atomic: set by the loop: the other one has something and may wait for this one */
    /* the worker's, or the loop's while idle */
    uint64_t records_max; /* of this step; 0 where there are two lanes */
    int is_over;
    uint64_t next_reach;
    uint64_t reach; /* as of the last result: all of this lane up to here was told. Written by the loop */
    struct archive_walk *files;
    struct frame *frame;
    struct shape_walk at;
    struct walk_result result;
};

struct walk {
    uv_loop_t *loop;
    struct walk_options o;
    void (*stepped)(void *user); /* NULL: detached */
    void *user;
    int cancel; /* __atomic: set by the loop, read by the workers */
    int is_wanted;      /* stepped() is owed */
    struct lane *given; /* whose result the owner has */
    /* lane 0's worker's until its first step is done, then unchanged */
    int is_open;
    uint64_t covered_from, covered_to; /* what the archive holds of from..to */
    struct stored *stored;
    uint32_t lane_count; /* that have files, or will have; the second starts when the first has opened them */
    struct lane lanes[WALK_LANES_MAX];
};

static int is_cancelled(const struct walk *w)
{
    return __atomic_load_n(&w->cancel, __ATOMIC_RELAXED);
}

static int is_hurried(const struct lane *l)
{
    return __atomic_load_n(&l->hurry, __ATOMIC_RELAXED);
}

/* What of from..to the archive has; 0 when nothing. */
static int find_cover(struct walk *w)
{
    struct archive_file *files = NULL;
    uint32_t count = 0;
    int err = archive_list(w->o.archive, &w->o.key, &files, &count);

    if (err < 0)
        return err == ERR_NOT_FOUND ? 0 : err;
    if (count) {
        uint64_t first = files[0].first_seq, last = files[0].last_seq;

        for (uint32_t i = 1; i < count; i++)
            if (files[i].last_seq > last)
                last = files[i].last_seq;
        w->covered_from = first > w->o.from ? first : w->o.from;
        w->covered_to = last < w->o.to ? last : w->o.to;
    }
    free(files);
    return count && w->covered_from <= w->covered_to;
}

static int lost(struct lane *l, uint64_t from, uint64_t to, int err)
{
    const struct walk_options *o = &l->walk->o;

    l->result.kind = WALK_LOST;
    l->result.lost_from = from > o->from ? from : o->from;
    l->result.lost_to = to < o->to ? to : o->to;
    l->result.err = err;
    return l->result.lost_from <= l->result.lost_to;
}

/* The other lane's half; without it this one goes through all. */
static void split(struct lane *l)
{
    struct walk *w = l->walk;

    if (w->lane_count > 1 && archive_walk_split(l->files, &w->lanes[1].files) < 0)
        w->lane_count = 1;
}

static int open_walk(struct lane *l)
{
    struct walk *w = l->walk;
    size_t literal_len;
    const char *literal = sieve_literal(w->o.shape.sieve, &literal_len);
    int err;

    if (w->o.stored) {
        struct walk_options o = w->o;

        o.from = w->covered_from;
        o.to = w->covered_to;
        return stored_open(&o, &w->stored);
    }
    err = archive_walk_open(w->o.archive, &w->o.key, w->covered_from, w->covered_to, w->o.backward,
                            w->o.shape.sieve ? &w->o.shape.sieve->filter : NULL, literal, literal_len, &l->files);
    if (err < 0)
        return err;
    if (w->o.shape.kind == SHAPE_BASETEN)
        archive_walk_with_times(l->files);
    split(l);
    return 0;
}

/* 1: go on; 0: the result is there. */
static int open_files(struct lane *l)
{
    struct walk *w = l->walk;
    int err = find_cover(w);

    l->result.lost_from = w->o.from;
    if (err <= 0) {
        l->result.kind = err < 0 ? WALK_FAILED : WALK_END;
        l->result.err = err;
        l->is_over = err == 0;
        return 0;
    }
    if (w->o.backward &&
        w->covered_to < w->o.to) { /* the newest asked for is not here: ask Redis again */
        l->result.kind = WALK_END;
        l->result.lost_from = w->covered_to + 1;
        l->is_over = 1;
        return 0;
    }
    err = open_walk(l);
    if (err < 0) {
        l->result.kind = WALK_FAILED;
        l->result.err = err;
        return 0;
    }
    w->is_open = 1;
    if (!w->o.backward && w->covered_from > w->o.from)
        return !lost(l, w->o.from, w->covered_from - 1, ERR_NOT_FOUND);
    return 1;
}

static void finish(struct lane *l)
{
    const struct walk *w = l->walk;

    l->is_over = 1;
    if (w->o.backward && w->covered_from > w->o.from) {
        lost(l, w->o.from, w->covered_from - 1, ERR_NOT_FOUND);
        return;
    }
    l->result.kind = WALK_END;
    l->result.slice.last_seq = w->o.backward ? w->covered_from : w->covered_to;
}

/* Take the next frame of the files. 1: go on; 0: the result is there. */
static int next_frame(struct lane *l)
{
    const struct walk *w = l->walk;
    uint64_t from = 0, to = 0;
    int err = archive_walk_next(l->files, &l->frame, &from, &to);

    if (err == 1) {
        if (shape_may_match(&w->o.shape, l->frame))
            shape_start(&l->at, l->frame, w->covered_from, w->covered_to, w->o.backward);
        else
            frame_unref(&l->frame);
        return 1;
    }
    if (err == 0) {
        finish(l);
        return 0;
    }
    if (err == ERR_CORRUPT || err == ERR_NOT_FOUND)
        return !lost(l, from, to, err);
    l->result.kind = WALK_FAILED;
    l->result.err = err;
    return 0;
}

static void step_frames(struct lane *l)
{
    struct walk *w = l->walk;
    struct walk_result *res = &l->result;
    int64_t until_us = clock_mono_us() + READER_STEP_US;

    while (!is_cancelled(w)) {
        uint64_t reached = res->slice.last_seq;
        int more;

        if (!l->frame) {
            if (!next_frame(l))
                return;
            continue;
        }
        more = shape_step(&w->o.shape, l->frame, &l->at, l->records_max, w->o.slice_bytes,
                          &res->out, &res->slice);
        if (more == ERR_CORRUPT) { /* checksum right, text wrong: we wrote it so */
            lost(l, l->frame->first_seq, frame_last_seq(l->frame), ERR_CORRUPT);
            buf_clear(&res->out);
            frame_unref(&l->frame);
            return;
        }
        if (more < 0) {
            res->kind = WALK_FAILED;
            res->err = more;
            return;
        }
        if (!res->slice.last_seq)
            res->slice.last_seq = reached;
        if (!more)
            frame_unref(&l->frame);
        if (res->slice.records || is_hurried(l) || clock_mono_us() > until_us)
            break;
    }
    res->kind = WALK_SLICE;
}

static void step_lane(struct lane *l)
{
    struct walk *w = l->walk;
    int err;

    l->result.kind = WALK_END;
    memset(&l->result.slice, 0, sizeof l->result.slice);
    buf_clear(&l->result.out);
    if (l->is_over)
        return;
    if (!w->is_open && !open_files(l))
        return;
    if (!w->stored) {
        step_frames(l);
        return;
    }
    err = stored_next(w->stored, &l->result);
    if (err < 0) {
        l->result.kind = WALK_FAILED;
        l->result.err = err;
    } else if (l->result.kind == WALK_END) {
        finish(l);
    }
}

/* Everything of this lane that lies before what it tells next was told. */
static uint64_t reach_of(const struct lane *l)
{
    if (l->frame)
        return l->result.slice.last_seq ? l->result.slice.last_seq : l->reach;
    return l->files ? archive_walk_reach(l->files) : 0;
}

static void work_step(uv_work_t *req)
{
    struct lane *l = LINK_OF(req, struct lane, req);

    step_lane(l);
    l->next_reach = reach_of(l);
}

/* ---- the loop's side ---- */

static int any_busy(const struct walk *w)
{
    return w->lanes[0].busy || w->lanes[1].busy;
}

static void work_close(uv_work_t *req)
{
    struct walk *w = LINK_OF(req, struct lane, req)->walk;

    for (int i = 0; i < WALK_LANES_MAX; i++)
        archive_walk_close(&w->lanes[i].files);
    stored_close(&w->stored);
}

static void free_walk(struct walk *w)
{
    CHECK(!any_busy(w) && !w->stored);
    for (int i = 0; i < WALK_LANES_MAX; i++) {
        CHECK(!w->lanes[i].files);
        frame_unref(&w->lanes[i].frame);
        buf_release(&w->lanes[i].result.out);
    }
    sieve_unref(&w->o.shape.sieve);
    free(w);
}

static void on_closed(uv_work_t *req, int status)
{
    struct lane *l = LINK_OF(req, struct lane, req);

    l->busy = 0;
    free_walk(l->walk);
}

static void close_files(struct walk *w)
{
    if (!w->lanes[0].files && !w->lanes[1].files && !w->stored) {
        free_walk(w);
        return;
    }
    w->lanes[0].busy = 1;
    CHECK(uv_queue_work(w->loop, &w->lanes[0].req, work_close, on_closed) == 0);
}

/* Where in the log what a lane tells stands; UINT64_MAX (backward: 0): behind everything. */
static uint64_t place_of(const struct walk *w, const struct lane *l)
{
    const struct walk_result *res = &l->result;

    switch (res->kind) {
    case WALK_SLICE:
        return res->slice.last_seq;
    case WALK_LOST:
        return w->o.backward ? res->lost_to : res->lost_from;
    case WALK_END:
    case WALK_FAILED:
        break;
    }
    return w->o.backward ? 0 : UINT64_MAX;
}

/* Could other still tell something that comes before what l tells? */
static int must_wait(const struct walk *w, const struct lane *l, const struct lane *other)
{
    uint64_t place = place_of(w, l), its = other->is_told ? place_of(w, other) : other->reach;

    if (other->is_told && l->result.kind == WALK_END)
        return other->result.kind != WALK_END || other < l; /* lane 0's end says what was covered */
    if (other->is_told)
        return w->o.backward ? its > place : its < place;
    if (l->result.kind == WALK_END)
        return 1;
    if (l->result.kind == WALK_LOST) /* of what is lost the other may be about to tell, too */
        return w->o.backward ? its > place + 1 : its + 1 < place;
    return w->o.backward ? its > place : its < place;
}

static struct lane *pick(struct walk *w)
{
    for (uint32_t i = 0; i < w->lane_count; i++) {
        struct lane *l = &w->lanes[i];
        int waits = 0;

        if (!l->is_told)
            continue;
        if (l->result.kind == WALK_FAILED || (l->result.kind == WALK_SLICE && !l->result.slice.last_seq))
            return l;
        for (uint32_t k = 0; k < w->lane_count; k++)
            waits |= k != i && must_wait(w, l, &w->lanes[k]);
        if (!waits)
            return l;
    }
    return NULL;
}

static void on_stepped(uv_work_t *req, int status);

static struct lane *other_of(struct lane *l)
{
    return &l->walk->lanes[l == &l->walk->lanes[0]];
}

static void start(struct lane *l)
{
    l->busy = l->is_started = 1;
    l->is_told = 0;
    __atomic_store_n(&l->hurry, other_of(l)->is_told, __ATOMIC_RELAXED);
    CHECK(uv_queue_work(l->walk->loop, &l->req, work_step, on_stepped) == 0);
}

/* Is there something to be given? Then it is given. */
static int give(struct walk *w)
{
    w->given = pick(w);
    if (w->given)
        w->is_wanted = 0;
    return w->given != NULL;
}

static void on_stepped(uv_work_t *req, int status)
{
    struct lane *l = LINK_OF(req, struct lane, req);
    struct walk *w = l->walk;

    CHECK(l->busy);
    l->busy = 0;
    l->is_told = 1;
    l->reach = l->next_reach;
    __atomic_store_n(&other_of(l)->hurry, 1, __ATOMIC_RELAXED);
    if (!w->stepped) {
        if (!any_busy(w))
            close_files(w);
        return;
    }
    if (w->lane_count > 1 && !w->lanes[1].is_started) {
        if (w->lanes[1].files)
            start(&w->lanes[1]);
        else
            w->lane_count = 1; /* there was nothing to open */
    }
    if (w->is_wanted && give(w))
        w->stepped(w->user);
}

void walk_open(uv_loop_t *loop, const struct walk_options *o, void (*stepped)(void *user),
               void *user, struct walk **ret_walk)
{
    struct walk *w = must_calloc(1, sizeof *w);

    w->loop = loop;
    w->o = *o;
    w->o.shape.sieve = sieve_ref(o->shape.sieve);
    w->stepped = stepped;
    w->user = user;
    w->lane_count = o->lanes > 1 ? WALK_LANES_MAX : 1;
    for (int i = 0; i < WALK_LANES_MAX; i++) {
        w->lanes[i].walk = w;
        w->lanes[i].reach = o->backward ? UINT64_MAX : 0;
        buf_init(&w->lanes[i].result.out, 0);
    }
    *ret_walk = w;
}

int walk_step(struct walk *w, uint64_t records_max)
{
    struct lane *l = w->given ? w->given : &w->lanes[0];

    CHECK(!l->busy && w->stepped && !w->is_wanted && (!records_max || w->lane_count == 1));
    l->records_max = records_max; /* the other lane's worker may be reading its own */
    w->is_wanted = 1;
    w->given = NULL;
    start(l);
    return give(w);
}

struct walk_result *walk_result(struct walk *w)
{
    CHECK(w->given && !w->given->busy);
    return &w->given->result;
}

int walk_busy(const struct walk *w)
{
    return any_busy(w);
}

void walk_close(struct walk **wp)
{
    struct walk *w = *wp;

    *wp = NULL;
    if (!w)
        return;
    w->stepped = NULL;
    __atomic_store_n(&w->cancel, 1, __ATOMIC_RELAXED);
    if (!any_busy(w))
        close_files(w);
}

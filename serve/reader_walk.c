/*
 * serve/reader_walk.c -- archive walks in steps on worker threads.
 *
 *     loop:   walk_step ------------------.            .-- stepped(): take the result, step again
 *     worker:                 work_step --+--> result -'
 *
 * Closing is two steps: the owner is detached at once; the files are closed by a last worker step.
 */
#include "serve/reader_int.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/link.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    uv_work_t req;
    uv_loop_t *loop;
    struct walk_options o;
    void (*stepped)(void *user); /* NULL: detached */
    void *user;
    int busy;
    int cancel; /* __atomic: set by the loop, read by the worker */
    uint64_t records_max;
    /* the worker's, or the loop's while idle */
    int is_open, is_over;
    uint64_t covered_from, covered_to; /* what the archive holds of from..to */
    struct archive_walk *files;
    struct stored *stored;
    struct frame *frame;
    struct shape_walk at;
    struct walk_result result;
};

static int is_cancelled(const struct walk *w)
{
    return __atomic_load_n(&w->cancel, __ATOMIC_RELAXED);
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

static int lost(struct walk *w, uint64_t from, uint64_t to, int err)
{
    w->result.kind = WALK_LOST;
    w->result.lost_from = from > w->o.from ? from : w->o.from;
    w->result.lost_to = to < w->o.to ? to : w->o.to;
    w->result.err = err;
    return w->result.lost_from <= w->result.lost_to;
}

/* 1: go on; 0: the result is there. */
static int open_files(struct walk *w)
{
    size_t literal_len;
    const char *literal = sieve_literal(w->o.shape.sieve, &literal_len);
    int err = find_cover(w);

    w->result.lost_from = w->o.from;
    if (err <= 0) {
        w->result.kind = err < 0 ? WALK_FAILED : WALK_END;
        w->result.err = err;
        w->is_over = err == 0;
        return 0;
    }
    if (w->o.backward &&
        w->covered_to < w->o.to) { /* the newest asked for is not here: ask Redis again */
        w->result.kind = WALK_END;
        w->result.lost_from = w->covered_to + 1;
        w->is_over = 1;
        return 0;
    }
    if (w->o.stored) {
        struct walk_options o = w->o;

        o.from = w->covered_from;
        o.to = w->covered_to;
        err = stored_open(&o, &w->stored);
    } else {
        err = archive_walk_open(w->o.archive, &w->o.key, w->covered_from, w->covered_to,
                                w->o.backward, w->o.shape.sieve ? &w->o.shape.sieve->filter : NULL,
                                literal, literal_len, &w->files);
    }
    if (err < 0) {
        w->result.kind = WALK_FAILED;
        w->result.err = err;
        return 0;
    }
    w->is_open = 1;
    if (!w->o.backward && w->covered_from > w->o.from)
        return !lost(w, w->o.from, w->covered_from - 1, ERR_NOT_FOUND);
    return 1;
}

static void finish(struct walk *w)
{
    w->is_over = 1;
    if (w->o.backward && w->covered_from > w->o.from) {
        lost(w, w->o.from, w->covered_from - 1, ERR_NOT_FOUND);
        return;
    }
    w->result.kind = WALK_END;
    w->result.slice.last_seq = w->o.backward ? w->covered_from : w->covered_to;
}

/* Take the next frame of the files. 1: go on; 0: the result is there. */
static int next_frame(struct walk *w)
{
    uint64_t from = 0, to = 0;
    int err = archive_walk_next(w->files, &w->frame, &from, &to);

    if (err == 1) {
        if (shape_may_match(&w->o.shape, w->frame))
            shape_start(&w->at, w->frame, w->covered_from, w->covered_to, w->o.backward);
        else
            frame_unref(&w->frame);
        return 1;
    }
    if (err == 0) {
        finish(w);
        return 0;
    }
    if (err == ERR_CORRUPT || err == ERR_NOT_FOUND)
        return !lost(w, from, to, err);
    w->result.kind = WALK_FAILED;
    w->result.err = err;
    return 0;
}

static void step_frames(struct walk *w)
{
    struct walk_result *res = &w->result;
    int64_t until_us = clock_mono_us() + READER_STEP_US;

    while (!is_cancelled(w)) {
        uint64_t reached = res->slice.last_seq;
        int more;

        if (!w->frame) {
            if (!next_frame(w))
                return;
            continue;
        }
        more = shape_step(&w->o.shape, w->frame, &w->at, w->records_max, w->o.slice_bytes,
                          &res->out, &res->slice);
        if (more == ERR_CORRUPT) { /* checksum right, text wrong: we wrote it so */
            lost(w, w->frame->first_seq, frame_last_seq(w->frame), ERR_CORRUPT);
            buf_clear(&res->out);
            frame_unref(&w->frame);
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
            frame_unref(&w->frame);
        if (res->slice.records || clock_mono_us() > until_us)
            break;
    }
    res->kind = WALK_SLICE;
}

static void work_step(uv_work_t *req)
{
    struct walk *w = LINK_OF(req, struct walk, req);
    int err;

    w->result.kind = WALK_END;
    memset(&w->result.slice, 0, sizeof w->result.slice);
    buf_clear(&w->result.out);
    if (w->is_over)
        return;
    if (!w->is_open && !open_files(w))
        return;
    if (!w->stored) {
        step_frames(w);
        return;
    }
    err = stored_next(w->stored, &w->result);
    if (err < 0) {
        w->result.kind = WALK_FAILED;
        w->result.err = err;
    } else if (w->result.kind == WALK_END) {
        finish(w);
    }
}

static void work_close(uv_work_t *req)
{
    struct walk *w = LINK_OF(req, struct walk, req);

    archive_walk_close(&w->files);
    stored_close(&w->stored);
}

static void free_walk(struct walk *w)
{
    CHECK(!w->busy && !w->files && !w->stored);
    frame_unref(&w->frame);
    sieve_unref(&w->o.shape.sieve);
    buf_release(&w->result.out);
    free(w);
}

static void on_closed(uv_work_t *req, int status)
{
    struct walk *w = LINK_OF(req, struct walk, req);

    w->busy = 0;
    free_walk(w);
}

static void close_files(struct walk *w)
{
    if (!w->files && !w->stored) {
        free_walk(w);
        return;
    }
    w->busy = 1;
    CHECK(uv_queue_work(w->loop, &w->req, work_close, on_closed) == 0);
}

static void on_stepped(uv_work_t *req, int status)
{
    struct walk *w = LINK_OF(req, struct walk, req);

    CHECK(w->busy);
    w->busy = 0;
    if (w->stepped)
        w->stepped(w->user);
    else
        close_files(w);
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
    buf_init(&w->result.out, 0);
    *ret_walk = w;
}

void walk_step(struct walk *w, uint64_t records_max)
{
    CHECK(!w->busy && w->stepped);
    w->records_max = records_max;
    w->busy = 1;
    CHECK(uv_queue_work(w->loop, &w->req, work_step, on_stepped) == 0);
}

struct walk_result *walk_result(struct walk *w)
{
    CHECK(!w->busy);
    return &w->result;
}

int walk_busy(const struct walk *w)
{
    return w->busy;
}

void walk_close(struct walk **wp)
{
    struct walk *w = *wp;

    *wp = NULL;
    if (!w)
        return;
    w->stepped = NULL;
    __atomic_store_n(&w->cancel, 1, __ATOMIC_RELAXED);
    if (!w->busy)
        close_files(w);
}

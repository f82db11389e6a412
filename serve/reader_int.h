/*
 * serve/reader_int.h -- what a reader is made of: its slot, and its archive side on worker threads.
 *
 * A walk belongs to its reader while idle and to a worker thread during a step. The reader may let
 * go of it at any time: what is under way ends, then the walk frees itself.
 */
#ifndef SERVE_READER_INT_H
#define SERVE_READER_INT_H

#include "serve/link.h"
#include "serve/reader.h"
#include "storage/archive.h"

enum walk_kind {
    WALK_SLICE, /* out and slice; a slice without records only says how far the step came */
    WALK_LOST,  /* lost_from..lost_to, err */
    /* The archive has nothing more within the bounds; slice.last_seq: how far it reached, 0:
     * nowhere. Backward and nowhere: from lost_from on it has nothing. */
    WALK_END,
    WALK_FAILED, /* err */
};

struct walk_result {
    enum walk_kind kind;
    struct buf out;
    struct shape_slice slice;
    uint64_t lost_from, lost_to;
    int err;
};

struct walk_options {
    const struct archive *archive;
    struct job_key key;
    uint64_t from, to; /* inclusive */
    int backward;
    struct shape shape;
    size_t slice_bytes;
    int stored;
};

struct walk;
void walk_open(uv_loop_t *loop, const struct walk_options *o, void (*stepped)(void *user),
               void *user, struct walk **ret_walk);
/* Start a step; stepped() follows and walk_result() holds what it gave. */
void walk_step(struct walk *w, uint64_t records_max);
struct walk_result *walk_result(struct walk *w);
int walk_busy(const struct walk *w);
void walk_close(struct walk **w);

/* ---- stored frames (reader_stored.c), worker threads only ---- */
struct stored;
int stored_open(const struct walk_options *o, struct stored **ret_stored);
/* As walk_result; 1 or ERR_*. */
int stored_next(struct stored *s, struct walk_result *ret);
void stored_close(struct stored **s);

/* ---- slots (reader_slots.c): who may hold frames ---- */

struct slot;
struct slot_ops {
    void (*granted)(struct slot *s);      /* its turn has come: take and go on */
    int (*is_idle)(const struct slot *s); /* nothing is under way and nobody waits for it */
    void (*robbed)(struct slot *s);       /* let go of everything and give the slot up */
};

struct slot {
    struct readers *rs;
    const struct slot_ops *ops;
    struct link place; /* in line, holding or neither */
    int urgent, holds;
    uint64_t used_us; /* loop time of the last use */
    uint64_t held_us; /* loop time since which it is held */
};

void slot__init(struct slot *s, struct readers *rs, int urgent, const struct slot_ops *ops);
/* 1: it is held. 0: it stands in line, granted() follows. */
int slot__take(struct slot *s);
void slot__give_up(struct slot *s);
int slot__is_waiting(const struct slot *s);
void slot__note_use(struct slot *s);
/* Others wait and it had its time. */
int slot__is_turn_over(const struct slot *s);
/* At the end of the line; after its first turn it is not urgent. */
void slot__line_up(struct slot *s);
/* Give the free slots to those in line. */
void slots__serve(struct readers *rs);
struct reader_stats *readers__stats(struct readers *rs);
/* A reader is freed; the last one after readers_free() frees rs. */
void readers__note_gone(struct readers *rs);

#endif

/*
 * serve/reader_int.h -- what a reader is made of: its slot, and its archive side on worker threads.
 *
 * A walk belongs to its reader while idle and to a worker thread during a step. The reader may let
 * go of it at any time: what is under way ends, then the walk frees itself.
 */
#ifndef SERVE_READER_INT_H
#define SERVE_READER_INT_H

#include "base/link.h"
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
    int lanes; /* 2: two workers share it; then records_max of a step is 0 */
};

#define WALK_LANES_MAX 2
struct walk;
void walk_open(uv_loop_t *loop, const struct walk_options *o, void (*stepped)(void *user),
               void *user, struct walk **ret_walk);
/* Start a step. 1: walk_result() holds what it gave; 0: stepped() says so later. */
int walk_step(struct walk *w, uint64_t records_max);
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
    void (*ready)(struct slot *s);        /* slot__ready() was called, in an earlier turn of the loop */
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
/* It needs no slot: ready() comes when the loop has turned and those before it had theirs. Until then it waits. */
void slot__ready(struct slot *s);
/* Others wait and it had its time. */
int slot__is_turn_over(const struct slot *s);
/* At the end of the line; after its first turn it is not urgent. */
void slot__line_up(struct slot *s);
unsigned slots__held(const struct readers *rs);
/* Give the free slots to those in line. */
void slots__serve(struct readers *rs);
struct reader_stats *readers__stats(struct readers *rs);
struct shelves *readers__shelves(struct readers *rs);
struct run *readers__run(struct readers *rs); /* scratch of the reader at work */
/* A reader is freed; the last one after readers_free() frees rs. */
void readers__note_gone(struct readers *rs);

/* ---- shelves (reader_shelf.c): frames of Redis that several readers of a job go over ---- */

struct shelf;
struct shelves;
struct shelves *shelves_new(void);
void shelves_free(struct shelves **all);
/* That of the job and epoch; a count of its readers is kept. */
struct shelf *shelf_open(struct shelves *all, const struct job_key *key, uint64_t epoch);
void shelf_close(struct shelf **s);
/* The frame with record seq, borrowed until the next shelf_put(); NULL: it is not here. */
struct frame *shelf_find(struct shelf *s, uint64_t seq);
/* What a read gave, by seq; takes references. What was put on any shelf first makes room. */
void shelf_put(struct shelf *s, struct frame *const *frames, uint32_t count);
uint64_t shelf_read_records(const struct shelf *s); /* of the last read: about what the next one will bring */
uint32_t shelf_want_frames(const struct shelf *s);  /* to be asked for */
/* Lists of its readers, for these: those whose reads are under way, and those that wait for one of them. */
struct link *shelf_reading(struct shelf *s);
struct link *shelf_waiting(struct shelf *s);

#endif

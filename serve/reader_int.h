/*
 * serve/reader_int.h -- the archive side of a reader: steps that run on worker threads.
 *
 * A walk belongs to its reader while idle and to a worker thread during a step. The reader may let go of
 * it at any time: what is under way ends, then the walk frees itself.
 */
#ifndef SERVE_READER_INT_H
#define SERVE_READER_INT_H

#include "serve/reader.h"
#include "storage/archive.h"

enum walk_kind {
    WALK_SLICE,     /* out and slice; a slice without records only says how far the step came */
    WALK_LOST,      /* lost_from..lost_to, err */
    WALK_END,       /* the archive has nothing more within the bounds; slice.last_seq: how far it reached, 0: nowhere.
                     * Backward and nowhere: from lost_from on it has nothing */
    WALK_FAILED,    /* err */
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
void walk_open(uv_loop_t *loop, const struct walk_options *o, void (*stepped)(void *user), void *user, struct walk **ret_walk);
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

#endif

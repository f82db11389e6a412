/*
 * serve/shape.h -- from a frame to the bytes a reader gets: pure, any thread.
 *
 * A shape says which records and in what form; shape_step() walks one frame in slices, so that no
 * step makes much more than bytes_max, whatever the frame's size.
 *
 *     TEXT    msg + '\n' of lines; the parts of a split line are joined when nothing is filtered
 *     NDJSON  canonical lines
 *     ARRAY   canonical records with ',' between, also to what out held before
 *     COUNT   nothing: only counted
 *     HITS    a struct shape_hit of every line the filter finds: no state changes or gaps that it lets pass
 *     BASETEN log lines of the Baseten view (serve/baseten_line.h) with ',' between, also to what out held
 *             before
 */
#ifndef SERVE_SHAPE_H
#define SERVE_SHAPE_H

#include "job/frame.h"
#include "serve/sieve.h"

enum shape_kind { SHAPE_TEXT, SHAPE_NDJSON, SHAPE_ARRAY, SHAPE_COUNT, SHAPE_HITS, SHAPE_BASETEN };

/* What a search keeps of a line. */
struct shape_hit {
    uint64_t seq;
    int64_t ts_us;
    int32_t rank; /* RECORD_RANK_NONE: none */
    uint32_t level;
};

struct shape {
    enum shape_kind kind;
    struct sieve *sieve; /* borrowed; NULL: all records */
    int skip_states;     /* state changes are left out */
    int split_states;    /* a state change comes in a slice of its own, as its canonical line */
};

/* Where a walk over one frame is. */
struct shape_walk {
    uint64_t from, to; /* records wanted, inclusive */
    int backward;
    size_t pos; /* in the frame's text: next byte, or end of the next line when backward */
    int is_plain; /* no state change lies after pos */
};

struct shape_slice {
    uint64_t records;   /* given */
    uint64_t last_seq;  /* last record looked at, given or not; 0: none */
    uint64_t given_seq; /* last record given; 0: none */
    int is_state;       /* the slice is one state change */
};

void shape_start(struct shape_walk *w, const struct frame *f, uint64_t from, uint64_t to,
                 int backward);
/* Append the next slice to out: at most records_max records (0: no limit), about bytes_max bytes
 * but at least one record. 1: the frame has more; 0: done with it. ERR_CORRUPT (a lost frame too),
 * ERR_NOMEM, ERR_TOO_BIG. */
int shape_step(const struct shape *s, const struct frame *f, struct shape_walk *w,
               uint64_t records_max, size_t bytes_max, struct buf *out, struct shape_slice *ret);
/* False when nothing of the frame can be given. True of a lost frame: a loss passes every filter. */
int shape_may_match(const struct shape *s, const struct frame *f);

#endif

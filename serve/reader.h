/*
 * serve/reader.h -- one walk over a job's records, wherever they lie: Redis, the archive, or both.
 *
 *      1 ......... archived_upto ........ tail_seq
 *      [ segments        ]
 *               [ Redis: first_held ..... ]
 *
 * Redis is asked first; what it no longer holds is read from the archive on worker threads, one
 * slice ahead.
 * When records were trimmed in between the reader goes back to the archive; a range that is
 * nowhere is reported lost, never passed over.
 *
 * Pull interface: reader_next() gives an item, or 0 and wake() is called later, once.
 * Promises   Slices come in order of the walk and cover every record in (after, upto], each once.
 *            wake() comes from the loop, never from inside reader_* calls of that reader.
 * Memory     READER_SLOTS_MAX readers hold frames at a time (each about 2 MiB, one that is read by two workers twice
 *            that); the others wait in line. When others wait, one that held a slot for READER_TURN_US lines up again, and
 *            one whose consumer takes nothing for READER_IDLE_US gives its frames up and reads
 *            them again later. Readers of whole frames hold none between calls: these lie on shelves
 *            of READER_SHELF_BYTES_MAX, however many readers there are.
 * Threads    The loop thread.
 */
#ifndef SERVE_READER_H
#define SERVE_READER_H

#include "job/id.h"
#include "serve/run.h"
#include "serve/ctx.h"
#include "serve/shape.h"

#define READER_SLOTS_MAX 16
#define READER_IDLE_US 50000
#define READER_TURN_US 200000 /* a slot is given up after this when others wait */
#define READER_REDIS_FRAMES 4 /* asked of Redis at a time */
#define READER_STEP_US 20000  /* a worker step without output returns after this */
#define READER_SLICE_BYTES (256 * 1024)
#define READER_LANES_RECORDS_MIN 20000 /* an urgent read of more goes through the archive on two workers */
#define READER_LANES_SOUGHT_MAX 20000000 /* and of no more when words are looked for, which the index knows */
#define READER_LANES_HELD_MAX 4        /* unless more than so many hold frames */
#define READER_SHELF_BYTES_MAX (8 * 1024 * 1024)  /* of text on all shelves (reader_shelf.c), and as much again in messages */
#define READER_SHELF_READ_BYTES (1024 * 1024)     /* aim of a read for the shelf */

struct reader_options {
    struct job_key key;
    uint64_t epoch; /* of the cursor; 0: any */
    uint64_t after,
        upto; /* after < seq <= upto; UINT64_MAX: what is held when the reader gets there */
    int backward;
    struct shape shape;   /* its sieve gets a reference */
    uint64_t records_max; /* stop after that many were given; 0: no limit */
    size_t slice_bytes;   /* 0: READER_SLICE_BYTES */
    int urgent;           /* somebody waits for a short answer: first in line */
    int lanes;            /* workers in the archive: 1, 2; 0: as many as are worth it */
    int stored;           /* forward, unfiltered NDJSON only: slices are zstd frames */
    int whole;            /* forward, unfiltered, of one epoch: what Redis holds comes as runs of frames, shared with others */
};

enum reader_kind { READER_SLICE, READER_RUN, READER_LOST, READER_END, READER_FAILED };

struct reader_item {
    enum reader_kind kind;
    const char *data; /* SLICE: borrowed until the next call on the reader; len 0 with COUNT */
    size_t len;
    struct shape_slice slice;
    const struct run *run; /* RUN: borrowed, with its frames, until the next call on any reader */
    uint64_t lost_from, lost_to; /* LOST */
    int err; /* LOST: ERR_CORRUPT or ERR_NOT_FOUND. FAILED: ERR_RESET, ERR_NOT_FOUND (job gone), or
                  * ERR_UNAVAILABLE and the like: calling again tries again */
    int limited; /* END because of records_max */
};

struct reader;
void reader_open(struct serve_ctx *ctx, const struct reader_options *o, void (*wake)(void *user),
                 void *user, struct reader **ret_reader);
/* 1: *ret_item. 0: nothing yet, wake() follows. */
int reader_next(struct reader *r, struct reader_item *ret_item);
/* Forward: everything up to this record was given or reported. Backward: everything from this one
 * on. */
uint64_t reader_position(const struct reader *r);
uint64_t reader_epoch(const struct reader *r); /* 0 until Redis has answered */
/* No wake() after this. Takes and NULLs; NULL is fine. */
void reader_close(struct reader **r);

struct reader_stats {
    uint64_t open, holding, waiting; /* now */
    uint64_t opened, redis_reads, archive_steps, stolen, lost_ranges;
};
void reader_stats(const struct serve_ctx *ctx, struct reader_stats *ret);

struct readers *readers_new(uv_loop_t *loop);
void readers_free(struct readers **rs);

#endif

/*
 * serve/run.h -- frames in a row that leave as one message.
 *
 * Those who follow a job unfiltered are to be sent the same messages, each built once, wherever they began. So a run ends
 * not only when it is long enough, but also on a grid of sequence numbers that all share:
 *
 *     frames   [..][..][..][..][..][..][..][..][..]
 *     grid     |           |           |           |       about RUN_CELL_BYTES apart
 *     a        =============xxxxxxxxxxxx============       began at a line of it
 *     b              ======xxxxxxxxxxxx============        began between two: the same from its second message on
 */
#ifndef SERVE_RUN_H
#define SERVE_RUN_H

#include "job/frame.h"

#define RUN_FRAMES_MAX 256
#define RUN_BYTES_MAX (63 * 1024)  /* unless it is one frame: with head and tail it is one write of http/ */
#define RUN_CELL_BYTES (56 * 1024)

struct run {
    struct frame *frames[RUN_FRAMES_MAX]; /* borrowed */
    unsigned count;
    size_t bytes;
    uint64_t last_seq; /* of the last frame; before the first: where the follower stands */
    uint64_t stop_seq; /* a frame that begins after it is the next run's */
};

/* Empty, for one who has every record up to after. */
void run_start(struct run *run, uint64_t after);
/* 1: f follows and is the run's. 0: the run ends before it; an empty one: f can be in none (a state change, lost records,
 * or the follower stands inside it). */
int run_add(struct run *run, struct frame *f);

#endif

/*
 * stream/hub_ring.h -- the last frames of one job, each following the one before it.
 *
 *     start                                   end
 *       |[481-500][501-512][513-600]...[900-912]|     a cursor in [start, end) finds its frame
 */
#ifndef STREAM_HUB_RING_H
#define STREAM_HUB_RING_H

#include "job/frame.h"

struct hub_ring {
    struct frame **frames; /* circular, cap a power of two */
    uint32_t head, count, cap;
    uint64_t bytes;
    uint64_t end; /* last seq; every frame follows the one before it and the last one ends here */
};
/* Its text and our bookkeeping. */
uint64_t hub_ring__cost(const struct frame *f);
struct frame *hub_ring__at(const struct hub_ring *r, uint32_t i);
/* Takes a reference. f->first_seq is end + 1 (CHECKed). */
void hub_ring__push(struct hub_ring *r, struct frame *f);
/* Take the oldest out; the caller owns the reference. NULL when empty. */
struct frame *hub_ring__shift(struct hub_ring *r);
/* The first frame with a record after seq, which lies in [start, end). */
struct frame *hub_ring__find(const struct hub_ring *r, uint64_t seq);
/* A cursor below this has fallen off. */
uint64_t hub_ring__start(const struct hub_ring *r);
void hub_ring__release(struct hub_ring *r);

#endif

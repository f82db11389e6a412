/*
 * stream/hub_ring.c -- the ring of one job: its last frames, each following the one before; and the caps over all rings.
 */
#include "stream/hub_int.h"

#include "base/check.h"

#include <stdlib.h>

uint64_t hub_ring__cost(const struct frame *f)
{
    return sizeof(*f) + f->text_bytes;
}

struct frame *hub_ring__at(const struct hub_ring *r, uint32_t i)
{
    return r->frames[(r->head + i) & (r->cap - 1)];
}

static void grow(struct hub_ring *r)
{
    uint32_t cap = r->cap ? r->cap * 2 : 16;
    struct frame **frames = must_malloc(cap * sizeof(*frames));
    for (uint32_t i = 0; i < r->count; i++)
        frames[i] = hub_ring__at(r, i);
    free(r->frames);
    r->frames = frames;
    r->cap = cap;
    r->head = 0;
}

void hub_ring__push(struct hub_ring *r, struct frame *f)
{
    CHECKF(f->sum.count > 0 && f->first_seq == r->end + 1, "first=%llu end=%llu", (unsigned long long)f->first_seq,
           (unsigned long long)r->end);
    if (r->count == r->cap)
        grow(r);
    r->frames[(r->head + r->count) & (r->cap - 1)] = frame_ref(f);
    r->count++;
    r->bytes += hub_ring__cost(f);
    r->end = frame_last_seq(f);
}

struct frame *hub_ring__shift(struct hub_ring *r)
{
    if (!r->count)
        return NULL;
    struct frame *f = r->frames[r->head];
    r->head = (r->head + 1) & (r->cap - 1);
    r->count--;
    r->bytes -= hub_ring__cost(f);
    return f;
}

uint64_t hub_ring__start(const struct hub_ring *r)
{
    return r->count ? hub_ring__at(r, 0)->first_seq - 1 : r->end;
}

struct frame *hub_ring__find(const struct hub_ring *r, uint64_t seq)
{
    CHECK(seq >= hub_ring__start(r) && seq < r->end);
    uint32_t lo = 0, hi = r->count - 1; /* the first frame with last > seq */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (frame_last_seq(hub_ring__at(r, mid)) > seq)
            hi = mid;
        else
            lo = mid + 1;
    }
    return hub_ring__at(r, lo);
}

void hub_ring__release(struct hub_ring *r)
{
    for (struct frame *f; (f = hub_ring__shift(r)) != NULL;)
        frame_unref(&f);
    free(r->frames);
    *r = (struct hub_ring){0};
}

/* ---- the ring and the caps ---- */

void hub__evict(struct hub *hub, struct hub_job *job)
{
    uint64_t before = job->ring.bytes;
    struct frame *f = hub_ring__shift(&job->ring);
    hub->stats.ring_bytes -= before - job->ring.bytes;
    hub__trash_frame(hub, &f);
}

void hub__clear_ring(struct hub_job *job, uint64_t end)
{
    while (job->ring.count)
        hub__evict(job->hub, job);
    job->ring.end = end;
    job->ring_number++;
    job->mark = (struct hub_mark){0};
    job->verify = 0;
}

static uint64_t ring_limit(const struct hub *hub)
{
    uint64_t limit = HUB_TOTAL_BYTES_MAX / map_count(hub->jobs);
    if (limit > HUB_RING_BYTES)
        limit = HUB_RING_BYTES;
    return limit < HUB_RING_BYTES_MIN ? HUB_RING_BYTES_MIN : limit;
}

/* Over the node's cap: the others shrink to their share, then give up all that they hold (their subscribers
 * are at the end, or read history). An eighth more than needed, so that it is not done for each frame. */
static void shrink_others(struct hub *hub, const struct hub_job *keep)
{
    uint64_t limit = ring_limit(hub);
    for (int pass = 0; pass < 2; pass++) {
        for (struct link *l = hub->polls.next; l != &hub->polls; l = l->next) {
            struct hub_job *job = LINK_OF(l, struct hub_job, polls);
            if (hub->stats.ring_bytes <= HUB_TOTAL_BYTES_MAX / 8 * 7)
                return;
            while (job != keep && job->ring.count && (pass || job->ring.bytes > limit))
                hub__evict(hub, job);
        }
    }
}

void hub__push(struct hub_job *job, struct frame *f)
{
    struct hub *hub = job->hub;
    uint64_t limit = ring_limit(hub);
    hub_ring__push(&job->ring, f);
    hub__mark(&job->mark, f);
    hub->stats.ring_bytes += hub_ring__cost(f);
    hub->stats.frames++;
    while (job->ring.bytes > limit && job->ring.count > 2)
        hub__evict(hub, job);
    if (hub->stats.ring_bytes > HUB_TOTAL_BYTES_MAX)
        shrink_others(hub, job);
    if (job->tail < job->ring.end)
        job->tail = job->ring.end;
    if (job->sure < job->ring.end)
        job->sure = job->ring.end;
    if (job->info->seq < job->ring.end)
        job->info->seq = job->ring.end;
    job->info_dirty = 1;
    if (f->sum.is_state)
        hub__want_load(job);
    hub__wake_all(job);
}

/*
 * stream/place.h -- places in a job's log by the time records were received, in what Redis holds.
 *
 * Times: frame_recv_span_us() in job/frame.h. A look costs a few steps of halving, not a walk.
 * Not here   The archived part, and both joined: serve/moment.h.
 */
#ifndef STREAM_PLACE_H
#define STREAM_PLACE_H

#include "stream/stream.h"

#define STREAM_PLACES_MAX 4

/* One question. seq != 0: which frame holds this record? Else: the last frame received at us or before. */
struct stream_place_ask {
    uint64_t seq;
    int64_t us;
};
/* Its answer; first 0: Redis holds none such. */
struct stream_place {
    uint64_t first;
    uint32_t count;
    int64_t recv_us;
};
struct stream_places {
    uint64_t epoch, seq; /* of the job */
    uint64_t first_held; /* seq + 1 when none */
    struct stream_place at[STREAM_PLACES_MAX];
};
/* p is NULL with an error. ERR_NOT_FOUND. */
typedef void stream_places_fn(void *user, int err, const struct stream_places *p);
/* count <= STREAM_PLACES_MAX. close_ms: what is appended after this is received in a later millisecond
 * than every record up to p->seq: the last millisecond can be handed out whole. */
void stream_find_places(struct stream *st, const struct job_key *key, int close_ms,
                        const struct stream_place_ask *asks, uint32_t count, stream_places_fn *done,
                        void *user);

#endif

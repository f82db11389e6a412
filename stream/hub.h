/*
 * stream/hub.h -- one ring of recent frames per followed job, shared by all who follow it.
 *
 *            ring of job J            subscriber = cursor + wake callback
 *     [481-500][501-512][513-600] ..  a: at 600 (caught up)   b: at 500   c: at 120 -> ERR_LAGGED
 *
 * A subscriber is not a queue: it pulls frames from its cursor at its own pace. One that is older than
 * the ring gets ERR_LAGGED and reads history (serve/reader.h), then joins again.
 * The node that appended a frame offers it here directly; the hub takes it when it is the next one,
 * else it asks Redis (doorbell by SUBSCRIBE, a 1 s poll as the safety net). Redis is the truth.
 *
 * Promises   Frames come in order, without holes within an epoch; ERR_RESET once when the epoch changed or the job was deleted;
 *            on_end state (hub_sub_ended) only after the last frame.
 *            wake() is called at most once until the subscriber has pulled to the end again (hub_sub_next
 *            gave 0), from the loop, never from inside hub_* calls of the same subscriber. A fresh subscriber
 *            counts as at its end: it is woken as soon as its job is known. All hub_* calls are allowed in it.
 * Memory     Ring of HUB_RING_BYTES of text per followed job (at least 2 frames; a shared wire message comes
 *            on top, about as large again); freed 5 s after the last subscriber left. The node-wide cap
 *            HUB_TOTAL_BYTES_MAX shrinks the rings, the quietest down to nothing.
 */
#ifndef STREAM_HUB_H
#define STREAM_HUB_H

#include "stream/stream.h"

#define HUB_RING_BYTES (2 * 1024 * 1024)
#define HUB_TOTAL_BYTES_MAX (64 * 1024 * 1024)

struct hub_sub;

struct hub_sub_ops {
    /* New frames, a progress message, an end or a reset may be there: pull. */
    void (*wake)(void *user);
    /* A redraw; text is valid only during the call. May be NULL. */
    void (*progress)(void *user, int32_t rank, const char *text, size_t len);
};

/* The hub lives inside the stream. A job that does not exist yet is allowed: the subscriber is woken when it appears. */
void hub_subscribe(struct stream *st, const struct job_key *key, uint64_t after_seq, const struct hub_sub_ops *ops, void *user,
                   struct hub_sub **ret_sub);
/* No callback after this. Takes and NULLs. */
void hub_unsubscribe(struct hub_sub **sub);
/* Redis has told this subscriber's owner that the job exists: when there is none by now, it was deleted in between, and the
 * subscriber gets ERR_RESET, as if the hub had known the job. Without this it would wait for the job to appear. */
void hub_sub_expect(struct hub_sub *sub);
/* 1: *ret_frame is next (borrowed until the loop turns; ref to keep), the cursor moves to its last record. A
 * frame may begin at or before cursor + 1: with a cursor inside a frame it comes whole, and the caller passes
 * over records with seq <= the cursor it had before the call.
 * 0: caught up with all that is known. ERR_LAGGED: the ring starts later than the cursor: read
 * history from hub_sub_cursor() to hub_sub_end(), hub_sub_seek() and pull again (no wake() meanwhile).
 * ERR_RESET: the log was lost, reset or deleted, or has no record as high as the cursor. The cursor is then 0, before the first
 * record of the log that hub_sub_info() tells of (NULL: deleted; woken when it is made again).
 * ERR_UNAVAILABLE never: it waits. */
int hub_sub_next(struct hub_sub *sub, struct frame **ret_frame);
uint64_t hub_sub_cursor(const struct hub_sub *sub);
/* The last record whose frame the hub has seen: as far as history may be read. What lies after it the hub could not
 * compare when Redis comes back with less, so a record that only the reader of history has seen could be replaced
 * by another one unnoticed. */
uint64_t hub_sub_end(const struct hub_sub *sub);
/* With its cursor at seq it would not be lagged: the ring has what follows, or seq is the last record. */
int hub_sub_holds(const struct hub_sub *sub, uint64_t seq);
/* Continue after seq (what history gave), then pull: a seek wakes nobody. */
void hub_sub_seek(struct hub_sub *sub, uint64_t after_seq);
/* What the hub knows of the job: borrowed until the loop turns, NULL while unknown or not existing. state, sealed,
 * complete, missing, lines, bytes, exit_code, seq are kept fresh: seq at once, the others by a look at Redis after
 * each state record and seal and at least once a second while lines come; exact once sealed. */
const struct job_info *hub_sub_info(const struct hub_sub *sub);
/* True when the job is sealed and the cursor is at its last record: `end` may be sent. */
int hub_sub_ended(const struct hub_sub *sub);

struct hub_stats {
    uint64_t jobs, subscribers, frames, ring_bytes, ring_misses /* lagged */, doorbells, polls, resets;
};
void hub_stats(const struct stream *st, struct hub_stats *ret);

#endif

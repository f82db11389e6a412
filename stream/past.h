/*
 * stream/past.h -- what is settled elsewhere, as the stream asks for it; and the stream after a loss in Redis.
 *
 * Part of the room's face like stream/stream.h, whose promises hold here too. How a log is mended: stream/recover.h.
 */
#ifndef STREAM_PAST_H
#define STREAM_PAST_H

#include "stream/stream.h"

/* What is settled elsewhere, as the stream asks for it: how high a job's records go, and all that is known of the job as
 * of the last of them. Answers come from the loop, never from inside the call; last_seq 0 and ERR_NOT_FOUND: nothing.
 * info is borrowed for the call; its seq is the last record settled. */
struct stream_past {
    void (*last)(void *user, const struct job_key *key, void (*done)(void *ctx, int err, uint64_t last_seq), void *ctx);
    void (*job)(void *user, const struct job_key *key, void (*done)(void *ctx, int err, const struct job_info *info),
                void *ctx);
    /* A job of this id in any project: ERR_NOT_FOUND, ERR_AMBIGUOUS. */
    void (*find)(void *user, const char *job, void (*done)(void *ctx, int err, const struct job_key *key), void *ctx);
};

/* Bring the job in line with the past: restores it when Redis holds less. ERR_NOT_FOUND: nobody knows it. */
void stream_recover(struct stream *st, const struct job_key *key, void (*done)(void *user, int err), void *user);
/* How far the logs of jobs go in Redis: seqs[i] of keys[i], UINT64_MAX when the job is not there. At most
 * STREAM_SEQS_MAX keys; they are copied. seqs borrowed, NULL on error. */
#define STREAM_SEQS_MAX 512
void stream_job_seqs(struct stream *st, const struct job_key *keys, uint32_t count,
                     void (*done)(void *user, int err, const uint64_t *seqs), void *user);
/* Which life of Redis this is: changes when it was started again, taken over or emptied, and jobs that lie in the archive
 * may be missing in it. 0 before the first look. */
uint32_t stream_redis_round(const struct stream *st);
/* False until stream_note_whole() in this round: jobs of the archive may be missing in Redis. What is asked for then and not
 * there is looked for in the past, and restored, before it is ERR_NOT_FOUND. */
int stream_is_whole(const struct stream *st);
/* All that lies in the archive was brought back in this round. A mark is left in Redis (jl:store): when it is missing
 * later Redis was emptied. */
void stream_note_whole(struct stream *st, uint32_t round);

#endif

/*
 * stream/known.h -- what this node knows of the jobs it has used: that they exist, and what their logs must hold.
 *
 *     unasked --known__ready: the past is asked--> asked --an op succeeded--> exists
 *        ^                                          |                           |
 *        '--- a new connection to Redis, the job vanished, too many jobs -------'
 *
 * floor is a record that the log is known to hold: of the archive when the past was asked, of the answers since.
 * It travels with every change (stream/script.lua): a Redis that has less has lost history, and nothing may be
 * numbered before that was mended (stream/recover.c), else one number would be given twice.
 */
#ifndef STREAM_KNOWN_H
#define STREAM_KNOWN_H

#include "job/id.h"

#include <stdint.h>

#define KNOWN_JOBS_MAX 65536 /* over it those at rest are forgotten: each costs a look at the past again */

struct stream;
struct known {
    uint64_t floor;
    uint64_t epoch; /* in which the floor was seen; 0: the archive's word, true in any */
    uint32_t round; /* connection for which the past was asked; 0: not */
    uint8_t exists; /* in Redis, with its index entries */
    uint8_t past_failed; /* the past could not be asked: the job must not be made */
    uint8_t asking;
    uint32_t noted_round; /* in which the job's hash was told the history of Redis (stream/witness.h) */
    struct known_wait *waits;
};

void known__open(struct stream *st);
void known__close(struct stream *st);
/* Redis is another one, or has been away: every job is asked for again before its next use. */
void known__new_round(struct stream *st);
/* Borrowed until the next known__ call; NULL: never used here. */
const struct known *known__find(const struct stream *st, const struct job_key *key);
/* The job is in Redis and the past was asked. */
int known__exists(const struct stream *st, const struct job_key *key);
/* Redis has answered: the job exists, and its log of this epoch holds seq (0: and what was known before). */
void known__note(struct stream *st, const struct job_key *key, uint64_t epoch, uint64_t seq);
/* The log was mended: it is this, and the past need not be asked again. */
void known__reset(struct stream *st, const struct job_key *key, uint64_t epoch, uint64_t seq);
/* The job is not there any more: floor and all are void. */
void known__forget(struct stream *st, const struct job_key *key);
/* then(arg, 0) once the past was asked, now or from the loop; ERR_CANCELLED when the stream closes first. */
typedef void known_then_fn(void *arg, int err);
void known__ready(struct stream *st, const struct job_key *key, known_then_fn *then, void *arg);

#endif

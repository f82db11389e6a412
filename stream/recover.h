/*
 * stream/recover.h -- Redis holds less of a job than it did: the log is taken up again from what is left.
 *
 *     seq given out   1 ....... 700 ....... 900 ....... 1000
 *     Redis now       1 ....... 700                            after a rollback, or nothing at all
 *     the archive     1 ................... 900
 *     mended          numbers go on at 901, 1 .. 900 are read from the archive, a new epoch
 *
 * The archive's word comes through struct stream_past; without it (or when it holds no more than Redis) only the
 * epoch changes. Either way every cursor of the lost history answers `reset`, and producers with sequence
 * numbers are asked for what is missing (`gap`). Why: docs/decisions/008-recovery.md.
 */
#ifndef STREAM_RECOVER_H
#define STREAM_RECOVER_H

#include "stream/stream.h"

/* Mend the log of key, once at a time. old_epoch: the epoch that was seen to be broken (nothing happens when it has
 * changed already and the archive holds no more); 0: only when the archive holds more. done(user, err, epoch, seq):
 * what the log is now; ERR_NOT_FOUND: neither Redis nor the archive has such a job. done may be NULL. */
typedef void recover_done_fn(void *user, int err, uint64_t epoch, uint64_t seq);
void recover__start(struct stream *st, const struct job_key *key, uint64_t old_epoch, recover_done_fn *done,
                    void *user);
void recover__open(struct stream *st);
void recover__close(struct stream *st);

#endif

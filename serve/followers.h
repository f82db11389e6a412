/*
 * serve/followers.h -- which jobs somebody follows by polling their logs, as far as this node has seen.
 *
 * A poller asks for lines, shows them, which may take it long, asks for the job's status, and is gone once that
 * is terminal. So that it has had the last line by then, the status it is told turns late: see
 * followers_may_know(). Pollers of one job cannot be told apart; those that poll every two seconds are all served.
 * Memory     A few dozen bytes for a job polled within FOLLOWERS_US; FOLLOWERS_MAX of them, then nothing more
 *            is noted (status turns at once, as for everybody else).
 */
#ifndef SERVE_FOLLOWERS_H
#define SERVE_FOLLOWERS_H

#include "job/info.h"

#define FOLLOWERS_US 30000000     /* who has not polled for so long polls no more */
#define FOLLOWERS_LAG_US 3000000  /* after the seal every poller of 2 s has polled once more */
#define FOLLOWERS_MAX 100000

struct followers;
struct followers *followers_new(void);
void followers_free(struct followers **fs);
/* The newest logs of the job were polled: all up to record seq of this epoch. */
void followers_note(struct followers *fs, const struct job_key *key, uint64_t epoch, uint64_t seq);
/* May a poller be told that the job is over? 0: it is, but the job was polled lately, and lines may have come
 * after that: no poll has reached the last record of the sealed job, or it was sealed only just. */
int followers_may_know(const struct followers *fs, const struct job_info *info, int64_t now_wall_us);

#endif

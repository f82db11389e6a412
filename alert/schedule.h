/*
 * alert/schedule.h -- what becomes of a delivery after an attempt: taken, tried again when, given up why.
 *
 *     2xx                        taken
 *     410                        the receiver wants no more: it is disabled
 *     400 413 414 415 422 431    of a body it will never take: given up after SCHEDULE_REFUSED_MAX attempts
 *     the rest, and no answer    tried again: first, ×3, ×3, … at most `most` apart, ±20 %; not before Retry-After;
 *                                given up when it has waited for retry_for
 * Pure.
 */
#ifndef ALERT_SCHEDULE_H
#define ALERT_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#define SCHEDULE_FACTOR 3
#define SCHEDULE_REFUSED_MAX 5
#define SCHEDULE_RETRY_AFTER_US_MAX (INT64_C(86400) * 1000000) /* of what a receiver may ask for */
#define SCHEDULE_WHY_BYTES 300

enum outcome { OUTCOME_SENT, OUTCOME_LATER, OUTCOME_DEAD, OUTCOME_GONE };

struct schedule {
    int64_t first_us, most_us; /* pauses */
    int64_t retry_for_us;      /* from when it was queued; 0: for ever */
};
struct attempt {
    int status;             /* of the answer; 0: there was none */
    int64_t retry_after_us; /* 0: not asked for */
    const char *why;        /* there was none: why not, for people */
    uint32_t tries;         /* attempts before this one */
    int64_t queued_us, now_us;
    uint64_t random;
};
/* *ret_at_us of OUTCOME_LATER; why of all but OUTCOME_SENT, at most size bytes. */
enum outcome schedule_judge(const struct schedule *s, const struct attempt *a, int64_t *ret_at_us,
                            char *why, size_t size);

#endif

/*
 * alert/schedule.c -- the judgement of an attempt.
 */
#include "alert/schedule.h"

#include <stdio.h>

static int64_t pause_us(const struct schedule *s, uint32_t tries, uint64_t random)
{
    int64_t us = s->first_us;

    while (tries-- > 0 && us < s->most_us)
        us *= SCHEDULE_FACTOR;
    if (us > s->most_us)
        us = s->most_us;
    return us - us / 5 + (int64_t)(random % (uint64_t)(us / 5 * 2 + 1));
}

/* It will not like the same body better next time. */
static int is_refusal(int status)
{
    return status == 400 || status == 413 || status == 414 || status == 415 || status == 422 ||
           status == 431;
}

enum outcome schedule_judge(const struct schedule *s, const struct attempt *a, int64_t *ret_at_us,
                            char *why, size_t size)
{
    int64_t after = a->retry_after_us < SCHEDULE_RETRY_AFTER_US_MAX ? a->retry_after_us
                                                                    : SCHEDULE_RETRY_AFTER_US_MAX;

    if (a->status >= 200 && a->status < 300)
        return OUTCOME_SENT;
    if (a->status)
        snprintf(why, size, "answered %d", a->status);
    else
        snprintf(why, size, "%s", a->why ? a->why : "no answer");
    if (a->status == 410)
        return OUTCOME_GONE;
    if (is_refusal(a->status) && a->tries + 1 >= SCHEDULE_REFUSED_MAX)
        return OUTCOME_DEAD;
    *ret_at_us = a->now_us + pause_us(s, a->tries, a->random);
    if (*ret_at_us < a->now_us + after)
        *ret_at_us = a->now_us + after;
    if (s->retry_for_us && *ret_at_us > a->queued_us + s->retry_for_us)
        return OUTCOME_DEAD;
    return OUTCOME_LATER;
}

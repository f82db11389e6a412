/*
 * clients/cli/pace.c -- a ring of looks.
 */
#include "clients/cli/pace.h"

double pace_add(struct pace *p, int64_t at_us, uint64_t value)
{
    unsigned oldest;

    p->samples[p->count % PACE_SAMPLES].at_us = at_us;
    p->samples[p->count % PACE_SAMPLES].value = value;
    p->count++;
    oldest = p->count > PACE_SAMPLES ? p->count % PACE_SAMPLES : 0;
    if (p->count < 2 || at_us <= p->samples[oldest].at_us || value < p->samples[oldest].value)
        return -1;
    return (double)(value - p->samples[oldest].value) * 1e6 /
           (double)(at_us - p->samples[oldest].at_us);
}

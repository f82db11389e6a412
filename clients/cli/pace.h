/*
 * clients/cli/pace.h -- how fast a counter grows, over the last times it was looked at.
 */
#ifndef CLIENTS_CLI_PACE_H
#define CLIENTS_CLI_PACE_H

#include <stdint.h>

#define PACE_SAMPLES 6

/* Zeroed: nothing is known yet. */
struct pace {
    struct {
        int64_t at_us;
        uint64_t value;
    } samples[PACE_SAMPLES]; /* a ring */
    unsigned count;
};

/* The counter stood at value at at_us (a monotonic clock). Returns what it grows by in a second since the oldest look
 * that is kept; < 0: not known, at the first look or when it fell. */
double pace_add(struct pace *p, int64_t at_us, uint64_t value);

#endif

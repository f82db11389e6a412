/*
 * clients/cli/backoff.h -- how long to wait before trying again: doubling, capped, with jitter.
 */
#ifndef CLIENTS_CLI_BACKOFF_H
#define CLIENTS_CLI_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_US 100000
#define BACKOFF_MAX_US 10000000

struct backoff {
    int64_t next_us;
};

static inline void backoff_reset(struct backoff *b)
{
    b->next_us = 0;
}
/* The next pause: between half and the whole of 0.1 s, 0.2 s, … 10 s. random is any number. */
static inline int64_t backoff_next(struct backoff *b, uint32_t random)
{
    b->next_us = b->next_us ? b->next_us * 2 : BACKOFF_FIRST_US;
    if (b->next_us > BACKOFF_MAX_US)
        b->next_us = BACKOFF_MAX_US;
    return b->next_us / 2 + (int64_t)random % (b->next_us / 2 + 1);
}

#endif

/*
 * tests/unit/base/unit.h -- what unit tests of base and job begin with: cmocka and seeded numbers.
 *
 * The seed is JOBLOG_SEED, else fixed; a failure prints the line that replays it.
 */
#ifndef TESTS_UNIT_BASE_UNIT_H
#define TESTS_UNIT_BASE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LITERAL(s) s, sizeof(s) - 1

static uint64_t unit_random_state;

static inline void unit_seed(void)
{
    const char *env = getenv("JOBLOG_SEED");
    unit_random_state = env ? strtoull(env, NULL, 10) : 20261123;
    print_message("replay with JOBLOG_SEED=%llu\n", (unsigned long long)unit_random_state);
}

/* splitmix64 */
static inline uint64_t unit_random(void)
{
    uint64_t z = unit_random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline size_t unit_below(size_t n)
{
    return (size_t)(unit_random() % n);
}

#endif

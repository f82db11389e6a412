/* tests/unit/clients/cli/status_test.c -- clients/cli/status.c */
#include "clients/cli/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)

static void check(const struct status *s, const struct scout_view *v, const char *want)
{
    struct buf out = BUF_INIT;

    status_add(&out, s, v, 100 * S, 5000 * S);
    assert_string_equal(buf_cstr(&out), want);
    buf_release(&out);
}

static void what_is_known_is_told(void **state)
{
    /* State, time, connection, rate, ranks and the slowest rank, as far as they are known. */
    struct scout_view v = {.lines_per_s = -1};
    struct status s = {.job = "demo"};

    check(&s, &v, "demo · waiting for the job");
    v.is_known = 1;
    snprintf(v.state, sizeof v.state, "TRAINING_JOB_RUNNING");
    v.seen_us = 99 * S;
    check(&s, &v, "demo RUNNING 1s · connecting");
    s.is_connected = 1;
    v.lasted_us = 3719 * S;
    v.lines_per_s = 1234.4;
    v.ranks = 64;
    v.alive = 63;
    check(&s, &v, "demo RUNNING 1h 02m · live · 1,234 lines/s · 63/64 ranks");
    v.has_slowest = 1;
    v.slowest_rank = 5;
    v.slowest_step = v.newest_step = 120;
    check(&s, &v, "demo RUNNING 1h 02m · live · 1,234 lines/s · 63/64 ranks");
    v.slowest_step = 118;
    check(&s, &v, "demo RUNNING 1h 02m · live · 1,234 lines/s · 63/64 ranks · rank 5 2 steps behind (118/120)");
    v.has_ended = 1;
    snprintf(v.state, sizeof v.state, "TRAINING_JOB_FAILED");
    check(&s, &v, "demo FAILED 1h 01m · live");
}

static void lag_and_breaks_are_told(void **state)
{
    /* Far behind: how many lines and how long; no connection: since when. */
    struct scout_view v = {.is_known = 1, .state = "TRAINING_JOB_RUNNING", .seen_us = 100 * S, .lines_per_s = -1, .seq = 5000};
    struct status s = {.job = "j", .is_connected = 1, .seq = 4950};

    check(&s, &v, "j RUNNING 0s · live");
    s.seq = 100;
    check(&s, &v, "j RUNNING 0s · 4,900 lines behind");
    s.last_ts_us = 4870 * S;
    check(&s, &v, "j RUNNING 0s · 4,900 lines behind (2m 10s)");
    s.is_connected = 0;
    s.broken_us = 93 * S;
    check(&s, &v, "j RUNNING 0s · no connection for 7s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_is_told),
        cmocka_unit_test(lag_and_breaks_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/base/clock_test.c -- times and durations, exact to the microsecond.
 */
#include "base/clock.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>
#include <time.h>

#define NOON INT64_C(1795467241123456) /* 2026-11-23T20:54:01.123456Z */

static int64_t rfc(const char *s)
{
    int64_t us = -99;
    return clock_parse_rfc3339(s, strlen(s), &us) < 0 ? -1 : us;
}

static int64_t epoch(const char *s)
{
    int64_t us = -99;
    return clock_parse_epoch(s, strlen(s), &us) < 0 ? -1 : us;
}

static int64_t span(const char *s)
{
    int64_t us = -99;
    return clock_parse_duration(s, strlen(s), &us) < 0 ? -1 : us;
}

static void test_format_against_libc(void **state)
{
    /* Every instant from 1970 to 9999 is written as libc's calendar has it, and reads back. */
    unit_seed();
    for (int i = 0; i < 200000; i++) {
        int64_t us = (int64_t)(unit_random() % ((uint64_t)CLOCK_WALL_US_MAX + 1));
        if (i % 3 == 0) us = us / 86400000000 * 86400000000 - (i % 2); /* edges of days */
        if (us < 0) us = 0;
        time_t sec = (time_t)(us / 1000000);
        struct tm tm;
        char want[80], got[CLOCK_RFC3339_BYTES + 1];
        gmtime_r(&sec, &tm);
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us % 1000000));
        assert_string_equal(clock_rfc3339(us, got), want);
        assert_true(rfc(got) == us);
    }
}

static void test_rfc3339(void **state)
{
    /* Any offset, 0-9 digits, T or space, any case: the same instant. */
    assert_true(rfc("2026-11-23T20:54:01.123456Z") == NOON);
    assert_true(rfc("2026-11-23t20:54:01.123456z") == NOON);
    assert_true(rfc("2026-11-23 20:54:01.123456789+00:00") == NOON);
    assert_true(rfc("2026-11-23T21:54:01.123456+01:00") == NOON);
    assert_true(rfc("2026-11-23T15:24:01.123456-05:30") == NOON);
    assert_true(rfc("2026-11-23T20:54:01Z") == NOON - 123456);
    assert_true(rfc("2026-11-23T20:54:01.1Z") == NOON - 23456);
    assert_true(rfc("2026-11-23T20:54:01.000000001Z") == NOON - 123456);
    assert_true(rfc("1970-01-01T00:00:00Z") == 0);
    assert_true(rfc("1969-12-31T23:00:00-01:00") == 0);
    assert_true(rfc("9999-12-31T23:59:59.999999Z") == CLOCK_WALL_US_MAX);
    assert_true(rfc("2016-12-31T23:59:60Z") == rfc("2016-12-31T23:59:59.999999Z"));
    assert_true(rfc("2024-02-29T00:00:00Z") > 0);
    assert_true(rfc("2000-02-29T00:00:00Z") > 0);
}

static void test_rfc3339_refused(void **state)
{
    /* What is no instant is refused, whatever was read before it. */
    static const char *const bad[] = {
        "", "2026-11-23", "2026-11-23T20:54:01", "2026-11-23T20:54Z", "2026-11-23T20:54:01.Z",
        "2026-11-23T20:54:01.1234567890Z", "2026-11-23T20:54:01Zx", "2026-11-23T20:54:01 Z",
        "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z",
        "2026-11-23T24:00:00Z", "2026-11-23T20:60:00Z", "2026-11-23T20:54:61Z",
        "2026-11-23T20:54:01+24:00", "2026-11-23T20:54:01+01:60", "2026-11-23T20:54:01+0100",
        "2026-11-23X20:54:01Z", "2026-11-23T20-54-01Z", "-026-11-23T20:54:01Z",
        "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z", "2026-11-23T2x:54:01Z", "20261123T205401Z00000",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)rfc("2026-11-23T20:54:01Z");
        if (rfc(bad[i]) != -1) fail_msg("taken: %s", bad[i]);
    }
}

static void test_epoch(void **state)
{
    /* The unit is told by magnitude and no digit is lost. */
    assert_true(epoch("1795467241") == NOON - 123456);
    assert_true(epoch("1795467241.123456") == NOON);
    assert_true(epoch("1795467241.1234569") == NOON);
    assert_true(epoch("1795467241.1") == NOON - 23456);
    assert_true(epoch("1795467241123") == NOON - 456);
    assert_true(epoch("1795467241123.456") == NOON);
    assert_true(epoch("1795467241123456") == NOON);
    assert_true(epoch("1795467241123456.9") == NOON);
    assert_true(epoch("1795467241123456789") == NOON);
    assert_true(epoch("0") == 0);
    assert_true(epoch("99999999999") == INT64_C(99999999999000000));
    assert_true(epoch("100000000000") == INT64_C(100000000000000));
    assert_true(epoch("00000001795467241") == NOON - 123456);
    static const char *const bad[] = {"", "-1", "1e9", "1.", ".5", "1.5x", "x", " 1", "1 ",
                                      "18446744073709551616", "999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (epoch(bad[i]) != -1) fail_msg("taken: %s", bad[i]);
}

static void test_duration(void **state)
{
    /* Durations add up from large to small units; a bare number is seconds. */
    assert_true(span("250ms") == 250000);
    assert_true(span("10s") == 10000000);
    assert_true(span("10") == 10000000);
    assert_true(span("0") == 0);
    assert_true(span("1.5s") == 1500000);
    assert_true(span("0.25") == 250000);
    assert_true(span("1h30m") == INT64_C(5400000000));
    assert_true(span("2d") == INT64_C(172800000000));
    assert_true(span("1w1d1h1m1s1ms1us") == INT64_C(694861001001));
    static const char *const bad[] = {"", "s", "-1s", "1x", "1h30", "30m1h", "1m1m", "1 s", "1.s",
                                      ".5s", "9223372036854775807s", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (span(bad[i]) != -1) fail_msg("taken: %s", bad[i]);
}

static void test_when(void **state)
{
    /* --since takes an instant, an epoch, or a duration before now. */
    int64_t us;
    assert_int_equal(clock_parse_when(LITERAL("10m"), NOON, &us), 0);
    assert_true(us == NOON - 600000000);
    assert_int_equal(clock_parse_when(LITERAL("2026-11-23T20:54:01.123456Z"), 0, &us), 0);
    assert_true(us == NOON);
    assert_int_equal(clock_parse_when(LITERAL("1795467241"), NOON, &us), 0);
    assert_true(us == NOON - 123456);
    assert_int_equal(clock_parse_when(LITERAL("9999w"), NOON, &us), 0);
    assert_true(us == 0);
    assert_int_equal(clock_parse_when(LITERAL("soon"), NOON, &us), ERR_INVALID);
    assert_int_equal(clock_parse_when(LITERAL(""), NOON, &us), ERR_INVALID);
}

static void test_format_duration(void **state)
{
    /* Durations are written for people. */
    char out[32];
    assert_string_equal(clock_format_duration(0, out), "0us");
    assert_string_equal(clock_format_duration(140000, out), "140ms");
    assert_string_equal(clock_format_duration(3200000, out), "3.2s");
    assert_string_equal(clock_format_duration(62000000, out), "1m 02s");
    assert_string_equal(clock_format_duration(INT64_C(3720000000), out), "1h 02m");
    assert_string_equal(clock_format_duration(INT64_C(180000000000), out), "2d 02h");
    assert_string_equal(clock_format_duration(-3200000, out), "-3.2s");
    clock_format_duration(INT64_MIN, out);
    assert_true(strlen(out) < 32);
}

static void test_clocks(void **state)
{
    /* The monotonic clock does not go back and the wall clock is libc's. */
    int64_t a = clock_mono_us(), b = clock_mono_us();
    assert_true(b >= a);
    assert_true(llabs((long long)(clock_wall_us() / 1000000 - (int64_t)time(NULL))) <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_against_libc), cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_rfc3339_refused),     cmocka_unit_test(test_epoch),
        cmocka_unit_test(test_duration),            cmocka_unit_test(test_when),
        cmocka_unit_test(test_format_duration),     cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

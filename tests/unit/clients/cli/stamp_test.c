/* tests/unit/clients/cli/stamp_test.c -- clients/cli/stamp.c */
#include "clients/cli/stamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define TS INT64_C(1795553641123456) /* 2026-11-24T20:54:01.123456Z */

static void check(const char *name, int64_t start_us, const char *first, const char *second)
{
    struct stamp s;
    struct buf out = BUF_INIT;

    stamp_init(&s, name);
    s.start_us = start_us;
    stamp_add(&s, &out, TS);
    assert_string_equal(buf_cstr(&out), first);
    buf_clear(&out);
    stamp_add(&s, &out, TS + 61250000);
    assert_string_equal(buf_cstr(&out), second);
    buf_release(&out);
}

static void every_way_of_telling_the_time(void **state)
{
    /* UTC as recorded, local in TZ, since the start (or the first line), since the line before; none is nothing. */
    check("utc", 0, "2026-11-24T20:54:01.123456Z ", "2026-11-24T20:55:02.373456Z ");
    check("local", 0, "2026-11-24 22:54:01.123 ", "2026-11-24 22:55:02.373 ");
    check("relative", 0, "+00:00:00.000 ", "+00:01:01.250 ");
    check("relative", TS - INT64_C(360000000000), "+100:00:00.000 ", "+100:01:01.250 ");
    check("relative", TS + 1000000, "-00:00:01.000 ", "+00:01:00.250 ");
    check("delta", 0, "+    0.000 ", "+   61.250 ");
    check(NULL, 0, "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_way_of_telling_the_time)};

    setenv("TZ", "UTC-2", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

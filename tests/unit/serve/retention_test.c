/*
 * tests/unit/serve/retention_test.c -- the rules of retention as an operator writes them.
 */
#include "serve/retention.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DAY INT64_C(86400000000)

static void rules_are_read(void **state)
{
    /* An age, a number of bytes, or both in any order; * stands for every other project. */
    static const struct {
        const char *text, *project;
        int64_t age_us, bytes;
    } good[] = {
        {"default=30d", "default", 30 * DAY, 0},
        {"*=1y", "*", 365 * DAY, 0},
        {"a.b-c=2w", "a.b-c", 14 * DAY, 0},
        {"p=90s", "p", 90000000, 0},
        {"p=50GiB", "p", 0, INT64_C(50) << 30},
        {"p=36h/10MiB", "p", DAY + DAY / 2, 10 << 20},
        {"p=10MiB/1h30m", "p", INT64_C(5400000000), 10 << 20},
    };
    static const char *const bad[] = {"", "p", "p=", "=30d", "p=30", "p=0d", "p=30d/", "p=30d/40d",
                                      "p=1GiB/2GiB", "p=1GiB/1h/2h", "p=30d,1GiB", "p q=1d", "../p=1d",
                                      "**=1d", "p=1d;2d", "p=-1d", "p=0MiB", "p=9999999y", "p=d", "p=/1d"};
    struct retention_rule r;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(retention_parse(good[i].text, &r), 0);
        assert_string_equal(r.project, good[i].project);
        assert_int_equal(r.age_us, good[i].age_us);
        assert_int_equal(r.bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(retention_parse(bad[i], &r), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_are_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

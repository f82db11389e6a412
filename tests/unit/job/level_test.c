/*
 * tests/unit/job/level_test.c -- names of levels.
 */
#include "job/level.h"
#include "tests/unit/base/unit.h"

static enum level of(const char *s)
{
    return level_parse(s, strlen(s));
}

static void test_canonical(void **state)
{
    /* Every level is read back from its name; none has the empty one. */
    static const char *const names[] = {"", "trace", "debug", "info", "warn", "error", "fatal"};
    for (int l = 0; l < LEVEL_COUNT; l++) {
        assert_string_equal(level_name((enum level)l), names[l]);
        assert_int_equal(of(names[l]), l);
    }
    assert_string_equal(level_name((enum level)99), "");
}

static void test_usual_names(void **state)
{
    /* The usual other names, in any case, and the numbers of syslog and Python. */
    assert_int_equal(of("WARNING"), LEVEL_WARN);
    assert_int_equal(of("Err"), LEVEL_ERROR);
    assert_int_equal(of("critical"), LEVEL_FATAL);
    assert_int_equal(of("crit"), LEVEL_FATAL);
    assert_int_equal(of("panic"), LEVEL_FATAL);
    assert_int_equal(of("emerg"), LEVEL_FATAL);
    assert_int_equal(of("ALERT"), LEVEL_FATAL);
    assert_int_equal(of("notice"), LEVEL_INFO);
    assert_int_equal(of("0"), LEVEL_FATAL);
    assert_int_equal(of("3"), LEVEL_ERROR);
    assert_int_equal(of("4"), LEVEL_WARN);
    assert_int_equal(of("7"), LEVEL_DEBUG);
    assert_int_equal(of("10"), LEVEL_DEBUG);
    assert_int_equal(of("50"), LEVEL_FATAL);
    assert_int_equal(of("8"), LEVEL_NONE);
    assert_int_equal(of("60"), LEVEL_NONE);
    assert_int_equal(of("errors"), LEVEL_NONE);
    assert_int_equal(of("inf"), LEVEL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_usual_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

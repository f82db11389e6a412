/* tests/unit/clients/cli/pace_test.c -- clients/cli/pace.c */
#include "clients/cli/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_rate_is_over_the_last_looks(void **state)
{
    /* Unknown at first; then what grew by since the oldest of the last looks; unknown when it fell or no time passed. */
    struct pace p = {0};

    assert_true(pace_add(&p, 1000000, 100) < 0);
    assert_true(pace_add(&p, 1000000, 200) < 0);
    assert_true(pace_add(&p, 3000000, 300) == 100);
    for (int i = 0; i < 20; i++)
        assert_true(pace_add(&p, 4000000 + i * 1000000, 300) >= 0);
    assert_true(pace_add(&p, 24000000, 300) == 0);
    assert_true(pace_add(&p, 25000000, 1300) == 200);
    assert_true(pace_add(&p, 26000000, 0) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_rate_is_over_the_last_looks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

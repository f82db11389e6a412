/*
 * tests/unit/job/info_test.c -- everything a job_info owns goes with it.
 */
#include "job/info.h"
#include "tests/unit/base/unit.h"

static void test_all_freed(void **state)
{
    /* A full and an empty info are freed whole (the address sanitizer looks), NULL too. */
    struct job_info *i = job_info_new(), *none = NULL;
    i->name = strdup("n");
    i->labels_json = strdup("{}");
    i->extra_json = strdup("{}");
    i->error_message = strdup("e");
    i->missing_json = strdup("[]");
    for (i->history_count = 0; i->history_count < 3; i->history_count++)
        i->history[i->history_count].message = i->history_count ? strdup("m") : NULL;
    i->ranks = calloc(2, sizeof *i->ranks);
    i->producers = calloc(2, sizeof *i->producers);
    assert_int_equal(job_info_ended(i), 0);
    i->sealed = 1;
    assert_int_equal(job_info_ended(i), 1);
    job_info_free(&i);
    assert_null(i);
    job_info_free(&none);
    i = job_info_new();
    assert_int_equal(i->state, STATE_CREATED);
    job_info_free(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_freed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/job/info_test.c -- everything a job_info owns goes with it.
 */
#include "job/info.h"
#include "tests/unit/base/unit.h"

static void test_all_freed(void **state)
{
    /* A full and an empty info are copied and freed whole (the address sanitizer looks), NULL too. */
    struct job_info *i = job_info_new(), *none = NULL, *copy;
    i->name = strdup("n");
    i->labels_json = strdup("{}");
    i->extra_json = strdup("{}");
    i->error_message = strdup("e");
    i->missing_json = strdup("[]");
    for (i->history_count = 0; i->history_count < 3; i->history_count++)
        i->history[i->history_count].message = i->history_count ? strdup("m") : NULL;
    i->ranks = calloc(2, sizeof *i->ranks);
    i->producers = calloc(2, sizeof *i->producers);
    i->rank_count = 1;
    i->ranks[0].lines = 7;
    copy = job_info_copy(i);
    assert_string_equal(copy->history[1].message, "m");
    assert_null(copy->history[0].message);
    assert_string_equal(copy->missing_json, "[]");
    assert_ptr_not_equal(copy->missing_json, i->missing_json);
    assert_int_equal(copy->ranks[0].lines, 7);
    job_info_free(&copy);
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

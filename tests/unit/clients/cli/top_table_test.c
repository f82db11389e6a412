/* tests/unit/clients/cli/top_table_test.c -- clients/cli/top_table.c: orders, and rows that fit. */
#include "clients/cli/top_table.h"

#include "clients/cli/term.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct fleet_job job(const char *id, const char *project)
{
    struct fleet_job j = {.percent = -1, .view = {.lines_per_s = -1, .silent_us = -1, .is_known = 1}};

    snprintf(j.id, sizeof j.id, "%s", id);
    snprintf(j.project, sizeof j.project, "%s", project);
    snprintf(j.view.state, sizeof j.view.state, "TRAINING_JOB_RUNNING");
    return j;
}

static void rows_are_what_is_known(void **state)
{
    /* Every cell of a known job, dashes of an unknown one; numbers to the right. */
    struct fleet_job jobs[2] = {job("llama-70b", "default"), job("x", "vision")};
    struct top_table t = {.key = TOP_AGE, .now_us = 5000000};
    struct scout_view *v = &jobs[0].view;
    struct buf out = BUF_INIT;

    *v = (struct scout_view){.is_known = 1, .seen_us = 4000000, .lasted_us = 7799000000, .ranks = 64, .alive = 63,
                             .lines_per_s = 1203.6, .has_step = 1, .newest_step = 4120, .has_slowest = 1, .slowest_rank = 5,
                             .slowest_step = 4108, .silent_us = 2000000};
    snprintf(v->state, sizeof v->state, "TRAINING_JOB_RUNNING");
    jobs[0].percent = 45.4;
    jobs[1].view.is_known = 0;
    top_table_add(&out, &t, jobs, 2, 0, 2);
    assert_string_equal(buf_cstr(&out),
                        "JOB        PROJECT  STATE    RANKS  LINES/S    AGE   STEP  DONE  SLOWEST  SILENT\n"
                        "llama-70b  default  RUNNING  63/64    1,204  2h10m  4,120   45%   r5 -12      3s\n"
                        "x          vision   -            -        -      -      -     -        -       -\n");
    buf_release(&out);
}

static void rows_fit_every_width(void **state)
{
    /* Whatever the width, no row is wider; the job, its state, ranks and silence are there from 40 columns on. */
    struct fleet_job jobs[3] = {job("a-job-with-quite-a-long-name-that-goes-on-and-on-0123456789", "some-long-project-name"),
                                job("b", "c"), job("d", "e")};
    struct buf out = BUF_INIT;

    for (int columns = 1; columns < 220; columns++) {
        struct top_table t = {.columns = columns, .key = TOP_JOB};

        buf_clear(&out);
        top_table_add(&out, &t, jobs, 3, 0, 3);
        for (const char *line = buf_cstr(&out), *nl; (nl = strchr(line, '\n')); line = nl + 1)
            if (columns >= 40)
                assert_true(term_width(line, (size_t)(nl - line)) <= columns);
        if (columns >= 40)
            assert_true(strstr(buf_cstr(&out), "JOB") && strstr(buf_cstr(&out), "STATE") && strstr(buf_cstr(&out), "RANKS") &&
                        strstr(buf_cstr(&out), "SILENT"));
        if (columns >= 150)
            assert_non_null(strstr(buf_cstr(&out), jobs[0].id));
    }
    buf_release(&out);
}

static void orders(void **state)
{
    /* The known before the unknown in both directions, equal ones as they were. */
    struct fleet_job jobs[4] = {job("a", "p"), job("b", "p"), job("c", "p"), job("d", "p")};

    jobs[1].percent = 10;
    jobs[2].percent = 90;
    top_sort(jobs, 4, TOP_DONE, 0);
    assert_true(jobs[0].id[0] == 'c' && jobs[1].id[0] == 'b' && jobs[2].id[0] == 'a' && jobs[3].id[0] == 'd');
    top_sort(jobs, 4, TOP_DONE, 1);
    assert_true(jobs[0].id[0] == 'b' && jobs[1].id[0] == 'c' && jobs[2].id[0] == 'a' && jobs[3].id[0] == 'd');
    top_sort(jobs, 4, TOP_JOB, 1);
    assert_true(jobs[0].id[0] == 'd' && jobs[3].id[0] == 'a');
    top_sort(jobs, 0, TOP_JOB, 1);
    assert_int_equal(top_key_of("silent"), TOP_SILENT);
    assert_int_equal(top_key_of("nothing"), TOP_KEY_COUNT);
    assert_int_equal(top_key_typed('l'), TOP_RATE);
    assert_int_equal(top_key_typed('q'), TOP_KEY_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_what_is_known), cmocka_unit_test(rows_fit_every_width),
                                       cmocka_unit_test(orders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/digest/report_test.c -- what launchers say of how their workers ended.
 */
#include "digest/report.h"

#include "job/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint32_t read_line(const char *line, struct digest_report *out)
{
    char *copy = malloc(strlen(line) + 1);
    uint32_t n;

    memcpy(copy, line, strlen(line));
    n = report_line(copy, strlen(line), out);
    free(copy);
    return n;
}

/* Lines that tell an end by themselves give who, and how. */
static void test_lines(void **state)
{
    struct digest_report r[REPORT_TASKS_MAX];

    assert_int_equal(read_line("E1123 api.py:869] failed (exitcode: -9) local_rank: 4 (pid: 777) "
                               "of binary: /usr/bin/python3",
                               r),
                     1);
    assert_int_equal(r[0].launcher, DIGEST_TORCHRUN_AGENT);
    assert_int_equal(r[0].rank, RECORD_RANK_NONE);
    assert_int_equal(r[0].local_rank, 4);
    assert_int_equal(r[0].signal, 9);
    assert_int_equal(r[0].pid, 777);
    assert_int_equal(read_line("[2026-01-02 03:04:05,678] [ERROR] [launch.py:325:sigkill_handler] ['/usr/bin/python3', '-u', "
                               "'train.py', '--local_rank=3', '--deepspeed'] exits with return code = -9",
                               r),
                     1);
    assert_int_equal(r[0].rank, RECORD_RANK_NONE);
    assert_int_equal(r[0].local_rank, 3);
    assert_int_equal(r[0].signal, 9);
    assert_int_equal(read_line("the tool exits with return code = 3", r), 0);
    assert_int_equal(read_line("srun: error: node-1: task 3: Exited with exit code 137", r), 1);
    assert_int_equal(r[0].rank, 3);
    assert_int_equal(r[0].exit_code, 137);
    assert_int_equal(r[0].signal, 9);
    assert_string_equal(r[0].host, "node-1");
    assert_int_equal(read_line("srun: error: node-1: tasks 0-2,5: Killed", r), 4);
    assert_int_equal(r[3].rank, 5);
    assert_int_equal(r[3].signal, 9);
    assert_int_equal(r[3].has_exit_code, 0);
    assert_int_equal(read_line("srun: error: node-1: tasks 0-4000: Killed", r), REPORT_TASKS_MAX);
    assert_int_equal(read_line("mpirun noticed that process rank 3 with PID 0 on node n1 exited on "
                               "signal 11 (Segmentation fault).",
                               r),
                     1);
    assert_int_equal(r[0].rank, 3);
    assert_int_equal(r[0].signal, 11);
    assert_string_equal(r[0].host, "n1");
    assert_int_equal(read_line("srun: error: node-1: task 3: slow", r), 0);
    assert_int_equal(read_line("srun: error: node-1: task : Killed", r), 0);
    assert_int_equal(read_line("srun: error: ", r), 0);
    assert_int_equal(read_line("failed (exitcode: x) local_rank: 1", r), 0);
    assert_int_equal(read_line("it noticed that process rank is high", r), 0);
    assert_int_equal(read_line("", r), 0);
}

/* torchrun's report: every worker once, the root cause marked; rulers that are none of it open nothing. */
static void test_report(void **state)
{
    static const char *const lines[] = {"  exitcode  : 7 (pid: 1)",
                                        "====",
                                        "=====",
                                        "train.py FAILED",
                                        "-----",
                                        "Failures:",
                                        "[1]:",
                                        "  time      : 2026-11-23_20:54:01",
                                        "  host      : gpu-b",
                                        "  rank      : 10 (local_rank: 2)",
                                        "  exitcode  : 1 (pid: 4103)",
                                        "  traceback : x",
                                        "-----",
                                        "Root Cause (first observed failure):",
                                        "[0]:",
                                        "  rank      : 9 (local_rank: 1)",
                                        "  exitcode  : -9 (pid: 4102) (SIGKILL)",
                                        "=====",
                                        "  exitcode  : 7 (pid: 1)"};
    struct digest_report got[4], one;
    struct report r = {0};
    int n = 0;

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (report_next(&r, lines[i], strlen(lines[i]), &one)) got[n++] = one;
    }
    assert_int_equal(n, 2);
    assert_int_equal(got[0].rank, 10);
    assert_int_equal(got[0].local_rank, 2);
    assert_int_equal(got[0].exit_code, 1);
    assert_int_equal(got[0].is_root, 0);
    assert_string_equal(got[0].host, "gpu-b");
    assert_true(got[0].failed_us == INT64_C(1795467241000000));
    assert_int_equal(got[1].rank, 9);
    assert_int_equal(got[1].signal, 9);
    assert_int_equal(got[1].is_root, 1);
    assert_string_equal(got[1].host, "");
    assert_int_equal(got[1].pid, 4102);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_report)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

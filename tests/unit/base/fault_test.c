/*
 * tests/unit/base/fault_test.c -- fault points: silent unless compiled in (FAULTS=1) and armed.
 */
#include "base/err.h"
#include "base/fault.h"
#include "base/io.h"
#include "tests/unit/base/unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Passes the points in a child armed with env; its wait status. */
static int in_child(const char *env)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("JOBLOG_FAULT", env, 1);
        if (!freopen("/dev/null", "w", stderr)) _exit(99);
        int failed = 0;
        for (int i = 1; i <= 5; i++) {
            FAULT_POINT("test.other");
            if (FAULT_ERR("test.point")) failed |= 1 << i;
        }
        if (io_fsync_dir("/tmp") == ERR_IO) failed |= 1;
        _exit(failed);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_points(void **state)
{
    /* At exactly the count-th pass the armed action happens, and without FAULTS=1 never. */
#ifdef JOBLOG_FAULTS
    assert_int_equal(WEXITSTATUS(in_child("test.point:3:err")), 1 << 3);
    assert_int_equal(WEXITSTATUS(in_child("test.point:1:err,test.point:4:err")), 1 << 1 | 1 << 4);
    assert_int_equal(WEXITSTATUS(in_child("io.fsync_dir:1:err")), 1);
    assert_int_equal(WEXITSTATUS(in_child("test.point:6:err")), 0);
    assert_int_equal(WEXITSTATUS(in_child("test.point:2:each")), 1 << 2 | 1 << 4);
    assert_int_equal(WEXITSTATUS(in_child("test.other:2:stall")), 0);
    assert_true(WIFSIGNALED(in_child("test.other:2")));
    assert_int_equal(WTERMSIG(in_child("test.point:5:kill")), SIGKILL);
    assert_int_equal(WEXITSTATUS(in_child("test.point:x")), 2);
    assert_int_equal(WEXITSTATUS(in_child("test.point:1:explode")), 2);
#endif
    assert_int_equal(in_child(""), 0);
#ifndef JOBLOG_FAULTS
    assert_int_equal(in_child("test.point:1"), 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_points)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/clients/cli/gpus_test.c -- what nvidia-smi says, and does not say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "clients/cli/gpus.h"

static char dir[64];

/* A nvidia-smi of its own in front of PATH. */
static void fake(const char *script)
{
    char path[200];
    FILE *f;

    snprintf(path, sizeof path, "%s/nvidia-smi", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
}

static int setup(void **state)
{
    char path[4096];

    (void)state;
    snprintf(dir, sizeof dir, "/tmp/jl-gpus-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", dir);
    return setenv("PATH", path, 1);
}

static int teardown(void **state)
{
    char command[200];

    (void)state;
    snprintf(command, sizeof command, "/bin/rm -rf %s", dir);
    return system(command);
}

static void reads_what_it_prints(void **state)
{
    /* Names, percent and MiB; what it does not know is not known; other lines are passed over. */
    struct node_about n;
    struct node_sample s;

    (void)state;
    gpus_read("NVIDIA H100 80GB HBM3, 93, 71234, 81559\n\n\nNo devices were found\n"
              "Tesla V100, [N/A], [Not Supported], 16160\r\n", &n, &s);
    assert_int_equal(n.gpu_count, 2);
    assert_int_equal(s.gpu_count, 2);
    assert_string_equal(n.gpus[0].name, "NVIDIA H100 80GB HBM3");
    assert_int_equal(s.gpus[0].permille, 930);
    assert_true(s.gpus[0].memory_bytes == INT64_C(71234) << 20 && n.gpus[0].memory_bytes == INT64_C(81559) << 20);
    assert_int_equal(s.gpus[1].permille, NODE_UNKNOWN);
    assert_int_equal(s.gpus[1].memory_bytes, NODE_UNKNOWN);
    assert_true(n.gpus[1].memory_bytes == INT64_C(16160) << 20);
    gpus_read("a\x01\xff, 101, -5, 99999999999999999999\n, 1, 2, 3\n", &n, &s);
    assert_int_equal(n.gpu_count, 1);
    assert_string_equal(n.gpus[0].name, "a??");
    assert_int_equal(s.gpus[0].permille, NODE_UNKNOWN);
    assert_int_equal(n.gpus[0].memory_bytes, NODE_UNKNOWN);
}

static void runs_it(void **state)
{
    /* It is asked for names, use and memory; where it fails the GPUs stay without values, and it is asked again. */
    struct gpus g;
    struct node_about n;
    struct node_sample s;

    (void)state;
    gpus_init(&g);
    fake("case \"$1 $2\" in *name,utilization.gpu,memory.used,memory.total*csv,noheader,nounits*) "
         "echo 'L4, 5, 10, 20'; echo 'L4, 6, 11, 20';; esac");
    gpus_take(&g, &n, &s);
    assert_int_equal(n.gpu_count, 2);
    assert_int_equal(s.gpus[1].permille, 60);
    fake("echo 'NVIDIA-SMI has failed because it could not talk to the driver.'; exit 9");
    memset(&n, 0, sizeof n);
    gpus_take(&g, &n, &s);
    assert_int_equal(n.gpu_count, 2);
    assert_string_equal(n.gpus[1].name, "L4");
    assert_true(n.gpus[1].memory_bytes == INT64_C(20) << 20);
    assert_int_equal(s.gpu_count, 2);
    assert_int_equal(s.gpus[1].permille, NODE_UNKNOWN);
    fake("echo 'L4, 7, 10, 20'");
    assert_int_equal(gpus_take(&g, &n, &s), 1);
    assert_int_equal(n.gpu_count, 1);
    assert_int_equal(s.gpus[0].permille, 70);
}

static void one_that_hangs_is_killed(void **state)
{
    /* At the deadline it is ended with all it started; what it had said is not believed; the next is asked again. */
    struct gpus g;
    struct node_about n;
    struct node_sample s;
    int64_t begin = clock_mono_us();

    (void)state;
    gpus_init(&g);
    g.deadline_us = 300000;
    fake("echo 'L4, 7, 10, 20'; trap '' TERM; sleep 60 & wait; sleep 60");
    gpus_take(&g, &n, &s);
    assert_true(clock_mono_us() - begin < 2000000);
    assert_int_equal(n.gpu_count, 0);
    assert_int_equal(g.stuck, 0);
    fake("yes 'L4, 7, 10, 20'"); /* too much */
    gpus_take(&g, &n, &s);
    assert_int_equal(n.gpu_count, 0);
    fake("echo 'L4, 8, 10, 20'");
    g.deadline_us = 5000000;
    gpus_take(&g, &n, &s);
    assert_int_equal(s.gpus[0].permille, 80);
}

static void ends_when_all_ends(void **state)
{
    /* A run that ends does not wait for it, and is told that there is no sample: its GPUs are not gone. */
    atomic_int stop = 1;
    struct gpus g;
    struct node_about n;
    struct node_sample s;
    int64_t begin = clock_mono_us();

    (void)state;
    gpus_init(&g);
    g.stop = &stop;
    fake("sleep 60");
    assert_int_equal(gpus_take(&g, &n, &s), 0);
    assert_true(clock_mono_us() - begin < 1000000);
}

static void none_is_looked_for_once(void **state)
{
    /* Without nvidia-smi there are no GPUs, and it is not looked for again. */
    struct gpus g;
    struct node_about n;
    struct node_sample s;

    (void)state;
    if (getenv("TEST_VALGRIND")) {
        puts("skipped: valgrind makes a fork of vfork, so posix_spawn() cannot tell that a program is missing");
        skip();
    }
    gpus_init(&g);
    setenv("PATH", dir, 1);
    gpus_take(&g, &n, &s);
    assert_int_equal(n.gpu_count, 0);
    assert_int_equal(g.is_absent, 1);
    fake("echo 'L4, 8, 10, 20'");
    gpus_take(&g, &n, &s);
    assert_int_equal(n.gpu_count, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {T(reads_what_it_prints), T(runs_it), T(one_that_hangs_is_killed), T(ends_when_all_ends),
                                       T(none_is_looked_for_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

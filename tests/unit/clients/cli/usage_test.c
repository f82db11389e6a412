/*
 * tests/unit/clients/cli/usage_test.c -- cores and memory in use, of made-up machines and containers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "clients/cli/usage.h"

static char root[64], proc[128], cgroup[128];

static int setup(void **state)
{
    char command[300];

    (void)state;
    snprintf(root, sizeof root, "/tmp/jl-usage-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(proc, sizeof proc, "%s/proc", root);
    snprintf(cgroup, sizeof cgroup, "%s/cgroup", root);
    snprintf(command, sizeof command, "mkdir -p %s/self %s", proc, cgroup);
    return system(command);
}

static int teardown(void **state)
{
    char command[200];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* dir/name holds text; the directory is made. */
static void put(const char *dir, const char *name, const char *text)
{
    char path[400], command[500];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(command, sizeof command, "mkdir -p $(dirname %s)", path);
    assert_int_equal(system(command), 0);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void machine(const char *cgroup_of_self)
{
    put(proc, "stat", "cpu  100 0 100 5000 50 0 0 0 0 0\ncpu0 50 0 50 2500 25 0 0 0\ncpu1 50 0 50 2500 25 0 0 0\n");
    put(proc, "meminfo", "MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:    4000 kB\n");
    put(proc, "self/cgroup", cgroup_of_self);
}

static struct usage made(void)
{
    struct usage u;

    usage_init(&u);
    u.proc = proc;
    u.cgroup = cgroup;
    u.disk = root;
    return u;
}

static void of_a_machine(void **state)
{
    /* Without limits the machine is the node: busy jiffies over time, memory that is not available. */
    struct usage u = made();
    struct node_about n;
    struct node_sample s;

    (void)state;
    machine("0::/user.slice\n");
    usage_take(&u, 1000000, &n, &s);
    assert_int_equal(s.cpu_milli, NODE_UNKNOWN);
    assert_int_equal(n.cpu_milli, 2000);
    assert_int_equal(n.memory_bytes, 16000 * 1024);
    assert_int_equal(s.memory_bytes, 12000 * 1024);
    assert_true(n.disk_bytes > 0 && s.disk_bytes > 0 && s.disk_bytes < n.disk_bytes);
    put(proc, "stat", "cpu  150 0 200 5000 50 0 0 0 0 0\ncpu0 1 0 1 1\ncpu1 1 0 1 1\n"); /* 150 jiffies: 1.5 s */
    usage_take(&u, 2000000, &n, &s);
    assert_int_equal(s.cpu_milli, 1500);
}

static void of_a_container(void **state)
{
    /* A group with limits is the node (version 2): its quota, its memory without cache that can be had back. */
    struct usage u = made();
    struct node_about n;
    struct node_sample s;

    (void)state;
    machine("0::/\n");
    put(cgroup, "memory.max", "8388608\n");
    put(cgroup, "memory.current", "6000000\n");
    put(cgroup, "memory.stat", "anon 1\nfile 2\ninactive_file 1000000\n");
    put(cgroup, "cpu.max", "150000 100000\n");
    put(cgroup, "cpu.stat", "usage_usec 5000000\nuser_usec 1\n");
    usage_take(&u, 1000000, &n, &s);
    put(cgroup, "cpu.stat", "usage_usec 5750000\nuser_usec 1\n");
    usage_take(&u, 2000000, &n, &s);
    assert_int_equal(n.cpu_milli, 1500);
    assert_int_equal(s.cpu_milli, 750);
    assert_int_equal(n.memory_bytes, 8388608);
    assert_int_equal(s.memory_bytes, 5000000);
}

static void of_a_batch_job(void **state)
{
    /* The limit may be some groups above (a batch system's job); a group without one does not hide it. */
    struct usage u = made();
    struct node_about n;
    struct node_sample s;

    (void)state;
    machine("0::/slurm/job_7/step_0/task_0\n");
    put(cgroup, "slurm/job_7/step_0/task_0/memory.max", "max\n");
    put(cgroup, "slurm/job_7/step_0/task_0/cpu.max", "max 100000\n");
    put(cgroup, "slurm/job_7/memory.max", "1000000\n");
    put(cgroup, "slurm/job_7/memory.current", "900000\n");
    put(cgroup, "slurm/job_7/cpu.max", "max 100000\n");
    put(cgroup, "slurm/job_7/cpu.stat", "usage_usec 1000\n");
    usage_take(&u, 1000000, &n, &s);
    assert_int_equal(n.memory_bytes, 1000000);
    assert_int_equal(s.memory_bytes, 900000);
    put(cgroup, "slurm/job_7/cpu.stat", "usage_usec 501000\n");
    usage_take(&u, 2000000, &n, &s);
    assert_int_equal(s.cpu_milli, 500);
}

static void of_version_1(void **state)
{
    /* Groups of version 1, seen from inside a container whose own path does not exist there. */
    struct usage u = made();
    struct node_about n;
    struct node_sample s;

    (void)state;
    machine("5:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n");
    put(cgroup, "memory/memory.limit_in_bytes", "4000000\n");
    put(cgroup, "memory/memory.usage_in_bytes", "3000000\n");
    put(cgroup, "memory/memory.stat", "cache 5\ntotal_inactive_file 500000\n");
    put(cgroup, "cpu/cpu.cfs_quota_us", "400000\n");
    put(cgroup, "cpu/cpu.cfs_period_us", "100000\n");
    put(cgroup, "cpuacct/cpuacct.usage", "1000000000\n");
    usage_take(&u, 1000000, &n, &s);
    put(cgroup, "cpuacct/cpuacct.usage", "3000000000\n");
    usage_take(&u, 2000000, &n, &s);
    assert_int_equal(n.cpu_milli, 4000);
    assert_int_equal(s.cpu_milli, 2000);
    assert_int_equal(n.memory_bytes, 4000000);
    assert_int_equal(s.memory_bytes, 2500000);
}

static void of_nothing(void **state)
{
    /* Where nothing can be read nothing is made up. */
    struct usage u = made();
    struct node_about n;
    struct node_sample s;

    (void)state;
    u.disk = "/no/such/place";
    usage_take(&u, 1000000, &n, &s);
    usage_take(&u, 2000000, &n, &s);
    assert_int_equal(s.cpu_milli, NODE_UNKNOWN);
    assert_int_equal(s.memory_bytes, NODE_UNKNOWN);
    assert_int_equal(s.disk_bytes, NODE_UNKNOWN);
    assert_int_equal(n.memory_bytes, NODE_UNKNOWN);
}

static void of_this_one(void **state)
{
    /* And here, really: what is known lies within what there is. */
    struct usage u;
    struct node_about n;
    struct node_sample s;

    (void)state;
    usage_init(&u);
    usage_take(&u, 1000000, &n, &s);
    for (volatile long i = 0; i < 20000000; i++)
        ;
    usage_take(&u, 1500000, &n, &s);
    assert_true(n.cpu_milli > 0 && s.cpu_milli >= 0);
    assert_true(n.memory_bytes > 0 && s.memory_bytes > 0 && s.memory_bytes <= n.memory_bytes);
    assert_true(n.disk_bytes > 0 && s.disk_bytes <= n.disk_bytes);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {T(of_a_machine), T(of_a_container), T(of_a_batch_job),
                                       T(of_version_1), T(of_nothing),     T(of_this_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

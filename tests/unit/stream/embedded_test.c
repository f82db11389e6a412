/*
 * tests/unit/stream/embedded_test.c -- stream/embedded.c: what is kept over stops and kills, who may share the directory.
 */
#include "tests/unit/stream/redis_world.h"

#include <sys/stat.h>
#include <sys/wait.h>

#define NEEDS_REDIS() do { if (!world_has_redis()) skip(); } while (0)

static int pid_is_gone(void *pid)
{
    return kill(*(int *)pid, 0) < 0;
}

static void a_clean_stop_keeps_everything(void **state)
{
    /* Stopped and started again: Redis exits cleanly, every line is there, sequences go on. */
    struct world w;
    struct append_result r;
    struct world_read all;
    int pid;

    NEEDS_REDIS();
    world_open(&w);
    world_append(&w, "keep", "p", 1, 1, 5);
    pid = embedded_pid(w.st->embedded);
    world_stop(&w);
    assert_true(pid_is_gone(&pid));
    world_start(&w);
    assert_int_not_equal(embedded_pid(w.st->embedded), pid);
    r = world_append(&w, "keep", "p", 1, 6, 1);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.last, 6);
    all = world_read_all(&w, "keep");
    assert_int_equal(all.lines, 6);
    buf_release(&all.text);
    world_close(&w);
}

/* A joblogd in a child process: opens dir, appends 3 lines, tells by the pipe, lives until killed. */
static int start_other(const char *dir, int *ret_redis_pid)
{
    int fds[2], pid, redis_pid = 0;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct world w;

        world_prepare(&w);
        rmdir(w.dir);
        snprintf(w.dir, sizeof w.dir, "%s", dir);
        world_start(&w);
        world_append(&w, "orphan", "p", 1, 1, 3);
        redis_pid = embedded_pid(w.st->embedded);
        if (write(fds[1], &redis_pid, sizeof redis_pid) != sizeof redis_pid)
            _exit(1);
        uv_run(&w.loop, UV_RUN_DEFAULT);
        _exit(0);
    }
    assert_int_equal(read(fds[0], &redis_pid, sizeof redis_pid), sizeof redis_pid);
    close(fds[0]);
    close(fds[1]);
    *ret_redis_pid = redis_pid;
    return pid;
}

static void the_redis_of_a_killed_joblogd_is_adopted(void **state)
{
    /* kill -9 of joblogd: the next one adopts its redis-server within 2 s, supervises it and stops it. */
    struct world w;
    int other, redis_pid, adopted;
    int64_t start;

    NEEDS_REDIS();
    world_prepare(&w);
    other = start_other(w.dir, &redis_pid);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    start = clock_mono_us();
    w.opts.durability = DURABILITY_DURABLE;
    world_start(&w);
    assert_true(clock_mono_us() - start < 2000000);
    assert_int_equal(embedded_pid(w.st->embedded), redis_pid);
    assert_string_equal(world_redis(&w, "CONFIG GET appendfsync"), "appendfsync always");
    assert_int_equal(world_append(&w, "orphan", "p", 1, 4, 1).last, 4);
    kill(redis_pid, SIGKILL); /* not our child: seen by the connection */
    assert_true(world_until(&w, pid_is_gone, &redis_pid, 5000));
    assert_int_equal(world_append(&w, "orphan", "p", 1, 5, 1).last, 5);
    adopted = embedded_pid(w.st->embedded);
    assert_int_not_equal(adopted, redis_pid);
    world_stop(&w);
    assert_true(pid_is_gone(&adopted));
    world_close(&w);
}

static void an_adopted_redis_is_stopped_too(void **state)
{
    /* A clean stop ends an adopted redis-server as it ends an own one. */
    struct world w;
    int other, redis_pid;

    NEEDS_REDIS();
    world_prepare(&w);
    other = start_other(w.dir, &redis_pid);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    world_start(&w);
    assert_int_equal(embedded_pid(w.st->embedded), redis_pid);
    world_stop(&w);
    assert_true(world_until(&w, pid_is_gone, &redis_pid, 2000));
    world_close(&w);
}

static void a_silent_leftover_is_stopped(void **state)
{
    /* A leftover that does not answer (SIGSTOP) is killed before a new server starts: never two on one directory. */
    struct world w;
    int other, redis_pid;

    NEEDS_REDIS();
    world_prepare(&w);
    other = start_other(w.dir, &redis_pid);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    kill(redis_pid, SIGSTOP);
    world_start(&w);
    assert_int_not_equal(embedded_pid(w.st->embedded), redis_pid);
    assert_true(world_until(&w, pid_is_gone, &redis_pid, 2000));
    assert_int_equal(world_append(&w, "orphan", "p", 1, 4, 1).last, 4);
    world_close(&w);
}

static void two_joblogds_do_not_share_a_directory(void **state)
{
    /* A second joblogd on the same directory is refused with the reason. */
    struct world w;
    struct stream *second = NULL;
    char why[300];

    NEEDS_REDIS();
    world_open(&w);
    assert_int_equal(stream_open(&w.opts, why, sizeof why, &second), ERR_INVALID);
    assert_non_null(strstr(why, "another joblogd"));
    world_close(&w);
}

static void a_missing_server_is_said(void **state)
{
    /* Without a redis-server stream_open says so at once. */
    struct world w;
    char why[300];

    world_prepare(&w);
    w.opts.redis_server = "no-such-redis-server";
    assert_int_equal(stream_open(&w.opts, why, sizeof why, &w.st), ERR_INVALID);
    assert_non_null(strstr(why, "no-such-redis-server"));
    world_close(&w);
}

static void a_deep_directory_gets_a_short_socket(void **state)
{
    /* A data directory too long for a socket's name works all the same, twice with the same socket. */
    struct world w;
    char deep[sizeof w.dir + 130], first[200];

    NEEDS_REDIS();
    world_prepare(&w);
    snprintf(deep, sizeof deep, "%s/%0120d", w.dir, 7);
    w.opts.data_dir = deep;
    world_start(&w);
    snprintf(first, sizeof first, "%s", embedded_url(w.st->embedded));
    assert_int_equal(strncmp(first, "unix:///tmp/joblog-", 19), 0);
    assert_int_equal(world_append(&w, "deep", "p", 1, 1, 1).err, 0);
    world_stop(&w);
    world_start(&w);
    assert_string_equal(first, embedded_url(w.st->embedded));
    assert_int_equal(world_append(&w, "deep", "p", 1, 2, 1).last, 2);
    world_stop(&w);
    *strrchr(first, '/') = '\0';
    assert_int_equal(rmdir(first + 7), 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_stop_keeps_everything),
        cmocka_unit_test(the_redis_of_a_killed_joblogd_is_adopted),
        cmocka_unit_test(an_adopted_redis_is_stopped_too),
        cmocka_unit_test(a_silent_leftover_is_stopped),
        cmocka_unit_test(two_joblogds_do_not_share_a_directory),
        cmocka_unit_test(a_missing_server_is_said),
        cmocka_unit_test(a_deep_directory_gets_a_short_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

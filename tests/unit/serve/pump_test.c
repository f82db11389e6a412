/*
 * tests/unit/serve/pump_test.c -- what the archiver writes, commits and trims.
 */
#include "serve/pump.h"

#include "serve/job_json.h"
#include "tests/unit/serve/world.h"

static struct pump *P;

static void open_pump(uint64_t segment_bytes, int64_t age_us, uint64_t hot_bytes)
{
    struct pump_options o = {.loop = &W.loop,
                             .stream = &W.stream,
                             .archive = W.archive,
                             .segment_bytes = segment_bytes,
                             .age_us = age_us,
                             .hot_bytes = hot_bytes};

    pump_open(&o, &P);
}

static void close_pump(void)
{
    pump_close(&P);
    world_turn(5);
}

/* Turn until the archive reaches seq, or the job is cold, with a deadline. */
static void run_until(uint64_t archived, int cold)
{
    int64_t until = clock_mono_us() + WORLD_WAIT_US;

    while (W.stream.archived_upto < archived || (cold && !W.stream.cold)) {
        assert_true(clock_mono_us() < until);
        uv_run(&W.loop, UV_RUN_ONCE);
    }
    while (!pump_idle(P))
        uv_run(&W.loop, UV_RUN_ONCE);
}

/* Turn until a run has failed, with a deadline. */
static void run_to_error(struct pump_stats *ret_stats)
{
    int64_t until = clock_mono_us() + WORLD_WAIT_US;

    do {
        assert_true(clock_mono_us() < until);
        uv_run(&W.loop, UV_RUN_ONCE);
        pump_stats(P, ret_stats);
    } while (!ret_stats->errors);
}

static uint32_t check_archive(uint64_t from, uint64_t to)
{
    struct archive_file *files = NULL;
    struct archive_walk *walk = NULL;
    struct frame *f = NULL;
    struct buf want = BUF_INIT, got = BUF_INIT;
    uint64_t a, b;
    uint32_t count = 0;

    assert_int_equal(archive_list(W.archive, &W.key, &files, &count), 0);
    assert_int_equal(archive_walk_open(W.archive, &W.key, from, to, 0, NULL, NULL, 0, &walk), 0);
    while (archive_walk_next(walk, &f, &a, &b) == 1) {
        buf_add(&got, f->text, f->text_bytes);
        frame_unref(&f);
    }
    archive_walk_close(&walk);
    for (uint64_t s = from; s <= to; s++)
        world_record(s, &want);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    buf_release(&want);
    buf_release(&got);
    free(files);
    return count;
}

/* A sealed job is archived whole, its job.json and its nodes are there, Redis forgets it all. */
static void sealed_job_goes_cold(void **state)
{
    char *json = NULL;
    size_t len;
    struct pump_stats stats;

    world_append(5000, 30);
    W.stream.sealed = 1;
    W.stream.state = STATE_COMPLETED;
    W.stream.nodes = "{\"replica\":\"a\"}\n{\"replica\":\"b\"}\n";
    open_pump(100000 / 8, 0, 0);
    run_until(5000, 1);
    assert_true(check_archive(1, 5000) > 3);
    assert_int_equal(archive_get_nodes(W.archive, &W.key, &json, &len), 0);
    assert_string_equal(json, W.stream.nodes);
    assert_int_equal(W.stream.nodes_dropped, 1);
    free(json);
    assert_int_equal(W.stream.held_from, 5001);
    assert_int_equal(archive_get_job(W.archive, &W.key, &json, &len), 0);
    assert_non_null(strstr(json, "\"archived_upto\":5000,\"held_from\":5001"));
    free(json);
    pump_stats(P, &stats);
    assert_int_equal(stats.records, 5000);
    assert_int_equal(stats.jobs_finished, 1);
    assert_string_equal(stats.last_error, "");
    close_pump();
}

/* A live job is archived by the segment's worth; a hot window stays in Redis. */
static void live_job_keeps_a_hot_window(void **state)
{
    world_append(5000, 30);
    open_pump(200000, 0, 50000);
    run_until(1000, 0);
    run_until(5000, 0);
    assert_true(W.stream.held_from < W.stream.archived_upto - 50);
    assert_true(W.stream.held_from > W.stream.archived_upto - 1000);
    assert_false(W.stream.cold);
    check_archive(1, W.stream.archived_upto);
    close_pump();
}

static uint64_t sidecar_seq(void)
{
    struct job_info *info = NULL;
    char *json = NULL;
    uint64_t seq;
    size_t len;

    assert_int_equal(archive_get_job(W.archive, &W.key, &json, &len), 0);
    assert_int_equal(job_json_read(json, len, &W.key, &info), 0);
    seq = info->seq;
    job_info_free(&info);
    free(json);
    return seq;
}

static void append_in_between(void)
{
    if (W.stream.count == 5000 && W.stream.reads > 3)
        world_append(7, 3);
}

/* job.json of a live job is the job as of the last record of a segment, though lines came meanwhile: what has come is one
 * segment, unless it is as much as eight; of those none is less than half as large as that. */
static void sidecar_is_exact(void **state)
{
    struct archive_file *files = NULL;
    char *json = NULL;
    uint32_t count;
    size_t len;

    world_append(5000, 30);
    W.stream.before_read = append_in_between;
    open_pump(300000, 0, 50000);
    run_until(5000, 0);
    assert_int_equal(W.stream.count, 5007);
    assert_int_equal(W.stream.archived_upto, 5000);
    assert_int_equal(sidecar_seq(), 5000);
    assert_int_equal(archive_list(W.archive, &W.key, &files, &count), 0);
    assert_int_equal(count, 1);
    free(files);
    assert_int_equal(archive_get_prepared_job(W.archive, &W.key, &json, &len), ERR_NOT_FOUND);
    close_pump();
    /* much has waited */
    world_append(10000, 30);
    W.stream.before_read = NULL;
    open_pump(300000 / 8, 0, 50000);
    run_until(15007, 0);
    assert_int_equal(sidecar_seq(), 15007);
    assert_int_equal(archive_list(W.archive, &W.key, &files, &count), 0);
    assert_true(count >= 3);
    assert_int_equal(files[count - 1].last_seq, 15007);
    assert_true(files[count - 1].last_seq - files[count - 1].first_seq > (files[1].last_seq - files[1].first_seq) / 3);
    free(files);
    close_pump();
}

/* An archive that holds more than Redis: nothing is written over it, the job is mended first. */
static void archive_ahead_is_mended_first(void **state)
{
    struct pump_stats stats;

    world_append(200, 10);
    world_archive(150);
    W.stream.count = 100; /* Redis went back */
    W.stream.archived_upto = 60;
    W.stream.cuts = 0;
    W.stream.cut[W.stream.cuts++] = 100;
    W.stream.sealed = 1;
    open_pump(0, 0, 0);
    for (int64_t until = clock_mono_us() + WORLD_WAIT_US; !W.stream.recovers; uv_run(&W.loop, UV_RUN_ONCE))
        assert_true(clock_mono_us() < until);
    pump_stats(P, &stats);
    assert_int_equal(stats.segments, 0);
    assert_int_equal(W.stream.archived_upto, 60);
    check_archive(1, 150);
    close_pump();
}

/* Too little for a segment is left alone until it is old. */
static void old_records_are_archived(void **state)
{
    world_append(50, 5);
    open_pump(200000, 3600000000, 0);
    for (int64_t until = clock_mono_us() + 1200000; clock_mono_us() < until;)
        uv_run(&W.loop, UV_RUN_ONCE);
    assert_int_equal(W.stream.archived_upto, 0);
    close_pump();
    open_pump(200000, 500, 0);
    run_until(50, 0);
    assert_int_equal(check_archive(1, 50), 1);
    close_pump();
}

/* What Redis lost before it was archived leaves a hole, never a wrong segment; the rest is
 * archived. */
static void holes_are_passed_over(void **state)
{
    struct pump_stats stats;

    world_append(100, 1);
    world_archive(20);
    W.stream.held_from = 31;
    W.stream.sealed = 1;
    open_pump(0, 0, 0);
    run_until(100, 1);
    check_archive(31, 100);
    pump_stats(P, &stats);
    assert_int_equal(stats.lost_records, 10);
    close_pump();
}

/* A commit that is fenced, a lease that another has, a Redis that is away: nothing is trimmed, and
 * it goes on later. */
static void errors_trim_nothing(void **state)
{
    struct pump_stats stats;

    world_append(100, 10);
    W.stream.sealed = 1;
    W.stream.fail_commit = ERR_UNAVAILABLE;
    open_pump(0, 0, 0);
    run_to_error(&stats);
    assert_int_equal(W.stream.held_from, 1);
    assert_int_equal(W.stream.archived_upto, 0);
    assert_true(stats.backing_off && stats.last_error[0]);
    W.stream.fail_commit = 0;
    run_until(100, 1);
    check_archive(1, 100);
    close_pump();
}

static uint32_t count_files(void)
{
    struct archive_file *files = NULL;
    uint32_t count = 0;
    int err = archive_list(W.archive, &W.key, &files, &count);

    assert_true(err == 0 || err == ERR_NOT_FOUND);
    free(files);
    return count;
}

/* History went back between reading and committing: the segment goes, job.json stays as it was, nothing is trimmed, and what
 * Redis has is read anew. */
static void another_history_leaves_no_segment(void **state)
{
    struct pump_stats stats;
    struct job_info *info = NULL;
    int64_t until = clock_mono_us() + WORLD_WAIT_US;
    char *json = NULL;
    size_t len;

    world_append(100, 10);
    open_pump(200000, 500, 0);
    run_until(100, 0);
    world_append(100, 10);
    W.stream.fail_commit = ERR_RESET;
    do {
        assert_true(clock_mono_us() < until);
        uv_run(&W.loop, UV_RUN_ONCE);
        pump_stats(P, &stats);
    } while (!stats.errors || !pump_idle(P));
    assert_true(stats.segments >= 2);
    assert_int_equal(count_files(), 1);
    assert_int_equal(archive_get_prepared_job(W.archive, &W.key, &json, &len), ERR_NOT_FOUND);
    assert_int_equal(archive_get_job(W.archive, &W.key, &json, &len), 0);
    assert_int_equal(job_json_read(json, len, &W.key, &info), 0);
    assert_int_equal(info->seq, 100);
    job_info_free(&info);
    free(json);
    assert_int_equal(W.stream.archived_upto, 100);
    W.stream.fail_commit = 0;
    run_until(200, 0);
    check_archive(1, 200);
    close_pump();
}

static void on_before_read(void)
{
    W.stream.round++;
    W.stream.before_read = NULL;
}

/* Redis became another one while it was read: no segment gets its name. */
static void a_run_that_meets_another_redis_is_given_up(void **state)
{
    struct pump_stats stats;

    world_append(100, 10);
    W.stream.sealed = 1;
    W.stream.before_read = on_before_read;
    open_pump(0, 0, 0);
    run_to_error(&stats);
    assert_int_equal(stats.segments, 0);
    assert_int_equal(W.stream.archived_upto, 0);
    run_until(100, 1);
    check_archive(1, 100);
    close_pump();
}

/* A segment that a killed run has named and not committed is committed as it is; one that is damaged goes away. */
static void interrupted_runs_are_taken_over(void **state)
{
    struct archive_file *files = NULL;
    struct pump_stats stats;
    char path[PATH_MAX];
    uint32_t count;

    for (int is_damaged = 0; is_damaged < 2; is_damaged++) {
        if (!is_damaged) {
            world_append(300, 10);
            world_archive(150);
            W.stream.sealed = 1;
        } else {
            assert_int_equal(truncate(path, 100), 0);
        }
        W.stream.archived_upto = 0;
        W.stream.held_from = 1;
        W.stream.cold = 0;
        open_pump(0, 0, 0);
        run_until(300, 1);
        assert_int_equal(check_archive(1, 300), 2 - is_damaged);
        pump_stats(P, &stats);
        assert_int_equal(stats.segments, 1);
        assert_int_equal(archive_list(W.archive, &W.key, &files, &count), 0);
        assert_int_equal(files[0].last_seq, is_damaged ? 300 : 150);
        assert_int_equal(archive_file_path(W.archive, &W.key, &files[0], path, sizeof path), 0);
        free(files);
        close_pump();
    }
}

/* A pump closed in the middle of anything lets go without a trace but temp files. */
static void closes_at_any_moment(void **state)
{
    world_append(3000, 30);
    W.stream.sealed = 1;
    for (int turns = 0; turns < 12; turns++) {
        W.stream.archived_upto = 0;
        W.stream.held_from = 1;
        W.stream.cold = 0;
        open_pump(100000 / 8, 0, 0);
        while (pump_idle(P))
            uv_run(&W.loop, UV_RUN_ONCE);
        world_turn(turns);
        close_pump();
        world_turn(200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sealed_job_goes_cold, world_open, world_close),
        cmocka_unit_test_setup_teardown(live_job_keeps_a_hot_window, world_open, world_close),
        cmocka_unit_test_setup_teardown(sidecar_is_exact, world_open, world_close),
        cmocka_unit_test_setup_teardown(archive_ahead_is_mended_first, world_open, world_close),
        cmocka_unit_test_setup_teardown(old_records_are_archived, world_open, world_close),
        cmocka_unit_test_setup_teardown(holes_are_passed_over, world_open, world_close),
        cmocka_unit_test_setup_teardown(errors_trim_nothing, world_open, world_close),
        cmocka_unit_test_setup_teardown(another_history_leaves_no_segment, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_run_that_meets_another_redis_is_given_up, world_open, world_close),
        cmocka_unit_test_setup_teardown(interrupted_runs_are_taken_over, world_open, world_close),
        cmocka_unit_test_setup_teardown(closes_at_any_moment, world_open, world_close),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

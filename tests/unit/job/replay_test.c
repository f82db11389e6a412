/*
 * tests/unit/job/replay_test.c -- a job carried on over records: job/replay.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "job/replay.h"

static struct buf scratch;

static void feed(struct job_info *info, const struct record *rec, int64_t recv_us)
{
    struct buf line = BUF_INIT;
    struct record_view v;

    assert_int_equal(record_write(&line, rec), 0);
    assert_int_equal(record_parse(line.data, line.len, &v), 0);
    assert_int_equal(job_replay(info, &v, recv_us, &scratch), 0);
    buf_release(&line);
}

static void feed_line(struct job_info *info, uint64_t seq, int32_t rank, enum level level, const char *msg)
{
    struct record rec = {
        .seq = seq, .ts_us = (int64_t)seq * 10, .rank = rank, .level = level, .msg = msg, .msg_len = strlen(msg)};

    feed(info, &rec, (int64_t)seq * 10 + 5);
}

static void feed_state(struct job_info *info, uint64_t seq, enum job_state to, const char *msg)
{
    struct record rec = {.seq = seq,
                         .ts_us = (int64_t)seq * 10,
                         .rank = RECORD_RANK_NONE,
                         .msg = msg,
                         .msg_len = strlen(msg),
                         .is_state = 1,
                         .state = to,
                         .has_exit_code = to == STATE_FAILED,
                         .exit_code = 3};

    feed(info, &rec, (int64_t)seq * 10 + 5);
}

static void counts_what_the_script_counts(void **state)
{
    /* Lines, bytes, levels, ranks, states and times come out as the append script would have them. */
    struct job_key key;
    struct job_info *info;

    job_key_make(&key, "p", 1, "j", 1);
    info = job_replay_new(&key);
    feed_state(info, 1, STATE_CREATED, "");
    feed_state(info, 2, STATE_RUNNING, "");
    feed_line(info, 3, 2, LEVEL_INFO, "ab\"c");
    feed_line(info, 4, 0, LEVEL_ERROR, "d");
    feed_line(info, 7, 2, LEVEL_INFO, ""); /* 5 and 6 are lost */
    feed_line(info, 8, RECORD_RANK_NONE, LEVEL_NONE, "e");
    feed_state(info, 9, STATE_FAILED, "it broke");
    assert_int_equal(info->seq, 9);
    assert_int_equal(info->lines, 4);
    assert_int_equal(info->bytes, 6);
    assert_int_equal(info->level_count[LEVEL_INFO], 2);
    assert_int_equal(info->level_count[LEVEL_ERROR], 1);
    assert_int_equal(info->level_count[LEVEL_NONE], 1);
    assert_int_equal(info->rank_count, 3);
    assert_int_equal(info->ranks[0].rank, RECORD_RANK_NONE);
    assert_int_equal(info->ranks[1].rank, 0);
    assert_int_equal(info->ranks[2].rank, 2);
    assert_int_equal(info->ranks[2].lines, 2);
    assert_int_equal(info->ranks[2].last_seq, 7);
    assert_int_equal(info->ranks[2].last_ts_us, 70);
    assert_int_equal(info->ranks[2].last_recv_us, 75);
    assert_int_equal(info->state, STATE_FAILED);
    assert_int_equal(info->history_count, 3);
    assert_int_equal(info->history[2].seq, 9);
    assert_string_equal(info->history[2].message, "it broke");
    assert_string_equal(info->error_message, "it broke");
    assert_true(info->has_exit_code && info->exit_code == 3);
    assert_int_equal(info->created_us, 15);
    assert_int_equal(info->started_us, 20);
    assert_int_equal(info->ended_us, 90);
    assert_int_equal(info->updated_us, 95);
    assert_true(info->producers_unknown);
    assert_false(info->sealed);
    job_info_free(&info);
}

static void lines_alone_make_a_running_job(void **state)
{
    /* A job that its first lines made has no record of its state: it is RUNNING since the first of them. */
    struct job_key key;
    struct job_info *info;

    job_key_make(&key, "p", 1, "j", 1);
    info = job_replay_new(&key);
    feed_line(info, 1, 0, LEVEL_NONE, "x");
    assert_int_equal(info->state, STATE_RUNNING);
    assert_int_equal(info->history_count, 1);
    assert_int_equal(info->history[0].seq, 0);
    assert_int_equal(info->started_us, info->created_us);
    job_info_free(&info);
}

static void many_ranks_stay_in_order(void **state)
{
    /* Ranks seen in any order are kept sorted, each counted once. */
    struct job_key key;
    struct job_info *info;

    job_key_make(&key, "p", 1, "j", 1);
    info = job_replay_new(&key);
    for (uint64_t i = 1; i <= 600; i++)
        feed_line(info, i, (int32_t)(i * 7919 % 200), LEVEL_NONE, "x");
    assert_int_equal(info->rank_count, 200);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(info->ranks[i].rank, i);
        assert_int_equal(info->ranks[i].lines, 3);
    }
    job_info_free(&info);
}

static int release(void **state)
{
    buf_release(&scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_the_script_counts),
        cmocka_unit_test(lines_alone_make_a_running_job),
        cmocka_unit_test(many_ranks_stay_in_order),
    };

    buf_init(&scratch, 0);
    return cmocka_run_group_tests(tests, NULL, release);
}

/*
 * tests/unit/digest/digest_test.c -- one record after the other into a digest.
 */
#include "digest/digest.h"

#include "base/err.h"
#include "digest/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define START_US INT64_C(1764000000000000)

struct line {
    int64_t ts_us, recv_us; /* 0: one second after the last */
    int rank;               /* -1 */
    const char *replica, *msg, *fields;
    enum level level;
    int is_state;
    enum job_state state;
};

static void add(struct digest *d, const struct line *l)
{
    struct buf text = BUF_INIT;
    struct record rec = {.seq = d->upto + 1,
                         .ts_us = l->ts_us ? l->ts_us : START_US + (int64_t)d->upto * 1000000,
                         .rank = l->rank,
                         .replica = l->replica,
                         .level = l->level,
                         .msg = l->msg ? l->msg : "",
                         .msg_len = l->msg ? strlen(l->msg) : 0,
                         .fields_json = l->fields,
                         .fields_json_len = l->fields ? strlen(l->fields) : 0,
                         .is_state = l->is_state,
                         .state = l->state};

    assert_int_equal(record_write(&text, &rec), 0);
    assert_int_equal(digest_add_line(d, text.data, text.len, l->recv_us ? l->recv_us : rec.ts_us),
                     0);
    buf_release(&text);
}

static struct digest *fresh(void)
{
    struct digest *d = NULL;

    assert_int_equal(digest_new(NULL, &d), 0);
    return d;
}

/* The same error on 63 ranks, with other numbers and directories, is one group with their ranks and first times. */
static void test_same_error_is_one_group(void **state)
{
    struct digest *d = fresh();
    struct buf ranks = BUF_INIT;

    for (int i = 0; i < 64; i++) {
        char msg[200];
        if (i == 3) continue;
        snprintf(msg, sizeof msg,
                 "rank %d: cannot open '/scratch/n%d/run-%d/part.bin' after %d.5 s", i, i % 8, i,
                 i);
        add(d, &(struct line){.rank = i, .msg = msg, .level = LEVEL_ERROR});
    }
    add(d, &(struct line){.rank = 3, .msg = "something else", .level = LEVEL_ERROR});
    assert_int_equal(digest_settle(d), 0);
    assert_int_equal(d->group_count, 2);
    assert_int_equal(d->groups[0].count, 63);
    assert_int_equal(d->groups[0].rank_count, 63);
    assert_int_equal(digest_group_ranks(&d->groups[0], &ranks), 0);
    assert_string_equal(buf_cstr(&ranks), "0-2,4-63");
    assert_int_equal(d->groups[0].ranks[4].first.seq, 5);
    assert_int_equal(d->groups[0].ranks[4].rank, 5);
    assert_int_equal(d->groups[0].last.seq, 63);
    assert_int_equal(digest_rank_of(d, 3, 0)->detail->first_error.seq, 64);
    buf_release(&ranks);
    digest_free(&d);
}

/* A rank's entry has its last line, its longest silence, its levels and the smallest way from its clock to ours. */
static void test_rank(void **state)
{
    struct digest *d = fresh();
    const struct digest_rank *e;

    add(d, &(struct line){.rank = 1,
                          .msg = "a",
                          .level = LEVEL_INFO,
                          .replica = "node-0",
                          .recv_us = START_US + 500});
    add(d, &(struct line){.rank = 1,
                          .msg = "b\x1b[31mred\x1b[0m",
                          .ts_us = START_US + 90000000,
                          .recv_us = START_US + 90000200});
    add(d,
        &(struct line){
            .rank = 1, .msg = "c", .ts_us = START_US + 91000000, .recv_us = START_US + 91900000});
    assert_int_equal(digest_settle(d), 0);
    e = digest_rank_of(d, 1, 0);
    assert_non_null(e);
    assert_int_equal(e->lines, 3);
    assert_int_equal(e->levels[LEVEL_INFO], 1);
    assert_string_equal(d->replicas[e->replica], "node-0");
    assert_int_equal(e->skew_min_us, 200);
    assert_int_equal(e->skew_max_us, 900000);
    assert_int_equal(e->detail->silence.from_seq, 1);
    assert_int_equal(e->detail->silence.to_us - e->detail->silence.from_us, 90000000);
    assert_memory_equal(e->detail->last_text, "c", e->detail->last_text_bytes);
    assert_null(digest_rank_of(d, 2, 0));
    digest_free(&d);
}

/* The sum over buckets is the number of lines at any width, and the width doubles as the log grows. */
static void test_buckets(void **state)
{
    struct digest *d = fresh();
    uint64_t sum = 0, cells = 0;

    for (int i = 0; i < 5000; i++)
        add(d, &(struct line){.rank = i % 3,
                              .msg = "x",
                              .ts_us = START_US + (int64_t)(i * 7919 % 5000) * 60000000});
    add(d,
        &(struct line){
            .rank = 0, .msg = "clock of 1970", .ts_us = 1000000, .recv_us = START_US + 3600000000});
    assert_int_equal(digest_settle(d), 0);
    for (uint32_t i = 0; i < d->time.count; i++) sum += d->time.buckets[i].lines[LEVEL_NONE];
    assert_int_equal(sum, 5001);
    assert_true(d->time.count > 1000 && d->time.count <= DIGEST_BUCKETS_MAX);
    for (uint32_t k = 0; k < d->rank_count; k++) {
        for (uint32_t i = 0; i < d->time.cell_count; i++) cells += d->ranks[k].detail->cells[i];
    }
    assert_int_equal(cells, 5001);
    digest_free(&d);
}

/* State changes, gap records and lost records are noted, and are no lines. */
static void test_states_and_gaps(void **state)
{
    struct digest *d = fresh();

    add(d, &(struct line){.rank = -1, .is_state = 1, .state = STATE_RUNNING});
    add(d, &(struct line){
               .rank = 4, .msg = "spool full", .fields = "{\"gap\":{\"from\":101,\"to\":200}}"});
    assert_int_equal(digest_lost(d, 3, 10), 0);
    assert_int_equal(digest_lost(d, 3, 10), ERR_ORDER);
    add(d, &(struct line){.rank = 4, .msg = "on"});
    assert_int_equal(digest_settle(d), 0);
    assert_int_equal(d->lines, 1);
    assert_int_equal(d->upto, 11);
    assert_int_equal(d->state_count, 1);
    assert_int_equal(d->states[0].state, STATE_RUNNING);
    assert_int_equal(d->gap_count, 2);
    assert_int_equal(d->gaps[0].from, 101);
    assert_int_equal(d->gaps[0].to, 200);
    assert_string_equal(d->gaps[0].reason, "spool full");
    assert_true(d->gaps[1].is_lost);
    assert_int_equal(d->gaps[1].to, 10);
    digest_free(&d);
}

static uint32_t cause_of(const struct digest_line *l)
{
    return l->len == 6 && memcmp(l->text, "Killed", 6) == 0 ? 7 : 0;
}

/* Over the limit of groups the first ones, those with a cause and the latest stay. */
static void test_groups_are_bounded(void **state)
{
    static const struct digest_classifier c = {1, cause_of, NULL};
    struct digest *d = NULL;
    int found = 0;

    assert_int_equal(digest_new(&c, &d), 0);
    for (int i = 0; i < 1000; i++) {
        char msg[40];
        if (i == 500) add(d, &(struct line){.rank = 0, .msg = "Killed"});
        snprintf(msg, sizeof msg, "error %c%c%c", 'a' + i % 10, 'a' + i / 10 % 10, 'a' + i / 100);
        add(d, &(struct line){.rank = 0, .msg = msg, .level = LEVEL_ERROR});
    }
    assert_int_equal(digest_settle(d), 0);
    assert_int_equal(d->group_count, DIGEST_GROUPS_MAX);
    assert_int_equal(d->groups_omitted, 1001 - DIGEST_GROUPS_MAX);
    for (uint32_t i = 0; i < DIGEST_GROUPS_EARLY; i++)
        assert_int_equal(d->groups[i].first.seq, i + 1);
    for (uint32_t i = 0; i < d->group_count; i++) found += d->groups[i].cause == 7;
    assert_int_equal(found, 1);
    assert_int_equal(d->groups[d->group_count - 1].first.seq, 1001);
    digest_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_error_is_one_group),
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_states_and_gaps),
        cmocka_unit_test(test_groups_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

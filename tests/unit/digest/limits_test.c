/*
 * tests/unit/digest/limits_test.c -- a digest at its limits: bounded, counted, and the same after its file.
 */
#include "digest/digest_file.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define START_US INT64_C(1764000000000000)

static void add(struct digest *d, int32_t rank, const char *replica, enum level level,
                const char *msg)
{
    struct record rec = {.seq = d->upto + 1,
                         .ts_us = START_US + (int64_t)d->upto * 997,
                         .rank = rank,
                         .replica = replica,
                         .level = level,
                         .msg = msg,
                         .msg_len = strlen(msg)};
    struct buf line = BUF_INIT;

    assert_int_equal(record_write(&line, &rec), 0);
    assert_int_equal(digest_add_line(d, line.data, line.len, rec.ts_us + 5), 0);
    buf_release(&line);
}

static struct digest *fresh(void)
{
    struct digest *d = NULL;

    assert_int_equal(digest_new(NULL, &d), 0);
    return d;
}

/* What decode gives back encodes to the same bytes; the file is far below its limit. */
static size_t check_file(const struct digest *d)
{
    struct buf a = BUF_INIT, b = BUF_INIT;
    struct digest *again = NULL;
    uint64_t epoch;
    size_t len;

    assert_int_equal(digest_encode(d, 1, &a), 0);
    assert_int_equal(digest_decode(a.data, a.len, NULL, &epoch, &again), 0);
    assert_int_equal(digest_encode(again, 1, &b), 0);
    assert_true(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    len = a.len;
    digest_free(&again);
    buf_release(&a);
    buf_release(&b);
    return len;
}

/* Every rank there can be has an entry, the first 1024 their details; lines of too many replicas are still counted. */
static void test_ranks(void **state)
{
    struct digest *d = fresh();
    char name[32];

    for (int32_t r = 0; r <= RECORD_RANK_MAX; r++) add(d, r, NULL, LEVEL_NONE, "step=1 loss=2.5");
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "node-%d", i);
        add(d, RECORD_RANK_NONE, name, LEVEL_NONE, "hello");
    }
    assert_int_equal(d->rank_count, DIGEST_RANKS_MAX);
    assert_int_equal(d->replica_count, DIGEST_REPLICAS_MAX);
    assert_true(d->ranks_omitted_lines > 0);
    assert_int_equal(d->lines, 65536 + 5000);
    assert_int_equal(d->series_count, DIGEST_SERIES_MAX);
    assert_int_equal(d->series_omitted, 65536 - DIGEST_SERIES_MAX);
    assert_true(digest_bytes(d) < 32u << 20);
    assert_true(check_file(d) < 4u << 20);
    assert_int_equal(digest_settle(d), 0);
    assert_non_null(digest_rank_of(d, 1023, 0)->detail);
    assert_null(digest_rank_of(d, 1024, 0)->detail);
    assert_int_equal(digest_rank_of(d, 65535, 0)->step, 1);
    digest_free(&d);
}

/* One error on all ranks: 128 of them with their first time, all of them in the ranks' list. */
static void test_ranks_of_a_group(void **state)
{
    struct digest *d = fresh();
    struct buf ranks = BUF_INIT;

    for (int32_t r = 0; r < 5000; r += 1 + (r == 999))
        add(d, r, NULL, LEVEL_ERROR, "NCCL watchdog: 600 s are over");
    check_file(d);
    assert_int_equal(digest_settle(d), 0);
    assert_int_equal(d->group_count, 1);
    assert_int_equal(d->groups[0].rank_count, 4999);
    assert_int_equal(d->groups[0].rank_listed, DIGEST_GROUP_RANKS_MAX);
    assert_int_equal(digest_group_ranks(&d->groups[0], &ranks), 0);
    assert_string_equal(buf_cstr(&ranks), "0-999,1001-4999");
    assert_false(digest_group_has_rank(&d->groups[0], 1000));
    assert_true(digest_group_has_rank(&d->groups[0], 4999));
    buf_release(&ranks);
    digest_free(&d);
}

/* Tracebacks of 3000 ranks at once, line by line, each with a source line of 4 KiB: held together as far as there is
 * room, one group for them in the end, text within its bounds. */
static void test_open_blocks(void **state)
{
    static const char *const lines[] = {
        "Traceback (most recent call last):", "  File \"a.py\", line 3, in f", NULL,
        "ValueError: bad shape"};
    char *wide = malloc(4200);
    struct digest *d = fresh();

    memset(wide, 'x', 4199);
    memset(wide, ' ', 4);
    wide[4199] = '\0';
    for (int k = 0; k < 4; k++) {
        for (int32_t r = 0; r < 2000; r++) add(d, r, NULL, LEVEL_NONE, lines[k] ? lines[k] : wide);
        assert_true(digest_bytes(d) < 64u << 20);
        check_file(d);
    }
    assert_int_equal(digest_settle(d), 0);
    assert_int_equal(d->group_count, 1);
    assert_int_equal(d->groups[0].count, 2000);
    assert_string_equal(d->groups[0].title, "ValueError: bad shape");
    assert_true(d->groups[0].text_bytes <= DIGEST_TEXT_BYTES_MAX);
    free(wide);
    digest_free(&d);
}

/* A block without end is cut: its lines are no more than the limit, its text no more than is kept. */
static void test_endless_block(void **state)
{
    struct digest *d = fresh();

    add(d, 0, NULL, LEVEL_NONE, "Traceback (most recent call last):");
    for (int i = 0; i < 5000; i++) add(d, 0, NULL, LEVEL_NONE, "  File \"a.py\", line 3, in f");
    check_file(d);
    assert_int_equal(digest_settle(d), 0);
    assert_int_equal(d->group_count, 1);
    assert_int_equal(d->groups[0].first_end_seq, 2000);
    assert_int_equal(d->groups[0].text_bytes, DIGEST_TEXT_BYTES_MAX);
    assert_true(d->groups[0].whole_bytes > DIGEST_TEXT_BYTES_MAX);
    digest_free(&d);
}

/* Sections and texts of groups beyond their room are counted or cut, and the points of a long series thinned evenly. */
static void test_tables(void **state)
{
    struct digest *d = fresh();
    char text[2000];

    for (int i = 0; i < 600; i++) {
        snprintf(text, sizeof text, "--- part %c%c", 'a' + i % 26, 'a' + i / 26);
        add(d, 0, NULL, LEVEL_NONE, text);
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "step=%d loss=%d.5", i, i);
        add(d, 0, NULL, LEVEL_NONE, text);
    }
    for (int i = 0; i < 1000; i++) {
        memset(text, 'a' + i % 26, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        text[i % 13 + 1] = 'A';
        text[i % 17 + 20] = 'B';
        text[i % 19 + 40] = 'C';
        add(d, 0, NULL, LEVEL_ERROR, text);
    }
    check_file(d);
    assert_int_equal(digest_settle(d), 0);
    assert_int_equal(d->section_count, DIGEST_SECTIONS_MAX);
    assert_int_equal(d->sections_omitted, 600 - DIGEST_SECTIONS_MAX);
    assert_int_equal(d->series_count, 1);
    assert_true(d->series[0].point_count > DIGEST_POINTS_MAX / 4 &&
                d->series[0].point_count <= DIGEST_POINTS_MAX);
    for (uint32_t i = 1; i < d->series[0].point_count; i++)
        assert_int_equal(d->series[0].points[i].step - d->series[0].points[i - 1].step,
                         d->series[0].stride);
    assert_int_equal(d->series[0].last.step, 19999);
    assert_int_equal(d->group_count, DIGEST_GROUPS_MAX);
    assert_true(d->groups_omitted > 0);
    digest_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),       cmocka_unit_test(test_ranks_of_a_group),
        cmocka_unit_test(test_open_blocks), cmocka_unit_test(test_endless_block),
        cmocka_unit_test(test_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

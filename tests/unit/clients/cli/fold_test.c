/* tests/unit/clients/cli/fold_test.c -- clients/cli/fold.c */
#include "clients/cli/fold.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define TS INT64_C(1795553641000000)

static struct buf given;
static int give_err;

static int give(void *user, const char *line, size_t len, const char *remark)
{
    struct record_view v;

    assert_int_equal(record_parse(line, len, &v), 0);
    buf_addf(&given, "%d:", (int)v.rank);
    record_msg(&v, &given);
    if (remark)
        buf_addf(&given, "{%s}", remark);
    buf_addc(&given, ' ');
    return give_err;
}

static void add_at(struct fold *f, int32_t rank, const char *msg, const char *fields, int64_t ts_us, int64_t now_us)
{
    struct record r = {.seq = 1, .ts_us = ts_us, .rank = rank, .stream = "stdout", .msg = msg, .msg_len = strlen(msg),
                       .fields_json = fields, .fields_json_len = fields ? strlen(fields) : 0};
    struct record_view v;
    struct buf line = BUF_INIT;

    record_write(&line, &r);
    assert_int_equal(record_parse(line.data, line.len, &v), 0);
    assert_int_equal(fold_add(f, &v, line.data, line.len, now_us), give_err);
    buf_release(&line);
}

static void add(struct fold *f, int32_t rank, const char *msg)
{
    add_at(f, rank, msg, NULL, TS, 0);
}

static struct fold *start(int64_t hold_us)
{
    buf_clear(&given);
    buf_adds(&given, "");
    return fold_new(hold_us, give, NULL);
}

static void check(struct fold **f, const char *want)
{
    assert_int_equal(fold_finish(*f), 0);
    assert_true(fold_is_empty(*f));
    assert_string_equal(buf_cstr(&given), want);
    fold_free(f);
}

static void the_same_line_of_many_ranks_is_one(void **state)
{
    /* One line with the number and list of ranks, where it was first seen. */
    struct fold *f = start(0);

    for (int r = 0; r < 4; r++)
        add(f, r == 1 ? 9 : r, "up");
    add(f, 0, "go");
    check(&f, "0:up{×4 ranks 0,2,3,9} 0:go ");
}

static void a_rank_that_repeats_itself(void **state)
{
    /* One rank's repeats are counted; with others' both numbers are told. */
    struct fold *f = start(0);

    add(f, 0, "retry");
    add(f, 0, "retry");
    add(f, 0, "retry");
    add(f, 1, "retry");
    check(&f, "0:retry{×2 ranks 0,1, 4 times} ");
    f = start(0);
    add(f, -1, "x");
    add(f, -1, "x");
    check(&f, "-1:x{×2} ");
}

static void no_rank_changes_its_order(void **state)
{
    /* A line is not folded over another one of its rank. */
    struct fold *f = start(0);

    add(f, 0, "a");
    add(f, 0, "b");
    add(f, 0, "a");
    add(f, 1, "b");
    add(f, 1, "a");
    check(&f, "0:a 0:b{×2 ranks 0,1} 0:a{×2 ranks 0,1} ");
}

static void blocks_fold_as_a_whole(void **state)
{
    /* Lines held together are one piece, also when ranks interleave; one that differs in a line stays apart. */
    static const char *const mark[] = {NULL, "{\"block\":2}", "{\"a\":1,\"block\":3}"};
    static const char *const text[] = {"Traceback", "  File", "ValueError: x"};
    struct fold *f = start(0);

    for (int n = 0; n < 3; n++)
        for (int r = 0; r < 3; r++)
            add_at(f, r, r == 2 && n == 2 ? "ValueError: y" : text[n], mark[n], TS + r, 0);
    add(f, 0, "end");
    check(&f, "0:Traceback{×2 ranks 0,1} 0:  File 0:ValueError: x 2:Traceback 2:  File 2:ValueError: y 0:end ");
    f = start(0);
    add_at(f, 0, "long", "{\"part\":{\"n\":1,\"of\":2}}", TS, 0);
    add(f, 1, "other");
    add_at(f, 0, "er", "{\"part\":{\"n\":2,\"of\":2}}", TS, 0);
    check(&f, "0:long 0:er 1:other ");
}

static void distant_lines_are_not_the_same(void **state)
{
    /* Two seconds apart is apart: a heartbeat is not folded into one. */
    struct fold *f = start(0);

    add_at(f, 0, "beat", NULL, TS, 0);
    add_at(f, 1, "beat", NULL, TS + FOLD_TIME_US, 0);
    add_at(f, 0, "beat", NULL, TS + FOLD_TIME_US + 1, 0);
    check(&f, "0:beat{×2 ranks 0,1} 0:beat ");
}

static void nothing_is_held_longer_than_allowed(void **state)
{
    /* A live line goes after its time, with what has come by then. */
    struct fold *f = start(FOLD_HOLD_US);

    add_at(f, 0, "a", NULL, TS, 1000);
    add_at(f, 1, "a", NULL, TS, 1000 + FOLD_HOLD_US - 1);
    assert_string_equal(buf_cstr(&given), "");
    assert_int_equal(fold_tick(f, 1000 + FOLD_HOLD_US), 0);
    assert_string_equal(buf_cstr(&given), "0:a{×2 ranks 0,1} ");
    add_at(f, 2, "a", NULL, TS, 2000 + FOLD_HOLD_US);
    check(&f, "0:a{×2 ranks 0,1} 2:a ");
}

static void the_window_is_bounded(void **state)
{
    /* Neither many small records nor a few big ones wait beyond the limits. */
    struct fold *f = start(0);
    char text[32], *big = malloc(FOLD_BYTES / 8 + 1);

    for (int i = 0; i < FOLD_RECORDS; i++) {
        snprintf(text, sizeof text, "line %d", i);
        add(f, i % 7, text);
    }
    assert_int_equal(given.len, 0);
    add(f, 0, "one more");
    assert_string_equal(buf_cstr(&given), "0:line 0 ");
    assert_int_equal(fold_finish(f), 0);
    buf_clear(&given);
    memset(big, 'x', FOLD_BYTES / 8);
    big[FOLD_BYTES / 8] = '\0';
    for (int i = 0; i < 16; i++) {
        big[0] = (char)('a' + i);
        add(f, 0, big);
    }
    assert_true(given.len > FOLD_BYTES);
    free(big);
    fold_free(&f);
}

static void ranks_that_do_the_same_are_one_log(void **state)
{
    /* Whatever the interleaving, ranks that print the same lines are one copy of them, in their order; the answer is the same
     * every time. */
    unsigned seed = (unsigned)time(NULL);

    for (int round = 0; round < 200; round++) {
        struct fold *f = start(0);
        int ranks = 2 + (int)(rand_r(&seed) % 20), lines = 1 + (int)(rand_r(&seed) % 30), left = ranks * lines;
        int at[32] = {0};
        char text[32];

        while (left) {
            int r = (int)(rand_r(&seed) % (unsigned)ranks);

            if (at[r] == lines)
                continue;
            snprintf(text, sizeof text, "line %d", at[r]++);
            add_at(f, r, text, NULL, TS + at[r], 0);
            left--;
        }
        fold_finish(f);
        for (int i = 0; i < lines; i++) {
            char *at_line;

            snprintf(text, sizeof text, ":line %d{×%d ranks ", i, ranks);
            at_line = strstr(buf_cstr(&given), text);
            if (!at_line)
                fail_msg("seed %u round %d: %s not in %s", seed, round, text, buf_cstr(&given));
        }
        assert_int_equal(fold_finish(f), 0);
        fold_free(&f);
    }
}

static void an_error_ends_it(void **state)
{
    struct fold *f = start(1);

    add_at(f, 0, "a", NULL, TS, 1);
    give_err = ERR_CLOSED;
    assert_int_equal(fold_tick(f, 10), ERR_CLOSED);
    give_err = 0;
    fold_free(&f);
    fold_free(&f);
}

static int teardown(void **state)
{
    buf_release(&given);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_line_of_many_ranks_is_one),
        cmocka_unit_test(a_rank_that_repeats_itself),
        cmocka_unit_test(no_rank_changes_its_order),
        cmocka_unit_test(blocks_fold_as_a_whole),
        cmocka_unit_test(distant_lines_are_not_the_same),
        cmocka_unit_test(nothing_is_held_longer_than_allowed),
        cmocka_unit_test(the_window_is_bounded),
        cmocka_unit_test(ranks_that_do_the_same_are_one_log),
        cmocka_unit_test(an_error_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

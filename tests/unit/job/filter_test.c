/*
 * tests/unit/job/filter_test.c -- what passes, and what a summary may rule out.
 */
#include "base/err.h"
#include "job/filter.h"
#include "tests/unit/job/model.h"

#include <ctype.h>

static struct buf scratch = BUF_INIT;

static int passes(const struct filter *f, const struct record *r)
{
    struct buf b = BUF_INIT;
    struct record_view v;
    assert_int_equal(record_write(&b, r), 0);
    assert_int_equal(record_parse(b.data, b.len, &v), 0);
    int rc = filter_match(f, &v, &scratch);
    buf_release(&b);
    return rc;
}

static int finds(const struct filter *f, const struct record *r)
{
    struct buf b = BUF_INIT;
    struct record_view v;
    assert_int_equal(record_write(&b, r), 0);
    assert_int_equal(record_parse(b.data, b.len, &v), 0);
    int rc = filter_finds(f, &v, &scratch);
    buf_release(&b);
    return rc;
}

static int text_passes(const struct filter *f, const char *msg)
{
    struct record r = {.ts_us = MODEL_TS, .rank = 0, .msg = msg, .msg_len = strlen(msg)};
    return passes(f, &r);
}

static void set_q(struct filter *f, const char *q, int ignore_case)
{
    strcpy(f->q, q);
    f->q_len = strlen(q);
    f->ignore_case = ignore_case;
}

static void test_ranks(void **state)
{
    /* rank= takes numbers and ranges, and nothing else. */
    static const char *const bad[] = {"", ",", "1,", ",1", "1,,2", "-1", "1-", "5-3", "65536", "a",
                                      "1 ", "1-2-3", "0x1", "99999999999", "non", "none-3", "nonee",
                                      "None"};
    struct filter f;
    filter_init(&f);
    assert_int_equal(filter_parse_ranks(&f, LITERAL("0,3-5,65535")), 0);
    assert_int_equal(f.rank_count, 3);
    for (int32_t rank = -1; rank < 8; rank++) {
        struct record r = {.ts_us = 1, .rank = rank, .msg = "x", .msg_len = 1};
        assert_int_equal(passes(&f, &r), rank == 0 || (rank >= 3 && rank <= 5));
    }
    assert_int_equal(filter_parse_ranks(&f, LITERAL("none,1-2")), 0);
    for (int32_t rank = -1; rank < 8; rank++) {
        struct record r = {.ts_us = 1, .rank = rank, .msg = "x", .msg_len = 1};
        assert_int_equal(passes(&f, &r), rank == -1 || rank == 1 || rank == 2);
    }
    assert_int_equal(filter_parse_ranks(&f, LITERAL("0,3-5,65535")), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (filter_parse_ranks(&f, bad[i], strlen(bad[i])) >= 0) fail_msg("taken: %s", bad[i]);
    assert_int_equal(f.rank_count, 3);
    char many[FILTER_RANKS_MAX * 2 + 2];
    for (size_t i = 0; i < sizeof many; i++) many[i] = i % 2 ? ',' : '1';
    assert_int_equal(filter_parse_ranks(&f, many, FILTER_RANKS_MAX * 2 - 1), 0);
    assert_int_equal(filter_parse_ranks(&f, many, FILTER_RANKS_MAX * 2 + 1), ERR_LIMIT);
}

static void test_text(void **state)
{
    /* q is searched in what the job wrote, not in its escaped form. */
    struct filter f;
    filter_init(&f);
    set_q(&f, "say \"hi\"\t\\n", 0);
    assert_true(text_passes(&f, "I say \"hi\"\t\\n now"));
    assert_false(text_passes(&f, "I say \"hi\"\tn now"));
    set_q(&f, "u001b", 0);
    assert_false(text_passes(&f, "\x1b[0m"));
    set_q(&f, "\\", 0);
    assert_false(text_passes(&f, "\n\""));
    assert_true(text_passes(&f, "a\\"));
    set_q(&f, "CUDA", 0);
    assert_true(text_passes(&f, "CUDA"));
    assert_false(text_passes(&f, "cuda"));
    set_q(&f, "cUdA \xc3\xa9!", 1);
    assert_true(text_passes(&f, "no CuDa \xc3\xa9!"));
    assert_false(text_passes(&f, "no CuDa \xc3\x89!"));
    assert_false(text_passes(&f, "cud"));
    set_q(&f, "[", 1);
    assert_false(text_passes(&f, "{"));
    assert_true(text_passes(&f, "["));
}

static int odd_length(const void *matcher, const char *text, size_t len)
{
    return *(const int *)matcher && len % 2 == 1;
}

static void test_matcher(void **state)
{
    /* A pattern sees the unescaped text, and must hold beside q. */
    struct filter f;
    int on = 1;
    filter_init(&f);
    f.match = odd_length;
    f.matcher = &on;
    assert_true(text_passes(&f, "\n\n\n"));
    assert_false(text_passes(&f, "\n\n"));
    set_q(&f, "x", 0);
    assert_false(text_passes(&f, "\n\n\n"));
    assert_true(text_passes(&f, "\nx\n"));
}

static void test_parts(void **state)
{
    /* Every part must hold; bounds of time are since <= ts < until. */
    struct record r = {.ts_us = 1000, .rank = 2, .replica = "node-1", .stream = "stderr",
                       .level = LEVEL_WARN, .msg = "x", .msg_len = 1};
    struct filter f;
    filter_init(&f);
    assert_true(filter_is_open(&f));
    assert_true(passes(&f, &r));
    f.since_us = 1000;
    f.until_us = 1001;
    assert_false(filter_is_open(&f));
    assert_true(passes(&f, &r));
    f.since_us = 1001;
    assert_false(passes(&f, &r));
    f.since_us = 0;
    f.until_us = 1000;
    assert_false(passes(&f, &r));
    filter_init(&f);
    f.level_min = LEVEL_WARN;
    assert_true(passes(&f, &r));
    f.level_min = LEVEL_ERROR;
    assert_false(passes(&f, &r));
    f.level_min = LEVEL_TRACE;
    r.level = LEVEL_NONE;
    assert_false(passes(&f, &r));
    filter_init(&f);
    strcpy(f.replica, "node-1");
    assert_true(passes(&f, &r));
    strcpy(f.replica, "node");
    assert_false(passes(&f, &r));
    filter_init(&f);
    strcpy(f.stream, "stderr");
    assert_true(passes(&f, &r));
    strcpy(f.stream, "stdout");
    assert_false(passes(&f, &r));
    r.stream = NULL;
    assert_false(passes(&f, &r));
}

static void test_never_missed(void **state)
{
    /* State changes and gap records pass all but bounds of time. */
    struct record change = {.ts_us = 1000, .rank = 7, .is_state = 1, .state = STATE_FAILED,
                            .msg = "x", .msg_len = 1};
    struct record gap = {.ts_us = 1000, .rank = 7, .level = LEVEL_WARN, .msg = "x", .msg_len = 1,
                         .fields_json = "{\"gap\":{\"from\":1,\"to\":2}}", .fields_json_len = 25};
    struct record line = gap;
    struct filter f;
    line.fields_json = "{\"gap\":1}";
    line.fields_json_len = 9;
    filter_init(&f);
    filter_parse_ranks(&f, "3", 1);
    f.level_min = LEVEL_FATAL;
    strcpy(f.replica, "other");
    strcpy(f.stream, "other");
    set_q(&f, "nowhere", 0);
    assert_true(passes(&f, &change));
    assert_true(passes(&f, &gap));
    assert_false(passes(&f, &line));
    /* A search counts neither of them for that. */
    assert_false(finds(&f, &change));
    assert_false(finds(&f, &gap));
    f.until_us = 1000;
    assert_false(passes(&f, &change));
    assert_false(passes(&f, &gap));
    filter_init(&f);
    set_q(&f, "x", 0);
    assert_false(finds(&f, &change));
    assert_true(finds(&f, &gap));
}

static void random_filter(struct filter *f)
{
    filter_init(f);
    if (!unit_below(3)) f->since_us = MODEL_TS + (int64_t)unit_below(100000000);
    if (!unit_below(3)) f->until_us = MODEL_TS + (int64_t)unit_below(100000000);
    if (!unit_below(2)) f->level_min = (enum level)unit_below(LEVEL_COUNT);
    if (!unit_below(2)) {
        const char *ranks[] = {"0", "1-2", "0,4", "3-4,1"};
        const char *r = ranks[unit_below(4)];
        filter_parse_ranks(f, r, strlen(r));
    }
    if (!unit_below(4)) set_q(f, "3", 0);
}

static void test_may_match(void **state)
{
    /* A run is ruled out only when none of its records passes; gaps and states count. */
    int ruled_out = 0;
    unit_seed();
    for (int round = 0; round < 100000; round++) {
        struct filter f;
        struct frame_summary sum;
        int any = 0;
        random_filter(&f);
        frame_summary_init(&sum);
        for (size_t n = 1 + unit_below(3); n; n--) {
            struct model_line m;
            model_make(&m);
            struct record r = {.ts_us = m.ts_us, .rank = m.rank, .level = m.level, .msg = m.msg,
                               .msg_len = strlen(m.msg)};
            if (!unit_below(10)) {
                r.level = LEVEL_WARN; /* as ingest/ writes it */
                r.fields_json = "{\"gap\":{\"from\":1,\"to\":2}}";
                r.fields_json_len = 25;
            } else if (!unit_below(10)) {
                r.is_state = sum.is_state = 1;
                r.level = LEVEL_NONE;
            }
            frame_summary_add(&sum, r.ts_us, r.rank, r.level);
            any |= passes(&f, &r);
        }
        int may = filter_may_match(&f, &sum);
        if (any && !may) fail_msg("round %d: a record passes, its run was ruled out", round);
        ruled_out += !may;
    }
    assert_true(ruled_out > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),   cmocka_unit_test(test_text),
        cmocka_unit_test(test_matcher), cmocka_unit_test(test_parts),
        cmocka_unit_test(test_never_missed), cmocka_unit_test(test_may_match),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_release(&scratch);
    return rc;
}

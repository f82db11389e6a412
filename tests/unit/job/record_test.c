/*
 * tests/unit/job/record_test.c -- the canonical line, written and read back.
 */
#include "base/clock.h"
#include "base/err.h"
#include "job/id.h"
#include "job/record.h"
#include "tests/unit/base/unit.h"

#define NOON INT64_C(1795467241123456)

static void test_golden(void **state)
{
    /* The canonical text is exactly what the header shows. */
    struct buf b = BUF_INIT;
    struct record line = {.seq = 812,
                          .ts_us = NOON,
                          .rank = 3,
                          .replica = "node-1",
                          .stream = "stderr",
                          .level = LEVEL_ERROR,
                          .msg = "a \"b\"\n\x1b[0m\xc3\xa9\0z",
                          .msg_len = 14,
                          .fields_json = "{\"k\":[1]}",
                          .fields_json_len = 9};
    struct record least = {.ts_us = 0, .rank = RECORD_RANK_NONE, .replica = "", .msg = NULL};
    struct record change = {.seq = 813,
                            .ts_us = NOON,
                            .rank = 3,
                            .is_state = 1,
                            .state = STATE_FAILED,
                            .msg = "x",
                            .msg_len = 1,
                            .has_exit_code = 1,
                            .exit_code = -9};
    assert_int_equal(record_write(&b, &line), 0);
    assert_int_equal(record_write(&b, &least), 0);
    assert_int_equal(record_write(&b, &change), 0);
    assert_string_equal(
        buf_cstr(&b),
        "{\"seq\":812,\"ts\":\"2026-11-23T20:54:01.123456Z\",\"rank\":3,\"replica\":\"node-1\","
        "\"stream\":\"stderr\",\"level\":\"error\","
        "\"msg\":\"a \\\"b\\\"\\n\\u001b[0m\xc3\xa9\\u0000z\",\"fields\":{\"k\":[1]}}\n"
        "{\"ts\":\"1970-01-01T00:00:00.000000Z\",\"msg\":\"\"}\n"
        "{\"seq\":813,\"ts\":\"2026-11-23T20:54:01.123456Z\",\"rank\":3,"
        "\"state\":\"TRAINING_JOB_FAILED\",\"msg\":\"x\",\"exit_code\":-9}\n");
    buf_release(&b);
}

static void check_same(const struct record *r, const struct record_view *v, struct buf *scratch)
{
    assert_true(v->seq == r->seq && v->ts_us == r->ts_us && v->rank == r->rank);
    assert_int_equal(v->level, r->level);
    assert_int_equal(v->is_state, r->is_state);
    if (r->is_state) assert_int_equal(v->state, r->state);
    assert_int_equal(v->has_exit_code, r->is_state && r->has_exit_code);
    if (v->has_exit_code) assert_true(v->exit_code == r->exit_code);
    assert_int_equal(v->replica_len, strlen(r->replica));
    assert_memory_equal(v->replica, r->replica, v->replica_len);
    assert_int_equal(v->stream_len, strlen(r->stream));
    assert_memory_equal(v->stream, r->stream, v->stream_len);
    assert_int_equal(v->fields_json_len, r->fields_json_len);
    if (r->fields_json) assert_memory_equal(v->fields_json, r->fields_json, v->fields_json_len);
    else assert_null(v->fields_json);
    buf_clear(scratch);
    assert_int_equal(record_msg(v, scratch), 0);
    assert_int_equal(scratch->len, r->msg_len);
    if (r->msg_len) assert_memory_equal(scratch->data, r->msg, r->msg_len);
}

static void test_round_trip(void **state)
{
    /* Whatever was written is read back the same, with or without its newline. */
    static const char *const replicas[] = {"", "node-1", "a"};
    static const char *const fields[] = {NULL, "{}", "{\"a\":\"}\\\"\"}", "{\"part\":{\"n\":2}}"};
    static const int64_t codes[] = {0, 1, -1, 255, INT64_MAX, INT64_MIN};
    struct buf b = BUF_INIT, scratch = BUF_INIT;
    unit_seed();
    for (int i = 0; i < 50000; i++) {
        char msg[200];
        size_t len = unit_below(sizeof msg);
        for (size_t k = 0; k < len; k++) msg[k] = "ab\"\\\n\0{}:,\x1f/u"[unit_below(13)];
        const char *f = fields[unit_below(4)];
        struct record_view v;
        struct record r = {
            .seq = unit_below(3) ? unit_random() >> unit_below(64) : 0,
            .ts_us = (int64_t)(unit_random() % (uint64_t)(CLOCK_WALL_US_MAX + 1)),
            .rank = (int32_t)unit_below(RECORD_RANK_MAX + 2) - 1,
            .replica = replicas[unit_below(3)],
            .stream = unit_below(2) ? "stdout" : "",
            .level = (enum level)unit_below(LEVEL_COUNT),
            .msg = msg,
            .msg_len = len,
            .fields_json = f,
            .fields_json_len = f ? strlen(f) : 0,
            .is_state = !unit_below(4),
            .state = (enum job_state)unit_below(STATE_COUNT),
            .has_exit_code = unit_below(2) != 0,
            .exit_code = codes[unit_below(6)],
        };
        buf_clear(&b);
        assert_int_equal(record_write(&b, &r), 0);
        assert_int_equal(b.data[b.len - 1], '\n');
        assert_ptr_equal(memchr(b.data, '\n', b.len), b.data + b.len - 1);
        for (int cut = 0; cut < 2; cut++) {
            char *exact = malloc(b.len);
            memcpy(exact, b.data, b.len - (size_t)cut);
            assert_int_equal(record_parse(exact, b.len - (size_t)cut, &v), 0);
            check_same(&r, &v, &scratch);
            free(exact);
        }
    }
    buf_release(&b);
    buf_release(&scratch);
}

static void test_refused(void **state)
{
    /* What record_write would not write is ERR_CORRUPT. */
#define TS "\"ts\":\"2026-11-23T20:54:01.123456Z\""
    static const char *const bad[] = {
        "",
        "\n",
        "{}",
        "{" TS "}",
        "{\"msg\":\"x\"," TS "}",
        "{" TS ",\"msg\":\"x\"} ",
        "{" TS ",\"msg\":\"x\"}\n\n",
        " {" TS ",\"msg\":\"x\"}",
        "{ " TS ",\"msg\":\"x\"}",
        "{" TS ", \"msg\":\"x\"}",
        "{" TS ",\"msg\":\"x\"",
        "{" TS ",\"msg\":\"x}",
        "{" TS ",\"msg\":\"x\\\"}",
        "{" TS ",\"msg\":5}",
        "{\"seq\":0," TS ",\"msg\":\"x\"}",
        "{\"seq\":01," TS ",\"msg\":\"x\"}",
        "{\"seq\":-1," TS ",\"msg\":\"x\"}",
        "{\"seq\":18446744073709551616," TS ",\"msg\":\"x\"}",
        "{\"seq\":," TS ",\"msg\":\"x\"}",
        "{" TS ",\"seq\":1,\"msg\":\"x\"}",
        "{" TS ",\"rank\":-1,\"msg\":\"x\"}",
        "{" TS ",\"rank\":65536,\"msg\":\"x\"}",
        "{" TS ",\"rank\":03,\"msg\":\"x\"}",
        "{" TS ",\"rank\":3.0,\"msg\":\"x\"}",
        "{" TS ",\"replica\":\"\",\"msg\":\"x\"}",
        "{" TS ",\"stream\":\"a\",\"rank\":3,\"msg\":\"x\"}",
        "{" TS ",\"level\":\"\",\"msg\":\"x\"}",
        "{" TS ",\"level\":\"ERROR\",\"msg\":\"x\"}",
        "{" TS ",\"level\":\"warning\",\"msg\":\"x\"}",
        "{" TS ",\"state\":\"RUNNING\",\"msg\":\"x\"}",
        "{" TS ",\"state\":\"TRAINING_JOB_DONE\",\"msg\":\"x\"}",
        "{" TS ",\"msg\":\"x\",\"exit_code\":1}",
        "{" TS ",\"state\":\"TRAINING_JOB_FAILED\",\"msg\":\"x\",\"exit_code\":-0}",
        "{" TS ",\"state\":\"TRAINING_JOB_FAILED\",\"msg\":\"x\",\"exit_code\":}",
        "{" TS ",\"state\":\"TRAINING_JOB_FAILED\",\"msg\":\"x\",\"exit_code\":9223372036854775808}",
        "{" TS ",\"msg\":\"x\",\"fields\":}",
        "{" TS ",\"msg\":\"x\",\"fields\":{}",
        "{" TS ",\"msg\":\"x\",\"fields\":[]}",
        "{" TS ",\"msg\":\"x\",\"other\":1}",
        "{\"ts\":\"2026-11-23T20:54:01.12345Z\",\"msg\":\"x\"}",
        "{\"ts\":\"2026-11-23T20:54:60.123456Z\",\"msg\":\"x\"}",
        "{\"ts\":\"2026-11-23T24:54:01.123456Z\",\"msg\":\"x\"}",
        "{\"ts\":\"2026-02-30T20:54:01.123456Z\",\"msg\":\"x\"}",
        "{\"ts\":\"2026-11-23t20:54:01.123456Z\",\"msg\":\"x\"}",
        "{\"ts\":\"2026-11-23T20:54:01.123456z\",\"msg\":\"x\"}",
        "{\"ts\":\"2026-11-23T20:54:01,123456Z\",\"msg\":\"x\"}",
        "{\"ts\":\"2026-11-23T20:54:01.1+00:00\",\"msg\":\"x\"}",
        "{\"ts\":1795467241123456,\"msg\":\"x\"}",
    };
    struct record_view v;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (record_parse(bad[i], strlen(bad[i]), &v) != ERR_CORRUPT) fail_msg("read: %s", bad[i]);
}

static void test_damage(void **state)
{
    /* No cut and no changed byte of a line is read past its end or changes another part unseen. */
    struct buf b = BUF_INIT;
    struct record r = {.seq = 812, .ts_us = NOON, .rank = 3, .replica = "node-1", .stream = "err",
                       .level = LEVEL_WARN, .msg = "a\\b", .msg_len = 3, .fields_json = "{\"k\":1}",
                       .fields_json_len = 7};
    struct record_view v;
    record_write(&b, &r);
    for (size_t i = 0; i < b.len - 1; i++) {
        char *exact = malloc(i + !i);
        memcpy(exact, b.data, i);
        assert_int_equal(record_parse(exact, i, &v), ERR_CORRUPT);
        free(exact);
    }
    for (size_t i = 0; i < b.len; i++) {
        for (int c = 0; c < 256; c++) {
            char *exact = malloc(b.len);
            memcpy(exact, b.data, b.len);
            exact[i] = (char)c;
            if (record_parse(exact, b.len, &v) >= 0) {
                assert_true(v.msg_json >= exact && v.msg_json + v.msg_json_len < exact + b.len);
                assert_true(v.fields_json + v.fields_json_len < exact + b.len);
            }
            free(exact);
        }
    }
    buf_release(&b);
}

static void test_full_buffer(void **state)
{
    /* A line that does not fit leaves the buffer as it was. */
    struct record r = {.ts_us = NOON, .rank = 1, .stream = "stderr", .msg = "0123456789",
                       .msg_len = 10};
    for (size_t max = 4; max < 110; max++) {
        struct buf b;
        buf_init(&b, max);
        buf_adds(&b, "kept");
        int rc = record_write(&b, &r);
        if (rc < 0) {
            assert_int_equal(rc, ERR_TOO_BIG);
            assert_string_equal(buf_cstr(&b), "kept");
        } else {
            struct record_view v;
            assert_int_equal(record_parse(b.data + 4, b.len - 4, &v), 0);
        }
        buf_release(&b);
    }
}

static void test_line_seq(void **state)
{
    /* The number alone: of a line, of the first of several, and 0 for all that is none. */
    static const struct {
        const char *line;
        uint64_t seq;
    } rows[] = {
        {"{\"seq\":1,\"ts\":", 1},
        {"{\"seq\":18446744073709551615,\"ts\"", UINT64_MAX},
        {"{\"seq\":12,\"a\"}\n{\"seq\":13,\"b\"}\n", 12},
        {"{\"seq\":,\"ts\"", 0},
        {"{\"seq\":12}", 0},
        {"{\"seq\":1234567", 0},
        {"{\"seq\":-1,\"ts", 0},
        {"{\"ts\":\"2026", 0},
        {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].line);
        char *exact = malloc(len + !len);
        memcpy(exact, rows[i].line, len);
        assert_int_equal(record_line_seq(exact, len), rows[i].seq);
        free(exact);
    }
}

static void test_line_rank(void **state)
{
    /* The rank alone, from its own place: not from the text of a message or from fields of the job's. */
    static const struct {
        const char *line;
        int32_t rank;
    } rows[] = {
        {"{\"seq\":1,\"ts\":\"2026-11-23T20:54:01.000001Z\",\"rank\":0,\"msg\":\"x\"}\n", 0},
        {"{\"seq\":1,\"ts\":\"2026-11-23T20:54:01.000001Z\",\"rank\":65535", 65535},
        {"{\"seq\":1,\"ts\":\"2026-11-23T20:54:01.000001Z\",\"rank\":65536,", RECORD_RANK_NONE},
        {"{\"seq\":1,\"ts\":\"2026-11-23T20:54:01.000001Z\",\"msg\":\"x\",\"fields\":{\"a\":1,\"rank\":3}}", RECORD_RANK_NONE},
        {"{\"seq\":1,\"ts\":\"2026-11-23T20:54:01.000001Z\",\"rank\":", RECORD_RANK_NONE},
        {"{\"ts\":\"2026-11-23T20:54:01.000001Z\",\"rank\":3}", RECORD_RANK_NONE},
        {"{\"seq\":1,\"ts\":\"2026", RECORD_RANK_NONE},
        {"", RECORD_RANK_NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].line);
        char *exact = malloc(len + !len);
        memcpy(exact, rows[i].line, len);
        assert_int_equal(record_line_rank(exact, len), rows[i].rank);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),  cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_full_buffer), cmocka_unit_test(test_line_seq),
        cmocka_unit_test(test_line_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

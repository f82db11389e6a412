/*
 * tests/unit/job/frame_test.c -- numbering, walking and summing up, beside an array of lines.
 */
#include "base/err.h"
#include "job/frame.h"
#include "tests/unit/job/model.h"

#define LINES_MAX 40

static void check_walk(const struct frame *f, const struct model_line *m, size_t count)
{
    size_t pos = 0, back = f->text_bytes, len;
    const char *line, *lines[LINES_MAX];
    struct buf msg = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        struct record_view v;
        assert_int_equal(frame_next_line(f, &pos, &line, &len), 1);
        lines[i] = line;
        assert_int_equal(record_parse(line, len, &v), 0);
        assert_true(v.seq == f->first_seq + i);
        assert_true(v.ts_us == m[i].ts_us && v.rank == m[i].rank && v.level == m[i].level);
        buf_clear(&msg);
        assert_int_equal(record_msg(&v, &msg), 0);
        assert_string_equal(buf_cstr(&msg), m[i].msg);
    }
    assert_int_equal(frame_next_line(f, &pos, &line, &len), 0);
    for (size_t i = count; i-- > 0;) {
        assert_int_equal(frame_prev_line(f, &back, &line, &len), 1);
        assert_ptr_equal(line, lines[i]);
        assert_int_equal(line[len], '\n');
    }
    assert_int_equal(frame_prev_line(f, &back, &line, &len), 0);
    assert_true(frame_last_seq(f) == f->first_seq + count - 1);
    buf_release(&msg);
}

static void test_number(void **state)
{
    /* Numbered lines are the lines with first_seq, +1, …, and can be taken back as text. */
    static const uint64_t firsts[] = {1, 7, 9, 95, 99, 999999, 4294967290, UINT64_MAX - 50};
    unit_seed();
    for (int round = 0; round < 3000; round++) {
        struct model_line m[LINES_MAX];
        struct frame_summary sum;
        struct buf raw = BUF_INIT;
        struct frame *f = NULL, *g = NULL;
        size_t count = 1 + unit_below(LINES_MAX);
        uint64_t first = firsts[unit_below(8)];
        frame_summary_init(&sum);
        for (size_t i = 0; i < count; i++) {
            model_make(&m[i]);
            model_write(&raw, &sum, 0, &m[i]);
        }
        model_check_summary(&sum, m, count);
        assert_int_equal(frame_number(first, 77, &sum, raw.data, raw.len, &f), 0);
        assert_true(f->first_seq == first && f->recv_us == 77 && f->refs == 1);
        model_check_summary(&f->sum, m, count);
        check_walk(f, m, count);
        char *text = malloc(f->text_bytes), *kept = text;
        memcpy(text, f->text, f->text_bytes);
        assert_int_equal(frame_from_text(first + 1, 0, NULL, &text, f->text_bytes, &g), ERR_CORRUPT);
        assert_ptr_equal(text, kept);
        assert_int_equal(frame_from_text(first, 5, NULL, &text, f->text_bytes, &g), 0);
        assert_null(text);
        model_check_summary(&g->sum, m, count);
        check_walk(g, m, count);
        frame_unref(&f);
        frame_unref(&g);
        buf_release(&raw);
    }
}

static void test_damaged(void **state)
{
    /* A damaged payload is ERR_CORRUPT or as many lines as promised, never a crash. */
    struct model_line m[5];
    struct frame_summary sum;
    struct buf raw = BUF_INIT;
    struct frame *f = NULL;
    unit_seed();
    frame_summary_init(&sum);
    for (size_t i = 0; i < 5; i++) {
        model_make(&m[i]);
        model_write(&raw, &sum, 0, &m[i]);
    }
    for (size_t len = 0; len < raw.len; len++) {
        char *exact = malloc(len + !len);
        memcpy(exact, raw.data, len);
        assert_int_equal(frame_number(1, 0, &sum, exact, len, &f), ERR_CORRUPT);
        assert_null(f);
        free(exact);
    }
    for (size_t i = 0; i < raw.len; i++) {
        for (int c = 0; c < 256; c += 5) {
            char *exact = malloc(raw.len), *text;
            memcpy(exact, raw.data, raw.len);
            exact[i] = (char)(c == 15 ? '\n' : c);
            if (frame_number(1, 0, &sum, exact, raw.len, &f) >= 0) {
                size_t pos = 0, n = 0, len, text_len = f->text_bytes;
                const char *line;
                while (frame_next_line(f, &pos, &line, &len)) n++;
                assert_int_equal(n, 5);
                text = malloc(text_len);
                memcpy(text, f->text, text_len);
                frame_unref(&f);
                if (frame_from_text(1, 0, &sum, &text, text_len, &f) >= 0) frame_unref(&f);
                free(text);
            }
            free(exact);
        }
    }
    for (uint32_t count = 0; count < 9; count++) {
        struct frame_summary lie = sum;
        lie.count = count;
        int rc = frame_number(1, 0, &lie, raw.data, raw.len, &f);
        assert_int_equal(rc, count == 5 ? 0 : ERR_CORRUPT);
        frame_unref(&f);
    }
    sum.count = UINT32_MAX;
    assert_int_equal(frame_number(1, 0, &sum, raw.data, raw.len, &f), ERR_CORRUPT);
    sum.count = 5;
    assert_int_equal(frame_number(0, 0, &sum, raw.data, raw.len, &f), ERR_CORRUPT);
    assert_int_equal(frame_number(UINT64_MAX - 3, 0, &sum, raw.data, raw.len, &f), ERR_CORRUPT);
    buf_release(&raw);
}

static void test_merge(void **state)
{
    /* Merged summaries are the summary of all lines; an empty one changes nothing. */
    struct model_line m[20];
    unit_seed();
    for (int round = 0; round < 2000; round++) {
        struct frame_summary parts[4], all;
        size_t from = 0, count = unit_below(20) + 1;
        frame_summary_init(&all);
        for (size_t i = 0; i < count; i++) model_make(&m[i]);
        for (size_t p = 0; p < 4; p++) {
            size_t upto = p == 3 ? count : from + unit_below(count - from + 1);
            frame_summary_init(&parts[p]);
            for (; from < upto; from++)
                frame_summary_add(&parts[p], m[from].ts_us, m[from].rank, m[from].level);
            frame_summary_merge(&all, &parts[p]);
        }
        model_check_summary(&all, m, count);
    }
    struct frame_summary a, b;
    frame_summary_init(&a);
    frame_summary_init(&b);
    frame_summary_add(&a, 1, 1, LEVEL_INFO);
    frame_summary_add(&b, 1, 1, LEVEL_NONE);
    b.is_state = 1;
    frame_summary_merge(&a, &b);
    assert_true(a.is_state);
}

static void test_header(void **state)
{
    /* A header is read back as written; anything else is ERR_CORRUPT. */
    static const char *const bad[] = {
        "", "1", "2 5 9 8 0 3 1 2 0 500 0", "1 0 9 8 0 3 1 2 0 500 0", "1 5 9 8 0 3 1 2 0 500",
        "1 5 9 8 0 3 1 2 0 500 0 ", " 1 5 9 8 0 3 1 2 0 500 0", "1  5 9 8 0 3 1 2 0 500 0",
        "1 5 9 0 0 3 1 2 0 500 0", "1 5 9 128 0 3 1 2 0 500 0", "1 5 9 8 -2 3 1 2 0 500 0",
        "1 5 9 8 0 65536 1 2 0 500 0", "1 5 9 8 3 0 1 2 0 500 0", "1 5 9 8 0 3 2 1 0 500 0",
        "1 5 9 8 0 3 1 2 2 500 0", "1 5 9 8 0 3 1 2 0 500 2", "1 5 9 8 0 3 1 2 0 -500 0",
        "1 5 9 8 0 3 1 2 0 99999999999 0", "1 99999999999 9 8 0 3 1 2 0 500 0",
        "1 5 99999999999999999999 8 0 3 1 2 0 500 0", "1 5 9 8 0 3 1 2 0 500 0 0",
        "1 5 9 8 0 3 1 2 0 +5 0",
    };
    struct frame_summary s = {.count = 500, .level_mask = 8 | 32, .rank_lo = -1, .rank_hi = 3,
                              .ts_min_us = -5, .ts_max_us = MODEL_TS, .is_state = 1};
    struct frame_summary got;
    int64_t recv_us;
    size_t raw_bytes;
    int packed;
    struct buf b = BUF_INIT;
    assert_int_equal(frame_header_format(&b, &s, MODEL_TS, 61234, 1), 0);
    assert_string_equal(buf_cstr(&b),
                        "1 500 1795467241000000 40 -1 3 -5 1795467241000000 1 61234 1");
    assert_int_equal(frame_header_parse(b.data, b.len, &got, &recv_us, &raw_bytes, &packed), 0);
    assert_true(got.count == s.count && got.level_mask == s.level_mask && got.is_state);
    assert_true(got.rank_lo == s.rank_lo && got.rank_hi == s.rank_hi);
    assert_true(got.ts_min_us == s.ts_min_us && got.ts_max_us == s.ts_max_us);
    assert_true(recv_us == MODEL_TS && raw_bytes == 61234 && packed == 1);
    buf_release(&b);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t len = strlen(bad[i]);
        char *exact = malloc(len + !len);
        memcpy(exact, bad[i], len);
        if (frame_header_parse(exact, len, &got, &recv_us, &raw_bytes, &packed) != ERR_CORRUPT)
            fail_msg("read: %s", bad[i]);
        free(exact);
    }
}

static int wires_freed;
static void count_free(void *wire)
{
    wires_freed += *(int *)wire;
}

static void test_references(void **state)
{
    /* A frame and its wire go with the last reference. */
    struct model_line m;
    struct frame_summary sum;
    struct buf raw = BUF_INIT;
    struct frame *f = NULL;
    int one = 1;
    unit_seed();
    frame_summary_init(&sum);
    model_make(&m);
    model_write(&raw, &sum, 0, &m);
    assert_int_equal(frame_number(1, 0, &sum, raw.data, raw.len, &f), 0);
    f->wire = &one;
    f->wire_free = count_free;
    struct frame *second = frame_ref(f);
    frame_unref(&f);
    assert_null(f);
    assert_int_equal(wires_freed, 0);
    frame_unref(&second);
    assert_int_equal(wires_freed, 1);
    frame_unref(&second);
    buf_release(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_merge),  cmocka_unit_test(test_header),
        cmocka_unit_test(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/job/batch_test.c -- building a batch and cutting it, beside an array of lines.
 */
#include "base/err.h"
#include "job/batch.h"
#include "tests/unit/job/model.h"

#define LINES_MAX 60

static size_t msg_bytes(const struct model_line *m, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += strlen(m[i].msg);
    return n;
}

/* Lines m[0..count) in frames of random sizes, as ingest would build it. */
static struct batch *build(const struct model_line *m, size_t count)
{
    struct batch *b = batch_new();
    for (size_t from = 0; from < count;) {
        size_t n = 1 + unit_below(count - from);
        struct frame_summary sum;
        struct buf raw = BUF_INIT;
        char *packed = unit_below(2) ? strdup("packed") : NULL, *bytes;
        size_t len;
        frame_summary_init(&sum);
        for (size_t i = from; i < from + n; i++) {
            model_write(&raw, &sum, 0, &m[i]);
            batch_note_rank(b, m[i].rank, m[i].ts_us);
            b->level_count[m[i].level]++;
        }
        bytes = buf_steal(&raw, &len);
        assert_int_equal(batch_add_frame(b, &sum, &bytes, len, &packed, packed ? 6 : 0), 0);
        assert_null(bytes);
        assert_null(packed);
        from += n;
    }
    b->msg_bytes = msg_bytes(m, count);
    b->producer.first = 101;
    b->producer.last = 100 + count;
    return b;
}

static void check(const struct batch *b, const struct model_line *m, size_t count, int whole)
{
    size_t at = 0, raw_bytes = 0;
    uint64_t levels[LEVEL_COUNT] = {0}, ranks = 0;
    for (uint32_t i = 0; i < b->frame_count; i++) {
        const struct batch_frame *f = &b->frames[i];
        struct frame *numbered = NULL;
        assert_true(at + f->sum.count <= count);
        model_check_summary(&f->sum, m + at, f->sum.count);
        assert_int_equal(frame_number(1, 0, &f->sum, f->raw, f->raw_bytes, &numbered), 0);
        frame_unref(&numbered);
        for (const char *p = f->raw; p < f->raw + f->raw_bytes; at++) {
            const char *end = memchr(p, '\n', (size_t)(f->raw + f->raw_bytes - p));
            struct record_view v;
            struct buf msg = BUF_INIT;
            assert_int_equal(record_parse(p, (size_t)(end - p), &v), 0);
            assert_int_equal(record_msg(&v, &msg), 0);
            assert_string_equal(buf_cstr(&msg), m[at].msg);
            buf_release(&msg);
            levels[m[at].level]++;
            p = end + 1;
        }
        if (f->packed) assert_true(f->packed_bytes == 6);
        if (i == 0 && !whole) assert_true(f->packed == NULL || f->sum.count > 0);
        raw_bytes += f->raw_bytes;
    }
    assert_int_equal(at, count);
    assert_int_equal(b->line_count, count);
    assert_int_equal(b->raw_bytes, raw_bytes);
    assert_int_equal(b->msg_bytes, msg_bytes(m, count));
    assert_memory_equal(b->level_count, levels, sizeof levels);
    for (uint32_t i = 0; i < b->rank_count; i++) {
        uint32_t lines = 0;
        for (size_t k = 0; k < count; k++) lines += m[k].rank == b->ranks[i].rank;
        assert_int_equal(b->ranks[i].lines, lines);
        ranks += lines;
    }
    assert_int_equal(ranks, count);
    assert_true(b->producer.last - b->producer.first + 1 == count);
}

static void test_cut(void **state)
{
    /* Cutting the first n lines leaves exactly the others, their counts and their summaries. */
    unit_seed();
    for (int round = 0; round < 3000; round++) {
        struct model_line m[LINES_MAX];
        size_t count = 2 + unit_below(LINES_MAX - 2), gone = 0;
        for (size_t i = 0; i < count; i++) model_make(&m[i]);
        struct batch *b = build(m, count);
        check(b, m, count, 1);
        while (count - gone > 1) {
            size_t n = 1 + unit_below(count - gone - 1);
            assert_int_equal(batch_cut(b, n), 0);
            gone += n;
            check(b, m + gone, count - gone, 0);
            assert_true(b->producer.first == 101 + gone);
        }
        batch_free(&b);
        assert_null(b);
    }
}

static void test_cut_frame_is_unpacked(void **state)
{
    /* A frame that was cut has no packed form; an untouched one keeps its own. */
    struct model_line m[4];
    struct frame_summary sum;
    struct batch *b = batch_new();
    unit_seed();
    for (int f = 0; f < 2; f++) {
        struct buf raw = BUF_INIT;
        char *packed = strdup("packed"), *bytes;
        size_t len;
        frame_summary_init(&sum);
        for (int i = 0; i < 2; i++) {
            model_make(&m[2 * f + i]);
            model_write(&raw, &sum, 0, &m[2 * f + i]);
        }
        bytes = buf_steal(&raw, &len);
        batch_add_frame(b, &sum, &bytes, len, &packed, 6);
    }
    assert_int_equal(batch_cut(b, 1), 0);
    assert_int_equal(b->frame_count, 2);
    assert_null(b->frames[0].packed);
    assert_int_equal(b->frames[0].packed_bytes, 0);
    assert_string_equal(b->frames[1].packed, "packed");
    assert_int_equal(batch_cut(b, 1), 0);
    assert_int_equal(b->frame_count, 1);
    assert_string_equal(b->frames[0].packed, "packed");
    batch_free(&b);
}

static void test_limits(void **state)
{
    /* Over its limits a batch refuses frames, and counts further ranks only as lines. */
    struct batch *b = batch_new();
    struct frame_summary sum;
    char *raw, *none = NULL;
    frame_summary_init(&sum);
    frame_summary_add(&sum, 1, 0, LEVEL_NONE);
    for (int i = 0; i < BATCH_FRAMES_MAX; i++) {
        raw = strdup("x");
        assert_int_equal(batch_add_frame(b, &sum, &raw, 1, &none, 0), 0);
    }
    raw = strdup("x");
    assert_int_equal(batch_add_frame(b, &sum, &raw, 1, NULL, 0), ERR_LIMIT);
    assert_non_null(raw);
    free(raw);
    assert_int_equal(b->frame_count, BATCH_FRAMES_MAX);
    for (int pass = 0; pass < 2; pass++)
        for (int32_t r = 0; r < BATCH_RANKS_MAX + 10; r++) batch_note_rank(b, r, 10 + r - 5 * pass);
    assert_int_equal(b->rank_count, BATCH_RANKS_MAX);
    for (uint32_t i = 0; i < b->rank_count; i++) {
        assert_int_equal(b->ranks[i].lines, 2);
        assert_int_equal(b->ranks[i].last_ts_us, 10 + b->ranks[i].rank);
    }
    batch_free(&b);
    batch_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_frame_is_unpacked),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/storage/golden_test.c -- segments of every format written so far are still read.
 *
 * tests/golden/v1 holds them, written by another program (make.py there) after
 * docs/format-archive.md and injured as their folders say: 90 records from seq 101 on, 30 a frame.
 */
#include "tests/unit/storage/model.h"

#include "base/log.h"

#define GOLDEN "tests/golden/v1"
#define NAME "00000000000000000101-00000000000000000190.jsonl.zst"
#define FIRST 101
#define LAST 190

static char *whole;
static size_t whole_len;

/* The records of whole.ndjson with first <= seq <= last. */
static void check_text(const struct frame *f)
{
    size_t at = 0;

    for (uint64_t seq = FIRST; seq < f->first_seq; seq++)
        at = (size_t)(strchr(whole + at, '\n') - whole) + 1;
    assert_true(at + f->text_bytes <= whole_len);
    assert_memory_equal(f->text, whole + at, f->text_bytes);
}

static void test_golden(void **state)
{
    /* Of each fixture every record that its injury left is read as it was, the others are named. */
    static const struct {
        const char *injury;
        uint64_t lost_first, lost_last;
        int is_valid;
    } cases[] = {
        {"whole", 0, 0, 1},
        {"truncated-in-frame", 131, 190, 0},
        {"bit-flip-frame-2", 131, 160, 0},
        {"bit-flip-frame-2-and-index", 131, 160, 0},
        {"bit-flip-index", 0, 0, 0},
        {"bit-flip-grams", 0, 0, 0},
        {"no-index", 0, 0, 0},
        {"no-seek-table", 0, 0, 0},
        {"torn-tail", 0, 0, 0},
        {"torn-head", 101, 130, 0},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        char path[PATH_MAX], said[LAST + 1] = {0};
        struct segment *s = NULL;

        snprintf(path, sizeof path, GOLDEN "/%s/" NAME, cases[c].injury);
        print_message("           %s\n", cases[c].injury);
        assert_int_equal(segment_verify(path, FIRST, LAST), cases[c].is_valid ? 0 : ERR_CORRUPT);
        assert_int_equal(segment_open(path, &s), 0);
        assert_int_equal(segment_first_seq(s), FIRST);
        assert_int_equal(segment_last_seq(s), LAST);
        for (uint32_t i = 0; i < segment_entry_count(s); i++) {
            const struct segment_entry *e = segment_entry(s, i);
            struct frame *f = NULL;
            int err = segment_read(s, i, &f);

            assert_true(err == 0 || err == ERR_CORRUPT);
            for (uint64_t seq = e->first_seq; seq <= e->last_seq; seq++)
                said[seq] = err == 0 ? 'r' : 'l';
            if (err == 0) check_text(f);
            frame_unref(&f);
        }
        for (uint64_t seq = FIRST; seq <= LAST; seq++)
            assert_int_equal(said[seq], seq >= cases[c].lost_first && seq <= cases[c].lost_last
                             ? 'l' : 'r');
        segment_close(&s);
    }
}

static void test_empty(void **state)
{
    /* A file without a byte is refused. */
    struct segment *s = NULL;

    (void)state;
    assert_int_equal(segment_open(GOLDEN "/empty/" NAME, &s), ERR_CORRUPT);
    assert_null(s);
}

static void test_index_means_the_same(void **state)
{
    /* What the other program wrote into index and grams is understood: summaries, times, search. */
    struct segment *s = NULL;
    struct filter f;
    struct frame_run *runs = NULL;
    uint32_t count = 0;

    (void)state;
    assert_int_equal(segment_open(GOLDEN "/whole/" NAME, &s), 0);
    assert_int_equal(segment_entry_count(s), 3);
    assert_int_equal(segment_entry(s, 0)->sum.level_mask,
                     LEVEL_BIT(LEVEL_INFO) | LEVEL_BIT(LEVEL_ERROR));
    assert_int_equal(segment_entry(s, 2)->sum.is_state, 1);
    assert_int_equal(segment_entry(s, 1)->recv_min_us, INT64_C(1795467303000000));
    assert_int_equal(segment_recv_runs(s, 1, &runs, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(runs[2].seq, 151);
    assert_int_equal(runs[2].recv_us, INT64_C(1795467305000000));
    assert_int_equal(segment_may_match(s, 0, NULL, "ECC \"unc", 8), 1);
    assert_int_equal(segment_may_match(s, 1, NULL, "ECC \"unc", 8), 0);
    assert_int_equal(segment_may_match(s, 2, NULL, "ECC \"unc", 8), 1); /* a state change passes */
    filter_init(&f);
    f.q_len = (size_t)snprintf(f.q, sizeof f.q, "LOSS 0.");
    assert_int_equal(segment_may_match(s, 1, &f, NULL, 0), 1);
    f.ranks[0].lo = f.ranks[0].hi = 5;
    f.rank_count = 1;
    assert_int_equal(segment_may_match(s, 1, &f, NULL, 0), 0);
    free(runs);
    segment_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_index_means_the_same),
    };
    int failed;

    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    whole = read_file(GOLDEN "/whole.ndjson", &whole_len);
    whole = must_realloc(whole, whole_len + 1);
    whole[whole_len] = '\0';
    failed = cmocka_run_group_tests_name("storage/golden", tests, NULL, NULL);
    free(whole);
    return failed;
}

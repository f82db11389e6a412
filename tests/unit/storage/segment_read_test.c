/*
 * tests/unit/storage/segment_read_test.c -- what a reader makes of whole, torn, flipped and hostile
 * files.
 */
#include "tests/unit/storage/model.h"

#include "base/log.h"

/* Every frame that can be read holds what the model holds; nothing twice, nothing out of order.
 * Returns how many records came back; those reported as lost are added to *lost. */
static uint64_t read_all(const struct model *m, struct segment *s, uint64_t *lost)
{
    uint64_t good = 0, next = 0;

    for (uint32_t i = 0; i < segment_entry_count(s); i++) {
        const struct segment_entry *e = segment_entry(s, i);
        struct frame *f = NULL;
        int err = segment_read(s, i, &f);

        assert_true(e->first_seq >= next);
        assert_true(e->last_seq >= e->first_seq);
        next = e->last_seq + 1;
        if (err >= 0) {
            assert_int_equal(f->first_seq, e->first_seq);
            assert_int_equal(frame_last_seq(f), e->last_seq);
            model_check_frame(m, f);
            good += f->sum.count;
            frame_unref(&f);
        } else {
            assert_int_equal(err, ERR_CORRUPT);
            *lost += e->last_seq - e->first_seq + 1;
        }
    }
    return good;
}

/* A file of a few small frames: small records would make one, so it is joined out of three. */
struct small {
    struct model m;
    char *dir, *path, *data;
    char name[SEGMENT_NAME_BYTES];
    size_t len;
};

static void small_init(struct small *s, uint64_t seed, uint64_t count)
{
    model_init(&s->m, seed);
    s->m.small = 1;
    s->dir = make_dir();
    model_write(&s->m, s->dir, 1, count, 3, s->name);
    s->path = join(s->dir, s->name);
    s->data = read_file(s->path, &s->len);
}

static void small_release(struct small *s)
{
    model_release(&s->m);
    remove_dir(s->dir);
    free(s->dir);
    free(s->path);
    free(s->data);
}

static void test_every_flip(void **state)
{
    /* One flipped bit at any offset: never a crash, never a wrong record, all are read or
     * reported lost, and verification refuses the file, but for a few bits that mean nothing to
     * zstd. */
    struct small t;
    int unseen = 0;

    (void)state;
    small_init(&t, 11, 60);
    for (size_t at = 0; at < t.len; at++) {
        char was = t.data[at];
        struct segment *s = NULL;
        uint64_t lost = 0;
        int err, bit = (int)model_below(&t.m, 8);

        t.data[at] = (char)(was ^ (1 << bit));
        write_file(t.path, t.data, t.len);
        t.data[at] = was;
        err = segment_verify(t.path, 1, 60);
        if (err >= 0) {
            unseen++;
            assert_int_equal(segment_open(t.path, &s), 0);
            assert_int_equal(read_all(&t.m, s, &lost), 60);
            segment_close(&s);
        }
        err = segment_open(t.path, &s);
        if (err < 0) {
            assert_int_equal(err, ERR_CORRUPT);
            continue;
        }
        if (read_all(&t.m, s, &lost) + lost != 60)
            fail_msg("flip at %zu of %zu: records are missing unsaid", at, t.len);
        for (uint32_t i = 0; i < segment_entry_count(s); i++)
            segment_may_match(s, i, NULL, "quasar", 6);
        segment_close(&s);
    }
    print_message("           %d of %zu flips harmless and not seen\n", unseen, t.len);
    assert_true((size_t)unseen * 100 <= t.len);
    small_release(&t);
}

static void test_every_truncation(void **state)
{
    /* Cut at any offset: never a crash, never a wrong record; what the name promises is read or
     * lost. */
    struct small t;

    (void)state;
    small_init(&t, 12, 60);
    for (size_t at = 0; at < t.len; at++) {
        struct segment *s = NULL;
        uint64_t lost = 0;
        int err;

        write_file(t.path, t.data, at);
        assert_int_equal(segment_verify(t.path, 1, 60), ERR_CORRUPT);
        err = segment_open(t.path, &s);
        if (err < 0) {
            assert_int_equal(err, ERR_CORRUPT);
            continue;
        }
        assert_int_equal(read_all(&t.m, s, &lost) + lost, 60);
        segment_close(&s);
    }
    small_release(&t);
}

static void test_one_frame_lost(void **state)
{
    /* Of a damaged file only the damaged frame is lost, with the index and without. */
    struct model m;
    struct segment *s = NULL;
    char name[SEGMENT_NAME_BYTES], *dir = make_dir(), *path, *data;
    size_t len;

    (void)state;
    model_init(&m, 13);
    model_write(&m, dir, 1, 40000, 3, name);
    path = join(dir, name);
    data = read_file(path, &len);
    assert_int_equal(segment_open(path, &s), 0);
    uint32_t count = segment_entry_count(s);
    struct segment_entry hit = *segment_entry(s, 2);

    assert_true(count > 4);
    segment_close(&s);
    for (int index_too = 0; index_too < 2; index_too++) {
        uint64_t lost = 0, good;

        data[hit.offset + hit.packed_bytes / 2] ^= 0x10;
        if (index_too) data[len - 100 - 12 * (count + 2)] ^= 1; /* inside the index frame */
        write_file(path, data, len);
        data[hit.offset + hit.packed_bytes / 2] ^= 0x10;
        assert_int_equal(segment_open(path, &s), 0);
        good = read_all(&m, s, &lost);
        assert_int_equal(lost, hit.last_seq - hit.first_seq + 1);
        assert_int_equal(good, 40000 - lost);
        segment_close(&s);
    }
    free(data);
    model_release(&m);
    remove_dir(dir);
    free(path);
    free(dir);
}

static void test_joined(void **state)
{
    /* Two files joined are one segment with the records of both. */
    struct model m;
    struct segment *s = NULL;
    struct buf both = BUF_INIT;
    char a[SEGMENT_NAME_BYTES], b[SEGMENT_NAME_BYTES], *dir = make_dir(), *path;
    uint64_t lost = 0;
    size_t len;

    (void)state;
    model_init(&m, 14);
    model_write(&m, dir, 1, 3000, 3, a);
    model_write(&m, dir, 3001, 3100, 3, b);
    for (int i = 0; i < 2; i++) {
        char *data;

        path = join(dir, i ? b : a);
        data = read_file(path, &len);
        assert_int_equal(buf_add(&both, data, len), 0);
        free(data);
        free(path);
    }
    path = join(dir, "joined.zst");
    write_file(path, both.data, both.len);
    assert_int_equal(segment_open(path, &s), 0);
    assert_int_equal(read_all(&m, s, &lost), 3100);
    assert_int_equal(lost, 0);
    segment_close(&s);
    buf_release(&both);
    model_release(&m);
    remove_dir(dir);
    free(path);
    free(dir);
}

static void test_lying_name(void **state)
{
    /* A name that promises more than the file holds: the rest is reported lost, not passed over. */
    struct small t;
    struct segment *s = NULL;
    uint64_t lost = 0;
    char *other;

    (void)state;
    small_init(&t, 15, 60);
    other = join(t.dir, "00000000000000000001-00000000000000000075.jsonl.zst");
    assert_int_equal(rename(t.path, other), 0);
    assert_int_equal(segment_open(other, &s), 0);
    assert_int_equal(segment_last_seq(s), 75);
    assert_int_equal(read_all(&t.m, s, &lost), 60);
    assert_int_equal(lost, 15);
    segment_close(&s);
    free(other);
    small_release(&t);
}

static void test_no_file(void **state)
{
    /* No file, an empty one, a directory, a link and a file of something else are refused. */
    char *dir = make_dir(), *path = join(dir, "x"), *link = join(dir, "y");
    struct segment *s = NULL;

    (void)state;
    assert_int_equal(segment_open(path, &s), ERR_NOT_FOUND);
    write_file(path, "", 0);
    assert_int_equal(segment_open(path, &s), ERR_CORRUPT);
    write_file(path, "this is no zstd file, only a line of text\n", 42);
    assert_int_equal(segment_open(path, &s), ERR_CORRUPT);
    assert_true(segment_open(dir, &s) < 0);
    assert_int_equal(symlink(path, link), 0);
    assert_true(segment_open(link, &s) < 0);
    assert_null(s);
    segment_close(&s);
    remove_dir(dir);
    free(path);
    free(link);
    free(dir);
}

/* Does any record of [first, last] pass? */
static int any_match(const struct model *m, const struct filter *f, const char *literal,
                     uint64_t first, uint64_t last)
{
    struct buf scratch = BUF_INIT, msg = BUF_INIT;
    int found = 0;

    for (uint64_t seq = first; seq <= last && !found; seq++) {
        const char *line = m->lines[seq - 1];
        struct record_view v;

        assert_int_equal(record_parse(line, strlen(line), &v), 0);
        if (!filter_match(f, &v, &scratch)) continue;
        buf_clear(&msg);
        assert_int_equal(record_msg(&v, &msg), 0);
        found = !literal || v.is_state || (v.fields_json && strstr(v.fields_json, "gap"))
            || strstr(buf_cstr(&msg), literal);
    }
    buf_release(&scratch);
    buf_release(&msg);
    return found;
}

static void test_may_match(void **state)
{
    /* A frame with a match is never ruled out, whatever the filter. */
    struct model m;
    struct segment *s = NULL;
    char name[SEGMENT_NAME_BYTES], *dir = make_dir(), *path;
    int skipped = 0, looked = 0;

    (void)state;
    model_init(&m, 16);
    m.plain = 1;
    model_write(&m, dir, 1, 10000, 3, name);
    m.plain = 0;
    path = join(dir, name);
    assert_int_equal(segment_open(path, &s), 0);
    for (int round = 0; round < 300; round++) {
        const char *line = m.lines[model_below(&m, m.count)], *literal = NULL;
        struct record_view v;
        struct filter f;

        filter_init(&f);
        assert_int_equal(record_parse(line, strlen(line), &v), 0);
        if (model_below(&m, 2)) {
            struct buf msg = BUF_INIT;

            assert_int_equal(record_msg(&v, &msg), 0);
            f.q_len = 1 + model_below(&m, msg.len < 40 ? msg.len : 40);
            memcpy(f.q, msg.data + model_below(&m, msg.len - f.q_len + 1), f.q_len);
            if (model_below(&m, 3) == 0) {
                f.ignore_case = 1;
                for (size_t i = 0; i < f.q_len; i++)
                    if (f.q[i] >= 'a' && f.q[i] <= 'z') f.q[i] = (char)(f.q[i] - 32);
            }
            buf_release(&msg);
        } else if (model_below(&m, 2)) {
            static const char *const rare[] = {"ECCquasar", "Rank quasar", "zebra", "0.0 0",
                                               "step loss NCCL"};

            literal = rare[model_below(&m, 5)];
        }
        if (model_below(&m, 3) == 0) {
            f.ranks[0].lo = f.ranks[0].hi = (int32_t)model_below(&m, 40);
            f.rank_count = 1;
        }
        if (model_below(&m, 4) == 0) f.level_min = LEVEL_ERROR;
        if (model_below(&m, 4) == 0)
            f.since_us = MODEL_START_US + (int64_t)model_below(&m, 20000000);
        if (model_below(&m, 4) == 0)
            f.until_us = MODEL_START_US + (int64_t)model_below(&m, 20000000);
        for (uint32_t i = 0; i < segment_entry_count(s); i++) {
            const struct segment_entry *e = segment_entry(s, i);
            int may = segment_may_match(s, i, &f, literal, literal ? strlen(literal) : 0);

            looked++;
            skipped += !may;
            if (!may) assert_false(any_match(&m, &f, literal, e->first_seq, e->last_seq));
        }
    }
    print_message("           %d of %d frames ruled out\n", skipped, looked);
    assert_true(skipped > looked / 20);
    segment_close(&s);
    model_release(&m);
    remove_dir(dir);
    free(path);
    free(dir);
}

static void test_gap_and_state_pass(void **state)
{
    /* A frame with a state change or a gap record is given to every search, as those pass
     * filters. */
    for (int kind = 0; kind < 3; kind++) {
        char *dir = make_dir(), *path, name[SEGMENT_NAME_BYTES], *stolen;
        struct record r = {.seq = 1, .ts_us = MODEL_START_US, .rank = 1, .msg = "plain",
                           .msg_len = 5};
        struct segment_writer *w = NULL;
        struct buf text = BUF_INIT;
        struct segment *s = NULL;
        struct frame *f = NULL;
        struct filter filter;
        size_t len;

        (void)state;
        assert_true(record_write(&text, &r) >= 0);
        r.seq = 2;
        r.is_state = kind == 1;
        r.state = STATE_FAILED;
        if (kind == 2) r.fields_json = "{\"gap\":{\"from\":1,\"to\":2}}", r.fields_json_len = 25;
        assert_true(record_write(&text, &r) >= 0);
        stolen = buf_steal(&text, &len);
        assert_int_equal(frame_from_text(1, 1, NULL, &stolen, len, &f), 0);
        assert_int_equal(segment_writer_open(dir, 1, 3, &w), 0);
        assert_int_equal(segment_writer_add(w, f), 0);
        assert_int_equal(segment_writer_commit(&w, name), 0);
        path = join(dir, name);
        assert_int_equal(segment_verify(path, 1, 2), 0);
        assert_int_equal(segment_open(path, &s), 0);
        filter_init(&filter);
        filter.ranks[0].lo = filter.ranks[0].hi = 9;
        filter.rank_count = 1;
        assert_int_equal(segment_may_match(s, 0, &filter, "zebra", 5), kind != 0);
        filter.until_us = MODEL_START_US - 1;
        assert_int_equal(segment_may_match(s, 0, &filter, "zebra", 5), 0);
        segment_close(&s);
        frame_unref(&f);
        remove_dir(dir);
        free(path);
        free(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flip),     cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_one_frame_lost), cmocka_unit_test(test_joined),
        cmocka_unit_test(test_lying_name),     cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_may_match),      cmocka_unit_test(test_gap_and_state_pass),
    };

    log_setup(LOG_ERROR, LOG_FORMAT_TEXT); /* thousands of damaged files would each be named */
    return cmocka_run_group_tests_name("storage/segment_read", tests, NULL, NULL);
}

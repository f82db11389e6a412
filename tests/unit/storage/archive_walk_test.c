/*
 * tests/unit/storage/archive_walk_test.c -- walks over an archive beside a walk over an array.
 */
#include "tests/unit/storage/model.h"

#include "base/log.h"

#include <pthread.h>

struct place {
    struct model m;
    char *dir;
    struct archive *a;
    struct job_key key;
    char job_dir[PATH_MAX];
};

static void place_init(struct place *p, uint64_t seed)
{
    char why[256];

    model_init(&p->m, seed);
    p->dir = make_dir();
    assert_int_equal(archive_open(p->dir, why, sizeof why, &p->a), 0);
    assert_int_equal(job_key_make(&p->key, "acme", 4, "run", 3), 0);
    assert_int_equal(archive_job_dir(p->a, &p->key, 1, p->job_dir, sizeof p->job_dir), 0);
}

static void place_release(struct place *p)
{
    archive_close(&p->a);
    remove_dir(p->dir);
    free(p->dir);
    model_release(&p->m);
}

/* What a walk said of each seq. */
enum said { SILENT, READ, LOST, MISSING };

/* Walk [from, to] into said[seq]; checks order, cut and content. */
static void walk(struct place *p, uint64_t from, uint64_t to, int backward, const struct filter *f,
                 const char *literal,
                 unsigned char *said)
{
    struct archive_walk *w = NULL;
    struct frame *frame = NULL;
    uint64_t lost_from = 0, lost_to = 0, next = from ? from : 1, below = to;
    int err;

    memset(said, SILENT, p->m.count + 1000);
    assert_int_equal(archive_walk_open(p->a, &p->key, from, to, backward, f, literal,
                                       literal ? strlen(literal) : 0, &w), 0);
    while ((err = archive_walk_next(w, &frame, &lost_from, &lost_to)) != 0) {
        uint64_t first = lost_from, last = lost_to;
        unsigned char what = err == ERR_NOT_FOUND ? MISSING : LOST;

        if (err == 1) {
            model_check_frame(&p->m, frame);
            first = frame->first_seq;
            last = frame_last_seq(frame);
            what = READ;
            frame_unref(&frame);
        } else {
            assert_true(err == ERR_NOT_FOUND || err == ERR_CORRUPT);
        }
        assert_true(first <= last);
        assert_true(first >= from && last <= to);
        if (backward) {
            assert_true(last <= below);
            below = first - 1;
        } else {
            assert_true(first >= next);
            next = last + 1;
        }
        memset(said + first, what, last - first + 1);
    }
    archive_walk_close(&w);
}

static int matches(const struct place *p, uint64_t seq, const struct filter *f, struct buf *scratch)
{
    struct record_view v;

    assert_int_equal(record_parse(p->m.lines[seq - 1], strlen(p->m.lines[seq - 1]), &v), 0);
    return filter_match(f, &v, scratch);
}

/* f asks for a piece of some record's message, escapes and all. */
static void pick_piece(struct place *p, struct filter *f, struct buf *scratch)
{
    const char *line = p->m.lines[model_below(&p->m, p->m.count)];
    struct record_view v;
    size_t at;

    assert_int_equal(record_parse(line, strlen(line), &v), 0);
    buf_clear(scratch);
    assert_int_equal(record_msg(&v, scratch), 0);
    at = model_below(&p->m, scratch->len);
    f->q_len = scratch->len - at < 25 ? scratch->len - at : 5 + model_below(&p->m, 20);
    memcpy(f->q, scratch->data + at, f->q_len);
    f->ignore_case = (int)model_below(&p->m, 2);
    for (size_t i = 0; f->ignore_case && i < f->q_len; i++)
        if (f->q[i] >= 'a' && f->q[i] <= 'z') f->q[i] = (char)(f->q[i] - 32);
}

static void test_walk_beside_array(void **state)
{
    /* Either way, any range, any filter: every match comes, once, in order; without one
     * everything. */
    struct place p;
    struct buf scratch = BUF_INIT;
    unsigned char *said;
    uint64_t first = 1;

    (void)state;
    place_init(&p, 31);
    p.m.plain = 1;
    while (first < 20000) {
        uint64_t last = first + model_below(&p.m, 7000);

        model_write(&p.m, p.job_dir, first, last, 1, NULL);
        first = last + 1;
    }
    said = must_malloc(p.m.count + 1000);
    for (int round = 0; round < 120; round++) {
        uint64_t from = model_below(&p.m, p.m.count + 1), to = from + model_below(&p.m, p.m.count);
        struct filter f;
        int filtered = model_below(&p.m, 2) == 0, backward = (int)model_below(&p.m, 2);

        filter_init(&f);
        if (model_below(&p.m, 4)) pick_piece(&p, &f, &scratch);
        else f.level_min = LEVEL_ERROR;
        if (to > p.m.count) to = model_below(&p.m, 2) ? UINT64_MAX : p.m.count;
        walk(&p, from, to, backward, filtered ? &f : NULL, NULL, said);
        for (uint64_t seq = 1; seq <= p.m.count; seq++) {
            if (seq < from || seq > to) assert_int_equal(said[seq], SILENT);
            else if (!filtered || matches(&p, seq, &f, &scratch)) assert_int_equal(said[seq], READ);
        }
    }
    walk(&p, 1, p.m.count, 0, NULL, "zebra crossing", said);
    for (uint64_t seq = 1; seq <= p.m.count; seq++) assert_int_equal(said[seq], SILENT);
    free(said);
    buf_release(&scratch);
    place_release(&p);
}

static void test_overlaps(void **state)
{
    /* Segments that overlap in part give each record once. */
    struct place p;
    unsigned char *said;

    (void)state;
    place_init(&p, 32);
    model_write(&p.m, p.job_dir, 1, 500, 1, NULL);
    model_write(&p.m, p.job_dir, 301, 900, 1, NULL);
    model_write(&p.m, p.job_dir, 801, 1000, 1, NULL);
    model_write(&p.m, p.job_dir, 1001, 1200, 1, NULL);
    model_write(&p.m, p.job_dir, 1001, 1100, 1, NULL);
    said = must_malloc(p.m.count + 1000);
    for (int backward = 0; backward < 2; backward++) {
        walk(&p, 0, UINT64_MAX, backward, NULL, NULL, said); /* asserts that none comes twice */
        for (uint64_t seq = 1; seq <= 1200; seq++) assert_int_equal(said[seq], READ);
        walk(&p, 450, 850, backward, NULL, NULL, said);
        for (uint64_t seq = 1; seq <= 1200; seq++)
            assert_int_equal(said[seq], seq < 450 || seq > 850 ? SILENT : READ);
    }
    free(said);
    place_release(&p);
}

static void test_holes(void **state)
{
    /* Records that no segment has, and those of a damaged one, are named; the walk goes on. */
    struct place p;
    char damaged[SEGMENT_NAME_BYTES], torn[SEGMENT_NAME_BYTES], *path, *data;
    unsigned char *said;
    size_t len;

    (void)state;
    place_init(&p, 33);
    model_write(&p.m, p.job_dir, 11, 100, 1, NULL);
    model_write(&p.m, p.job_dir, 101, 200, 1, damaged);
    model_write(&p.m, p.job_dir, 251, 300, 1, NULL);
    model_write(&p.m, p.job_dir, 301, 400, 1, torn);
    model_write(&p.m, p.job_dir, 401, 500, 1, NULL);
    path = join(p.job_dir, damaged);
    data = read_file(path, &len);
    data[60] ^= 4;
    write_file(path, data, len);
    free(path);
    free(data);
    path = join(p.job_dir, torn);
    write_file(path, "", 0);
    free(path);
    said = must_malloc(p.m.count + 1000);
    for (int backward = 0; backward < 2; backward++) {
        walk(&p, 1, 600, backward, NULL, NULL, said);
        for (uint64_t seq = 1; seq <= 600; seq++) {
            int want = seq <= 10 || (seq > 200 && seq <= 250)                        ? MISSING
                       : (seq > 100 && seq <= 200) || (seq > 300 && seq <= 400) ? LOST
                       : seq > 500                                              ? SILENT
                                                                                : READ;

            if (said[seq] != want) fail_msg("seq %" PRIu64 ": %d, not %d", seq, said[seq], want);
        }
        walk(&p, 150, 220, backward, NULL, NULL, said);
        assert_int_equal(said[149], SILENT);
        assert_int_equal(said[150], LOST);
        assert_int_equal(said[220], MISSING);
        assert_int_equal(said[221], SILENT);
    }
    free(said);
    place_release(&p);
}

static void test_no_job(void **state)
{
    /* A job that has no directory is an empty walk. */
    struct place p;
    unsigned char said[2000];

    (void)state;
    place_init(&p, 34);
    assert_int_equal(job_key_make(&p.key, "acme", 4, "nobody", 6), 0);
    walk(&p, 1, 100, 0, NULL, NULL, said);
    assert_int_equal(said[1], SILENT);
    place_release(&p);
}

static void test_replaced_file(void **state)
{
    /* A file that was replaced is read anew, though its segment was kept open. */
    struct place p;
    unsigned char *said;
    char name[SEGMENT_NAME_BYTES], *path;

    (void)state;
    place_init(&p, 35);
    model_write(&p.m, p.job_dir, 1, 200, 1, name);
    said = must_malloc(p.m.count + 1000);
    walk(&p, 1, 200, 0, NULL, NULL, said);
    assert_int_equal(said[1], READ);
    model_release(&p.m);
    model_init(&p.m, 36);
    model_write(&p.m, p.job_dir, 1, 200, 1, name);
    walk(&p, 1, 200, 0, NULL, NULL, said); /* compares with the new model */
    assert_int_equal(said[200], READ);
    path = join(p.job_dir, name);
    assert_int_equal(unlink(path), 0);
    walk(&p, 1, 200, 0, NULL, NULL, said);
    assert_int_equal(said[1], SILENT);
    free(path);
    free(said);
    place_release(&p);
}

static void *on_thread(void *ctx)
{
    struct place *p = ctx;
    unsigned char *said = must_malloc(p->m.count + 1000);

    for (int i = 0; i < 20; i++) {
        walk(p, 1, p->m.count, i & 1, NULL, i & 2 ? "quasar" : NULL, said);
        if (!(i & 2))
            for (uint64_t seq = 1; seq <= p->m.count; seq++) CHECK(said[seq] == READ);
    }
    free(said);
    return NULL;
}

static void test_threads(void **state)
{
    /* Walks of one job on several threads do not disturb each other. */
    struct place p;
    pthread_t threads[4];

    (void)state;
    place_init(&p, 37);
    for (uint64_t first = 1; first < 4000; first += 50)
        model_write(&p.m, p.job_dir, first, first + 49, 1, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, on_thread, &p), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    place_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk_beside_array), cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_holes),             cmocka_unit_test(test_no_job),
        cmocka_unit_test(test_replaced_file),     cmocka_unit_test(test_threads),
    };

    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests_name("storage/archive_walk", tests, NULL, NULL);
}

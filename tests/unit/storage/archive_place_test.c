/*
 * tests/unit/storage/archive_place_test.c -- places by time of receipt beside a walk over an array.
 */
#include "tests/unit/storage/model.h"

#include <fcntl.h>

static int64_t model_ns(const struct model *m, uint64_t seq)
{
    uint64_t begin = seq;

    while (begin > 1 && m->recv[begin - 2] == m->recv[seq - 1]) begin--;
    return m->recv[seq - 1] * 1000 + (int64_t)(seq - begin);
}

struct fixture {
    struct model m;
    char *dir;
    struct archive *a;
    struct job_key key;
    char job_dir[PATH_MAX];
};

static void init(struct fixture *x, uint64_t seed)
{
    char why[256];

    model_init(&x->m, seed);
    x->dir = make_dir();
    assert_int_equal(archive_open(x->dir, why, sizeof why, &x->a), 0);
    assert_int_equal(job_key_make(&x->key, "acme", 4, "run", 3), 0);
    assert_int_equal(archive_job_dir(x->a, &x->key, 1, x->job_dir, sizeof x->job_dir), 0);
}

static void release(struct fixture *x)
{
    archive_close(&x->a);
    remove_dir(x->dir);
    free(x->dir);
    model_release(&x->m);
}

static void test_finds_what_a_walk_finds(void **state)
{
    /* The first record at or after any time, and the time of any record, over many segments. */
    struct fixture x;

    (void)state;
    init(&x, 11);
    for (uint64_t first = 1; first < 40000; first += 8000)
        model_write(&x.m, x.job_dir, first, first + 7999, 3, NULL);
    for (int i = 0; i < 400; i++) {
        uint64_t seq = 1 + model_below(&x.m, x.m.count), got = 0, want = seq;
        int64_t ns = model_ns(&x.m, seq), back = 0;
        int64_t ask = ns + (int64_t)model_below(&x.m, 3) - 1;

        assert_int_equal(archive_recv_ns(x.a, &x.key, seq, &back), 1);
        assert_int_equal(back, ns);
        while (want > 1 && model_ns(&x.m, want - 1) >= ask) want--;
        while (want <= x.m.count && model_ns(&x.m, want) < ask) want++;
        if (want > x.m.count) {
            assert_int_equal(archive_find_recv(x.a, &x.key, ask, &got), 0);
            continue;
        }
        assert_int_equal(archive_find_recv(x.a, &x.key, ask, &got), 1);
        assert_int_equal(got, want);
    }
    release(&x);
}

static void test_ends(void **state)
{
    /* Before the first record it is the first; after the last one nothing; of no job nothing. */
    struct fixture x;
    struct job_key none;
    uint64_t seq = 0;
    int64_t ns = 0;

    (void)state;
    init(&x, 12);
    assert_int_equal(archive_find_recv(x.a, &x.key, 0, &seq), 0);
    model_write(&x.m, x.job_dir, 1, 500, 3, NULL);
    assert_int_equal(archive_find_recv(x.a, &x.key, 0, &seq), 1);
    assert_int_equal(seq, 1);
    assert_int_equal(archive_find_recv(x.a, &x.key, model_ns(&x.m, 500), &seq), 1);
    assert_int_equal(seq, 500);
    assert_int_equal(archive_find_recv(x.a, &x.key, model_ns(&x.m, 500) + 1, &seq), 0);
    assert_int_equal(archive_recv_ns(x.a, &x.key, 501, &ns), 0);
    assert_int_equal(job_key_make(&none, "acme", 4, "other", 5), 0);
    assert_int_equal(archive_find_recv(x.a, &none, 0, &seq), 0);
    assert_int_equal(archive_recv_ns(x.a, &none, 1, &ns), 0);
    release(&x);
}

static void test_walks_know_the_times(void **state)
{
    /* A walk that is asked to gives frames, cut ones too, that know when each record was received. */
    struct fixture x;
    struct archive_walk *w = NULL;
    struct frame *f = NULL;
    uint64_t from, to, seen = 0;

    (void)state;
    init(&x, 13);
    model_write(&x.m, x.job_dir, 1, 9000, 3, NULL);
    model_write(&x.m, x.job_dir, 9001, 20000, 3, NULL);
    for (int backward = 0; backward < 2; backward++) {
        assert_int_equal(archive_walk_open(x.a, &x.key, 137, 19333, backward, NULL, NULL, 0, &w), 0);
        archive_walk_with_times(w);
        while (archive_walk_next(w, &f, &from, &to) == 1) {
            for (uint64_t seq = f->first_seq; seq <= frame_last_seq(f); seq++, seen++)
                assert_int_equal(frame_recv_ns(f, seq), model_ns(&x.m, seq));
            frame_unref(&f);
        }
        archive_walk_close(&w);
    }
    assert_int_equal(seen, 2 * (19333 - 137 + 1));
    release(&x);
}

static void test_a_lost_index(void **state)
{
    /* Where an index was lost no receive time is invented, and the records' own times lead near. */
    struct fixture x;
    char name[SEGMENT_NAME_BYTES], path[PATH_MAX + SEGMENT_NAME_BYTES];
    uint64_t seq = 0;
    int64_t ns = 0;
    off_t size;
    int fd;

    (void)state;
    init(&x, 14);
    model_write(&x.m, x.job_dir, 1, 20000, 3, name);
    snprintf(path, sizeof path, "%s/%s", x.job_dir, name);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    size = lseek(fd, 0, SEEK_END);
    assert_int_equal(ftruncate(fd, size - 9), 0);
    close(fd);
    assert_int_equal(archive_recv_ns(x.a, &x.key, 100, &ns), 0);
    assert_int_equal(archive_find_recv(x.a, &x.key, 0, &seq), 1);
    assert_int_equal(seq, 1);
    assert_int_equal(archive_find_recv(x.a, &x.key, x.m.now_us * 1000 + INT64_C(3600000000000), &seq), 0);
    release(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_a_walk_finds),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_walks_know_the_times),
        cmocka_unit_test(test_a_lost_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

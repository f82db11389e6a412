/*
 * tests/unit/storage/archive_settle_test.c -- segments written anew beside the array they came from.
 */
#include "tests/unit/storage/model.h"

#include "storage/archive_settle.h"

#include <sys/file.h>

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
    assert_int_equal(archive_put_job(p->a, &p->key, "{}", 2), 0);
}

static void place_release(struct place *p)
{
    archive_close(&p->a);
    remove_dir(p->dir);
    free(p->dir);
    model_release(&p->m);
}

/* count records in segments of each. */
static void fill(struct place *p, uint64_t count, uint64_t each)
{
    for (uint64_t first = 1; first <= count; first += each)
        model_write(&p->m, p->job_dir, first, first + each - 1 < count ? first + each - 1 : count, 1, NULL);
}

/* Every record is there once, byte for byte. */
static void check_text(struct place *p)
{
    struct archive_walk *w = NULL;
    struct frame *f = NULL;
    uint64_t from, to, next = 1;
    int got;

    assert_int_equal(archive_walk_open(p->a, &p->key, 1, UINT64_MAX, 0, NULL, NULL, 0, &w), 0);
    while ((got = archive_walk_next(w, &f, &from, &to)) == 1) {
        assert_int_equal(f->first_seq, next);
        model_check_frame(&p->m, f);
        next = frame_last_seq(f) + 1;
        frame_unref(&f);
    }
    assert_int_equal(got, 0);
    assert_int_equal(next, p->m.count + 1);
    archive_walk_close(&w);
}

/* And was received when it was. */
static void check_all(struct place *p)
{
    int64_t ns;

    check_text(p);
    for (uint64_t seq = 1; seq <= p->m.count; seq += 97) {
        uint64_t start = seq;

        while (start > 1 && p->m.recv[start - 2] == p->m.recv[seq - 1]) start--;
        assert_int_equal(archive_recv_ns(p->a, &p->key, seq, &ns), 1);
        assert_int_equal(ns, p->m.recv[seq - 1] * 1000 + (int64_t)(seq - start));
    }
}

static uint32_t count_segments(const struct place *p)
{
    struct archive_file *files = NULL;
    uint32_t count = 0;

    assert_int_equal(archive_list(p->a, &p->key, &files, &count), 0);
    free(files);
    return count;
}

/* All steps. Returns how many segments were written. */
static int settle(struct place *p, uint64_t raw_bytes_max)
{
    struct archive_settle_options o = {.level = 9, .raw_bytes_max = raw_bytes_max};
    struct archive_settling *s = NULL;
    int written = 0, got;

    while ((got = archive_settle_write(p->a, &p->key, &o, &s)) == 1) {
        struct archive_settled_stats stats;

        assert_int_equal(archive_settle_publish(s, &stats), 0);
        assert_true(stats.files_before > 0);
        written += stats.is_new;
        archive_settle_close(&s);
    }
    assert_int_equal(got, 0);
    return written;
}

static void test_many_become_one(void **state)
{
    /* Many small segments become one with the same records and times, and nothing else stays; then there is no more to do. */
    struct place p;

    (void)state;
    place_init(&p, 11);
    fill(&p, 9000, 700);
    assert_int_equal(count_segments(&p), 13);
    assert_int_equal(archive_settle_due(p.a, &p.key), 1);
    check_all(&p);
    /* A batch that was cut by a segment's end starts its times again: such ends stay. */
    assert_in_range(settle(&p, 0), 1, 13);
    check_all(&p);
    assert_int_equal(archive_settle_due(p.a, &p.key), 0);
    assert_int_equal(settle(&p, 0), 0);
    assert_int_equal(count_files(p.job_dir), (int)count_segments(&p) + 1);
    place_release(&p);
}

static void test_size_limit(void **state)
{
    /* No more text than asked for goes into one segment; one alone is written anew as well. */
    struct place p;

    (void)state;
    place_init(&p, 12);
    fill(&p, 9000, 900);
    assert_true(settle(&p, 500000) >= 3);
    check_all(&p);
    assert_int_equal(archive_settle_due(p.a, &p.key), 0);
    place_release(&p);
}

static void test_held(void **state)
{
    /* Who holds the job keeps every file it listed; the segment of the very same name waits too. */
    struct archive_settle_options o = {.level = 1};
    struct archive_settled_stats stats;
    struct archive_settling *s = NULL;
    struct archive_file *files = NULL;
    struct archive_walk *w = NULL;
    struct frame *f = NULL;
    uint64_t from, to;
    uint32_t count;
    struct place p;
    int hold;

    (void)state;
    place_init(&p, 13);
    fill(&p, 2000, 2000);
    hold = archive_hold(p.a, &p.key);
    assert_true(hold >= 0);
    assert_int_equal(archive_list(p.a, &p.key, &files, &count), 0);
    assert_int_equal(archive_walk_open(p.a, &p.key, 1, 2000, 0, NULL, NULL, 0, &w), 0);
    assert_int_equal(archive_settle_write(p.a, &p.key, &o, &s), 1);
    assert_int_equal(archive_settle_publish(s, &stats), ERR_BUSY);
    archive_unhold(&hold);
    assert_int_equal(archive_settle_publish(s, &stats), ERR_BUSY); /* the walk */
    assert_int_equal(archive_walk_next(w, &f, &from, &to), 1);
    frame_unref(&f);
    archive_walk_close(&w);
    assert_int_equal(archive_settle_publish(s, &stats), 0);
    assert_int_equal(stats.files_before, 1);
    archive_settle_close(&s);
    free(files);
    check_all(&p);
    place_release(&p);
}

static void test_deleted_meanwhile(void **state)
{
    /* A job deleted while it is settled stays deleted, also when it was made again under its name. */
    struct archive_settle_options o = {.level = 1};
    struct archive_settled_stats stats;
    struct archive_settling *s = NULL;
    struct stat st;
    struct place p;

    (void)state;
    place_init(&p, 14);
    fill(&p, 1500, 500);
    assert_int_equal(archive_settle_write(p.a, &p.key, &o, &s), 1);
    assert_int_equal(archive_delete(p.a, &p.key), 0);
    assert_int_equal(archive_settle_publish(s, &stats), ERR_NOT_FOUND);
    archive_settle_close(&s);
    assert_int_not_equal(stat(p.job_dir, &st), 0);
    assert_int_equal(archive_settle_due(p.a, &p.key), 0);

    assert_int_equal(archive_job_dir(p.a, &p.key, 1, p.job_dir, sizeof p.job_dir), 0);
    assert_int_equal(archive_put_job(p.a, &p.key, "{}", 2), 0);
    fill(&p, 1500, 500);
    assert_int_equal(archive_settle_write(p.a, &p.key, &o, &s), 1);
    assert_int_equal(archive_delete(p.a, &p.key), 0);
    assert_int_equal(archive_job_dir(p.a, &p.key, 1, p.job_dir, sizeof p.job_dir), 0);
    assert_int_equal(archive_put_job(p.a, &p.key, "{}", 2), 0);
    assert_int_equal(archive_settle_publish(s, &stats), ERR_NOT_FOUND);
    archive_settle_close(&s);
    assert_int_equal(count_files(p.job_dir), 1);
    place_release(&p);
}

static void test_left_behind(void **state)
{
    /* What a step killed between rename and removal leaves is read right, and tidied by the next. */
    struct place p;
    char *name, *old;
    size_t len;
    char *data;

    (void)state;
    place_init(&p, 15);
    fill(&p, 1200, 400);
    name = join(p.job_dir, "00000000000000000401-00000000000000000800.jsonl.zst");
    data = read_file(name, &len);
    settle(&p, 0);
    write_file(name, data, len);
    check_all(&p);
    assert_int_equal(archive_settle_due(p.a, &p.key), 1);
    assert_int_equal(settle(&p, 0), 0);
    check_all(&p);
    old = join(p.job_dir, ".tmp-00000000000000000401-00000000000000aa");
    write_file(old, data, len / 2);
    assert_int_equal(archive_settle_due(p.a, &p.key), 0);
    assert_int_equal(archive_sweep(p.a, -1000000), 1);
    free(old);
    free(name);
    free(data);
    place_release(&p);
}

static void flip(const char *path, size_t at)
{
    size_t len;
    char *data = read_file(path, &len);

    data[at] = (char)(data[at] ^ 0x10);
    write_file(path, data, len);
    free(data);
}

static void test_damage_is_left_alone(void **state)
{
    /* Neither a damaged frame nor a lost index is settled away: the file stays byte for byte, its neighbours are settled. */
    struct archive_settle_options o = {.level = 1};
    struct archive_settling *s = NULL;
    size_t before_len, len;
    char *path, *before, *after;
    struct place p;

    (void)state;
    place_init(&p, 16);
    fill(&p, 1500, 500);
    path = join(p.job_dir, "00000000000000000501-00000000000000001000.jsonl.zst");
    before = read_file(path, &before_len);
    flip(path, before_len - 40); /* in the seek table: the index cannot be trusted */
    assert_int_equal(settle(&p, 0), 2);
    check_text(&p); /* a walk over its frames finds them all */
    free(before);
    before = read_file(path, &before_len);
    assert_int_equal(settle(&p, 0), 0);
    after = read_file(path, &len);
    assert_int_equal(len, before_len);
    assert_memory_equal(after, before, len);
    free(after);
    free(before);
    free(path);
    place_release(&p);

    place_init(&p, 17);
    fill(&p, 500, 500);
    path = join(p.job_dir, "00000000000000000001-00000000000000000500.jsonl.zst");
    flip(path, 60); /* in the first frame */
    assert_int_equal(archive_settle_write(p.a, &p.key, &o, &s), ERR_CORRUPT);
    assert_null(s);
    assert_int_equal(count_files(p.job_dir), 2);
    free(path);
    place_release(&p);
}

static void test_stop_and_reserve(void **state)
{
    /* Told to stop, and without the disk's reserve, it gives up and leaves nothing. */
    struct archive_settling *s = NULL;
    int stop = 1;
    struct archive_settle_options o = {.level = 1, .stop = &stop};
    struct place p;

    (void)state;
    place_init(&p, 18);
    fill(&p, 800, 400);
    assert_int_equal(archive_settle_write(p.a, &p.key, &o, &s), ERR_CLOSED);
    stop = 0;
    o.reserve_bytes = UINT64_MAX / 2;
    assert_int_equal(archive_settle_write(p.a, &p.key, &o, &s), ERR_FULL);
    assert_int_equal(count_files(p.job_dir), 3);
    assert_int_equal(archive_settle_due(p.a, &p.key), 1);
    place_release(&p);
}

static void test_any_zstd_tool(void **state)
{
    /* zstd tests the file, and what it writes out is the log. */
    char command[PATH_MAX + 64], line[8192];
    struct place p;
    uint64_t seq = 0;
    FILE *f;

    (void)state;
    place_init(&p, 19);
    fill(&p, 3000, 1000);
    settle(&p, 0);
    snprintf(command, sizeof command, "zstd -q -t %s/*.zst && zstd -q -dc %s/*.zst", p.job_dir, p.job_dir);
    f = popen(command, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(line, p.m.lines[seq++]);
    }
    assert_int_equal(pclose(f), 0);
    assert_int_equal(seq, 3000);
    place_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_become_one),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_deleted_meanwhile),
        cmocka_unit_test(test_left_behind),
        cmocka_unit_test(test_damage_is_left_alone),
        cmocka_unit_test(test_stop_and_reserve),
        cmocka_unit_test(test_any_zstd_tool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/storage/archive_test.c -- the directories of the archive.
 */
#include "tests/unit/storage/model.h"

#include <sys/time.h>

struct place {
    char *dir;
    struct archive *a;
    struct job_key key;
    char job_dir[PATH_MAX];
};

static void place_init(struct place *p)
{
    char why[256];

    p->dir = make_dir();
    assert_int_equal(archive_open(p->dir, why, sizeof why, &p->a), 0);
    assert_int_equal(job_key_make(&p->key, "acme", 4, "run-1", 5), 0);
    assert_int_equal(archive_job_dir(p->a, &p->key, 1, p->job_dir, sizeof p->job_dir), 0);
}

static void place_release(struct place *p)
{
    archive_close(&p->a);
    remove_dir(p->dir);
    free(p->dir);
}

static void touch(const struct place *p, const char *name)
{
    char *path = join(p->job_dir, name);

    write_file(path, "x", 1);
    free(path);
}

static void touch_range(const struct place *p, unsigned first, unsigned last)
{
    char name[SEGMENT_NAME_BYTES];

    snprintf(name, sizeof name, "%020u-%020u.jsonl.zst", first, last);
    touch(p, name);
}

static void check_list(const struct place *p, const char *want)
{
    struct archive_file *files = NULL;
    char got[1024] = "";
    uint32_t count = 0;

    assert_int_equal(archive_list(p->a, &p->key, &files, &count), 0);
    for (uint32_t i = 0; i < count; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%" PRIu64 "-%" PRIu64, i
                 ? " " : "",
                 files[i].first_seq, files[i].last_seq);
    free(files);
    assert_string_equal(got, want);
}

static void test_list(void **state)
{
    /* Finished segments are listed in order; temp files, strange names and links are not. */
    struct place p;
    char *link;

    (void)state;
    place_init(&p);
    check_list(&p, "");
    touch_range(&p, 101, 200);
    touch_range(&p, 1, 100);
    touch_range(&p, 301, 400);
    touch(&p, ".tmp-00000000000000000401-abc");
    touch(&p, "job.json");
    touch(&p, "1-2.jsonl.zst");
    touch(&p, "00000000000000000000-00000000000000000009.jsonl.zst");
    touch(&p, "00000000000000000010-00000000000000000009.jsonl.zst");
    touch(&p, "99999999999999999999-99999999999999999999.jsonl.zst");
    touch(&p, "00000000000000000500-00000000000000000600.jsonl.zst.bak");
    link = join(p.job_dir, "00000000000000000401-00000000000000000500.jsonl.zst");
    assert_int_equal(symlink("job.json", link), 0);
    check_list(&p, "1-100 101-200 301-400");
    assert_int_equal(job_key_make(&p.key, "acme", 4, "other", 5), 0);
    check_list(&p, "");
    free(link);
    place_release(&p);
}

static void test_overlaps(void **state)
{
    /* What another segment covers is left out, and what an interrupted archiver left beside segments that join. */
    static const struct {
        unsigned ranges[6][2];
        const char *want;
    } cases[] = {
        {{{1, 100}, {1, 150}, {151, 200}}, "1-150 151-200"},
        {{{1, 100}, {101, 200}, {1, 200}}, "1-200"},
        {{{1, 100}, {50, 80}, {101, 110}}, "1-100 101-110"},
        {{{1, 100}, {50, 150}, {151, 160}}, "1-100 50-150 151-160"},
        {{{1, 100}, {50, 150}, {101, 200}}, "1-100 101-200"},
        {{{1, 10}, {21, 30}, {5, 25}}, "1-10 5-25 21-30"},
        {{{1, 100}, {101, 250}, {101, 180}, {181, 300}}, "1-100 101-180 181-300"},
        {{{1, 250}, {1, 100}, {101, 180}, {181, 300}}, "1-100 101-180 181-300"},
        {{{1, 100}, {50, 120}, {101, 180}, {151, 200}, {181, 190}}, "1-100 101-180 151-200"},
        {{{1, 100}, {101, 250}, {101, 180}, {181, 200}, {300, 310}}, "1-100 101-250 300-310"},
        {{{1, 10}, {1, 20}, {1, 30}, {11, 20}, {21, 30}, {31, 31}}, "1-30 31-31"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct place p;

        place_init(&p);
        for (int k = 0; k < 6 && cases[i].ranges[k][0]; k++)
            touch_range(&p, cases[i].ranges[k][0], cases[i].ranges[k][1]);
        check_list(&p, cases[i].want);
        place_release(&p);
    }
}

static void test_sidecar(void **state)
{
    /* job.json comes back as it was put, the last one put; a link in its place is not followed. */
    struct place p;
    char *json = NULL, *path;
    size_t len;

    (void)state;
    place_init(&p);
    assert_int_equal(archive_get_job(p.a, &p.key, &json, &len), ERR_NOT_FOUND);
    assert_int_equal(archive_put_job(p.a, &p.key, "{\"a\":1}", 7), 0);
    assert_int_equal(archive_put_job(p.a, &p.key, "{\"a\":22}", 8), 0);
    assert_int_equal(archive_get_job(p.a, &p.key, &json, &len), 0);
    assert_int_equal(len, 8);
    assert_string_equal(json, "{\"a\":22}");
    free(json);
    json = NULL;
    assert_int_equal(count_files(p.job_dir), 1);
    path = join(p.job_dir, "job.json");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(archive_get_job(p.a, &p.key, &json, &len), ERR_INVALID);
    assert_null(json);
    free(path);
    place_release(&p);
}

static void test_digest(void **state)
{
    /* The digest comes back as it was put, is no segment, goes with the job, and makes no directory. */
    struct place p;
    struct archive_file *files = NULL;
    struct job_key other = {"acme", "run-2"};
    char *data = NULL;
    uint32_t count = 7;
    size_t len;

    (void)state;
    place_init(&p);
    assert_int_equal(archive_get_digest(p.a, &p.key, &data, &len), ERR_NOT_FOUND);
    assert_int_equal(archive_put_digest(p.a, &p.key, "a\0b", 3), 0);
    assert_int_equal(archive_get_digest(p.a, &p.key, &data, &len), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0b", 3);
    assert_int_equal(archive_list(p.a, &p.key, &files, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(archive_put_digest(p.a, &other, "x", 1), ERR_NOT_FOUND);
    assert_int_equal(archive_delete(p.a, &p.key), 0);
    assert_int_equal(archive_put_digest(p.a, &p.key, "x", 1), ERR_NOT_FOUND);
    free(files);
    free(data);
    place_release(&p);
}

static void test_keys(void **state)
{
    /* No name leads out of the root, and no link inside it is followed. */
    struct place p;
    struct job_key bad = {"..", "x"}, evil = {"acme", "evil"};
    char out[PATH_MAX], *link, *target, *kept;
    struct archive_file *files = NULL;
    uint32_t count = 0;

    (void)state;
    place_init(&p);
    assert_int_equal(archive_job_dir(p.a, &bad, 1, out, sizeof out), ERR_INVALID);
    assert_int_equal(archive_list(p.a, &bad, &files, &count), ERR_INVALID);
    assert_int_equal(archive_delete(p.a, &bad), ERR_INVALID);
    snprintf(bad.project, sizeof bad.project, "a/b");
    assert_int_equal(archive_put_job(p.a, &bad, "{}", 2), ERR_INVALID);

    target = make_dir();
    kept = join(target, "kept");
    write_file(kept, "x", 1);
    snprintf(out, sizeof out, "%s/acme", p.dir);
    link = join(out, "evil");
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(archive_list(p.a, &evil, &files, &count), ERR_INVALID);
    assert_int_equal(archive_job_dir(p.a, &evil, 1, out, sizeof out), ERR_INVALID);
    assert_int_equal(archive_put_job(p.a, &evil, "{}", 2), ERR_INVALID);
    assert_int_equal(archive_delete(p.a, &evil), ERR_INVALID);
    assert_int_equal(access(kept, F_OK), 0);
    remove_dir(target);
    free(target);
    free(kept);
    free(link);
    place_release(&p);
}

static void test_delete(void **state)
{
    /* Deleting takes all of the job and nothing else; a link goes, its target stays. */
    struct place p;
    struct job_key other;
    char out[PATH_MAX], *target = make_dir(), *kept = join(target, "kept"), *link, *sub;

    (void)state;
    place_init(&p);
    write_file(kept, "x", 1);
    assert_int_equal(job_key_make(&other, "acme", 4, "run-2", 5), 0);
    assert_int_equal(archive_put_job(p.a, &other, "{}", 2), 0);
    assert_int_equal(archive_put_job(p.a, &p.key, "{}", 2), 0);
    touch_range(&p, 1, 9);
    touch(&p, ".tmp-1");
    link = join(p.job_dir, "link");
    sub = join(p.job_dir, "sub");
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(mkdir(sub, 0700), 0);
    assert_int_equal(archive_delete(p.a, &p.key), 0);
    assert_int_equal(access(p.job_dir, F_OK), -1);
    assert_int_equal(access(kept, F_OK), 0);
    assert_int_equal(archive_job_dir(p.a, &other, 0, out, sizeof out), 0);
    assert_int_equal(count_files(out), 1);
    assert_int_equal(archive_delete(p.a, &p.key), 0);
    remove_dir(target);
    free(target);
    free(kept);
    free(link);
    free(sub);
    place_release(&p);
}

static void test_sweep(void **state)
{
    /* Temp files older than asked are removed, younger ones and everything else stay. */
    struct place p;
    struct timeval old[2] = {{1000000000, 0}, {1000000000, 0}};
    char *path;

    (void)state;
    place_init(&p);
    touch_range(&p, 1, 9);
    touch(&p, ".tmp-old");
    touch(&p, "job.json.tmp-17");
    touch(&p, ".tmp-new");
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {".tmp-old", "job.json.tmp-17",
                                            "00000000000000000001-00000000000000000009.jsonl.zst"};

        path = join(p.job_dir, names[i]);
        assert_int_equal(utimes(path, old), 0);
        free(path);
    }
    assert_int_equal(archive_sweep(p.a, INT64_C(3600000000)), 2);
    assert_int_equal(count_files(p.job_dir), 2);
    assert_int_equal(archive_sweep(p.a, 0), 1);
    check_list(&p, "1-9");
    place_release(&p);
}

static int on_job(void *ctx, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];
    int *seen = ctx;

    *seen += !strcmp(job_key_text(key, text), "acme/run-1") ? 1 : !strcmp(text, "zoo/b") ? 10 : 100;
    return 0;
}

static void test_each_job(void **state)
{
    /* Every job is named once; files and links beside them are not jobs. */
    struct place p;
    struct job_key key;
    char out[PATH_MAX], *path;
    uint64_t bytes = 0;
    int seen = 0;

    (void)state;
    place_init(&p);
    assert_int_equal(job_key_make(&key, "zoo", 3, "b", 1), 0);
    assert_int_equal(archive_job_dir(p.a, &key, 1, out, sizeof out), 0);
    path = join(p.dir, "zoo/file");
    write_file(path, "x", 1);
    free(path);
    path = join(p.dir, "zoo/link");
    assert_int_equal(symlink("b", path), 0);
    free(path);
    path = join(p.dir, "file");
    write_file(path, "x", 1);
    free(path);
    assert_int_equal(archive_each_job(p.a, on_job, &seen), 0);
    assert_int_equal(seen, 11);
    assert_int_equal(archive_free_bytes(p.a, &bytes), 0);
    assert_true(bytes > 0);
    place_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),   cmocka_unit_test(test_overlaps),
            cmocka_unit_test(test_sidecar), cmocka_unit_test(test_digest),
        cmocka_unit_test(test_keys),   cmocka_unit_test(test_delete),
            cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_each_job),
    };

    return cmocka_run_group_tests_name("storage/archive", tests, NULL, NULL);
}

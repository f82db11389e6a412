/*
 * tests/unit/storage/nomem_test.c -- every allocation of writing and reading a segment fails once: never a crash, never a
 * file that has its name and is not whole, never a wrong record.
 */
#include "tests/unit/storage/model.h"

#include "tests/unit/nomem.h"

#define FRAMES 3
#define LINES 40

static char *dir;
static struct archive *archive;
static struct job_key key;
static unsigned segments_seen;

static int make_frame(uint64_t first, struct frame **ret)
{
    struct buf text = BUF_INIT;
    char *data;
    int err = 0;

    for (uint64_t s = first; s < first + LINES && err >= 0; s++)
        err = buf_addf(&text, "{\"seq\":%u,\"ts\":\"2026-11-23T20:54:01.%06uZ\",\"msg\":\"line %u\"}\n", (unsigned)s, (unsigned)s,
                       (unsigned)s);
    if (err < 0) {
        buf_release(&text);
        return err;
    }
    size_t len = text.len;
    data = buf_steal(&text, &len);
    err = frame_from_text(first, MODEL_START_US, NULL, &data, len, ret);
    free(data);
    return err;
}

static int write_segment(void)
{
    struct segment_writer *w = NULL;
    char job_dir[PATH_MAX], name[SEGMENT_NAME_BYTES];
    int err = archive_job_dir(archive, &key, 1, job_dir, sizeof job_dir);

    if (err >= 0) err = segment_writer_open(job_dir, 1, 3, &w);
    for (int i = 0; i < FRAMES && err >= 0; i++) {
        struct frame *f = NULL;

        err = make_frame(1 + (uint64_t)i * LINES, &f);
        if (err >= 0) err = segment_writer_add(w, f);
        frame_unref(&f);
    }
    if (err >= 0) err = segment_writer_commit(&w, name);
    segment_writer_abort(&w);
    return err;
}

/* Whatever has a segment's name is whole; success left one. */
static void check_written(enum nomem_outcome outcome)
{
    struct archive_file *files = NULL;
    uint32_t count = 0;
    char path[PATH_MAX];

    assert_int_equal(archive_list(archive, &key, &files, &count), 0);
    if (outcome == NOMEM_DONE) assert_int_equal(count, 1);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(archive_file_path(archive, &key, &files[i], path, sizeof path), 0);
        assert_int_equal(segment_verify(path, 1, FRAMES * LINES), 0);
        assert_int_equal(unlink(path), 0);
        segments_seen++;
    }
    free(files);
    archive_sweep(archive, -1000000);
}

static int read_all_records(void)
{
    struct archive_walk *walk = NULL;
    struct frame *f = NULL;
    uint64_t next = 1, from, to;
    int got, lost = 0, err = archive_walk_open(archive, &key, 1, UINT64_MAX, 0, NULL, NULL, 0, &walk);

    while (err >= 0 && (got = archive_walk_next(walk, &f, &from, &to)) != 0) {
        if (got < 0) { /* that range could not be had: said, not passed over */
            if (from != next) _exit(70);
            next = to + 1;
            lost = got;
            continue;
        }
        if (f->first_seq != next) _exit(71);
        next = frame_last_seq(f) + 1;
        frame_unref(&f);
    }
    archive_walk_close(&walk);
    if (err >= 0 && !lost && next != FRAMES * LINES + 1) _exit(72);
    return err < 0 ? err : lost;
}

static void test_writing(void **state)
{
    /* Writing: an error, or the end of the process; a segment that has its name verifies. */
    assert_true(nomem_sweep(write_segment, check_written) > (NOMEM_ACTIVE ? 20 : 0));
    assert_true(segments_seen > 0);
}

static void test_reading(void **state)
{
    /* Reading: what cannot be read is told with its range, what is read is right. */
    assert_int_equal(write_segment(), 0);
    assert_true(nomem_sweep(read_all_records, NULL) > (NOMEM_ACTIVE ? 10 : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_writing), cmocka_unit_test(test_reading)};
    char why[256];

    dir = make_dir();
    assert_int_equal(archive_open(dir, why, sizeof why, &archive), 0);
    assert_int_equal(job_key_make(&key, "p", 1, "j", 1), 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    archive_close(&archive);
    remove_dir(dir);
    free(dir);
    return failed;
}

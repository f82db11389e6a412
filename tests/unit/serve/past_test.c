/*
 * tests/unit/serve/past_test.c -- what the archive knows of a job: serve/past.c, storage/archive_scan.c.
 */
#include "serve/past.h"

#include "base/io.h"
#include "serve/checkpoint.h"
#include "serve/job_json.h"
#include "tests/unit/serve/world.h"

#include <fcntl.h>
#include <sys/stat.h>

/* The job as of seq, which its only producer has come to. */
static void sidecar_text(uint64_t seq, uint64_t lines, struct buf *text)
{
    struct job_info info;
    struct job_producer p = {.id = "p", .epoch = 3, .last = seq, .rank = 0};

    memset(&info, 0, sizeof info);
    info.key = W.key;
    info.epoch = 7;
    info.seq = seq;
    info.lines = lines;
    info.state = STATE_RUNNING;
    info.created_us = INT64_C(1700000000000000);
    info.history_count = 1;
    info.history[0] = (struct job_history){.state = STATE_RUNNING, .at_us = info.created_us, .rank = RECORD_RANK_NONE};
    info.producers = &p;
    info.producer_count = 1;
    assert_int_equal(job_json(text, &info, 1), 0);
}

static void put_sidecar(uint64_t seq, uint64_t lines)
{
    struct buf text = BUF_INIT;

    sidecar_text(seq, lines, &text);
    assert_int_equal(archive_put_job(W.archive, &W.key, text.data, text.len), 0);
    buf_release(&text);
}

static void prepare(uint64_t seq)
{
    struct buf text = BUF_INIT;

    sidecar_text(seq, seq, &text);
    assert_int_equal(checkpoint_prepare(W.archive, &W.key, text.data, text.len), 0);
    buf_release(&text);
}

/* Up to where the archive knows the producer's lines. */
static uint64_t producer_held(void)
{
    struct job_info *info = NULL;
    uint64_t last;

    assert_int_equal(past_read(W.archive, &W.key, &info), 0);
    last = info->producer_count ? info->producers[0].last : 0;
    job_info_free(&info);
    return last;
}

static uint64_t lines_between(uint64_t from, uint64_t to)
{
    uint64_t n = 0;

    for (uint64_t s = from; s <= to; s++)
        n += !world_is_state(s);
    return n;
}

static void nothing_is_not_found(void **state)
{
    struct job_info *info = NULL;
    char dir[4096];

    assert_int_equal(past_read(W.archive, &W.key, &info), ERR_NOT_FOUND);
    assert_int_equal(archive_job_dir(W.archive, &W.key, 1, dir, sizeof dir), 0);
    assert_int_equal(past_read(W.archive, &W.key, &info), ERR_NOT_FOUND);
    assert_null(info);
}

/* A sidecar as of the last record is taken as it is. */
static void sidecar_alone(void **state)
{
    struct job_info *info = NULL;

    world_append(300, 10);
    world_archive(300);
    put_sidecar(300, 290);
    assert_int_equal(past_read(W.archive, &W.key, &info), 0);
    assert_int_equal(info->seq, 300);
    assert_int_equal(info->archived_upto, 300);
    assert_int_equal(info->lines, 290);
    assert_int_equal(info->epoch, 7);
    assert_int_equal(info->producer_count, 1);
    assert_false(info->producers_unknown);
    assert_true(info->recv_next_us > clock_wall_us() - 60000000);
    job_info_free(&info);
}

/* Records behind the sidecar are counted on; without any sidecar all are, and nobody knows who sent them. */
static void records_behind_it(void **state)
{
    struct job_info *info = NULL;

    world_append(500, 10);
    world_archive(200);
    world_archive(500);
    put_sidecar(200, lines_between(1, 200));
    assert_int_equal(past_read(W.archive, &W.key, &info), 0);
    assert_int_equal(info->seq, 500);
    assert_int_equal(info->lines, lines_between(1, 500));
    assert_int_equal(info->producers[0].last, 200);
    job_info_free(&info);
    char command[200];
    snprintf(command, sizeof command, "rm %s/p/j/job.json", W.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(past_read(W.archive, &W.key, &info), 0);
    assert_int_equal(info->seq, 500);
    assert_int_equal(info->lines, lines_between(1, 500));
    assert_int_equal(info->rank_count, 5);
    assert_true(info->producers_unknown);
    job_info_free(&info);
}

/* Killed at any step of a run, a producer is known to have come exactly as far as the archive; what was prepared for a
 * segment that never got its name is void, also when another ends at the same record later. */
static void as_of_its_end_at_any_step(void **state)
{
    char *json = NULL;
    size_t len;

    world_append(500, 10);
    world_archive(200);
    put_sidecar(200, 200);
    assert_int_equal(producer_held(), 200);
    prepare(300);
    assert_int_equal(producer_held(), 200); /* killed before the segment had its name */
    world_archive(300);
    assert_int_equal(producer_held(), 300); /* and after it */
    assert_int_equal(checkpoint_mend(W.archive, &W.key, 300), 0); /* the next run */
    assert_int_equal(archive_get_prepared_job(W.archive, &W.key, &json, &len), ERR_NOT_FOUND);
    assert_int_equal(producer_held(), 300);
    prepare(400);
    assert_int_equal(checkpoint_mend(W.archive, &W.key, 300), 0); /* no segment: Redis may have gone another way since */
    world_archive(400);
    assert_int_equal(producer_held(), 300);
    prepare(450);
    world_archive(450);
    assert_int_equal(checkpoint_set(W.archive, &W.key), 0);
    assert_int_equal(producer_held(), 450);
    assert_int_equal(archive_put_job(W.archive, &W.key, "{", 1), 0);
    assert_int_equal(archive_prepare_job(W.archive, &W.key, "{", 1), 0);
    assert_int_equal(producer_held(), 0); /* both damaged: taken from the records */
    assert_int_equal(checkpoint_mend(W.archive, &W.key, 450), 0);
    assert_int_equal(archive_get_prepared_job(W.archive, &W.key, &json, &len), ERR_NOT_FOUND);
}

/* A sidecar that is damaged is passed over for the records. */
static void damaged_sidecar(void **state)
{
    struct job_info *info = NULL;

    world_append(100, 10);
    world_archive(100);
    assert_int_equal(archive_put_job(W.archive, &W.key, "{\"id\":", 6), 0);
    assert_int_equal(past_read(W.archive, &W.key, &info), 0);
    assert_int_equal(info->seq, 100);
    assert_true(info->producers_unknown);
    job_info_free(&info);
}

/* A file that is no segment cannot claim numbers: it is moved aside, kept, and seen by nothing more. */
static void rubbish_is_shelved(void **state)
{
    static const char name[] = "00000000000000000101-09007199254740991999.jsonl.zst";
    struct job_info *info = NULL;
    char path[300], aside[300];
    struct stat st;
    uint64_t last = 0;

    world_append(100, 10);
    world_archive(100);
    put_sidecar(100, 90);
    snprintf(path, sizeof path, "%s/p/j/%s", W.dir, name);
    snprintf(aside, sizeof aside, "%s/p/j/.shelved-%s", W.dir, name);
    assert_int_equal(io_replace_file(path, "no zstd at all", 14), 0);
    assert_int_equal(archive_last_seq(W.archive, &W.key, &last), 0);
    assert_true(last > 100);
    assert_int_equal(past_read(W.archive, &W.key, &info), 0);
    assert_int_equal(info->seq, 100);
    job_info_free(&info);
    assert_int_equal(archive_last_seq(W.archive, &W.key, &last), 0);
    assert_int_equal(last, 100);
    assert_int_equal(stat(aside, &st), 0);
    assert_int_not_equal(stat(path, &st), 0);
}

struct answer {
    int done, err;
    uint64_t last;
    struct job_key key;
};

static void on_last(void *ctx, int err, uint64_t last)
{
    *(struct answer *)ctx = (struct answer){1, err, last, {{0}, {0}}};
}

static void on_job(void *ctx, int err, const struct job_info *info)
{
    *(struct answer *)ctx = (struct answer){1, err, info ? info->seq : 0, {{0}, {0}}};
}

static void on_find(void *ctx, int err, const struct job_key *key)
{
    *(struct answer *)ctx = (struct answer){1, err, 0, *key};
}

/* The three questions, asked of worker threads and answered on the loop. */
static void questions(void **state)
{
    struct past past = {&W.loop, W.archive};
    struct job_key none;
    struct answer a = {0};

    job_key_make(&none, "p", 1, "none", 4);
    world_append(100, 10);
    world_archive(100);
    past_ops.last(&past, &W.key, on_last, &a);
    assert_int_equal(a.done, 0);
    world_wait(&a.done);
    assert_int_equal(a.last, 100);
    a.done = 0;
    past_ops.last(&past, &none, on_last, &a);
    world_wait(&a.done);
    assert_true(a.err == 0 && a.last == 0);
    a.done = 0;
    past_ops.job(&past, &W.key, on_job, &a);
    world_wait(&a.done);
    assert_true(a.err == 0 && a.last == 100);
    a.done = 0;
    past_ops.job(&past, &none, on_job, &a);
    world_wait(&a.done);
    assert_int_equal(a.err, ERR_NOT_FOUND);
    a.done = 0;
    past_ops.find(&past, "j", on_find, &a);
    world_wait(&a.done);
    assert_true(a.err == 0 && strcmp(a.key.project, "p") == 0);
    a.done = 0;
    past_ops.find(&past, "none", on_find, &a);
    world_wait(&a.done);
    assert_int_equal(a.err, ERR_NOT_FOUND);
}

static void touch_job(const char *project, const char *job, const char *file)
{
    struct job_key key;
    char path[4096];

    job_key_make(&key, project, strlen(project), job, strlen(job));
    assert_int_equal(archive_job_dir(W.archive, &key, 1, path, sizeof path), 0);
    snprintf(path + strlen(path), 200, "/%s", file);
    assert_int_equal(io_replace_file(path, "x", 1), 0);
}

/* A scan gives every job with a segment or a sidecar once, in steps of any size, and removes old temp files only. */
static void scan(void **state)
{
    struct archive_scan *s;
    struct archive_scanned got[4];
    struct job_key key;
    char path[300];
    struct stat st;
    uint32_t count, total = 0, with = 0;
    int more;

    for (int i = 0; i < 10; i++) {
        char job[16], file[64];

        snprintf(job, sizeof job, "job%d", i);
        snprintf(file, sizeof file, "%020d-%020d.jsonl.zst", 1, i + 1);
        touch_job(i % 2 ? "a" : "b", job, file);
    }
    touch_job("a", "only-json", "job.json");
    touch_job("a", "nothing", "README");
    touch_job("b", "job0", ".tmp-1-abc");
    snprintf(path, sizeof path, "%s/b/job0/.tmp-1-abc", W.dir);
    for (int age = 0; age < 2; age++) {
        struct timespec old[2] = {{1000, 0}, {1000, 0}};

        assert_int_equal(archive_scan_open(W.archive, 3600000000, &s), 0);
        total = with = 0;
        do {
            more = archive_scan_next(s, got, 4, &count);
            assert_true(more >= 0);
            for (uint32_t i = 0; i < count; i++) {
                total++;
                with += got[i].last_seq > 0;
            }
        } while (more);
        archive_scan_close(&s);
        assert_int_equal(total, 11);
        assert_int_equal(with, 10);
        assert_int_equal(stat(path, &st), age ? -1 : 0);
        utimensat(AT_FDCWD, path, old, 0);
        if (!age)
            continue;
    }
    assert_int_equal(archive_find_job(W.archive, "job3", &key), 0);
    assert_string_equal(key.project, "a");
    touch_job("b", "job3", "job.json");
    assert_int_equal(archive_find_job(W.archive, "job3", &key), ERR_AMBIGUOUS);
    assert_int_equal(archive_find_job(W.archive, "nothing", &key), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_not_found, world_open, world_close),
        cmocka_unit_test_setup_teardown(sidecar_alone, world_open, world_close),
        cmocka_unit_test_setup_teardown(records_behind_it, world_open, world_close),
        cmocka_unit_test_setup_teardown(as_of_its_end_at_any_step, world_open, world_close),
        cmocka_unit_test_setup_teardown(damaged_sidecar, world_open, world_close),
        cmocka_unit_test_setup_teardown(rubbish_is_shelved, world_open, world_close),
        cmocka_unit_test_setup_teardown(questions, world_open, world_close),
        cmocka_unit_test_setup_teardown(scan, world_open, world_close),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

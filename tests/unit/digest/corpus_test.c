/*
 * tests/unit/digest/corpus_test.c -- logs of real programs, and what a digest makes of them.
 *
 * corpus/NAME.log is what a program printed (corpus/make.py runs them), corpus/NAME.want the groups: first and last
 * line, kind, level, number of occurrences, title. With JOBLOG_WRITE_WANT=1 the .want files are written: look at them.
 */
#include "base/err.h"
#include "base/io.h"
#include "digest/digest_file.h"
#include "digest/report.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CORPUS "tests/unit/digest/corpus"
#define START_US INT64_C(1764000000000000)

struct log {
    char name[64];
    char *text;
    size_t len;
};

static struct log logs[128];
static size_t log_count;

static int load(void **state)
{
    DIR *dir = opendir(CORPUS);
    struct dirent *e;

    if (!dir) return -1;
    while ((e = readdir(dir))) {
        const char *dot = strstr(e->d_name, ".log");
        char path[400];
        if (!dot || dot[4] || log_count == 128) continue;
        snprintf(logs[log_count].name, sizeof logs[0].name, "%.*s", (int)(dot - e->d_name),
                 e->d_name);
        snprintf(path, sizeof path, CORPUS "/%s", e->d_name);
        if (io_read_file(path, 1 << 20, &logs[log_count].text, &logs[log_count].len) < 0) return -1;
        log_count++;
    }
    closedir(dir);
    return log_count > 20 ? 0 : -1;
}

static int unload(void **state)
{
    for (size_t i = 0; i < log_count; i++) free(logs[i].text);
    return 0;
}

/* The canonical line of a log's line, its level as ingest reads it. */
static void write_line(struct buf *out, uint64_t seq, int32_t rank, const char *text, size_t len)
{
    struct record rec = {.seq = seq,
                         .ts_us = START_US + (int64_t)seq * 1000,
                         .rank = rank,
                         .stream = "stderr",
                         .level = level_from_text(text, len),
                         .msg = text,
                         .msg_len = len};

    buf_clear(out);
    assert_int_equal(record_write(out, &rec), 0);
}

static size_t line_at(const struct log *l, size_t at)
{
    const char *nl = memchr(l->text + at, '\n', l->len - at);

    return nl ? (size_t)(nl - l->text) - at : l->len - at;
}

static struct digest *read_log(const struct log *l, int32_t rank)
{
    struct buf line = BUF_INIT;
    struct digest *d = NULL;

    assert_int_equal(digest_new(NULL, &d), 0);
    for (size_t at = 0; at < l->len; at += line_at(l, at) + 1) {
        write_line(&line, d->upto + 1, rank, l->text + at, line_at(l, at));
        assert_int_equal(digest_add_line(d, line.data, line.len, START_US), 0);
    }
    assert_int_equal(digest_settle(d), 0);
    buf_release(&line);
    return d;
}

static void describe(const struct digest *d, struct buf *out)
{
    for (uint32_t i = 0; i < d->group_count; i++) {
        const struct digest_group *g = &d->groups[i];
        buf_addf(out, "%llu-%llu %s %s x%llu %s\n", (unsigned long long)g->first.seq,
                 (unsigned long long)g->first_end_seq, digest_kind_name(g->kind),
                 level_name(g->level), (unsigned long long)g->count, g->title);
    }
    for (uint32_t i = 0; i < d->report_count; i++) {
        const struct digest_report *p = &d->reports[i];
        buf_addf(out, "report rank %d local %d%s exit %d signal %d pid %lld host %s: %s\n", p->rank,
                 p->local_rank, p->is_root ? " root" : "", p->exit_code, p->signal,
                 (long long)p->pid, p->host, p->title);
    }
}

static const struct log *find(const char *name)
{
    for (size_t i = 0; i < log_count; i++) {
        if (!strcmp(logs[i].name, name)) return &logs[i];
    }
    fail_msg("no log %s", name);
    return NULL;
}

/* Every log of the corpus gives the groups and reports that were looked at and written down. */
static void test_logs(void **state)
{
    for (size_t i = 0; i < log_count; i++) {
        struct digest *d = read_log(&logs[i], RECORD_RANK_NONE);
        struct buf got = BUF_INIT;
        char path[400], *want = NULL;
        size_t len;

        describe(d, &got);
        snprintf(path, sizeof path, CORPUS "/%s.want", logs[i].name);
        if (getenv("JOBLOG_WRITE_WANT"))
            assert_int_equal(io_replace_file(path, buf_cstr(&got), got.len), 0);
        if (io_read_file(path, 1 << 20, &want, &len) < 0) fail_msg("no %s", path);
        if (strcmp(buf_cstr(&got), want))
            fail_msg("%s: got\n%swant\n%s", logs[i].name, buf_cstr(&got), want);
        free(want);
        buf_release(&got);
        digest_free(&d);
    }
}

static uint64_t fingerprint_of(const char *name)
{
    struct digest *d = read_log(find(name), 0);
    uint64_t f = d->group_count == 1 ? d->groups[0].fingerprint : 0;

    digest_free(&d);
    return f;
}

/* The same traceback has one fingerprint with carets (3.11), with others (3.12, 3.13) and without (3.8). */
static void test_versions_of_python(void **state)
{
    uint64_t f = fingerprint_of("chained");

    assert_int_not_equal(f, 0);
    assert_true(fingerprint_of("chained-38") == f);
    assert_true(fingerprint_of("chained-312") == f);
    assert_true(fingerprint_of("chained-313") == f);
    assert_true(fingerprint_of("thread") != f);
}

/* Interleaved line by line over ranks, each error is held together as it is alone: one group, on every rank. */
static void test_interleaved(void **state)
{
    for (size_t i = 0; i < log_count; i++) {
        const struct log *l = &logs[i];
        struct digest *alone = read_log(l, 0), *d = NULL;
        struct buf line = BUF_INIT;

        if (strstr(l->name, "mpi") || strstr(l->name, "nccl"))
            goto next; /* their lines name other ranks */
        assert_int_equal(digest_new(NULL, &d), 0);
        for (size_t at = 0; at < l->len; at += line_at(l, at) + 1) {
            for (int32_t rank = 0; rank < 5; rank++) {
                write_line(&line, d->upto + 1, rank, l->text + at, line_at(l, at));
                assert_int_equal(digest_add_line(d, line.data, line.len, START_US), 0);
            }
        }
        assert_int_equal(digest_settle(d), 0);
        if (d->group_count != alone->group_count)
            fail_msg("%s: %u groups", l->name, d->group_count);
        for (uint32_t k = 0; k < d->group_count; k++) {
            assert_true(d->groups[k].fingerprint == alone->groups[k].fingerprint);
            assert_int_equal(d->groups[k].rank_count, 5);
            assert_int_equal(d->groups[k].count, 5 * alone->groups[k].count);
            assert_string_equal(d->groups[k].text, alone->groups[k].text);
        }
    next:
        buf_release(&line);
        digest_free(&d);
        digest_free(&alone);
    }
}

static void encode(const struct digest *d, struct buf *out)
{
    buf_clear(out);
    assert_int_equal(digest_encode(d, 7, out), 0);
}

/* The bytes of everything, over ranks that write the logs at the same time. */
static void make_run(struct buf *all, size_t *ends, size_t *ret_count, unsigned seed)
{
    size_t at[128] = {0}, left = log_count;
    struct buf line = BUF_INIT;
    uint64_t seq = 0;

    while (left && *ret_count < 4000) {
        size_t k = (seed = seed * 1103515245u + 12345u) / 65536u % log_count;
        if (at[k] >= logs[k].len) {
            k = 0;
            while (k < log_count && at[k] >= logs[k].len) k++;
            if (k == log_count) break;
        }
        write_line(&line, ++seq, (int32_t)k, logs[k].text + at[k], line_at(&logs[k], at[k]));
        at[k] += line_at(&logs[k], at[k]) + 1;
        buf_add(all, line.data, line.len);
        ends[(*ret_count)++] = all->len;
    }
    buf_release(&line);
}

static void feed(struct digest *d, const struct buf *all, const size_t *ends, size_t from,
                 size_t to)
{
    for (size_t i = from; i < to; i++) {
        size_t start = i ? ends[i - 1] : 0;
        assert_int_equal(
            digest_add_line(d, all->data + start, ends[i] - start, START_US + (int64_t)(i / 7)), 0);
    }
}

/* digest(all) is decode(encode(digest(first part))) fed the rest, wherever the cut is, to the byte. */
static void test_cuts(void **state)
{
    struct buf all = BUF_INIT, want = BUF_INIT, part = BUF_INIT;
    size_t *ends = calloc(4000, sizeof *ends), count = 0;
    struct digest *whole = NULL;

    make_run(&all, ends, &count, 17);
    assert_true(count > 400);
    assert_int_equal(digest_new(NULL, &whole), 0);
    feed(whole, &all, ends, 0, count);
    encode(whole, &want);
    for (size_t cut = 0; cut <= count; cut += 1 + cut % 7) {
        struct digest *d = NULL, *again = NULL, *copy = NULL;
        uint64_t epoch;

        assert_int_equal(digest_new(NULL, &d), 0);
        feed(d, &all, ends, 0, cut);
        encode(d, &part);
        assert_int_equal(digest_decode(part.data, part.len, NULL, &epoch, &again), 0);
        assert_int_equal(epoch, 7);
        feed(again, &all, ends, cut, count);
        encode(again, &part);
        if (part.len != want.len || memcmp(part.data, want.data, want.len))
            fail_msg("cut at %zu", cut);
        assert_int_equal(digest_copy(again, &copy), 0);
        encode(copy, &part);
        assert_true(part.len == want.len && memcmp(part.data, want.data, want.len) == 0);
        digest_free(&copy);
        digest_free(&again);
        digest_free(&d);
    }
    digest_free(&whole);
    buf_release(&all);
    buf_release(&want);
    buf_release(&part);
    free(ends);
}

/* A file with any byte changed or cut anywhere is refused; other versions are told apart. */
static void test_damage(void **state)
{
    static const struct digest_classifier other = {.version = 9};
    struct buf all = BUF_INIT, file = BUF_INIT;
    size_t *ends = calloc(4000, sizeof *ends), count = 0;
    struct digest *d = NULL, *again = NULL;
    uint64_t epoch, upto;

    make_run(&all, ends, &count, 3);
    assert_int_equal(digest_new(NULL, &d), 0);
    feed(d, &all, ends, 0, 200);
    encode(d, &file);
    for (size_t i = 0; i < file.len; i++) {
        int err;
        file.data[i] ^= 0x41;
        err = digest_decode(file.data, file.len, NULL, &epoch, &again);
        assert_true(err == ERR_CORRUPT || err == ERR_UNSUPPORTED);
        file.data[i] ^= 0x41;
    }
    for (size_t len = 0; len < file.len; len += 1 + len % 3)
        assert_int_equal(digest_decode(file.data, len, NULL, &epoch, &again), ERR_CORRUPT);
    assert_int_equal(digest_decode(file.data, file.len, &other, &epoch, &again), ERR_UNSUPPORTED);
    assert_int_equal(digest_file_head(file.data, file.len, 0, &epoch, &upto), 0);
    assert_int_equal(upto, 200);
    assert_null(again);
    digest_free(&d);
    buf_release(&all);
    buf_release(&file);
    free(ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logs),        cmocka_unit_test(test_versions_of_python),
        cmocka_unit_test(test_interleaved), cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, load, unload);
}

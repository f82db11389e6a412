/*
 * tests/unit/digest/nomem_test.c -- every allocation of making a digest, its file and its verdict fails once: never a crash,
 * never a digest that lacks a line and does not say so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/nomem.h"

#include "base/buf.h"
#include "base/err.h"
#include "digest/cause.h"
#include "digest/digest_file.h"
#include "digest/verdict.h"
#include "job/info.h"
#include "job/record.h"

#define LINES 120
#define START_US INT64_C(1764000000000000)

static struct buf lines = BUF_INIT; /* canonical, made before the sweep */

static void make_lines(void)
{
    static const char *const said[] = {"step %u loss=%u.5 lr=0.001", "Traceback (most recent call last):",
                                       "  File \"train.py\", line %u, in <module>", "ValueError: bad shard %u",
                                       "NCCL WARN timeout after %u ms", "progress %u%%|#####     | 5/10"};

    for (unsigned i = 0; i < LINES; i++) {
        char msg[128];
        struct record r = {.seq = i + 1, .ts_us = START_US + i * 1000, .rank = (int32_t)(i % 3), .msg = msg};

        snprintf(msg, sizeof msg, said[i % 6], i, i);
        r.msg_len = strlen(msg);
        r.level = i % 6 == 3 ? LEVEL_ERROR : LEVEL_INFO;
        assert_int_equal(record_write(&lines, &r), 0);
    }
}

static int feed(struct digest *d)
{
    int err = 0;

    for (size_t at = 0; at < lines.len && err >= 0;) {
        const char *nl = memchr(lines.data + at, '\n', lines.len - at);
        size_t len = (size_t)(nl - lines.data) - at;

        err = digest_add_line(d, lines.data + at, len, START_US + (int64_t)at);
        at += len + 1;
    }
    return err;
}

static uint64_t counted(const struct digest *d)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < d->rank_count; i++)
        n += d->ranks[i].lines;
    return n;
}

static int make_file_and_read(void)
{
    struct digest *d = NULL, *again = NULL;
    struct buf file = BUF_INIT, ranks = BUF_INIT;
    uint64_t epoch = 0;
    int err = digest_new(&cause_classifier, &d);

    if (err >= 0) err = feed(d);
    if (err >= 0 && (d->upto != LINES || counted(d) != LINES)) _exit(70);
    if (err >= 0) err = digest_encode(d, 7, &file);
    if (err >= 0) err = digest_decode(file.data, file.len, &cause_classifier, &epoch, &again);
    if (err >= 0 && (epoch != 7 || again->upto != LINES || counted(again) != LINES)) _exit(71);
    if (err >= 0) err = digest_settle(again);
    for (uint32_t i = 0; err >= 0 && i < again->group_count; i++) err = digest_group_ranks(&again->groups[i], &ranks);
    digest_free(&d);
    digest_free(&again);
    buf_release(&file);
    buf_release(&ranks);
    return err;
}

static int judge(void)
{
    struct job_info *info;
    struct digest *d = NULL;
    struct verdict v;
    int err;

    nomem_pause();
    err = digest_new(&cause_classifier, &d);
    if (err >= 0) err = feed(d);
    if (err >= 0) err = digest_settle(d);
    info = job_info_new();
    info->state = STATE_FAILED;
    info->ended_us = START_US + 1000000;
    nomem_begin();
    if (err >= 0) {
        verdict_make(&v, d, info, START_US + 2000000);
        if (!*v.sentence) _exit(72);
        verdict_release(&v);
    }
    job_info_free(&info);
    digest_free(&d);
    return err;
}

static void test_making(void **state)
{
    /* Whole, an error, or the end of the process. */
    assert_true(nomem_sweep(make_file_and_read, NULL) > (NOMEM_ACTIVE ? 20 : 0));
}

static void test_judging(void **state)
{
    /* A verdict, or the end of the process. */
    assert_true(nomem_sweep(judge, NULL) > (NOMEM_ACTIVE ? 1 : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_making), cmocka_unit_test(test_judging)};

    make_lines();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_release(&lines);
    return failed;
}

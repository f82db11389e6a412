/*
 * tests/fuzz/digest_lines_fuzz.c -- any bytes as the lines of a log, under every reader of digest/.
 *
 * The first byte chooses where the run is cut. Each line goes through the readers in a buffer of its own size, and as
 * a record into a digest; the digest that was written and read at the cut ends as the one that was not.
 * Covers  digest/prefix.c digest/block.c digest/block_native.c digest/block_panic.c digest/block_python.c
 *         digest/metric.c digest/number.c digest/plain.c digest/progress.c digest/fingerprint.c digest/section.c
 *         digest/report.c digest/cause.c job/level_text.c
 */
#include "base/check.h"
#include "base/utf8.h"
#include "digest/cause.h"
#include "digest/digest_file.h"
#include "digest/digest_int.h"
#include "digest/fingerprint.h"
#include "digest/metric.h"
#include "digest/plain.h"
#include "digest/prefix.h"
#include "digest/progress.h"
#include "digest/section.h"
#include "digest/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct report closing; /* torchrun's, over the lines of an input */

static void read_all(const char *text, size_t len)
{
    char *line = malloc(len ? len : 1), normal[64];
    struct buf scratch = BUF_INIT, members = BUF_INIT;
    struct digest_report reports[REPORT_TASKS_MAX];
    struct progress progress;
    struct section section;
    struct prefix prefix;
    struct metric metric;
    const char *plain;
    size_t plain_len;

    CHECK(line);
    memcpy(line, text, len);
    CHECK(plain_from_text(&scratch, line, len, &plain, &plain_len) >= 0);
    prefix_read(line, len, &prefix);
    CHECK(prefix.bytes <= len && prefix.label_bytes <= len);
    if (progress_read(line, len, &progress)) CHECK(progress_write(&members, &progress) >= 0);
    if (section_read(line, len, &section)) CHECK(section.title_len <= len);
    if (metric_read(line, len, &metric)) CHECK(metric.count <= METRIC_VALUES_MAX);
    CHECK(report_line(line, len, reports) <= REPORT_TASKS_MAX);
    if (report_next(&closing, line, len, reports))
        CHECK(reports->rank >= RECORD_RANK_NONE && memchr(reports->host, '\0', sizeof reports->host));
    CHECK(level_from_text(line, len) < LEVEL_COUNT);
    CHECK(cause_of_line(line, len, 0) < CAUSE_COUNT && cause_of_line(line, len, 1) < CAUSE_COUNT);
    fingerprint_normal(line, len, normal, sizeof normal);
    buf_release(&scratch);
    buf_release(&members);
    free(line);
}

static void add(struct digest *d, const char *text, size_t len, enum level level)
{
    struct record rec = {.seq = d->upto + 1,
                         .ts_us = 1764000000000000 + (int64_t)d->upto * 1000,
                         .rank = RECORD_RANK_NONE,
                         .level = level,
                         .msg = text,
                         .msg_len = len};
    struct buf line = BUF_INIT;

    CHECK(record_write(&line, &rec) >= 0);
    CHECK(digest_add_line(d, line.data, line.len, rec.ts_us) >= 0);
    buf_release(&line);
}

static void content(const struct digest *d, struct buf *out)
{
    struct wire w = {.out = out};

    digest__walk(&w, (struct digest *)d);
    CHECK(!w.err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct digest *d = NULL, *cut = NULL;
    struct buf a = BUF_INIT, b = BUF_INIT;
    size_t at = 1;
    unsigned n = 0;

    if (!size) return 0;
    closing = (struct report){0};
    CHECK(digest_new(&cause_classifier, &d) >= 0);
    while (at < size) {
        const char *text = (const char *)data + at, *nl = memchr(text, '\n', size - at);
        size_t len = nl ? (size_t)(nl - text) : size - at;

        read_all(text, len);
        at += len + 1;
        len = utf8_valid_prefix(text, len);
        if (n++ == data[0]) CHECK(digest_copy(d, &cut) >= 0);
        add(d, text, len, level_from_text(text, len));
        if (cut) add(cut, text, len, level_from_text(text, len));
    }
    if (cut) {
        content(d, &a);
        content(cut, &b);
        CHECK(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    }
    CHECK(digest_settle(d) >= 0);
    buf_release(&a);
    buf_release(&b);
    digest_free(&d);
    digest_free(&cut);
    return 0;
}

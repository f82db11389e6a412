/*
 * tests/bench/digest_bench.c -- nanoseconds a line of reading a log into a digest, and of its parts.
 *
 *     make bench-digest          a training log of 8 ranks, 100,000 lines, five times; the best run counts
 *     … digest_bench 20000 one   one run of the digest alone, for callgrind
 */
#include "digest/block.h"
#include "digest/cause.h"
#include "digest/digest_file.h"
#include "digest/metric.h"
#include "digest/prefix.h"
#include "base/clock.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct buf records, texts;
static size_t *record_end, *text_end;
static size_t count;

/* What a job of eight ranks prints: steps, a stamp and logger now and then, prose, a redraw's end. */
static void make_line(char *out, size_t size, size_t i)
{
    switch (i % 10) {
    case 0:
    case 1:
    case 2:
    case 3:
        snprintf(out, size, "step=%zu loss=%.4f lr=3.0e-4 grad_norm=%.3f tokens/s=%zu", i / 8,
                 4.0 - (double)i / 50000, 1.0 + (double)(i % 7) / 10, 12000 + i % 97);
        break;
    case 4:
        snprintf(out, size,
                 "2026-11-23 20:54:%02zu,%03zu INFO train: checkpoint shard %zu of 64 written to "
                 "/data/ckpt/step_%zu/rank_%zu.pt",
                 i % 60, i % 1000, i % 64, i / 8, i % 8);
        break;
    case 5:
        snprintf(out, size,
                 "[2026-11-23 20:54:%02zu,%03zu] [INFO] [logging.py:96:log_dist] [Rank 0] "
                 "step=%zu, skipped=0, lr=[0.0003]",
                 i % 60, i % 1000, i / 8);
        break;
    case 6:
        snprintf(
            out, size,
            "gpu-a:4101:4388 [%zu] NCCL INFO Channel %02zu/0 : %zu[%zu] -> %zu[%zu] via P2P/IPC",
            i % 8, i % 24, i % 8, i % 8, (i + 1) % 8, (i + 1) % 8);
        break;
    case 7:
        snprintf(out, size, " 45%%|####5     | %zu/100000 [00:10<00:12,  4.50it/s, loss=2.31]", i);
        break;
    case 8:
        snprintf(out, size,
                 "The model has been loaded and the tokenizer was warmed up; going on with the "
                 "next part of the data set");
        break;
    case 9:
        snprintf(out, size,
                 "data loader: epoch 3, shard %zu, 512 samples, queue 12 of 64, wait 0.002 s",
                 i % 977);
        break;
    }
}

static void make(size_t n)
{
    char text[512];

    record_end = calloc(n, sizeof *record_end);
    text_end = calloc(n, sizeof *text_end);
    CHECK(record_end && text_end);
    for (count = 0; count < n; count++) {
        struct record r = {.seq = count + 1,
                           .ts_us = 1764000000000000 + (int64_t)count * 1250,
                           .rank = (int32_t)(count % 8),
                           .replica = "node-1",
                           .stream = "stdout",
                           .msg = text};
        make_line(text, sizeof text, count);
        r.msg_len = strlen(text);
        r.level = level_from_text(text, r.msg_len);
        CHECK(record_write(&records, &r) >= 0 && buf_add(&texts, text, r.msg_len) >= 0);
        record_end[count] = records.len;
        text_end[count] = texts.len;
    }
}

static void run_digest(void)
{
    struct digest *d = NULL;

    CHECK(digest_new(&cause_classifier, &d) >= 0);
    for (size_t i = 0; i < count; i++) {
        size_t at = i ? record_end[i - 1] : 0;
        CHECK(digest_add_line(d, records.data + at, record_end[i] - at,
                              1764000000000000 + (int64_t)i * 1250) >= 0);
    }
    digest_free(&d);
}

static void run_parse(void)
{
    struct record_view v;

    for (size_t i = 0; i < count; i++) {
        size_t at = i ? record_end[i - 1] : 0;
        CHECK(record_parse(records.data + at, record_end[i] - at, &v) >= 0);
    }
}

static volatile unsigned sink;

#define EACH_TEXT(call)                                                                            \
    for (size_t i = 0; i < count; i++) {                                                           \
        size_t at = i ? text_end[i - 1] : 0, len = text_end[i] - at;                               \
        const char *text = texts.data + at;                                                        \
        call;                                                                                      \
    }

static void run_prefix(void)
{
    struct prefix p;
    EACH_TEXT((prefix_read(text, len, &p), sink += (unsigned)p.rank))
}

static void run_block(void)
{
    struct block b;
    enum block_role role;
    EACH_TEXT(sink += (unsigned)block_begin(&b, text, len, LEVEL_NONE, &role))
}

static void run_metric(void)
{
    struct metric m;
    EACH_TEXT(sink += (unsigned)metric_read(text, len, &m))
}

static void run_level(void)
{
    EACH_TEXT(sink += level_from_text(text, len))
}

static void run_cause(void)
{
    EACH_TEXT(sink += cause_of_line(text, len, 0))
}

static void run_file(void)
{
    struct digest *d = NULL, *e = NULL;
    struct buf file = BUF_INIT;
    uint64_t epoch;
    int64_t start;

    CHECK(digest_new(&cause_classifier, &d) >= 0);
    for (size_t i = 0; i < count; i++) {
        size_t at = i ? record_end[i - 1] : 0;
        CHECK(digest_add_line(d, records.data + at, record_end[i] - at,
                              1764000000000000 + (int64_t)i * 1250) >= 0);
    }
    start = clock_mono_us();
    CHECK(digest_encode(d, 1, &file) >= 0);
    printf("encode %lld us, %zu bytes; ", (long long)(clock_mono_us() - start), file.len);
    start = clock_mono_us();
    CHECK(digest_decode(file.data, file.len, &cause_classifier, &epoch, &e) >= 0);
    printf("decode %lld us\n", (long long)(clock_mono_us() - start));
    digest_free(&d);
    digest_free(&e);
    buf_release(&file);
}

/* CPU time, not wall: the figure is the same on a busy machine. */
static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void bench(const char *name, void (*run)(void))
{
    int64_t best = INT64_MAX;

    for (int k = 0; k < 5; k++) {
        int64_t start = cpu_us(), us;
        run();
        us = cpu_us() - start;
        best = us < best ? us : best;
    }
    printf("%-8s %7.1f ns a line\n", name, (double)best * 1000 / (double)count);
}

int main(int argc, char **argv)
{
    make(argc > 1 ? strtoul(argv[1], NULL, 10) : 100000);
    if (argc > 2) {
        run_digest();
        return 0;
    }
    printf("%zu lines, %zu bytes of text each\n", count, texts.len / count);
    bench("digest", run_digest);
    bench(" parse", run_parse);
    bench(" prefix", run_prefix);
    bench(" block", run_block);
    bench(" metric", run_metric);
    bench(" cause", run_cause);
    bench("level", run_level);
    run_file();
    return 0;
}

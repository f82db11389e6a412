/*
 * tests/bench/decode_bench.c -- lines the decoder takes in a second of CPU time.
 *
 * CPU time, not wall: the figure is the same on a busy machine.
 *
 *     make bench-decode                  one line per kind of input, frames packed and not
 *     build/bench/decode_bench text 0    one kind, one level
 *     … text 0 0 redact                  the same with secrets taken out
 *     … text 0 20                        20 rounds of 500 lines, to be counted by callgrind
 */
#include "base/buf.h"
#include "base/clock.h"
#include "ingest/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINES 500
#define CHUNK_BYTES (64 * 1024)

static struct redact *redact; /* NULL: lines stay as they are */

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static size_t make_body(struct buf *b, const char *kind)
{
    static const char *const levels[] = {"info", "info", "info", "warn", "debug"};

    buf_clear(b);
    for (int i = 0; i < LINES; i++) {
        char msg[160];
        snprintf(msg, sizeof msg,
                 "step %d/20000 loss=%.4f lr=%.3e grad_norm=%.3f tokens/s=%d mem=%.1fGB rank time %.3fs",
                 i * 7, 2.5 - i * 0.001, 3e-4 - i * 1e-7, 0.8 + i * 0.003, 41000 + i * 13, 61.2 + i % 7,
                 0.4 + i * 0.0001);
        if (!strcmp(kind, "canonical")) {
            buf_addf(b,
                     "{\"ts\":\"2026-11-23T20:54:%02d.%06dZ\",\"rank\":%d,\"stream\":\"stdout\",\"level\":\"%"
                     "s\",\"msg\":\"%s\"}\n",
                     i / 10, i * 1000 % 1000000, i % 8, levels[i % 5], msg);
        } else if (!strcmp(kind, "aliases")) {
            buf_addf(b,
                     "{\"time\": %d.%03d, \"levelname\": \"INFO\", \"message\": \"%s\", \"logger\": "
                     "\"train\", \"line\": %d}\n",
                     1764000000 + i, i, msg, i);
        } else if (!strcmp(kind, "escaped")) {
            buf_addf(b,
                     "{\"ts\":\"2026-11-23T20:54:%02d.%06dZ\",\"msg\":\"\\u001b[32m%s\\u001b[0m \\\"ok\\\" "
                     "\xe2\x82\xac\"}\n",
                     i / 10, i, msg);
        } else {
            buf_addf(b, "%s\n", msg);
        }
    }
    return b->len;
}

/* rounds 0: for 0.7 s */
static void run(const char *kind, enum decode_format format, int pack_level, int rounds)
{
    struct buf body = BUF_INIT;
    size_t len = make_body(&body, kind);
    struct decode_options o;
    struct decoder *d = NULL;
    int64_t start, took;
    uint64_t lines = 0;

    decode_options_init(&o);
    o.format = format;
    o.pack_level = pack_level;
    o.recv_us = clock_wall_us();
    o.redact = redact;
    start = cpu_us();
    do {
        struct batch *b = NULL;
        if (d ? decoder_reset(d, &o) : decoder_new(&o, &d)) abort();
        for (size_t at = 0; at < len; at += CHUNK_BYTES) {
            if (decoder_feed(d, body.data + at, len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES)) abort();
        }
        if (decoder_finish(d, &b)) abort();
        lines += b->line_count;
        batch_free(&b);
        took = cpu_us() - start;
    } while (rounds ? --rounds : took < 700000);
    printf("%-10s pack %d: %6.2f M lines/CPU-s, %5.0f MB/s (%zu bytes a line)\n", kind, pack_level,
           (double)lines / (double)took, (double)lines / LINES * (double)len / (double)took, len / LINES);
    decoder_free(&d);
    buf_release(&body);
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"canonical", "aliases", "escaped", "text"};

    char why[100];

    if (argc > 4 && redact_new(NULL, &redact, why, sizeof why) < 0) abort();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (argc > 1 && strcmp(argv[1], kinds[i])) continue;
        enum decode_format format = strcmp(kinds[i], "text") ? DECODE_NDJSON : DECODE_TEXT;
        for (int level = 0; level <= 1; level++) {
            if (argc <= 2 || atoi(argv[2]) == level) run(kinds[i], format, level, argc > 3 ? atoi(argv[3]) : 0);
        }
    }
    return 0;
}

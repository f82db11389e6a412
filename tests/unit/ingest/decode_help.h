/*
 * tests/unit/ingest/decode_help.h -- decode a text in one call, at any chunk size.
 */
#ifndef TESTS_DECODE_HELP_H
#define TESTS_DECODE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/pack.h"
#include "ingest/decode.h"

#define HELP_RECV_US INT64_C(1764000000123456) /* 2025-11-24T16:00:00.123456Z */
#define HELP_TS "\"ts\":\"2025-11-24T16:00:00.123456Z\""

struct decoded {
    int err;
    uint64_t line;
    char why[200];
    struct batch *batch;
    struct buf text; /* all records */
};

static inline struct decode_options help_options(enum decode_format format)
{
    struct decode_options o;
    decode_options_init(&o);
    o.format = format;
    o.recv_us = HELP_RECV_US;
    return o;
}

static inline void help_release(struct decoded *r)
{
    batch_free(&r->batch);
    buf_release(&r->text);
}

/* Every frame must unpack to its raw text and every line must be a canonical record. */
static inline void help_gather(struct decoded *r)
{
    uint64_t lines = 0;
    for (uint32_t i = 0; i < r->batch->frame_count; i++) {
        const struct batch_frame *f = &r->batch->frames[i];
        if (f->packed) {
            struct buf plain = BUF_INIT;
            assert_int_equal(unpack_zstd(&plain, f->packed, f->packed_bytes, FRAME_TEXT_BYTES_HARD_MAX), 0);
            assert_int_equal(plain.len, f->raw_bytes);
            assert_memory_equal(plain.data, f->raw, f->raw_bytes);
            assert_true(f->packed_bytes < f->raw_bytes);
            buf_release(&plain);
        }
        uint32_t count = 0;
        for (size_t at = 0; at < f->raw_bytes; count++) {
            const char *nl = memchr(f->raw + at, '\n', f->raw_bytes - at);
            struct record_view v;
            assert_non_null(nl);
            assert_int_equal(record_parse(f->raw + at, (size_t)(nl - f->raw) - at, &v), 0);
            at = (size_t)(nl - f->raw) + 1;
        }
        assert_int_equal(count, f->sum.count);
        lines += count;
        assert_int_equal(buf_add(&r->text, f->raw, f->raw_bytes), 0);
    }
    assert_int_equal(lines, r->batch->line_count);
}

static inline struct decoded help_decode_chunks(const struct decode_options *o, const char *text, size_t len,
                                                size_t chunk)
{
    struct decoded r;
    struct decoder *d = NULL;

    memset(&r, 0, sizeof r);
    buf_init(&r.text, 0);
    assert_int_equal(decoder_new(o, &d), 0);
    for (size_t at = 0; at < len && !r.err; at += chunk) {
        r.err = decoder_feed(d, text + at, len - at < chunk ? len - at : chunk);
    }
    if (!r.err) r.err = decoder_finish(d, &r.batch);
    snprintf(r.why, sizeof r.why, "%s", decoder_error(d, &r.line));
    decoder_free(&d);
    if (!r.err) help_gather(&r);
    return r;
}

/* The same at several chunk sizes: all must agree. */
static inline struct decoded help_decode(const struct decode_options *o, const char *text, size_t len)
{
    static const size_t chunks[] = {1, 2, 3, 7, 64};
    struct decoded whole = help_decode_chunks(o, text, len, len ? len : 1);

    for (size_t i = 0; i < sizeof chunks / sizeof *chunks && len < 100000; i++) {
        struct decoded r = help_decode_chunks(o, text, len, chunks[i]);
        assert_int_equal(r.err, whole.err);
        assert_string_equal(r.why, whole.why);
        assert_string_equal(buf_cstr(&r.text), buf_cstr(&whole.text));
        help_release(&r);
    }
    return whole;
}

static inline void help_expect(const struct decode_options *o, const char *in, size_t len, const char *want)
{
    struct decoded r = help_decode(o, in, len);
    if (r.err) fail_msg("refused: %s", r.why);
    assert_string_equal(buf_cstr(&r.text), want);
    help_release(&r);
}

static inline void help_refuse(const struct decode_options *o, const char *in, size_t len, int err, uint64_t line)
{
    struct decoded r = help_decode(o, in, len);
    assert_int_equal(r.err, err);
    assert_int_equal(r.line, line);
    help_release(&r);
}

#endif

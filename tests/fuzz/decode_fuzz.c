/*
 * tests/fuzz/decode_fuzz.c -- hostile bodies for ingest/decode.h.
 *
 * Byte 0 chooses the options, byte 1 the size of the pieces; the rest is the body. What must hold: every record is
 * canonical and valid UTF-8, packed frames hold what the raw ones hold, the cut of the input makes no difference,
 * and what was decoded decodes to itself, as long as no line may be labelled by srun or begins a block without a level.
 * Covers  ingest/decode.c ingest/line.c ingest/scan.c ingest/split.c ingest/redraw.c ingest/framer.c ingest/marks.c
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/pack.h"
#include "base/utf8.h"
#include "digest/block.h"
#include "digest/plain.h"
#include "digest/prefix.h"
#include "ingest/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Does the line look labelled by srun, and has no rank? What such a label is depends on the lines around it
 * without ranks: decoded again, with the others' ranks known, it may be another. Or does it begin a block and has no level
 * ("Exception ignored in")? A line that came with a level is no block's, and ends none: decoded again, a line behind it that
 * ended the block has one. */
static int is_open(const struct record_view *v)
{
    struct buf msg = BUF_INIT, plain = BUF_INIT;
    struct prefix p = {.label = PREFIX_NONE};
    enum block_role role;
    const char *text;
    struct block b;
    size_t len;
    int begins = 0;

    if (v->rank == RECORD_RANK_NONE || v->level == LEVEL_NONE) {
        CHECK(record_msg(v, &msg) == 0);
        CHECK(plain_from_text(&plain, buf_cstr(&msg), msg.len, &text, &len) >= 0);
        prefix_read(text, len, &p);
        begins = v->level == LEVEL_NONE && block_begin(&b, text + p.bytes, len - p.bytes, LEVEL_NONE, &role);
        begins |= v->level == LEVEL_NONE && p.label_bytes &&
                  block_begin(&b, text + p.label_bytes, len - p.label_bytes, LEVEL_NONE, &role);
    }
    buf_release(&msg);
    buf_release(&plain);
    return begins || (v->rank == RECORD_RANK_NONE && p.label != PREFIX_NONE);
}

/* Returns how many lines are open. */
static uint64_t fuzz_gather(const struct batch *b, struct buf *out)
{
    uint64_t lines = 0, open_lines = 0;

    for (uint32_t i = 0; i < b->frame_count; i++) {
        const struct batch_frame *f = &b->frames[i];

        CHECK(utf8_valid_prefix(f->raw, f->raw_bytes) == f->raw_bytes);
        if (f->packed) {
            struct buf plain = BUF_INIT;
            CHECK(unpack_zstd(&plain, f->packed, f->packed_bytes, FRAME_TEXT_BYTES_HARD_MAX) == 0);
            CHECK(plain.len == f->raw_bytes && memcmp(plain.data, f->raw, plain.len) == 0);
            buf_release(&plain);
        }
        for (size_t at = 0; at < f->raw_bytes; lines++) {
            const char *nl = memchr(f->raw + at, '\n', f->raw_bytes - at);
            struct record_view v;
            CHECK(nl);
            size_t n = (size_t)(nl - f->raw) - at;
            CHECKF(record_parse(f->raw + at, n, &v) == 0, "%.*s", (int)n, f->raw + at);
            open_lines += (uint64_t)is_open(&v);
            at += n + 1;
        }
        CHECK(buf_add(out, f->raw, f->raw_bytes) == 0);
    }
    CHECK(lines == b->line_count);
    return open_lines;
}

static int fuzz_decode(const struct decode_options *o, const char *text, size_t len, size_t piece, struct buf *out,
                       uint64_t *ret_open_lines)
{
    struct decoder *d = NULL;
    struct batch *b = NULL;
    int err = 0;

    CHECK(decoder_new(o, &d) == 0);
    for (size_t at = 0; at < len && !err; at += piece) {
        err = decoder_feed(d, text + at, len - at < piece ? len - at : piece);
    }
    if (!err) err = decoder_finish(d, &b);
    CHECK(!err || *decoder_error(d, NULL));
    if (!err) *ret_open_lines = fuzz_gather(b, out);
    batch_free(&b);
    decoder_free(&d);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf whole = BUF_INIT, pieces = BUF_INIT, again = BUF_INIT;
    struct decode_options o;
    const char *text = (const char *)data + 2;
    uint64_t open_lines = 0;
    size_t piece;
    int err;

    if (len < 2) return 0;
    len -= 2;
    decode_options_init(&o);
    o.format = (enum decode_format)(data[0] & 3);
    o.skip_bad = data[0] >> 2 & 1;
    o.numbered = data[0] >> 3 & 1;
    o.line_bytes_max = data[0] & 16 ? 16 : 256 * 1024;
    o.lines_max = 100000;
    o.recv_us = INT64_C(1764000000000000);
    piece = data[1] ? data[1] : 1;

    err = fuzz_decode(&o, text, len, len ? len : 1, &whole, &open_lines);
    CHECK(fuzz_decode(&o, text, len, piece, &pieces, &open_lines) == err);
    int is_split = o.line_bytes_max < DECODE_LINE_BYTES_DEFAULT; /* a part may look like a line of its own */
    if (!err) CHECK(whole.len == pieces.len && (!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0));
    if (!err && !is_split && !open_lines) {
        o.format = DECODE_NDJSON;
        o.skip_bad = 0;
        err = fuzz_decode(&o, buf_cstr(&whole), whole.len, 4096, &again, &open_lines);
        CHECK(err == 0 || err == ERR_TOO_BIG); /* our own members may take the fields over their limit */
        CHECK(err || again.len == whole.len);
        CHECKF(err || !whole.len || memcmp(whole.data, again.data, whole.len) == 0, "%s\n%s", whole.data,
               again.data);
    }
    buf_release(&whole);
    buf_release(&pieces);
    buf_release(&again);
    return 0;
}

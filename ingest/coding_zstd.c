/*
 * ingest/coding_zstd.c -- Content-Encoding of request bodies, streamed.
 *
 * Both decoders fill one block of output after the other and hand each to the sink at once, so a bomb
 * costs the block and the window, never its size. A member or frame that has ended leaves the decoder
 * at a boundary: the end of the body is good only there.
 */
#include "ingest/coding_zstd.h"

#include "base/err.h"

#include <stdlib.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define BLOCK_BYTES (64 * 1024)
#define WINDOW_LOG_MAX 23 /* 8 MiB: RFC 9659 */

enum coding_kind { CODING_IDENTITY, CODING_GZIP, CODING_ZSTD };

struct coding {
    enum coding_kind kind;
    uint64_t bytes_max, bytes; /* of output */
    int at_boundary;           /* nothing is begun that must be finished */
    z_stream gzip;
    ZSTD_DCtx *zstd;
    char *block;
};

static int kind_of(const char *name, enum coding_kind *ret)
{
    if (!name || !*name || !strcasecmp(name, "identity")) {
        *ret = CODING_IDENTITY;
    } else if (!strcasecmp(name, "gzip") || !strcasecmp(name, "x-gzip")) {
        *ret = CODING_GZIP;
    } else if (!strcasecmp(name, "zstd")) {
        *ret = CODING_ZSTD;
    } else {
        return ERR_UNSUPPORTED;
    }
    return 0;
}

static int open_decoder(struct coding *c)
{
    if (c->kind == CODING_IDENTITY) return 0;
    c->block = malloc(BLOCK_BYTES);
    if (!c->block) return ERR_NOMEM;
    if (c->kind == CODING_ZSTD) {
        c->zstd = ZSTD_createDCtx();
        if (!c->zstd) return ERR_NOMEM;
        size_t got = ZSTD_DCtx_setParameter(c->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
        return ZSTD_isError(got) ? ERR_NOMEM : 0;
    }
    if (inflateInit2(&c->gzip, 15 + 16) != Z_OK) { /* 16: gzip only */
        c->kind = CODING_IDENTITY;                 /* nothing to end */
        return ERR_NOMEM;
    }
    return 0;
}

int coding_new(const char *name, uint64_t bytes_max, struct coding **ret_coding)
{
    enum coding_kind kind;
    struct coding *c;
    int err = kind_of(name, &kind);

    if (err) return err;
    c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    c->kind = kind;
    c->bytes_max = bytes_max;
    c->at_boundary = 1;
    err = open_decoder(c);
    if (err) {
        coding_free(&c);
        return err;
    }
    *ret_coding = c;
    return 0;
}

void coding_free(struct coding **c)
{
    if (!*c) return;
    if ((*c)->kind == CODING_GZIP) inflateEnd(&(*c)->gzip);
    ZSTD_freeDCtx((*c)->zstd);
    free((*c)->block);
    free(*c);
    *c = NULL;
}

static int give(struct coding *c, const char *data, size_t len, coding_sink_fn *sink, void *user)
{
    if (len == 0) return 0;
    c->bytes += len;
    if (c->bytes > c->bytes_max) return ERR_TOO_BIG;
    return sink(user, data, len);
}

static int feed_gzip(struct coding *c, const char *data, size_t len, coding_sink_fn *sink, void *user)
{
    z_stream *z = &c->gzip;

    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)len;
    do {
        int got, err;

        if (c->at_boundary) {
            if (z->avail_in == 0) break;
            if (inflateReset(z) != Z_OK) return ERR_INVALID;
            c->at_boundary = 0;
        }
        z->next_out = (Bytef *)c->block;
        z->avail_out = BLOCK_BYTES;
        got = inflate(z, Z_NO_FLUSH);
        if (got == Z_MEM_ERROR) return ERR_NOMEM;
        if (got != Z_OK && got != Z_STREAM_END && got != Z_BUF_ERROR) return ERR_INVALID;
        err = give(c, c->block, BLOCK_BYTES - z->avail_out, sink, user);
        if (err) return err;
        c->at_boundary = got == Z_STREAM_END;
        if (got == Z_BUF_ERROR && z->avail_in == 0) break;
    } while (z->avail_in > 0 || z->avail_out == 0);
    return 0;
}

static int zstd_err(size_t code)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_frameParameter_windowTooLarge: return ERR_TOO_BIG;
    case ZSTD_error_memory_allocation: return ERR_NOMEM;
    default: return ERR_INVALID;
    }
}

static int feed_zstd(struct coding *c, const char *data, size_t len, coding_sink_fn *sink, void *user)
{
    ZSTD_inBuffer in = {data, len, 0};
    int more = 1; /* the decoder holds output back when the block was full */

    while (in.pos < in.size || more) {
        ZSTD_outBuffer out = {c->block, BLOCK_BYTES, 0};
        if (in.pos == in.size && c->at_boundary) break;
        size_t left = ZSTD_decompressStream(c->zstd, &out, &in);

        if (ZSTD_isError(left)) return zstd_err(left);
        c->at_boundary = left == 0;
        more = out.pos == out.size;
        int err = give(c, c->block, out.pos, sink, user);
        if (err) return err;
    }
    return 0;
}

int coding_feed(struct coding *c, const char *data, size_t len, coding_sink_fn *sink, void *user)
{
    if (len == 0) return 0;
    switch (c->kind) {
    case CODING_IDENTITY: return give(c, data, len, sink, user);
    case CODING_GZIP: return feed_gzip(c, data, len, sink, user);
    case CODING_ZSTD: return feed_zstd(c, data, len, sink, user);
    }
    return ERR_UNSUPPORTED;
}

int coding_finish(struct coding *c, coding_sink_fn *sink, void *user)
{
    return c->at_boundary ? 0 : ERR_INVALID;
}

/*
 * storage/segment_zstd.c -- the door to zstd: whole frames with checksum and content size.
 *
 * One frame is packed and unpacked in one piece: the output buffer, capped by SEGMENT_RAW_BYTES_MAX
 * before it is allocated, is the window. Frames that ask more of other readers are refused too.
 *
 * Levels are zstd's with the search set for logs (TUNED): a line is mostly its predecessor of the same kind with
 * other digits, so near matches are worth more than long ones: their distance costs fewer bits. Small tables that
 * forget, and a shallow search, find just these: smaller files in less time. Measured on a training log, NDJSON in
 * 1 MiB frames, ratio and MB/s of one core, zstd's own against these: level 1 7.07 at 687, 7.46 at 798; level 12
 * 8.34 at 55, 8.55 at 89; level 16 8.75 at 6.8, 9.04 at 10.8; level 19 9.06 at 3.6, 9.12 at 5.3. On build logs and
 * tracebacks, where far repeats are common, the same order within 2 % (levels 1 and 12) or better (16).
 */
#include "storage/segment_int.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <zstd.h>

/* RFC 8878 3.1.1.1.1: bit 2 of the byte after the magic. */
#define FRAME_DESCRIPTOR_AT 4
#define FRAME_CHECKSUM_BIT 0x04
#define FRAME_SINGLE_SEGMENT_BIT 0x20
#define FRAME_WINDOW_AT 5
#define FRAME_HEADER_BYTES_MAX 18

/* What differs from zstd's own parameters, from this level on; 0: nothing does. */
static const struct {
    int level, hash_log, chain_log, search_log, min_match, target_length;
    ZSTD_strategy strategy;
} TUNED[] = {
    {1, 12, 0, 0, 7, 0, ZSTD_fast},
    {3, 0, 0, 0, 0, 0, ZSTD_dfast},
    {9, 16, 16, 5, 6, 16, ZSTD_lazy2},
    {13, 17, 18, 3, 5, 160, ZSTD_btopt},
    {18, 18, 19, 3, 4, 256, ZSTD_btultra2},
};

struct segment__packer {
    ZSTD_CCtx *ctx;
};
struct segment__unpacker {
    ZSTD_DCtx *ctx;
};

static void set(ZSTD_CCtx *ctx, ZSTD_cParameter name, int value)
{
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(ctx, name, value)));
}

static void tune(ZSTD_CCtx *ctx, int level)
{
    size_t i = sizeof TUNED / sizeof *TUNED - 1;

    while (i > 0 && TUNED[i].level > level) i--;
    if (!TUNED[i].hash_log) return;
    set(ctx, ZSTD_c_strategy, TUNED[i].strategy);
    set(ctx, ZSTD_c_hashLog, TUNED[i].hash_log);
    set(ctx, ZSTD_c_chainLog, TUNED[i].chain_log);
    set(ctx, ZSTD_c_searchLog, TUNED[i].search_log);
    set(ctx, ZSTD_c_minMatch, TUNED[i].min_match);
    set(ctx, ZSTD_c_targetLength, TUNED[i].target_length);
}

int segment__packer_new(int level, struct segment__packer **ret_packer)
{
    struct segment__packer *p = must_calloc(1, sizeof *p);

    level = level < 1 ? 1 : level > SEGMENT_LEVEL_MAX ? SEGMENT_LEVEL_MAX : level;
    p->ctx = ZSTD_createCCtx();
    if (!p->ctx) {
        segment__packer_free(&p);
        return ERR_NOMEM;
    }
    set(p->ctx, ZSTD_c_compressionLevel, level);
    set(p->ctx, ZSTD_c_checksumFlag, 1);
    set(p->ctx, ZSTD_c_contentSizeFlag, 1);
    tune(p->ctx, level);
    *ret_packer = p;
    return 0;
}

void segment__packer_free(struct segment__packer **p)
{
    if (!*p) return;
    ZSTD_freeCCtx((*p)->ctx);
    free(*p);
    *p = NULL;
}

int segment__pack(struct segment__packer *p, const void *data, size_t len, struct buf *out)
{
    size_t bound = ZSTD_compressBound(len), packed;
    int err = buf_reserve(out, bound);

    if (err < 0) return err;
    packed = ZSTD_compress2(p->ctx, out->data + out->len, bound, data, len);
    if (ZSTD_isError(packed)) return ERR_NOMEM; /* the bound was there: only memory can fail */
    out->len += packed;
    return 0;
}

int segment__unpacker_new(struct segment__unpacker **ret_unpacker)
{
    struct segment__unpacker *u = must_calloc(1, sizeof *u);

    u->ctx = ZSTD_createDCtx();
    if (!u->ctx) {
        segment__unpacker_free(&u);
        return ERR_NOMEM;
    }
    *ret_unpacker = u;
    return 0;
}

void segment__unpacker_free(struct segment__unpacker **u)
{
    if (!*u) return;
    ZSTD_freeDCtx((*u)->ctx);
    free(*u);
    *u = NULL;
}

/* The window the header asks for (RFC 8878 3.1.1.1.2): what a streaming reader has to hold. */
static uint64_t window_bytes(const unsigned char *packed, unsigned long long content)
{
    uint64_t base;

    if (packed[FRAME_DESCRIPTOR_AT] & FRAME_SINGLE_SEGMENT_BIT) return content;
    base = UINT64_C(1) << (10 + (packed[FRAME_WINDOW_AT] >> 3));
    return base + base / 8 * (packed[FRAME_WINDOW_AT] & 7);
}

/* A header that promises a checksum and its content size. *ret_content is capped by the caller. */
static int read_header(const unsigned char *packed, size_t len, unsigned long long *ret_content)
{
    unsigned long long content;

    if (len < FRAME_DESCRIPTOR_AT + 1 || segment__get32(packed) != SEGMENT_MAGIC_DATA)
        return ERR_CORRUPT;
    if (!(packed[FRAME_DESCRIPTOR_AT] & FRAME_CHECKSUM_BIT)) return ERR_CORRUPT;
    content = ZSTD_getFrameContentSize(packed, len);
    if (content == ZSTD_CONTENTSIZE_ERROR && len < FRAME_HEADER_BYTES_MAX) return ERR_LIMIT;
    if (content == ZSTD_CONTENTSIZE_ERROR || content == ZSTD_CONTENTSIZE_UNKNOWN)
        return ERR_CORRUPT;
    if (window_bytes(packed, content) > SEGMENT_WINDOW_BYTES_MAX) return ERR_CORRUPT;
    *ret_content = content;
    return 0;
}

int segment__unpack(struct segment__unpacker *u, const void *packed, size_t packed_len, void *data,
                    size_t len)
{
    unsigned long long content;
    size_t got;

    if (read_header(packed, packed_len, &content) < 0 || content != len) return ERR_CORRUPT;
    got = ZSTD_findFrameCompressedSize(packed, packed_len);
    if (ZSTD_isError(got) || got != packed_len) return ERR_CORRUPT;
    got = ZSTD_decompressDCtx(u->ctx, data, len, packed, packed_len);
    return ZSTD_isError(got) || got != len ? ERR_CORRUPT : 0;
}

int segment__measure(const void *data, size_t len, size_t *ret_packed, size_t *ret_content)
{
    unsigned long long content;
    size_t packed;
    int err = read_header(data, len, &content);

    if (err < 0) return err;
    if (content == 0 || content > SEGMENT_RAW_BYTES_MAX) return ERR_CORRUPT;
    packed = ZSTD_findFrameCompressedSize(data, len);
    if (ZSTD_isError(packed)) return len < SEGMENT_PACKED_BYTES_MAX ? ERR_LIMIT : ERR_CORRUPT;
    *ret_packed = packed;
    *ret_content = (size_t)content;
    return 0;
}

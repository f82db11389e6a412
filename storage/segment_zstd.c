/*
 * storage/segment_zstd.c -- the door to zstd: whole frames with checksum and content size.
 *
 * One frame is packed and unpacked in one piece: the output buffer, capped by SEGMENT_RAW_BYTES_MAX
 * before it is allocated, is the window. Frames that ask more of other readers are refused too.
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

struct segment__packer {
    ZSTD_CCtx *ctx;
};
struct segment__unpacker {
    ZSTD_DCtx *ctx;
};

int segment__packer_new(int level, struct segment__packer **ret_packer)
{
    struct segment__packer *p = must_calloc(1, sizeof *p);

    level = level < 1 ? 1 : level > SEGMENT_LEVEL_MAX ? SEGMENT_LEVEL_MAX : level;
    p->ctx = ZSTD_createCCtx();
    if (!p->ctx) {
        segment__packer_free(&p);
        return ERR_NOMEM;
    }
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_compressionLevel, level)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_checksumFlag, 1)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_contentSizeFlag, 1)));
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

/*
 * digest/digest_file.c -- the frame around a digest's content: head, zstd, CRC.
 */
#include "digest/digest_file.h"

#include "base/check.h"
#include "base/err.h"
#include "base/pack.h"
#include "digest/digest_int.h"
#include "digest/wire.h"

#include <string.h>
#include <zlib.h>

#define MAGIC "JLDIGST1"
#define CRC_BYTES 4
#define PACK_LEVEL 3

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
}

static void put64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const unsigned char *p)
{
    return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* d is only read while writing. */
static int write_content(const struct digest *d, struct buf *out)
{
    struct wire w = {.out = out};

    CHECK(!d->in->is_settled);
    digest__walk(&w, (struct digest *)d);
    return w.err;
}

static int read_content(const void *data, size_t len, const struct digest_classifier *c,
                        struct digest **ret_digest)
{
    struct wire w = {.p = data, .end = (const unsigned char *)data + len};
    struct digest *d = NULL;
    int err = digest_new(c, &d);

    if (err < 0) return err;
    digest__walk(&w, d);
    if (w.err < 0) {
        digest_free(&d);
        return w.err;
    }
    *ret_digest = d;
    return 0;
}

int digest_encode(const struct digest *d, uint64_t epoch, struct buf *out)
{
    const struct digest_classifier *c = d->in->classifier;
    struct buf content;
    unsigned char head[DIGEST_FILE_HEAD_BYTES] = MAGIC, crc[CRC_BYTES];
    size_t start = out->len;
    int err;

    buf_init(&content, DIGEST_FILE_BYTES_MAX);
    err = write_content(d, &content);
    put32(head + 8, DIGEST_FILE_VERSION);
    put32(head + 12, c ? c->version : 0);
    put64(head + 16, epoch);
    put64(head + 24, d->upto);
    put64(head + 32, content.len);
    if (err >= 0) err = buf_add(out, head, sizeof head);
    if (err >= 0) err = pack_zstd(out, content.data, content.len, PACK_LEVEL);
    if (err >= 0) {
        put32(crc,
              (uint32_t)crc32_z(0, (const unsigned char *)out->data + start, out->len - start));
        err = buf_add(out, crc, sizeof crc);
    }
    buf_release(&content);
    return err < 0 ? err : 0;
}

int digest_file_head(const void *data, size_t len, uint32_t classifier_version, uint64_t *ret_epoch,
                     uint64_t *ret_upto)
{
    const unsigned char *p = data;

    if (len < DIGEST_FILE_HEAD_BYTES + CRC_BYTES || memcmp(p, MAGIC, 8) != 0) return ERR_CORRUPT;
    if (get32(p + 8) != DIGEST_FILE_VERSION || get32(p + 12) != classifier_version)
        return ERR_UNSUPPORTED;
    *ret_epoch = get64(p + 16);
    *ret_upto = get64(p + 24);
    return 0;
}

int digest_decode(const void *data, size_t len, const struct digest_classifier *c,
                  uint64_t *ret_epoch, struct digest **ret_digest)
{
    const unsigned char *p = data;
    struct digest *d = NULL;
    struct buf content;
    uint64_t upto, bytes;
    int err = digest_file_head(data, len, c ? c->version : 0, ret_epoch, &upto);

    if (err < 0) return err;
    bytes = get64(p + 32);
    if (bytes > DIGEST_FILE_BYTES_MAX ||
        get32(p + len - CRC_BYTES) != (uint32_t)crc32_z(0, p, len - CRC_BYTES))
        return ERR_CORRUPT;
    buf_init(&content, 0);
    err = unpack_zstd(&content, p + DIGEST_FILE_HEAD_BYTES,
                      len - DIGEST_FILE_HEAD_BYTES - CRC_BYTES, bytes);
    if (err == ERR_TOO_BIG || (err >= 0 && content.len != bytes)) err = ERR_CORRUPT;
    if (err >= 0) err = read_content(content.data, content.len, c, &d);
    buf_release(&content);
    if (err >= 0 && d->upto != upto) {
        digest_free(&d);
        err = ERR_CORRUPT;
    }
    if (err >= 0) *ret_digest = d;
    return err < 0 ? err : 0;
}

int digest_copy(const struct digest *d, struct digest **ret_digest)
{
    struct buf content;
    int err;

    buf_init(&content, DIGEST_FILE_BYTES_MAX);
    err = write_content(d, &content);
    if (err >= 0) err = read_content(content.data, content.len, d->in->classifier, ret_digest);
    CHECKF(err != ERR_CORRUPT, "upto=%llu", (unsigned long long)d->upto);
    buf_release(&content);
    return err;
}

/*
 * base/pack_zstd.c -- zstd over small blobs.
 */
#include "base/pack.h"

#include "base/check.h"
#include "base/err.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define PACK_WINDOW_LOG_MAX 23 /* 8 MiB, RFC 9659 */
#define PACK_STEP_BYTES (64 * 1024)

struct pack_contexts {
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
};

static pthread_key_t contexts_key;
static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;

static void contexts_free(void *p)
{
    struct pack_contexts *c = p;
    ZSTD_freeCCtx(c->cctx);
    ZSTD_freeDCtx(c->dctx);
    free(c);
}

static void contexts_make_key(void)
{
    CHECK(pthread_key_create(&contexts_key, contexts_free) == 0);
}

/* This thread's contexts, freed with the thread. */
static struct pack_contexts *contexts(void)
{
    CHECK(pthread_once(&contexts_once, contexts_make_key) == 0);
    struct pack_contexts *c = pthread_getspecific(contexts_key);
    if (!c) {
        c = must_calloc(1, sizeof *c);
        CHECK(pthread_setspecific(contexts_key, c) == 0);
    }
    return c;
}

int pack_zstd(struct buf *out, const void *data, size_t len, int level)
{
    struct pack_contexts *c = contexts();
    size_t bound = ZSTD_compressBound(len), n;
    int err = buf_reserve(out, bound);
    if (err)
        return err;
    if (!c->cctx && !(c->cctx = ZSTD_createCCtx()))
        return ERR_NOMEM;
    ZSTD_CCtx_reset(c->cctx, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_checksumFlag, 1);
    n = ZSTD_compress2(c->cctx, out->data + out->len, bound, data, len);
    if (ZSTD_isError(n))
        return ERR_NOMEM; /* the bound is enough: nothing else can fail */
    out->len += n;
    out->data[out->len] = '\0';
    return 0;
}

int unpack_zstd(struct buf *out, const void *data, size_t len, size_t bytes_max)
{
    struct pack_contexts *c = contexts();
    ZSTD_inBuffer in = {data, len, 0};
    size_t start = out->len, left = 1;
    int err = 0;
    if (!c->dctx && !(c->dctx = ZSTD_createDCtx()))
        return ERR_NOMEM;
    ZSTD_DCtx_reset(c->dctx, ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(c->dctx, ZSTD_d_windowLogMax, PACK_WINDOW_LOG_MAX);
    if (bytes_max > BUF_BYTES_MAX_DEFAULT)
        bytes_max = BUF_BYTES_MAX_DEFAULT;
    while (in.pos < in.size || left > 0) {
        size_t room = bytes_max - (out->len - start) + 1; /* one more, to see the overflow */
        if ((err = buf_reserve(out, room < PACK_STEP_BYTES ? room : PACK_STEP_BYTES)))
            goto out;
        if (room > out->cap - out->len - 1)
            room = out->cap - out->len - 1;
        ZSTD_outBuffer ob = {out->data + out->len, room, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(c->dctx, &ob, &in);
        if (ZSTD_isError(left)) {
            err = ERR_CORRUPT;
            goto out;
        }
        out->len += ob.pos;
        if (out->len - start > bytes_max) {
            err = ERR_TOO_BIG;
            goto out;
        }
        if (ob.pos == 0 && in.pos == before && in.pos == in.size)
            break;
    }
    if (left != 0)
        err = ERR_CORRUPT; /* cut short */
out:
    if (err)
        out->len = start;
    if (out->data)
        out->data[out->len] = '\0';
    return err;
}

int pack_is_zstd(const void *data, size_t len)
{
    return len >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0;
}

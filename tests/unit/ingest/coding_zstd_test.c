/*
 * tests/unit/ingest/coding_zstd_test.c -- request bodies in gzip and zstd, whole, cut, bombed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/err.h"
#include "ingest/coding_zstd.h"

static int sink(void *user, const char *data, size_t len)
{
    return buf_add(user, data, len);
}

static int refuse(void *user, const char *data, size_t len)
{
    (void)user, (void)data, (void)len;
    return ERR_BUSY;
}

static int run(const char *name, const struct buf *in, size_t chunk, uint64_t max, struct buf *out)
{
    struct coding *c = NULL;
    int err = coding_new(name, max, &c);

    buf_clear(out);
    for (size_t at = 0; !err && at < in->len; at += chunk) {
        err = coding_feed(c, in->data + at, in->len - at < chunk ? in->len - at : chunk, sink, out);
    }
    if (!err) err = coding_finish(c, sink, out);
    coding_free(&c);
    return err;
}

static void add_gzip(struct buf *out, const char *data, size_t len)
{
    z_stream z;
    memset(&z, 0, sizeof z);
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(buf_reserve(out, deflateBound(&z, len) + 64), 0);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)out->data + out->len;
    z.avail_out = (uInt)(out->cap - out->len - 1);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len += z.total_out;
    deflateEnd(&z);
}

static void add_zstd(struct buf *out, const char *data, size_t len, int window_log)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_inBuffer in = {data, len, 0};
    if (window_log) assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log)));
    assert_int_equal(buf_reserve(out, ZSTD_compressBound(len) + 1024), 0);
    ZSTD_outBuffer o = {out->data + out->len, out->cap - out->len - 1, 0};
    size_t half = len / 2; /* in two steps: the size is not declared */
    ZSTD_inBuffer first = {data, half, 0};
    assert_false(ZSTD_isError(ZSTD_compressStream2(c, &o, &first, ZSTD_e_continue)));
    in.pos = half;
    assert_int_equal(ZSTD_compressStream2(c, &o, &in, ZSTD_e_end), 0);
    out->len += o.pos;
    ZSTD_freeCCtx(c);
}

static struct buf sample(size_t len)
{
    struct buf b = BUF_INIT;
    while (b.len < len) assert_int_equal(buf_addf(&b, "line %zu of a log\n", b.len * 7919 % 10007), 0);
    return b;
}

static void pack(const char *name, struct buf *out, const char *data, size_t len)
{
    if (!strcmp(name, "identity")) {
        assert_int_equal(buf_add(out, data, len), 0);
    } else if (strcmp(name, "zstd") == 0) {
        add_zstd(out, data, len, 0);
    } else {
        add_gzip(out, data, len);
    }
}

static const char *const names[] = {"identity", "GZip", "x-gzip", "zstd"};

static void test_round_trip(void **state)
{
    (void)state; /* Any coding gives back what went in, however the bytes are cut, members and frames joined. */
    struct buf plain = sample(300000), packed = BUF_INIT, out = BUF_INIT;
    for (size_t i = 0; i < 4; i++) {
        buf_clear(&packed);
        pack(names[i], &packed, plain.data, 100000);
        pack(names[i], &packed, plain.data + 100000, plain.len - 100000);
        const size_t chunks[] = {1, 13, 4096, packed.len};
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(run(names[i], &packed, chunks[k], 1 << 20, &out), 0);
            assert_int_equal(out.len, plain.len);
            assert_memory_equal(out.data, plain.data, plain.len);
        }
    }
    buf_release(&plain), buf_release(&packed), buf_release(&out);
}

static void test_cut_and_garbage(void **state)
{
    (void)state; /* A body cut anywhere, or with garbage behind it, is ERR_INVALID. */
    struct buf plain = sample(3000), packed = BUF_INIT, out = BUF_INIT;
    for (size_t i = 1; i < 4; i++) {
        buf_clear(&packed);
        pack(names[i], &packed, plain.data, plain.len);
        size_t whole = packed.len;
        for (packed.len = 1; packed.len < whole; packed.len++) {
            assert_int_equal(run(names[i], &packed, 64, 1 << 20, &out), ERR_INVALID);
        }
        packed.len = whole;
        assert_int_equal(buf_adds(&packed, "garbage!"), 0);
        assert_int_equal(run(names[i], &packed, 64, 1 << 20, &out), ERR_INVALID);
        assert_int_equal(run(names[i], &plain, 64, 1 << 20, &out), ERR_INVALID);
        packed.len = whole;
        packed.data[whole / 2] ^= 0x55;
        assert_int_not_equal(run(names[i], &packed, packed.len, 1 << 20, &out) == 0 && out.len == plain.len &&
                                 memcmp(out.data, plain.data, plain.len) == 0 ? 1 : 0, 1);
    }
    buf_release(&plain), buf_release(&packed), buf_release(&out);
}

static void test_bomb(void **state)
{
    (void)state; /* Output stops at the cap, whatever the ratio; so does a window over 8 MiB. */
    size_t big = 64 << 20;
    char *zero = calloc(1, big);
    struct buf packed = BUF_INIT, out = BUF_INIT;
    for (size_t i = 1; i < 4; i++) {
        buf_clear(&packed);
        pack(names[i], &packed, zero, big);
        assert_true(packed.len < 100000);
        assert_int_equal(run(names[i], &packed, packed.len, 1 << 20, &out), ERR_TOO_BIG);
        assert_true(out.len <= 1 << 20);
    }
    buf_clear(&packed);
    add_zstd(&packed, zero, big, 24);
    assert_int_equal(run("zstd", &packed, packed.len, 1 << 30, &out), ERR_TOO_BIG);
    buf_clear(&packed);
    add_zstd(&packed, zero, big, 23);
    assert_int_equal(run("zstd", &packed, packed.len, 1 << 30, &out), 0);
    assert_int_equal(out.len, big);
    free(zero);
    buf_release(&packed), buf_release(&out);
}

static void test_names_and_sinks(void **state)
{
    (void)state; /* Unknown codings are unsupported, an empty body is whole, a sink's error comes back. */
    struct buf none = BUF_INIT, out = BUF_INIT, packed = BUF_INIT;
    struct coding *c = NULL;
    assert_int_equal(coding_new("br", 10, &c), ERR_UNSUPPORTED);
    assert_int_equal(coding_new("gzip, zstd", 10, &c), ERR_UNSUPPORTED);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(run(names[i], &none, 1, 10, &out), 0);
        buf_clear(&packed);
        pack(names[i], &packed, "hello", 5);
        assert_int_equal(coding_new(names[i], 100, &c), 0);
        assert_int_equal(coding_feed(c, packed.data, packed.len, refuse, NULL), ERR_BUSY);
        coding_free(&c);
    }
    assert_int_equal(coding_new(NULL, 10, &c), 0);
    coding_free(&c);
    coding_free(&c);
    buf_release(&packed), buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_cut_and_garbage),
                                       cmocka_unit_test(test_bomb), cmocka_unit_test(test_names_and_sinks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/fuzz/coding_fuzz.c -- hostile compressed bodies for ingest/coding_zstd.h.
 *
 * Byte 0 chooses the coding and the size of the pieces; the rest is the body. Output never exceeds the cap, and a
 * body is good or bad whatever pieces it comes in, and the same bytes. One exception: libzstd 1.5.4 notices that a zstd
 * frame holds less than its header says only when it sees the frame whole; in pieces such a forged frame is taken for
 * what it holds.
 * Covers  ingest/coding_zstd.c
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "ingest/coding_zstd.h"

#define FUZZ_BYTES_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int fuzz_sink(void *user, const char *data, size_t len)
{
    uint64_t *sum = user;

    CHECK(len > 0);
    sum[0] += len;
    for (size_t i = 0; i < len; i++) sum[1] = sum[1] * 31 + (unsigned char)data[i];
    CHECK(sum[0] <= FUZZ_BYTES_MAX);
    return 0;
}

static int fuzz_code(const char *name, const char *data, size_t len, size_t piece, uint64_t sum[2])
{
    struct coding *c = NULL;
    int err = 0;

    CHECK(coding_new(name, FUZZ_BYTES_MAX, &c) == 0);
    for (size_t at = 0; at < len && !err; at += piece) {
        err = coding_feed(c, data + at, len - at < piece ? len - at : piece, fuzz_sink, sum);
    }
    if (!err) err = coding_finish(c, fuzz_sink, sum);
    coding_free(&c);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const names[] = {"identity", "gzip", "zstd", "zstd"};
    uint64_t whole[2] = {0, 0}, pieces[2] = {0, 0};

    if (len < 1) return 0;
    const char *name = names[data[0] & 3], *text = (const char *)data + 1;
    size_t piece = (data[0] >> 2) + 1U;
    len--;
    int err = fuzz_code(name, text, len, len ? len : 1, whole);
    int cut = fuzz_code(name, text, len, piece, pieces);
    CHECK((cut == 0) == (err == 0) || (data[0] & 2)); /* zstd: see the head */
    CHECK(err || cut || (whole[0] == pieces[0] && whole[1] == pieces[1]));
    return 0;
}

/*
 * tests/unit/storage/segment_zstd_test.c -- what the door to zstd lets in.
 */
#include "tests/unit/storage/model.h"

#include "storage/segment_int.h"

/* A frame of three bytes as they are: descriptor, window and content size as given. */
static size_t make_frame(unsigned char *out, unsigned descriptor, unsigned window, uint32_t content)
{
    static const unsigned char rest[] = {3 << 3 | 1, 0, 0, 'a', 'b', 'c', 0, 0, 0, 0};

    segment__put32(out, SEGMENT_MAGIC_DATA);
    out[4] = (unsigned char)descriptor;
    out[5] = (unsigned char)window;
    segment__put32(out + 6, content);
    memcpy(out + 10, rest, sizeof rest);
    return 10 + sizeof rest;
}

static void test_headers(void **state)
{
    /* A frame needs a checksum, a content size within the limit, and a window of at most 8 MiB. */
    static const struct {
        unsigned descriptor, window;
        uint32_t content;
        int want;
    } cases[] = {
        {0x84, 13 << 3, 3, 0},               /* a window of 8 MiB */
        {0x84, 13 << 3 | 1, 3, ERR_CORRUPT}, /* of 9 MiB */
        {0x84, 31 << 3 | 7, 3, ERR_CORRUPT},
        {0x84, 13 << 3, 0, ERR_CORRUPT},
        {0x84, 13 << 3, SEGMENT_RAW_BYTES_MAX + 1, ERR_CORRUPT},
        {0x84, 13 << 3, UINT32_MAX, ERR_CORRUPT},
        {0x80, 13 << 3, 3, ERR_CORRUPT}, /* no checksum */
        {0x04, 13 << 3, 3, ERR_CORRUPT}, /* no content size */
    };
    unsigned char frame[64];
    size_t packed = 0, content = 0;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = make_frame(frame, cases[i].descriptor, cases[i].window, cases[i].content);

        assert_int_equal(segment__measure(frame, len, &packed, &content), cases[i].want);
        if (cases[i].want < 0) continue;
        assert_int_equal(packed, len);
        assert_int_equal(content, 3);
        for (size_t cut = 6; cut < len; cut++)
            assert_true(segment__measure(frame, cut, &packed, &content) < 0);
    }
}

static void test_exact_size(void **state)
{
    /* Unpacking takes exactly one whole frame of exactly the size asked for. */
    struct segment__packer *p = NULL;
    struct segment__unpacker *u = NULL;
    struct buf packed = BUF_INIT;
    char data[1000], back[1001];

    (void)state;
    for (int i = 0; i < 1000; i++) data[i] = (char)(i * 7 % 31);
    assert_int_equal(segment__packer_new(3, &p), 0);
    assert_int_equal(segment__unpacker_new(&u), 0);
    assert_int_equal(segment__pack(p, data, 1000, &packed), 0);
    assert_int_equal(segment__unpack(u, packed.data, packed.len, back, 1000), 0);
    assert_memory_equal(back, data, 1000);
    assert_int_equal(segment__unpack(u, packed.data, packed.len, back, 999), ERR_CORRUPT);
    assert_int_equal(segment__unpack(u, packed.data, packed.len, back, 1001), ERR_CORRUPT);
    assert_int_equal(segment__unpack(u, packed.data, packed.len - 1, back, 1000), ERR_CORRUPT);
    assert_int_equal(buf_addc(&packed, 0), 0);
    assert_int_equal(segment__unpack(u, packed.data, packed.len, back, 1000), ERR_CORRUPT);
    segment__packer_free(&p);
    segment__unpacker_free(&u);
    buf_release(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_exact_size),
    };

    return cmocka_run_group_tests_name("storage/segment_zstd", tests, NULL, NULL);
}

/*
 * tests/unit/base/pack_zstd_test.c -- packing, and refusing what does not unpack.
 */
#include "base/err.h"
#include "base/pack.h"
#include "tests/unit/base/unit.h"

#include <pthread.h>

static char *sample(size_t len)
{
    char *s = malloc(len + 1);
    for (size_t i = 0; i < len; i++) s[i] = (char)("abcdefgh"[unit_below(8)]);
    return s;
}

static void test_round_trip(void **state)
{
    /* What was packed comes back, appended, at every size and level; several frames are one text. */
    static const size_t sizes[] = {0, 1, 100, 65536, 300000, 9 * 1024 * 1024};
    unit_seed();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *text = sample(sizes[i]);
        struct buf packed = BUF_INIT, back = BUF_INIT;
        for (int level = 1; level <= 3; level += 2)
            assert_int_equal(pack_zstd(&packed, text, sizes[i], level), 0);
        assert_true(pack_is_zstd(packed.data, packed.len));
        buf_adds(&back, "before");
        assert_int_equal(unpack_zstd(&back, packed.data, packed.len, 2 * sizes[i]), 0);
        assert_int_equal(back.len, 6 + 2 * sizes[i]);
        assert_memory_equal(back.data, "before", 6);
        assert_memory_equal(back.data + 6, text, sizes[i]);
        assert_memory_equal(back.data + 6 + sizes[i], text, sizes[i]);
        assert_int_equal(back.data[back.len], 0);
        if (sizes[i]) {
            buf_clear(&back);
            assert_int_equal(unpack_zstd(&back, packed.data, packed.len, 2 * sizes[i] - 1),
                             ERR_TOO_BIG);
            assert_int_equal(back.len, 0);
        }
        buf_release(&packed);
        buf_release(&back);
        free(text);
    }
}

static void test_damage(void **state)
{
    /* No cut and no changed byte of a frame gives a wrong text; out keeps what it held. */
    char *text;
    struct buf packed = BUF_INIT, back = BUF_INIT;
    unit_seed();
    text = sample(3000);
    pack_zstd(&packed, text, 3000, 1);
    buf_adds(&back, "kept");
    for (size_t i = 0; i < packed.len; i++) {
        char *exact = malloc(i + !i);
        memcpy(exact, packed.data, i);
        assert_int_equal(unpack_zstd(&back, exact, i, 10000), ERR_CORRUPT);
        assert_string_equal(buf_cstr(&back), "kept");
        free(exact);
        for (int bit = 0; bit < 8; bit++) {
            packed.data[i] ^= (char)(1 << bit);
            int rc = unpack_zstd(&back, packed.data, packed.len, 10000);
            packed.data[i] ^= (char)(1 << bit);
            if (rc >= 0) { /* a bit of the header may mean nothing; the text must be right */
                assert_int_equal(back.len, 4 + 3000);
                assert_memory_equal(back.data + 4, text, 3000);
            }
            back.len = 4;
            back.data[4] = '\0';
        }
    }
    assert_int_equal(unpack_zstd(&back, "not zstd", 8, 100), ERR_CORRUPT);
    buf_addc(&packed, 'x');
    assert_int_equal(unpack_zstd(&back, packed.data, packed.len, 10000), ERR_CORRUPT);
    assert_string_equal(buf_cstr(&back), "kept");
    buf_release(&packed);
    buf_release(&back);
    free(text);
}

static void test_bomb(void **state)
{
    /* A bomb stops at bytes_max, with memory of that size; a window over 8 MiB is refused. */
    size_t huge = 64u << 20;
    char *zeros = calloc(1, huge);
    struct buf packed = BUF_INIT, out = BUF_INIT;
    assert_int_equal(pack_zstd(&packed, zeros, huge, 1), 0);
    assert_int_equal(unpack_zstd(&out, packed.data, packed.len, 100000), ERR_TOO_BIG);
    assert_true(out.cap < 1u << 20);
    assert_int_equal(out.len, 0);
    buf_release(&packed);
    free(zeros);
    /* magic, descriptor 0, window descriptor exponent 14 (16 MiB), an empty last raw block */
    static const char wide[] = "\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00";
    static const char allowed[] = "\x28\xb5\x2f\xfd\x00\x68\x01\x00\x00";
    assert_int_equal(unpack_zstd(&out, wide, 9, 100), ERR_CORRUPT);
    assert_int_equal(unpack_zstd(&out, allowed, 9, 100), 0);
    buf_release(&out);
}

static void *in_thread(void *arg)
{
    struct buf packed = BUF_INIT, back = BUF_INIT;
    int *wrong = arg;
    for (int i = 0; i < 50; i++) {
        buf_clear(&packed);
        buf_clear(&back);
        if (pack_zstd(&packed, "hello hello hello", 17, 1) < 0 ||
            unpack_zstd(&back, packed.data, packed.len, 17) < 0 ||
            strcmp(buf_cstr(&back), "hello hello hello") != 0)
            ++*wrong;
    }
    buf_release(&packed);
    buf_release(&back);
    return NULL;
}

static void test_threads(void **state)
{
    /* Every thread packs with contexts of its own, which end with it. */
    pthread_t threads[4];
    int wrong[4] = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, in_thread, &wrong[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

static void test_magic(void **state)
{
    /* Only the zstd magic number is taken for zstd. */
    assert_false(pack_is_zstd("", 0));
    assert_false(pack_is_zstd("\x28\xb5\x2f", 3));
    assert_false(pack_is_zstd("{\"ts\"", 5));
    assert_true(pack_is_zstd("\x28\xb5\x2f\xfd", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_bomb),       cmocka_unit_test(test_threads),
        cmocka_unit_test(test_magic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

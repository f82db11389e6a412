/*
 * tests/unit/base/buf_test.c -- a growable run of bytes with a ceiling.
 */
#include "base/buf.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

static void test_add(void **state)
{
    /* What was added is there, in order, with a NUL behind it. */
    struct buf b = BUF_INIT;
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(buf_adds(&b, "ab"), 0);
    assert_int_equal(buf_addc(&b, 'c'), 0);
    assert_int_equal(buf_addu64(&b, 0), 0);
    assert_int_equal(buf_addu64(&b, UINT64_MAX), 0);
    assert_int_equal(buf_addf(&b, "%s-%d", "x", -7), 0);
    assert_int_equal(buf_add(&b, "", 0), 0);
    assert_string_equal(buf_cstr(&b), "abc018446744073709551615x--7");
    assert_int_equal(b.len, strlen(b.data));
    buf_consume(&b, 3);
    assert_string_equal(buf_cstr(&b), "018446744073709551615x--7");
    buf_consume(&b, b.len);
    assert_string_equal(buf_cstr(&b), "");
    buf_release(&b);
}

static void test_long_format(void **state)
{
    /* A formatted text longer than the room left is whole. */
    struct buf b = BUF_INIT;
    char text[5000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 3; i++) assert_int_equal(buf_addf(&b, "<%s>", text), 0);
    assert_int_equal(b.len, 3 * (sizeof text + 1));
    assert_memory_equal(b.data + sizeof text, "><", 2);
    buf_release(&b);
}

static void test_ceiling(void **state)
{
    /* An add over bytes_max fails and leaves the buffer as it was. */
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_adds(&b, "1234567"), 0);
    assert_int_equal(buf_adds(&b, "89012"), ERR_TOO_BIG);
    assert_int_equal(buf_addf(&b, "%d", 89012), ERR_TOO_BIG);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_TOO_BIG);
    assert_string_equal(buf_cstr(&b), "1234567");
    assert_int_equal(b.len, 7);
    assert_int_equal(buf_adds(&b, "890"), 0);
    assert_int_equal(buf_addc(&b, 'x'), ERR_TOO_BIG);
    buf_clear(&b);
    assert_int_equal(buf_adds(&b, "0123456789"), 0);
    assert_string_equal(buf_cstr(&b), "0123456789");
    buf_release(&b);
}

static void test_steal(void **state)
{
    /* Stolen memory is the caller's, and the buffer starts empty under its old ceiling. */
    struct buf b;
    size_t len = 99;
    buf_init(&b, 4);
    char *none = buf_steal(&b, &len);
    assert_string_equal(none, "");
    assert_int_equal(len, 0);
    free(none);
    buf_adds(&b, "abcd");
    char *all = buf_steal(&b, &len);
    assert_string_equal(all, "abcd");
    assert_int_equal(len, 4);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_adds(&b, "abcde"), ERR_TOO_BIG);
    free(all);
    buf_release(&b);
}

static void test_random(void **state)
{
    /* Random adds and consumes give what a plain array gives. */
    static char model[1 << 20];
    size_t len = 0;
    struct buf b = BUF_INIT;
    unit_seed();
    for (int i = 0; i < 20000; i++) {
        char piece[64];
        size_t n = unit_below(sizeof piece);
        if (unit_below(3) && len + n < sizeof model) {
            for (size_t k = 0; k < n; k++) piece[k] = (char)unit_random();
            memcpy(model + len, piece, n);
            len += n;
            assert_int_equal(buf_add(&b, piece, n), 0);
        } else if (n <= len) {
            memmove(model, model + n, len - n);
            len -= n;
            buf_consume(&b, n);
        }
        assert_int_equal(b.len, len);
        if (b.data) assert_int_equal(b.data[b.len], 0);
    }
    assert_memory_equal(b.data, model, len);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),   cmocka_unit_test(test_long_format),
        cmocka_unit_test(test_ceiling), cmocka_unit_test(test_steal),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

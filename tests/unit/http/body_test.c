/*
 * tests/unit/http/body_test.c -- the chunk decoder against every cut of its input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/body.h"

#define MAX 1000

/* Decode text in pieces of at most step bytes; what body__feed said last. */
static int decode(const char *text, size_t len, int64_t length, size_t step, struct buf *out, size_t *ret_used)
{
    struct body b;
    size_t at = 0;
    int r = 0;
    body__init(&b, length, MAX);
    if (b.kind == BODY_NONE) r = 1;
    while (r == 0 && at < len) {
        const char *run;
        size_t used, run_len, n = len - at < step ? len - at : step;
        r = body__feed(&b, text + at, n, &used, &run, &run_len);
        assert_true(used <= n);
        if (run_len) buf_add(out, run, run_len);
        at += used;
    }
    *ret_used = at;
    return r;
}

static void test_good(void **state)
{
    /* A body ends where it says, whatever follows and however it is cut. */
    static const struct {
        const char *text;
        int64_t length;
        size_t end;
        const char *body;
    } table[] = {
        {"hello, world", 5, 5, "hello"},
        {"5\r\nhello\r\n0\r\n\r\nGET /", -1, 15, "hello"},
        {"1\r\na\r\n00002\r\nbc\r\n0\r\nT: x\r\nU:\r\n\r\nrest", -1, 32, "abc"},
        {"a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", -1, 37, "01234567890123456789"},
        {"0\r\n\r\n", -1, 5, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (size_t step = 1; step <= strlen(table[i].text); step++) {
            struct buf out = BUF_INIT;
            size_t used;
            int r = decode(table[i].text, strlen(table[i].text), table[i].length, step, &out, &used);
            assert_int_equal(r, 1);
            assert_int_equal(used, table[i].end);
            assert_string_equal(buf_cstr(&out), table[i].body);
            buf_release(&out);
        }
}

static void test_bad(void **state)
{
    /* What can be read in two ways is refused, at whatever byte it is cut. */
    static const struct {
        int err;
        const char *text;
    } table[] = {
        {ERR_INVALID, "5\nhello"}, {ERR_INVALID, "5 \r\nhello"}, {ERR_INVALID, "5;x\r\nhello"},
        {ERR_INVALID, "\r\n"}, {ERR_INVALID, "-1\r\n"}, {ERR_INVALID, "0x5\r\n"}, {ERR_INVALID, "5\rhello"},
        {ERR_INVALID, "5\r\nhelloXX"}, {ERR_INVALID, "5\r\nhello\n"}, {ERR_INVALID, "5\r\nhello\rX"},
        {ERR_INVALID, "0\r\n folded\r\n\r\n"}, {ERR_INVALID, "0\r\n\rX"}, {ERR_INVALID, "0\r\nT: x\n\r\n"},
        {ERR_INVALID, "0\r\nT: \x01\r\n\r\n"}, {ERR_TOO_BIG, "3e9\r\n"}, {ERR_TOO_BIG, "0000000000000000\r\n"},
        {ERR_TOO_BIG, "ffffffffffffffff\r\n"}, {ERR_TOO_BIG, "10000000000000001\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (size_t step = 1; step <= strlen(table[i].text); step++) {
            struct buf out = BUF_INIT;
            size_t used;
            int r = decode(table[i].text, strlen(table[i].text), -1, step, &out, &used);
            if (r != table[i].err) fail_msg("%d, not %d: %s", r, table[i].err, table[i].text);
            buf_release(&out);
        }
}

static void test_sum_is_capped(void **state)
{
    /* The cap counts all chunks together. */
    struct buf text = BUF_INIT, out = BUF_INIT;
    size_t used;
    (void)state;
    for (int i = 0; i < 10; i++) buf_addf(&text, "64\r\n%0100d\r\n", i);
    buf_adds(&text, "1\r\nx\r\n");
    assert_int_equal(decode(text.data, text.len, -1, 7, &out, &used), ERR_TOO_BIG);
    assert_int_equal(out.len, MAX);
    buf_release(&text);
    buf_release(&out);
}

static void test_trailers_are_bounded(void **state)
{
    /* Trailers without end are refused. */
    struct buf text = BUF_INIT, out = BUF_INIT;
    size_t used;
    (void)state;
    buf_adds(&text, "0\r\n");
    for (int i = 0; i < 1000; i++) buf_adds(&text, "Trailer: x\r\n");
    assert_int_equal(decode(text.data, text.len, -1, 100, &out, &used), ERR_INVALID);
    assert_in_range(used, 1, 3 + TRAILER_BYTES_MAX + 1);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_sum_is_capped),
        cmocka_unit_test(test_trailers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

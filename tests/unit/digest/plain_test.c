/*
 * tests/unit/digest/plain_test.c -- text without JSON escapes and colours, and numbers in it.
 */
#include "digest/number.h"
#include "digest/plain.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Colours, titles and links go, newlines stay; a line without escapes is used where it lies. */
static void test_plain(void **state)
{
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"\\u001b[31mred\\u001b[0m", "red"},
        {"a\\nb\\tc \\\"q\\\"", "a\nb\tc \"q\""},
        {"\\u001b]8;;http://x\\u0007link\\u001b]8;;\\u0007!", "link!"},
        {"\\u001b]0;title\\u001b\\\\rest", "rest"},
        {"\\u001b[", ""},
        {"x\\u001b", "x"},
        {"\\u001b(Bx", "Bx"},
        {"\\u001b[1;2", ""},
        {"\\u00e9\\ud83d\\ude00", "\xc3\xa9\xf0\x9f\x98\x80"},
    };
    struct buf scratch = BUF_INIT;
    const char *text;
    size_t len;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(
            plain_from_json(&scratch, cases[i].json, strlen(cases[i].json), &text, &len), 0);
        assert_int_equal(len, strlen(cases[i].want));
        assert_memory_equal(text, cases[i].want, len);
    }
    buf_release(&scratch);
}

/* Of a long text the beginning is taken, cut at a character and between escapes. */
static void test_long(void **state)
{
    struct buf scratch = BUF_INIT, json = BUF_INIT;
    const char *text;
    size_t len;

    for (int i = 0; i < 9000; i++) buf_adds(&json, "\xc3\xa9");
    assert_int_equal(plain_from_json(&scratch, json.data, json.len, &text, &len), 0);
    assert_int_equal(len, PLAIN_BYTES_MAX);
    buf_adds(&json, "\\n");
    assert_int_equal(plain_from_json(&scratch, json.data + 1, json.len - 1, &text, &len), 0);
    assert_int_equal(len % 2, 1);
    buf_clear(&json);
    for (int i = 0; i < 9000; i++) buf_adds(&json, "\\u00e9");
    assert_int_equal(plain_from_json(&scratch, json.data, json.len, &text, &len), 0);
    assert_true(len <= PLAIN_BYTES_MAX && len % 2 == 0 && len > 5000);
    assert_int_equal(plain_cut("\xf0\x9f\x98\x80", 4, 3), 0);
    assert_int_equal(plain_cut("a\xc3\xa9", 3, 2), 1);
    buf_release(&json);
    buf_release(&scratch);
}

/* Numbers are read as strtod reads them, with thousands, without a NUL behind. */
static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        size_t used;
        double want;
    } cases[] = {
        {"12", 2, 12},
        {"-1.5e-05x", 8, -1.5e-05},
        {"+3", 2, 3},
        {"1,234,567.5", 11, 1234567.5},
        {"1,23", 1, 1},
        {".5", 2, 0.5},
        {"5.", 2, 5},
        {".", 0, 0},
        {"-", 0, 0},
        {"e5", 0, 0},
        {"1e", 1, 1},
        {"1e+", 1, 1},
        {"1e400", 5, INFINITY},
        {"1e-400", 6, 0},
        {"inf", 3, INFINITY},
        {"-Infinity", 9, -INFINITY},
        {"info", 0, 0},
        {"nano", 0, 0},
        {"123456789012345678", 18, 123456789012345678.0},
        {"0.000000000000000000000001", 26, 1e-24},
        {"1e-320", 6, 1e-320},
        {"", 0, 0},
    };
    double v;
    long long whole;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *copy = malloc(strlen(cases[i].text) + 1);
        size_t used;
        memcpy(copy, cases[i].text, strlen(cases[i].text));
        v = 0;
        used = number_read(copy, strlen(cases[i].text), &v);
        if (used != cases[i].used ||
            (used && v != cases[i].want && fabs(v - cases[i].want) > fabs(cases[i].want) * 1e-14))
            fail_msg("%s: %zu %.17g", cases[i].text, used, v);
        free(copy);
    }
    assert_int_equal(number_read("nan", 3, &v), 3);
    assert_true(isnan(v));
    assert_int_equal(number_whole("999999999999999999", 18, &whole), 18);
    assert_int_equal(number_whole("9999999999999999999", 19, &whole), 0);
    assert_int_equal(number_whole("x", 1, &whole), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain), cmocka_unit_test(test_long),
                                       cmocka_unit_test(test_numbers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

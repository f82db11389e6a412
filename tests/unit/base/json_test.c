/*
 * tests/unit/base/json_test.c -- writing JSON, and the insides of its strings.
 */
#include "base/err.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "tests/unit/base/unit.h"

#include <math.h>
#include <stdio.h>

static void test_nesting(void **state)
{
    /* Commas and nesting are the writer's business. */
    struct buf b = BUF_INIT;
    struct json j;
    json_init(&j, &b);
    json_obj(&j);
    json_ku64(&j, "seq", UINT64_MAX);
    json_ki64(&j, "exit", INT64_MIN);
    json_kstr(&j, "a\"b", "c\n");
    json_kstr(&j, "none", NULL);
    json_kbool(&j, "yes", 5);
    json_kstrn(&j, "cut", "abcdef", 3);
    json_key(&j, "list");
    json_arr(&j);
    json_u64(&j, 1);
    json_arr(&j);
    json_end(&j);
    json_obj(&j);
    json_end(&j);
    json_null(&j);
    json_raw(&j, "{\"x\":1}", 7);
    json_bool(&j, 0);
    json_end(&j);
    json_end(&j);
    assert_int_equal(json_err(&j), 0);
    assert_string_equal(buf_cstr(&b),
                        "{\"seq\":18446744073709551615,\"exit\":-9223372036854775808,"
                        "\"a\\\"b\":\"c\\n\",\"none\":null,\"yes\":true,\"cut\":\"abc\","
                        "\"list\":[1,[],{},null,{\"x\":1},false]}");
    buf_release(&b);
}

static void test_doubles(void **state)
{
    /* A double reads back as itself; what JSON has no word for is null. */
    static const double values[] = {0,     1,     -1.5, 0.1,     1.0 / 3, 1e300,
                                    1e-30, 12345, 1e15, 123.456, 5e-324};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct buf b = BUF_INIT;
        struct json j;
        json_init(&j, &b);
        json_double(&j, values[i]);
        assert_true(strtod(buf_cstr(&b), NULL) == values[i]);
        buf_release(&b);
    }
    struct buf b = BUF_INIT;
    struct json j;
    json_init(&j, &b);
    json_arr(&j);
    json_double(&j, (double)NAN);
    json_double(&j, (double)INFINITY);
    json_double(&j, 0.1);
    json_end(&j);
    assert_string_equal(buf_cstr(&b), "[null,null,0.1]");
    buf_release(&b);
}

static void test_sticky_error(void **state)
{
    /* The first error of the buffer stays. */
    struct buf b;
    struct json j;
    buf_init(&b, 8);
    json_init(&j, &b);
    json_obj(&j);
    json_kstr(&j, "key", "too long for it");
    json_end(&j);
    assert_int_equal(json_err(&j), ERR_TOO_BIG);
    buf_release(&b);
}

static void test_escape(void **state)
{
    /* Exactly quotes, backslashes and controls are escaped. */
    struct buf b = BUF_INIT;
    assert_int_equal(json_escape(&b, LITERAL("a\"b\\c\b\f\n\r\t\x01\x1f\0z\x7f/\xc3\xa9")), 0);
    assert_string_equal(buf_cstr(&b),
                        "a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000z\x7f/\xc3\xa9");
    buf_release(&b);
    /* every byte at every place of a word */
    for (int place = 0; place < 20; place++) {
        for (int c = 0; c < 256; c++) {
            char text[20], want[40];
            memset(text, 'x', sizeof text);
            text[place] = (char)c;
            const char *esc = NULL;
            char u[8];
            if (c == '"') esc = "\\\"";
            else if (c == '\\') esc = "\\\\";
            else if (c < 0x20) {
                static const char letters[] = "btn?fr";
                if (c >= 8 && c <= 13 && c != 11) snprintf(u, sizeof u, "\\%c", letters[c - 8]);
                else snprintf(u, sizeof u, "\\u%04x", c);
                esc = u;
            }
            int n = snprintf(want, sizeof want, "%.*s", place, "xxxxxxxxxxxxxxxxxxxx");
            if (esc) n += snprintf(want + n, sizeof want - (size_t)n, "%s", esc);
            else want[n++] = (char)c;
            memset(want + n, 'x', (size_t)(19 - place));
            n += 19 - place;
            assert_int_equal(json_escape(&b, text, sizeof text), 0);
            assert_int_equal(b.len, n);
            assert_memory_equal(b.data, want, n);
            buf_clear(&b);
        }
    }
    buf_release(&b);
}

static void test_unescape(void **state)
{
    /* Unescaping undoes every escape; pairs become UTF-8 and lone surrogates U+FFFD. */
    static const struct {
        const char *in, *out;
    } good[] = {
        {"", ""},
        {"plain", "plain"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e9\\u20aC", "A\xc3\xa9\xe2\x82\xac"},
        {"\\ud83d\\ude00!", "\xf0\x9f\x98\x80!"},
        {"\\ud83d", "\xef\xbf\xbd"},
        {"\\ud83dx", "\xef\xbf\xbdx"},
        {"\\ude00\\ud83d", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\\ud83d\\u0041", "\xef\xbf\xbd""A"},
        {"\\ud83d\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\\udbff\\udfff", "\xf4\x8f\xbf\xbf"},
    };
    static const char *const bad[] = {"\\", "a\\", "\\x", "\\u", "\\u12", "\\u12g4", "\\ud83d\\u12"};
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(json_unescape(&b, good[i].in, strlen(good[i].in)), 0);
        assert_string_equal(buf_cstr(&b), good[i].out);
        buf_clear(&b);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buf_clear(&b);
        assert_int_equal(json_unescape(&b, bad[i], strlen(bad[i])), ERR_INVALID);
    }
    buf_clear(&b);
    assert_int_equal(json_unescape(&b, LITERAL("a\\u0000b")), 0);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 3);
    buf_release(&b);
}

static void test_round_trip(void **state)
{
    /* Unescape of escape is the text itself. */
    struct buf b = BUF_INIT, back = BUF_INIT;
    unit_seed();
    for (int i = 0; i < 20000; i++) {
        static const char alphabet[] = "\"\\\n\t\x01 aZ/\x7f\0\x1b";
        char text[70];
        size_t n = unit_below(sizeof text);
        for (size_t k = 0; k < n; k++)
            text[k] = unit_below(3) ? 'x' : alphabet[unit_below(sizeof alphabet - 1)];
        buf_clear(&b);
        buf_clear(&back);
        assert_int_equal(json_escape(&b, text, n), 0);
        assert_int_equal(json_unescape(&back, b.data ? b.data : "", b.len), 0);
        assert_int_equal(back.len, n);
        if (n) assert_memory_equal(back.data, text, n);
    }
    buf_release(&b);
    buf_release(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nesting),      cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_sticky_error), cmocka_unit_test(test_escape),
        cmocka_unit_test(test_unescape),     cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/base/json_tree_json_test.c -- the strict reader: what cJSON alone would let through.
 */
#include "base/err.h"
#include "base/json_tree.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>

static int parse(const char *s, size_t len, size_t *at)
{
    struct json_tree *t = NULL;
    int rc = json_tree_parse(s, len, &t, at);
    assert_int_equal(rc >= 0, t != NULL);
    json_tree_free(&t);
    assert_null(t);
    return rc;
}

static void test_own_documents(void **state)
{
    /* A document of our own may quote a line with a NUL, which is read as U+FFFD; an escaped backslash before u0000 is text. */
    static const char text[] = "{\"a\":\"b\\u0000c\\\\u0000\\\\\\u0000\",\"k\\u0000\":1}";
    struct json_tree *root = NULL;
    int64_t n = 0;
    (void)state;
    assert_int_equal(json_tree_parse(text, sizeof text - 1, &root, NULL), ERR_INVALID);
    assert_int_equal(json_tree_parse_own(text, sizeof text - 1, &root), 0);
    assert_string_equal(json_tree_str(json_tree_get(root, "a")), "b\xef\xbf\xbd" "c\\u0000\\\xef\xbf\xbd");
    assert_int_equal(json_tree_get_i64(root, "k\xef\xbf\xbd", &n), 1);
    json_tree_free(&root);
    assert_int_equal(json_tree_parse_own("{\\u0000}", 8, &root), ERR_INVALID);
    assert_int_equal(json_tree_parse_max(text, sizeof text - 1, sizeof text - 2, &root, NULL), ERR_TOO_BIG);
}

static void test_seconds(void **state)
{
    /* Seconds are read as microseconds, as far as there are times. */
    static const char text[] = "[1.5,-2,0,1e300,-1e300,253402300801,\"1\"]";
    static const int64_t want[] = {1500000, -2000000, 0};
    struct json_tree *root = NULL;
    int64_t us = 7;
    size_t i = 0;
    (void)state;
    assert_int_equal(json_tree_parse(text, sizeof text - 1, &root, NULL), 0);
    for (const struct json_tree *v = json_tree_first(root); v; v = json_tree_next(v), i++) {
        assert_int_equal(json_tree_us(v, &us), i < 3 ? 0 : ERR_INVALID);
        assert_int_equal(us, i < 3 ? want[i] : want[2]);
    }
    assert_int_equal(json_tree_us(NULL, &us), ERR_INVALID);
    json_tree_free(&root);
}

static void test_refused(void **state)
{
    /* Everything that is not exactly one JSON value is refused. */
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
        {LITERAL("")},
        {LITERAL(" ")},
        {LITERAL("{} x")},
        {LITERAL("{}{}")},
        {LITERAL("{\"a\":1}\0")},
        {LITERAL("{\"a\":\"b\\u0000c\"}")},
        {LITERAL("{\"a\\u0000\":1}")},
        {LITERAL("{\"a\":\"\\uZZZZ\"}")},
        {LITERAL("{\"a\":\"\\u12\"}")},
        {LITERAL("{\"a\":\"\\x\"}")},
        {LITERAL("{\"a\":\"b\nc\"}")},
        {LITERAL("{\"a\":\"b\x01\"}")},
        {LITERAL("{\"a\":\"b\xff\"}")},
        {LITERAL("{\"a\":\"\xed\xa0\x80\"}")},
        {LITERAL("\xef\xbb\xbf{}")},
        {LITERAL("{\x01}")},
        {LITERAL("{\"a\":01}")},
        {LITERAL("{\"a\":+1}")},
        {LITERAL("{\"a\":1.}")},
        {LITERAL("{\"a\":1e}")},
        {LITERAL("{\"a\":.5}")},
        {LITERAL("{\"a\":-}")},
        {LITERAL("{\"a\":0x10}")},
        {LITERAL("{\"a\":1,}")},
        {LITERAL("[1,]")},
        {LITERAL("{'a':1}")},
        {LITERAL("{\"a\"}")},
        {LITERAL("{\"a\":tru}")},
        {LITERAL("{\"a\":True}")},
        {LITERAL("{\"a\":NaN}")},
        {LITERAL("{\"a\":\"x")},
        {LITERAL("{\"a\":\"x\\")},
        {LITERAL("\"abc\\\"")},
        {LITERAL("{\"a\":\"\\ud800\"}")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t at = 12345;
        if (parse(bad[i].text, bad[i].len, &at) != ERR_INVALID) fail_msg("taken: %s", bad[i].text);
        assert_true(at <= bad[i].len);
    }
}

static void test_limits(void **state)
{
    /* Too deep and too long are ERR_TOO_BIG. */
    char deep[200];
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    assert_int_equal(parse(deep, 130, NULL), ERR_TOO_BIG);
    assert_int_equal(parse(deep + 1, 128, NULL), 0);
    char *big = malloc(JSON_TREE_BYTES_MAX + 1);
    memset(big, ' ', JSON_TREE_BYTES_MAX + 1);
    big[0] = '1';
    assert_int_equal(parse(big, JSON_TREE_BYTES_MAX + 1, NULL), ERR_TOO_BIG);
    assert_int_equal(parse(big, JSON_TREE_BYTES_MAX, NULL), 0);
    free(big);
}

static void test_members(void **state)
{
    /* Members are found by exact name and type. */
    static const char text[] = " {\"SEQ\":1,\"seq\":2,\"s\":\"h\\u00e9\\n\",\"n\":null,\"t\":true,"
                               "\"f\":false,\"d\":1.5,\"o\":{\"x\":[10,\"y\"]}}\r\n";
    struct json_tree *t = NULL;
    const char *s = "untouched";
    int64_t n = -7;
    int b = -7;
    assert_int_equal(json_tree_parse(text, sizeof text - 1, &t, NULL), 0);
    assert_true(json_tree_is_obj(t));
    assert_int_equal(json_tree_get_i64(t, "seq", &n), 1);
    assert_int_equal(n, 2);
    assert_int_equal(json_tree_get_i64(t, "Seq", &n), 0);
    assert_int_equal(json_tree_get_i64(t, "n", &n), 0);
    assert_int_equal(json_tree_get_i64(t, "s", &n), ERR_INVALID);
    assert_int_equal(json_tree_get_i64(t, "d", &n), ERR_INVALID);
    assert_int_equal(json_tree_get_str(t, "none", &s), 0);
    assert_int_equal(json_tree_get_str(t, "seq", &s), ERR_INVALID);
    assert_string_equal(s, "untouched");
    assert_int_equal(json_tree_get_str(t, "s", &s), 1);
    assert_string_equal(s, "h\xc3\xa9\n");
    assert_int_equal(json_tree_get_bool(t, "t", &b), 1);
    assert_int_equal(b, 1);
    assert_int_equal(json_tree_get_bool(t, "f", &b), 1);
    assert_int_equal(b, 0);
    assert_int_equal(json_tree_get_bool(t, "seq", &b), ERR_INVALID);
    const struct json_tree *x = json_tree_get(json_tree_get(t, "o"), "x");
    assert_true(json_tree_is_arr(x));
    x = json_tree_first(x);
    assert_true(json_tree_is_num(x));
    assert_null(json_tree_key(x));
    assert_true(json_tree_double(x) == 10);
    x = json_tree_next(x);
    assert_string_equal(json_tree_str(x), "y");
    assert_null(json_tree_next(x));
    assert_string_equal(json_tree_key(json_tree_first(t)), "SEQ");
    assert_null(json_tree_get(x, "y"));
    assert_null(json_tree_first(x));
    json_tree_free(&t);
}

static void test_whole_numbers(void **state)
{
    /* A whole number comes back exact or not at all. */
    static const struct {
        const char *text;
        int ok;
        int64_t value;
    } numbers[] = {
        {"0", 1, 0},           {"-0", 1, 0},  {"-12", 1, -12},
        {"1e3", 1, 1000},      {"2.0", 1, 2}, {"9007199254740991", 1, INT64_C(9007199254740991)},
        {"9007199254740992", 0, 0}, {"9007199254740993", 0, 0},
        {"-9007199254740993", 0, 0}, {"1e999", 0, 0}, {"1.5", 0, 0}, {"1e300", 0, 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct json_tree *t = NULL;
        int64_t v = 0;
        assert_int_equal(json_tree_parse(numbers[i].text, strlen(numbers[i].text), &t, NULL), 0);
        int rc = json_tree_i64(t, &v);
        if ((rc >= 0) != numbers[i].ok) fail_msg("%s: %d", numbers[i].text, rc);
        if (numbers[i].ok) assert_true(v == numbers[i].value);
        json_tree_free(&t);
    }
}

static void test_mutations(void **state)
{
    /* No one-byte change of a document crashes the reader. */
    static const char text[] = "{\"type\":\"hello\",\"epoch\":1764000000000,\"r\":[1,-2.5e3,null],"
                               "\"m\":\"a\\\"\\u00e9\\n\"}";
    char copy[sizeof text];
    for (size_t i = 0; i < sizeof text - 1; i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(copy, text, sizeof text);
            copy[i] = (char)c;
            (void)parse(copy, sizeof text - 1, NULL);
        }
        char *exact = malloc(i + !i);
        memcpy(exact, text, i);
        assert_true(parse(exact, i, NULL) < 0);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_own_documents),
        cmocka_unit_test(test_seconds), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_members), cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

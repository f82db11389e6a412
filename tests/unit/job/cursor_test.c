/*
 * tests/unit/job/cursor_test.c -- "<epoch>:<seq>" and nothing else.
 */
#include "base/err.h"
#include "job/cursor.h"
#include "tests/unit/base/unit.h"

static void test_round_trip(void **state)
{
    /* Every cursor is read back from its text. */
    static const uint64_t values[] = {0, 1, 9, 10, 4294967296, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < 7; i++) {
        for (size_t k = 0; k < 7; k++) {
            struct cursor c = {values[i], values[k]}, back = {1, 1};
            char text[CURSOR_TEXT_BYTES];
            cursor_format(&c, text);
            assert_int_equal(cursor_parse(text, strlen(text), &back), 0);
            assert_true(back.epoch == c.epoch && back.seq == c.seq);
        }
    }
}

static void test_bare(void **state)
{
    /* A bare number is a place in the current epoch. */
    struct cursor c;
    assert_int_equal(cursor_parse(LITERAL("812"), &c), 0);
    assert_true(c.epoch == 0 && c.seq == 812);
}

static void test_refused(void **state)
{
    /* Signs, spaces, other bytes and overflow are refused and change nothing. */
    static const char *const bad[] = {"", ":", "1:", ":1", "1:2:3", "-1", "+1", "1:-2", " 1", "1 ",
                                      "1:2 ", "0x1", "1.5", "18446744073709551616",
                                      "1:18446744073709551616", "184467440737095516150", "a"};
    struct cursor c = {5, 6};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (cursor_parse(bad[i], strlen(bad[i]), &c) != ERR_INVALID) fail_msg("taken: %s", bad[i]);
    assert_int_equal(cursor_parse("1\0002", 3, &c), ERR_INVALID);
    assert_true(c.epoch == 5 && c.seq == 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bare),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/clients/cli/context_test.c -- clients/cli/context.c */
#include "clients/cli/context.h"

#include "base/buf.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct buf given;
static int give_err;

static int give(void *user, enum context_kind kind, const char *line, size_t len)
{
    if (kind == CONTEXT_SEPARATOR)
        buf_adds(&given, "--");
    else
        buf_add(&given, line, len);
    buf_addc(&given, ' ');
    return give_err;
}

/* Each letter is a line, M a match, '|' lines that were not fed. */
static void check(size_t before, size_t after, const char *fed, const char *want)
{
    struct context *c = context_new(before, after, give, NULL);

    buf_clear(&given);
    buf_adds(&given, "");
    for (const char *p = fed; *p; p++) {
        if (*p == '|')
            context_skipped(c);
        else
            assert_int_equal(context_feed(c, p, 1, *p == 'M'), 0);
    }
    assert_string_equal(buf_cstr(&given), want);
    context_free(&c);
    assert_null(c);
}

static void lines_around_as_grep_gives_them(void **state)
{
    /* Before, after, both; groups that touch are one; `--` only where lines are left out. */
    check(1, 1, "abcMdefghMi", "c M d -- h M i ");
    check(2, 0, "abcMdM", "b c M d M ");
    check(0, 2, "aMbcdM", "M b c -- M ");
    check(1, 1, "aMbcMd", "a M b c M d ");
    check(0, 0, "aMbM", "M -- M ");
    check(5, 5, "aMb", "a M b ");
    check(1, 1, "abc", "");
    check(1, 1, "MM", "M M ");
}

static void lines_that_were_not_fed_part_groups(void **state)
{
    /* What lies unseen between two lines is a separator, and nothing before it counts as context. */
    check(2, 2, "aMb|cM", "a M b -- c M ");
    check(2, 2, "a|M", "M ");
    check(1, 0, "M|M", "M -- M ");
}

static void a_line_is_as_long_as_it_says(void **state)
{
    /* Also one with a NUL, which only a bad server sends, is given as it was fed. */
    struct context *c = context_new(1, 0, give, NULL);

    buf_clear(&given);
    assert_int_equal(context_feed(c, "a\0bcd", 5, 0), 0);
    assert_int_equal(context_feed(c, "M", 1, 1), 0);
    assert_int_equal(given.len, 8);
    assert_memory_equal(given.data, "a\0bcd M ", 8);
    context_free(&c);
}

static void what_is_held_back_is_bounded(void **state)
{
    /* Lines held back are limited in bytes: the oldest go, and the gap shows. */
    struct context *c = context_new(CONTEXT_LINES_MAX, 0, give, NULL);
    size_t big = CONTEXT_BYTES_MAX / 4;
    char *line = malloc(big + 1);

    memset(line, 'x', big);
    line[big] = '\0';
    buf_clear(&given);
    assert_int_equal(context_feed(c, "M", 1, 1), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(context_feed(c, line, big, 0), 0);
    assert_int_equal(context_feed(c, "M", 1, 1), 0);
    assert_true(given.len <= CONTEXT_BYTES_MAX + 64 && given.len > CONTEXT_BYTES_MAX / 2);
    assert_non_null(memmem(given.data, 16, "M -- xx", 7));
    free(line);
    context_free(&c);
}

static void an_error_ends_the_feeding(void **state)
{
    struct context *c = context_new(1, 1, give, NULL);

    give_err = ERR_CLOSED;
    assert_int_equal(context_feed(c, "a", 1, 0), 0);
    assert_int_equal(context_feed(c, "M", 1, 1), ERR_CLOSED);
    give_err = 0;
    context_free(&c);
    context_free(&c);
}

static int teardown(void **state)
{
    buf_release(&given);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_around_as_grep_gives_them),
        cmocka_unit_test(lines_that_were_not_fed_part_groups),
        cmocka_unit_test(a_line_is_as_long_as_it_says),
        cmocka_unit_test(what_is_held_back_is_bounded),
        cmocka_unit_test(an_error_ends_the_feeding),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

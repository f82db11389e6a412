/* tests/unit/clients/cli/match_test.c -- clients/cli/match.c */
#include "clients/cli/match.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct match *make(struct match_options o)
{
    struct match *m = NULL;
    char why[256] = "";

    if (match_new(&o, &m, why, sizeof why) < 0)
        fail_msg("%s", why);
    return m;
}

static int is(struct match_options o, const char *text)
{
    struct match *m = make(o);
    int yes = match_is(m, text, strlen(text));

    match_free(&m);
    return yes;
}

static void patterns_text_and_their_opposite(void **state)
{
    /* A pattern, plain text, both at once, any case, and the other lines. */
    assert_true(is((struct match_options){.grep = "a.c"}, "xabcx"));
    assert_false(is((struct match_options){.grep = "a.c", .fixed = 1}, "xabcx"));
    assert_true(is((struct match_options){.grep = "a.c", .fixed = 1}, "xa.cx"));
    assert_true(is((struct match_options){.grep = "[(\\", .fixed = 1}, "[(\\"));
    assert_true(is((struct match_options){.grep = "ключ", .fixed = 1, .ignore_case = 1}, "КЛЮЧ"));
    assert_true(is((struct match_options){.grep = "b", .search = "A", .ignore_case = 1}, "aB"));
    assert_false(is((struct match_options){.grep = "b", .search = "c"}, "ab"));
    assert_true(is((struct match_options){.grep = "b", .invert = 1}, "a"));
    assert_false(is((struct match_options){.grep = "b", .invert = 1}, "b"));
    assert_null(make((struct match_options){0}));
}

static void a_bad_pattern_says_why(void **state)
{
    struct match *m = NULL;
    char why[256] = "";

    assert_int_equal(match_new(&(struct match_options){.grep = "("}, &m, why, sizeof why), ERR_INVALID);
    assert_true(why[0] && !m);
}

static void check_marks(struct match_options o, const char *text, const char *want)
{
    struct match *m = make(o);
    struct term_mark marks[MATCH_MARKS_MAX];
    size_t count = match_marks(m, text, strlen(text), marks);
    struct buf out = BUF_INIT;

    buf_adds(&out, "");
    for (size_t i = 0; i < count; i++)
        buf_addf(&out, "%zu-%zu ", marks[i].from, marks[i].to);
    assert_string_equal(buf_cstr(&out), want);
    buf_release(&out);
    match_free(&m);
}

static void found_places_are_told(void **state)
{
    /* All of them, in order, joined where they meet; empty matches and inverted ones are none. */
    check_marks((struct match_options){.grep = "ab"}, "ab ab", "0-2 3-5 ");
    check_marks((struct match_options){.grep = "b+", .search = "ab"}, "xabbb b", "1-5 6-7 ");
    check_marks((struct match_options){.grep = "x*"}, "a\xc3\xa9xx", "3-5 ");
    check_marks((struct match_options){.grep = "a", .invert = 1}, "a", "");
    check_marks((struct match_options){.grep = "^a"}, "aa", "0-1 ");
}

static void one_line_has_a_bounded_number_of_marks(void **state)
{
    struct match *m = make((struct match_options){.grep = "a"});
    struct term_mark marks[MATCH_MARKS_MAX];
    char *text = malloc(4 * MATCH_MARKS_MAX);

    for (size_t i = 0; i < 4 * MATCH_MARKS_MAX; i++)
        text[i] = i % 2 ? ' ' : 'a';
    assert_int_equal(match_marks(m, text, 4 * MATCH_MARKS_MAX, marks), MATCH_MARKS_MAX);
    free(text);
    match_free(&m);
}

static void check_args(struct match_options o, const char *want)
{
    struct buf path = BUF_INIT;

    buf_adds(&path, "/");
    match_args(&o, &path);
    assert_string_equal(buf_cstr(&path), want);
    buf_release(&path);
}

static void the_server_is_asked_for_the_same(void **state)
{
    /* Plain text goes as q, which an index serves; any case goes as a pattern, which folds as we do. */
    check_args((struct match_options){.grep = "a.c"}, "/?re=a.c");
    check_args((struct match_options){.grep = "a.c", .fixed = 1}, "/?q=a.c");
    check_args((struct match_options){.grep = "a.c", .fixed = 1, .ignore_case = 1},
               "/?re=a%5C.c&case=insensitive");
    check_args((struct match_options){.search = "x", .grep = "y"}, "/?re=y&q=x");
    check_args((struct match_options){.search = "x", .ignore_case = 1}, "/?re=x&case=insensitive");
    check_args((struct match_options){0}, "/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_text_and_their_opposite),
        cmocka_unit_test(a_bad_pattern_says_why),
        cmocka_unit_test(found_places_are_told),
        cmocka_unit_test(one_line_has_a_bounded_number_of_marks),
        cmocka_unit_test(the_server_is_asked_for_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

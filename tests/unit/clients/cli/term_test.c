/* tests/unit/clients/cli/term_test.c -- clients/cli/term.c */
#include "clients/cli/term.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *in, enum term_color color, const char *want)
{
    struct buf out = BUF_INIT;

    assert_int_equal(term_clean(&out, in, strlen(in), color, NULL), 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_release(&out);
}

static void colour_passes_or_is_dropped(void **state)
{
    /* Colour sequences pass when kept, vanish when dropped; text, tab and newline always pass. */
    check("\x1b[31mred\x1b[0m\tx\ny", TERM_COLOR_KEEP, "\x1b[31mred\x1b[0m\tx\ny");
    check("\x1b[31mred\x1b[0m", TERM_COLOR_DROP, "red");
    check("\x1b[38:2::1:2:3mx\x1b[m", TERM_COLOR_DROP, "x");
    check("ключ \xf0\x9f\x9a\x80", TERM_COLOR_KEEP, "ключ \xf0\x9f\x9a\x80");
}

static void everything_else_is_shown(void **state)
{
    /* Cursor, title, OSC, C0, C1, DEL, bidi, broken UTF-8 and unfinished sequences are shown, not done. */
    check("\x1b[2J", TERM_COLOR_KEEP, "\\x1b[2J");
    check("\x1b]0;t\x07", TERM_COLOR_KEEP, "\\x1b]0;t\\x07");
    check("\x1b[31", TERM_COLOR_KEEP, "\\x1b[31");
    check("\x1b[>4m", TERM_COLOR_KEEP, "\\x1b[>4m");
    check("a\rb\x08\x7f", TERM_COLOR_KEEP, "a\\x0db\\x08\\x7f");
    check("\xc2\x9b"
          "2J",
          TERM_COLOR_KEEP, "\\u009b2J");
    check("\xe2\x80\xae\xe2\x81\xa6", TERM_COLOR_KEEP, "\\u202e\\u2066");
    check("\xff\xc2", TERM_COLOR_KEEP, "\\xff\\xc2");
    check("\xc0\x9b", TERM_COLOR_KEEP, "\\xc0\\x9b");
}

static void no_input_reaches_the_terminal_raw(void **state)
{
    /* For every pair of bytes after ESC, and every byte alone, no control byte but that of a colour comes out. */
    for (int a = 1; a < 256; a++)
        for (int b = 1; b < 256; b++) {
            char in[5] = {'\x1b', (char)a, (char)b, 'm', '\0'};
            struct buf out = BUF_INIT;

            term_clean(&out, in, 4, TERM_COLOR_DROP, NULL);
            for (size_t i = 0; i < out.len; i++) {
                unsigned char c = (unsigned char)out.data[i];
                assert_true((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t');
            }
            buf_release(&out);
        }
}

static void a_row_fits(void **state)
{
    /* A row is one line of at most so many columns, wide characters counted as two. */
    struct buf out = BUF_INIT;

    setlocale(LC_CTYPE, "C.UTF-8");
    assert_int_equal(term_clean_row(&out, "ab\ncd\tef\x1b[31mgh", 15, 7), 7);
    assert_string_equal(buf_cstr(&out), "ab cd e");
    buf_clear(&out);
    term_clean_row(&out, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 9, 5);
    assert_string_equal(buf_cstr(&out), "\xe6\x97\xa5\xe6\x9c\xac");
    buf_release(&out);
}

static void check_marked(const char *in, enum term_color color, const char *want)
{
    const struct term_mark marks[] = {{1, 3}, {4, 4}, {5, 8}};
    struct buf out = BUF_INIT;

    assert_int_equal(term_clean_marked(&out, in, strlen(in), color, marks, 3, NULL), 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_release(&out);
}

static void marks_are_lit_and_colours_go_on(void **state)
{
    /* Marks switch reverse video; a colour inside one does not end it; one that would cut a sequence begins after it; one
     * at the end is closed; what is shown as escaped is marked as a whole. */
    struct buf out = BUF_INIT;

    check_marked("abcdefgh", TERM_COLOR_KEEP, "a\x1b[7mbc\x1b[27mde\x1b[7mfgh\x1b[27m");
    check_marked("abcde", TERM_COLOR_KEEP, "a\x1b[7mbc\x1b[27mde");
    check_marked("\x1b[31mbc", TERM_COLOR_KEEP, "\x1b[31m\x1b[7mbc\x1b[27m");
    check_marked("\x1b[31mbc", TERM_COLOR_DROP, "\x1b[7mbc\x1b[27m");
    check_marked("abcdef\x1b[0mg", TERM_COLOR_KEEP,
                 "a\x1b[7mbc\x1b[27mde\x1b[7mf\x1b[0m\x1b[7m\x1b[27mg");
    check_marked("\x07\x07\x07z", TERM_COLOR_KEEP, "\\x07\x1b[7m\\x07\\x07\x1b[27mz");
    term_add_marked(&out, "abcdefghij", 10, (const struct term_mark[]){{0, 1}, {1, 1}, {8, 99}}, 3);
    assert_string_equal(buf_cstr(&out), "\x1b[7ma\x1b[27mbcdefgh\x1b[7mij\x1b[27m");
    buf_release(&out);
}

static void width_is_an_upper_bound(void **state)
{
    /* Colour takes no columns, wide characters two, combining ones none, a tab goes to the next stop. */
    setlocale(LC_CTYPE, "C.UTF-8");
    assert_int_equal(term_width("abc", 3), 3);
    assert_int_equal(term_width("\x1b[31mab\x1b[0m", 11), 2);
    assert_int_equal(term_width("日本", 6), 4);
    assert_int_equal(term_width("e\xcc\x81", 3), 1);
    assert_int_equal(term_width("a\tb", 3), 9);
    assert_int_equal(term_width("\xf0\x9f\x9a\x80", 4), 2);
    assert_int_equal(term_width("\xe2\x9d\xa4\xef\xb8\x8f", 6), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colour_passes_or_is_dropped),
        cmocka_unit_test(everything_else_is_shown),
        cmocka_unit_test(no_input_reaches_the_terminal_raw),
        cmocka_unit_test(a_row_fits),
        cmocka_unit_test(marks_are_lit_and_colours_go_on),
        cmocka_unit_test(width_is_an_upper_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/clients/cli/board_test.c -- clients/cli/board.c */
#include "clients/cli/board.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct term term = {.is_tty = 1, .columns = 20, .rows = 24};

static void draw(struct board *b, const char *want)
{
    struct buf out = BUF_INIT;

    buf_adds(&out, "");
    board_draw(b, &term, &out, 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_release(&out);
}

static void erase(struct board *b, const char *want)
{
    struct buf out = BUF_INIT;

    buf_adds(&out, "");
    board_erase(b, &term, &out);
    assert_string_equal(buf_cstr(&out), want);
    assert_false(board_is_drawn(b));
    buf_release(&out);
}

static void row(struct board *b, int32_t rank, const char *text)
{
    char prefix[16];

    snprintf(prefix, sizeof prefix, "%d| ", (int)rank);
    board_set_row(b, rank, prefix, text, strlen(text), 0);
}

static void rows_stand_by_rank_and_are_taken_away(void **state)
{
    /* Bars by rank, the status last; each is cut one column short; erasing goes back to where they began. */
    struct board b;

    board_init(&b);
    assert_true(board_is_empty(&b));
    draw(&b, "");
    erase(&b, "");
    row(&b, 1, "one");
    row(&b, 0, "zero");
    row(&b, 1, "ONE, and much too long for this");
    board_set_status(&b, "status\x1b[2Jx");
    draw(&b, "0| zero\n1| ONE, and much to\nstatus\\x1b[2Jx");
    erase(&b, "\r\x1b[2K\x1b[A\x1b[2K\x1b[A\x1b[2K");
    board_drop_row(&b, 0);
    board_drop_row(&b, 7);
    board_set_status(&b, "");
    draw(&b, "1| ONE, and much to");
    erase(&b, "\r\x1b[2K");
    board_release(&b);
}

static void wide_characters_count_as_two(void **state)
{
    struct board b;

    board_init(&b);
    row(&b, 0, "日本語日本語日本語日本語");
    draw(&b, "0| 日本語日本語日本");
    board_release(&b);
}

static void few_rows_are_shown_of_many(void **state)
{
    /* At most a third of the screen, the rest is counted; what is kept is bounded. */
    struct board b;

    board_init(&b);
    for (int i = 0; i < BOARD_ROWS_KEPT + 50; i++)
        row(&b, i, "x");
    assert_int_equal(b.count, BOARD_ROWS_KEPT);
    term.rows = 9;
    draw(&b, "0| x\n1| x\n2| x\n… and 253 more");
    erase(&b, "\r\x1b[2K\x1b[A\x1b[2K\x1b[A\x1b[2K\x1b[A\x1b[2K");
    term.rows = 2;
    draw(&b, "0| x\n… and 255 more");
    term.rows = 24;
    board_release(&b);
}

static void a_narrower_window_has_wrapped_the_rows(void **state)
{
    /* Where the terminal reflows, a row that no longer fits stands on several lines: all are erased. */
    struct board b;

    board_init(&b);
    b.reflows = 1;
    row(&b, 0, "0123456789abcdef"); /* 19 columns */
    board_set_status(&b, "s");
    draw(&b, "0| 0123456789abcdef\ns");
    term.columns = 8;
    erase(&b, "\r\x1b[2K\x1b[A\x1b[2K\x1b[A\x1b[2K\x1b[A\x1b[2K");
    term.columns = 20;
    draw(&b, "0| 0123456789abcdef\ns");
    b.reflows = 0;
    term.columns = 8;
    erase(&b, "\r\x1b[2K\x1b[A\x1b[2K");
    term.columns = 20;
    board_release(&b);
}

static void a_bar_nobody_moves_is_taken_away(void **state)
{
    struct board b;
    struct buf out = BUF_INIT;

    board_init(&b);
    row(&b, 0, "x");
    board_draw(&b, &term, &out, BOARD_STALE_US + 1);
    assert_int_equal(out.len, 0);
    assert_true(board_is_empty(&b));
    buf_release(&out);
    board_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stand_by_rank_and_are_taken_away),
        cmocka_unit_test(wide_characters_count_as_two),
        cmocka_unit_test(few_rows_are_shown_of_many),
        cmocka_unit_test(a_narrower_window_has_wrapped_the_rows),
        cmocka_unit_test(a_bar_nobody_moves_is_taken_away),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

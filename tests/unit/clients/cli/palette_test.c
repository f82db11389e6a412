/* tests/unit/clients/cli/palette_test.c -- clients/cli/palette.c */
#include "clients/cli/palette.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CONTRAST_MIN 3.7

/* Relative luminance of an index of the 256-colour cube and ramp (WCAG 2.1). */
static double luminance(int index)
{
    double rgb[3], sum = 0;
    static const double weight[3] = {0.2126, 0.7152, 0.0722};
    int cube[3] = {(index - 16) / 36, (index - 16) / 6 % 6, (index - 16) % 6};

    for (int i = 0; i < 3; i++) {
        double v = index >= 232 ? 8 + 10 * (index - 232) : cube[i] ? 55 + 40 * cube[i] : 0;

        rgb[i] = v / 255 <= 0.03928 ? v / 255 / 12.92 : pow((v / 255 + 0.055) / 1.055, 2.4);
        sum += weight[i] * rgb[i];
    }
    return sum;
}

static void check_contrast(const char *sgr)
{
    int index;
    double l;

    if (sscanf(sgr, "38;5;%d", &index) != 1)
        return; /* of the terminal's own eight */
    l = luminance(index);
    if ((l + 0.05) / 0.05 < CONTRAST_MIN || 1.05 / (l + 0.05) < CONTRAST_MIN)
        fail_msg("%s cannot be read on both black and white", sgr);
}

static void ranks_are_told_apart_on_dark_and_on_light(void **state)
{
    /* Twelve neighbouring ranks have twelve colours, always the same, readable on black and on white. */
    for (int i = 0; i < PALETTE_RANKS; i++) {
        check_contrast(palette_rank(i));
        assert_string_equal(palette_rank(i), palette_rank(i + PALETTE_RANKS));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(palette_rank(i), palette_rank(j));
    }
    check_contrast(palette_faint());
    for (int l = 0; l < LEVEL_COUNT; l++)
        check_contrast(palette_level((enum level)l));
    assert_string_equal(palette_rank(-1), palette_faint());
}

static void levels_stand_out(void **state)
{
    /* Errors are red, fatal ones bold; no rank is red. */
    assert_string_equal(palette_level(LEVEL_ERROR), "31");
    assert_string_equal(palette_level(LEVEL_FATAL), "1;31");
    assert_string_equal(palette_level(LEVEL_INFO), "");
    assert_string_equal(palette_state("TRAINING_JOB_FAILED"), "31");
    for (int i = 0; i < PALETTE_RANKS; i++)
        assert_null(strstr(palette_rank(i), "31;"));
}

static void few_colours_are_known_by_name(void **state)
{
    /* Terminals of eight or sixteen colours are known by TERM. */
    assert_true(palette_is_basic("linux") && palette_is_basic("vt220") &&
                palette_is_basic("xterm-16color") && palette_is_basic("dumb"));
    assert_false(palette_is_basic("xterm-256color") || palette_is_basic("tmux") ||
                 palette_is_basic("xterm") || palette_is_basic(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_are_told_apart_on_dark_and_on_light),
        cmocka_unit_test(levels_stand_out),
        cmocka_unit_test(few_colours_are_known_by_name),
    };
    setenv("TERM", "xterm-256color", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

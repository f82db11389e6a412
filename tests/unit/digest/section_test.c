/*
 * tests/unit/digest/section_test.c -- marks that fold a part of a log.
 */
#include "digest/section.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Every documented mark gives its kind, name and title; what only looks like one gives none. */
static void test_marks(void **state)
{
    static const struct {
        const char *line;
        enum section_mark mark;
        const char *name, *title;
    } cases[] = {
        {"::group::Install things", SECTION_BEGIN, "", "Install things"},
        {"::endgroup::", SECTION_END, "", ""},
        {"##[group]Run make", SECTION_BEGIN, "", "Run make"},
        {"##[endgroup]", SECTION_END, "", ""},
        {"section_start:1764000000:install[collapsed=true]\rInstall things", SECTION_BEGIN,
         "install", "Install things"},
        {"section_start:1764000000:install\r", SECTION_BEGIN, "install", "install"},
        {"section_end:1764000060:install\r", SECTION_END, "install", "install"},
        {"--- :hammer: Build", SECTION_NEXT, "", ":hammer: Build"},
        {"+++ Test", SECTION_NEXT, "", "Test"},
        {"~~~ Setup", SECTION_NEXT, "", "Setup"},
        {"--- a/train.py", SECTION_NO, "", ""},
        {"+++ b/train.py", SECTION_NO, "", ""},
        {"--- /dev/null", SECTION_NO, "", ""},
        {"---- four", SECTION_NO, "", ""},
        {"--- centred ---", SECTION_NO, "", ""},
        {"---", SECTION_NO, "", ""},
        {"--- ", SECTION_NO, "", ""},
        {"section_start:soon:x", SECTION_NO, "", ""},
        {"section_start:12:", SECTION_NO, "", ""},
        {":: group", SECTION_NO, "", ""},
        {"", SECTION_NO, "", ""},
        {"x", SECTION_NO, "", ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct section s = {0};
        int got = section_read(cases[i].line, strlen(cases[i].line), &s);
        if (got != (cases[i].mark != SECTION_NO)) fail_msg("%s: %d", cases[i].line, got);
        if (!got) continue;
        assert_int_equal(s.mark, cases[i].mark);
        assert_int_equal(s.name_len, strlen(cases[i].name));
        assert_memory_equal(s.name_len ? s.name : "", cases[i].name, s.name_len);
        assert_int_equal(s.title_len, strlen(cases[i].title));
        assert_memory_equal(s.title, cases[i].title, s.title_len);
        assert_int_equal(s.at_us,
                         s.name_len ? (s.mark == SECTION_END ? 1764000060000000 : 1764000000000000)
                                    : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_marks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

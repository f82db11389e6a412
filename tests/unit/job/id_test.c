/*
 * tests/unit/job/id_test.c -- names, and full names of jobs.
 */
#include "base/err.h"
#include "job/id.h"
#include "tests/unit/base/unit.h"

static void test_valid(void **state)
{
    /* An id is [A-Za-z0-9][A-Za-z0-9._-]{0,127}. */
    char c, text[ID_BYTES_MAX + 2];
    for (int i = 0; i < 256; i++) {
        c = (char)i;
        int alnum = (i >= '0' && i <= '9') || (i >= 'A' && i <= 'Z') || (i >= 'a' && i <= 'z');
        assert_int_equal(id_valid(&c, 1), alnum);
        char two[2] = {'a', c};
        assert_int_equal(id_valid(two, 2), alnum || i == '.' || i == '_' || i == '-');
    }
    memset(text, 'a', sizeof text);
    assert_false(id_valid(text, 0));
    assert_true(id_valid(text, ID_BYTES_MAX));
    assert_false(id_valid(text, ID_BYTES_MAX + 1));
    assert_false(id_valid(LITERAL("../x")));
    assert_true(id_valid(LITERAL("a..")));
}

static void test_key(void **state)
{
    /* A key is written and read back; nothing that is no pair of ids is read. */
    struct job_key k, back;
    char text[JOB_KEY_TEXT_BYTES], longest[ID_BYTES_MAX];
    static const char *const bad[] = {"", "/", "a/", "/a", "a", "a/b/c", "a//b", "-a/b", "a/b c"};
    assert_int_equal(job_key_make(&k, LITERAL("demo"), LITERAL("run-1")), 0);
    assert_string_equal(job_key_text(&k, text), "demo/run-1");
    assert_int_equal(job_key_parse(&back, text, strlen(text)), 0);
    assert_true(job_key_equal(&k, &back));
    assert_memory_equal(&k, &back, sizeof k); /* usable as a map's key */
    assert_int_equal(job_key_make(&back, LITERAL("demo"), LITERAL("run-2")), 0);
    assert_false(job_key_equal(&k, &back));
    assert_int_equal(job_key_make(&back, LITERAL("dem"), LITERAL("run-1")), 0);
    assert_false(job_key_equal(&k, &back));
    memset(longest, 'z', sizeof longest);
    assert_int_equal(job_key_make(&k, longest, sizeof longest, longest, sizeof longest), 0);
    assert_int_equal(strlen(job_key_text(&k, text)), JOB_KEY_TEXT_BYTES - 1);
    assert_int_equal(job_key_parse(&back, text, strlen(text)), 0);
    assert_true(job_key_equal(&k, &back));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(job_key_parse(&back, bad[i], strlen(bad[i])), ERR_INVALID);
    assert_true(job_key_equal(&k, &back));
    assert_int_equal(job_key_make(&k, LITERAL("a"), LITERAL("")), ERR_INVALID);
}

static void test_make(void **state)
{
    /* A made id is valid, of the promised shape, and never the same twice. */
    char made[200][ID_BYTES_MAX + 1];
    for (int i = 0; i < 200; i++) {
        id_make(made[i]);
        assert_int_equal(strlen(made[i]), 20);
        assert_memory_equal(made[i], "job-", 4);
        assert_int_equal(strspn(made[i] + 4, "0123456789abcdefghijklmnopqrstuvwxyz"), 16);
        assert_true(id_valid(made[i], 20));
        for (int k = 0; k < i; k++) assert_string_not_equal(made[i], made[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

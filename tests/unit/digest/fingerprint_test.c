/*
 * tests/unit/digest/fingerprint_test.c -- what varies between ranks and runs is left out of an error's hash.
 */
#include "digest/fingerprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char *normal(const char *s)
{
    static char out[1024];

    fingerprint_normal(s, strlen(s), out, sizeof out);
    return out;
}

static uint64_t of(const char *s)
{
    return fingerprint_end(fingerprint_text(FINGERPRINT_START, s, strlen(s)));
}

/* Numbers, addresses, ids, directories, dates and sizes are left out; words stay. */
static void test_normal(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"RuntimeError: shape '[3, 4]' is invalid", "RuntimeError: shape '[#, #]' is invalid"},
        {"at 0x7f3a2b4c5d6e and 0xdeadbeef", "at # and #"},
        {"id 123e4567-e89b-12d3-a456-426614174000!", "id #!"},
        {"commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit #"},
        {"deadbeef is a word, facade too", "deadbeef is a word, facade too"},
        {"'/mnt/n3/ckpt-0012/rank_3.pt'", "'/rank_#.pt'"},
        {"File \"/usr/lib/python3.11/site.py\"", "File \"/site.py\""},
        {"2026-01-02 03:04:05,678 oops", "# # oops"},
        {"2026-01-02T03:04:05.678Z oops", "#Z oops"},
        {"10.1.2.3:29500 refused", "# refused"},
        {"Tried to allocate 2.00 GiB", "Tried to allocate #"},
        {"Tried to allocate 512.00 MiB.", "Tried to allocate #."},
        {"loss -1.5e-05 and +3", "loss # and #"},
        {"  many   blanks\there ", "many blanks here"},
        {"node-17 rank17 [rank17]", "node-# rank# [rank#]"},
        {"and/or", "and/or"},
        {"", ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(normal(cases[i].text), cases[i].want);
}

/* Equal after normalising is equal in hash; another word, or none, is another hash. */
static void test_hash(void **state)
{
    assert_int_equal(of("rank 3 died after 10 s"), of("rank 12 died after 7.5 s"));
    assert_int_not_equal(of("rank 3 died"), of("rank 3 lives"));
    assert_int_not_equal(of(""), of("a"));
    assert_int_not_equal(of(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_normal), cmocka_unit_test(test_hash)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

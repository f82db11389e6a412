/*
 * tests/unit/serve/origin_test.c -- pages of other sites.
 */
#include "tests/unit/serve/world.h"

#include "serve/origin.h"
#include "tests/unit/serve/world_doors.h"

static char *list[] = {(char *)"https://logs.example.com", (char *)"http://a.b:81", NULL};

static int allowed(const char *origin, const char *host)
{
    struct http x;
    int got;
    door_init(&x, "GET");
    if (origin)
        door_header(&x, "Origin", origin);
    if (host)
        door_header(&x, "Host", host);
    got = origin_allowed(&x, list);
    door_close(&x);
    return got;
}

static void test_allowed(void **state)
{
    /* No Origin, the own authority, or an entry of the list to the letter; nothing else. */
    assert_true(allowed(NULL, "x:1"));
    assert_true(allowed("http://x:1", "x:1"));
    assert_true(allowed("https://X:1", "x:1"));
    assert_true(allowed("https://logs.example.com", "x:1"));
    assert_true(allowed("http://a.b:81", "x:1"));
    static const char *const bad[] = {"https://evil.example", "http://logs.example.com", "https://logs.example.com:443",
                                      "https://logs.example.com.evil", "https://Logs.example.com", "null", "",
                                      "https://logs.example.com, https://evil.example", "x:1", "http://x", "http://a.b",
                                      "https://logs.example.com/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(allowed(bad[i], "x:1"));
}

static int local(const char *host)
{
    struct http x;
    int got;
    door_init(&x, "GET");
    if (host)
        door_header(&x, "Host", host);
    got = origin_host_is_local(&x);
    door_close(&x);
    return got;
}

static void test_local(void **state)
{
    /* Names that somebody else may point here are not of this machine. */
    static const char *const good[] = {"localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]", "10.0.0.7",
                                       "joblog.localhost:1", "node7:8000"};
    static const char *const bad[] = {"evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
                                      ".localhost", "[::1", "", "127.1.evil:1"};
    assert_true(local(NULL));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(local(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(local(bad[i]));
}

static void test_headers(void **state)
{
    /* A browser is told only of an Origin of the list, that one alone; caches are told of the difference. */
    static const struct {
        const char *method, *origin;
        int cors, preflight;
    } rows[] = {{"GET", "http://a.b:81", 1, 0},
                {"OPTIONS", "http://a.b:81", 1, 1},
                {"OPTIONS", "http://evil", 0, 0},
                {"GET", NULL, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http x;
        door_init(&x, rows[i].method);
        door_header(&x, "Host", "x:1");
        if (rows[i].origin)
            door_header(&x, "Origin", rows[i].origin);
        origin_set_headers(&x, list);
        assert_string_equal(door_sent(&x, "Vary"), "Origin");
        assert_int_equal(door_sent(&x, "Access-Control-Allow-Origin") != NULL, rows[i].cors);
        if (rows[i].cors)
            assert_string_equal(door_sent(&x, "Access-Control-Allow-Origin"), rows[i].origin);
        assert_int_equal(door_sent(&x, "Access-Control-Allow-Methods") != NULL, rows[i].preflight);
        assert_null(door_sent(&x, "Access-Control-Allow-Credentials"));
        door_close(&x);
        door_init(&x, rows[i].method);
        origin_set_headers(&x, NULL);
        assert_int_equal(x.sent_count, 0);
        door_close(&x);
    }
}

static void test_valid(void **state)
{
    /* --origin takes what browsers send, no more. */
    assert_true(origin_valid("https://logs.example.com"));
    assert_true(origin_valid("http://[::1]:8000"));
    static const char *const bad[] = {"", "*", "null", "logs.example.com", "https://", "https://Logs.example.com",
                                      "https://a/", "https://a/b", "ftp://a", "https://a b", "https://u@a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(origin_valid(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_allowed), cmocka_unit_test(test_local),
                                       cmocka_unit_test(test_headers), cmocka_unit_test(test_valid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

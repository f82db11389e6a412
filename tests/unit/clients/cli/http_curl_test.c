/* tests/unit/clients/cli/http_curl_test.c -- clients/cli/http_curl.c: addresses (no network). */
#include "clients/cli/http.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char why[256];

static void addresses_are_taken_apart(void **state)
{
    /* Host, port, TLS, prefix and unix path come out of a URL. */
    struct http_server s = {0};

    assert_int_equal(http_server_parse(&s, "http://h:81/", why, sizeof why), 0);
    assert_true(!strcmp(s.host, "h") && s.port == 81 && !s.is_tls &&
                !strcmp(s.base, "http://h:81") && !s.prefix[0]);
    assert_int_equal(http_server_parse(&s, "https://h.example/log", why, sizeof why), 0);
    assert_true(!strcmp(s.host, "h.example") && s.port == 443 && s.is_tls &&
                !strcmp(s.prefix, "/log"));
    assert_int_equal(http_server_parse(&s, "http://[::1]:9", why, sizeof why), 0);
    assert_true(!strcmp(s.host, "::1") && s.port == 9);
    assert_int_equal(http_server_parse(&s, "unix:/run/j.sock", why, sizeof why), 0);
    assert_string_equal(s.unix_path, "/run/j.sock");
}

static void bad_addresses_are_refused(void **state)
{
    /* Anything else is ERR_INVALID with a reason. */
    static const char *const bad[] = {
        "",           "h:80",           "ftp://h",     "http://",       "http://:80",
        "http://h:0", "http://h:99999", "http://h/?q", "http://u:p@h/", "unix:relative",
        "http://a b", "http://h:80x",   "http://h:",   "http://[::1",   "http://[::1]9",
        "http://::1", "http://[]:80"};
    char host[320] = "http://";
    struct http_server long_one = {0};

    memset(host + 7, 'h', 300);
    assert_int_equal(http_server_parse(&long_one, host, why, sizeof why), ERR_INVALID);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct http_server s = {0};

        why[0] = '\0';
        if (http_server_parse(&s, bad[i], why, sizeof why) != ERR_INVALID || !why[0])
            fail_msg("%s", bad[i]);
    }
}

static void arguments_are_encoded(void **state)
{
    /* Everything outside the unreserved set is percent-encoded. */
    struct buf b = BUF_INIT;

    buf_adds(&b, "/x");
    http_arg(&b, "q", "a b&c=\xc3\xa9%");
    http_arg(&b, "n", "1-._~");
    assert_string_equal(buf_cstr(&b), "/x?q=a%20b%26c%3D%C3%A9%25&n=1-._~");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(arguments_are_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

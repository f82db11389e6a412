/*
 * tests/unit/http/request_test.c -- a head is found, parsed, or refused with its reason.
 *
 * The table of malformed heads is in server_test.c, where each must also end its connection; here is
 * what a parsed one holds, and that every cut and every flipped byte leaves a head or a refusal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/head.h"

static const struct http_limits limits = {.header_bytes_max = 4096, .target_bytes_max = 1024, .body_bytes_max = 1000};

static int parse(struct head *h, const char *text, struct refusal *r)
{
    *r = (struct refusal){0};
    return head__parse(h, text, strlen(text), &limits, r);
}

static void test_fields(void **state)
{
    /* Names in any case, values trimmed, repeated ones joined in their order, framing read. */
    struct refusal r;
    struct head h;
    (void)state;
    assert_int_equal(parse(&h, "POST /p%20q/%C3%A9?x=1&y=a+b%2B&x=2&&z&=v HTTP/1.1\r\nhOST: h:80\r\nA: 1\r\nEmpty:\r\n"
                               "b: \t two words \t\r\na:2\r\nA:\r\nContent-Length: 42\r\nExpect: 100-Continue\r\n\r\n", &r), 0);
    assert_string_equal(h.method, "POST");
    assert_string_equal(h.path, "/p q/\xc3\xa9");
    assert_string_equal(h.raw_query, "x=1&y=a+b%2B&x=2&&z&=v");
    assert_int_equal(h.arg_count, 5);
    assert_string_equal(h.args[1].name, "y");
    assert_string_equal(h.args[1].value, "a b+");
    assert_string_equal(h.args[3].name, "z");
    assert_string_equal(h.args[3].value, "");
    assert_string_equal(h.args[4].name, "");
    assert_string_equal(head__field(&h, "a"), "1, 2, ");
    assert_string_equal(head__field(&h, "B"), "two words");
    assert_string_equal(head__field(&h, "empty"), "");
    assert_null(head__field(&h, "c"));
    assert_null(head__field(&h, ""));
    assert_int_equal(h.length, 42);
    assert_true(h.expects_continue && h.keep_alive && !h.chunked && !h.is_upgrade && !h.is_head);
    head__release(&h);
}

static void test_targets(void **state)
{
    /* Origin form, absolute form and OPTIONS * have their path; a kept %2F stays, others are decoded. */
    static const char *const table[][2] = {
        {"GET /", "/"}, {"GET /a%2fb%2Fc", "/a%2fb%2Fc"}, {"GET http://h/x?y", "/x"}, {"GET HTTP://h", "/"},
        {"GET http://h?q", "/"}, {"OPTIONS *", "*"}, {"GET //x/../y", "//x/../y"}, {"GET /%7e%25", "/~%"},
    };
    char text[200];
    struct refusal r;
    struct head h;
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\n\r\n", table[i][0]);
        assert_int_equal(parse(&h, text, &r), 0);
        assert_string_equal(h.path, table[i][1]);
        head__release(&h);
    }
    for (const char *const *t = (const char *const[]){"GET *", "GET x", "GET /%", "GET /%4", "GET /%00", "GET /?%00",
                                                      "GET /%c0%80",
                                                      "GET /?a=%ed%a0%80", "GET ftp://h/", NULL}; *t; t++) {
        snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\n\r\n", *t);
        assert_int_equal(parse(&h, text, &r), ERR_INVALID);
        assert_int_equal(r.status, 400);
    }
}

static void test_upgrade(void **state)
{
    /* An upgrade is a GET with every header once and a key of 16 bytes; else it is a request like another. */
    struct refusal r;
    struct head h;
    (void)state;
#define UP "Host: h\r\nUpgrade: WebSocket\r\nConnection: x, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    assert_int_equal(parse(&h, "GET / HTTP/1.1\r\n" UP "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", &r), 0);
    assert_true(h.is_upgrade);
    assert_string_equal(h.ws_key, "dGhlIHNhbXBsZSBub25jZQ==");
    head__release(&h);
    assert_int_equal(parse(&h, "POST / HTTP/1.1\r\n" UP "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", &r), 0);
    assert_false(h.is_upgrade);
    head__release(&h);
    assert_int_equal(parse(&h, "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", &r), 0);
    assert_false(h.is_upgrade);
    head__release(&h);
    assert_int_equal(parse(&h, "GET / HTTP/1.1\r\n" UP "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n\r\n", &r), ERR_INVALID);
    assert_int_equal(r.status, 400);
    assert_int_equal(parse(&h, "GET / HTTP/1.1\r\n" UP "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", &r), ERR_INVALID);
}

static void test_found_at_any_cut(void **state)
{
    /* The end of a head is found at the same byte however it arrives. */
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nPOST";
    struct refusal r;
    (void)state;
    for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
        size_t scanned = 0;
        int n = head__find(text, cut, &scanned, &limits, &r);
        if (n == 0) n = head__find(text, sizeof(text) - 1, &scanned, &limits, &r);
        assert_int_equal(n, sizeof(text) - 1 - 4);
    }
}

static void test_flipped_bytes(void **state)
{
    /* Any one byte replaced by any other leaves a head or a refusal with a status and a sentence. */
    static const char good[] = "POST /a?b=%41 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX: y\r\nX: z\r\n\r\n";
    char text[sizeof(good)];
    size_t heads = 0, refusals = 0;
    (void)state;
    for (size_t at = 0; at < sizeof(good) - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            struct refusal r = {0};
            struct head h;
            size_t scanned = 0;
            int n;
            memcpy(text, good, sizeof(good));
            text[at] = (char)byte;
            n = head__find(text, sizeof(good) - 1, &scanned, &limits, &r);
            if (n > 0 && head__parse(&h, text, (size_t)n, &limits, &r) == 0) {
                assert_true(h.path[0] == '/' && h.length <= 1000);
                head__release(&h);
                heads++;
            } else if (n != 0) {
                assert_in_range(r.status, 400, 505);
                assert_non_null(r.message);
                refusals++;
            }
        }
    assert_true(heads > 1000 && refusals > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),          cmocka_unit_test(test_targets),
        cmocka_unit_test(test_upgrade),         cmocka_unit_test(test_found_at_any_cut),
        cmocka_unit_test(test_flipped_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/http/nomem_test.c -- every allocation of reading a request's head fails once: the whole head, or an error.
 *
 * Not here   Connections: libwebsockets 4.1.6 leaves a freed handle in the loop when an allocation of its own fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/nomem.h"

#include "http/head.h"

static const char head_text[] = "POST /v1/jobs/a%20b?q=x%3Dy&tail=5 HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n"
                                "Accept: text/plain\r\nContent-Length: 5\r\n\r\n";

static int parse_head(void)
{
    struct http_limits l;
    struct refusal r = {0};
    struct head h;
    int err;

    http_limits_default(&l);
    err = head__parse(&h, head_text, sizeof head_text - 1, &l, &r);
    if (err < 0) return err;
    if (strcmp(h.path, "/v1/jobs/a b") != 0 || h.arg_count != 2 || strcmp(h.args[0].value, "x=y") != 0 ||
        strcmp(head__field(&h, "Accept"), "text/html, text/plain") != 0 || h.length != 5)
        _exit(70);
    head__release(&h);
    return 0;
}

static void test_head(void **state)
{
    /* The whole head, or an error. */
    assert_true(nomem_sweep(parse_head, NULL) >= (NOMEM_ACTIVE ? 3 : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_head)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

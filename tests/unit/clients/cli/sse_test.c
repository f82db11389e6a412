/* tests/unit/clients/cli/sse_test.c -- clients/cli/sse.c */
#include "clients/cli/sse.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int collect(void *user, const struct sse_event *e)
{
    buf_addf(user, "[%s|%s|%.*s]", e->type, e->id, (int)e->len, e->data);
    return 0;
}

static void check(const char *in, const char *want)
{
    for (size_t step = 1; step <= strlen(in); step++) {
        struct buf out = BUF_INIT;
        struct sse s;

        sse_init(&s);
        for (size_t at = 0; at < strlen(in); at += step)
            assert_int_equal(sse_feed(&s, in + at, strlen(in) - at < step ? strlen(in) - at : step,
                                      collect, &out),
                             0);
        assert_string_equal(buf_cstr(&out), want);
        sse_release(&s);
        buf_release(&out);
    }
}

static void events_come_whole(void **state)
{
    /* Events are the same however the bytes are cut; ids stay, types do not; comments and retry are dropped. */
    check("retry: 1000\n\n: ping\n\nevent: lines\nid: 1:5\ndata: {}\n\n", "[lines|1:5|{}]");
    check("id: 1:5\ndata: a\n\ndata: b\n\n", "[message|1:5|a][message|1:5|b]");
    check("data: a\ndata: b\n\n", "[message||a\nb]");
    check("data:x\r\n\r\ndata: y\r\rdata\n\n", "[message||x][message||y][message||]");
    check("data: unfinished\n", "");
}

static void records_are_found(void **state)
{
    /* The records of a lines message are cut out exactly, braces and quotes in strings included. */
    const char *m = "{\"type\":\"lines\",\"cursor\":\"1:2\",\"lines\":[{\"seq\":1,\"msg\":\"}]\\\"{"
                    "\",\"fields\":{\"a\":{}}},{\"seq\":2}]}";
    const char *line;
    size_t pos = 0, len;

    assert_int_equal(lines_next(m, strlen(m), &pos, &line, &len), 1);
    assert_int_equal(len, strlen("{\"seq\":1,\"msg\":\"}]\\\"{\",\"fields\":{\"a\":{}}}"));
    assert_int_equal(lines_next(m, strlen(m), &pos, &line, &len), 1);
    assert_memory_equal(line, "{\"seq\":2}", len);
    assert_int_equal(lines_next(m, strlen(m), &pos, &line, &len), 0);
    for (size_t cut = 0; cut < strlen(m) - 2; cut++) {
        int err;

        pos = 0;
        while ((err = lines_next(m, cut, &pos, &line, &len)) > 0)
            assert_true(line + len <= m + cut);
        assert_int_equal(err, ERR_PROTOCOL);
    }
}

static void states_become_canonical(void **state)
{
    /* The canonical line of a state message is what stands behind type and cursor. */
    const char *m = "{\"type\":\"state\",\"cursor\":\"1:2\",\"seq\":2,\"ts\":\"t\",\"state\":\"S\","
                    "\"msg\":\"\"}";
    struct buf out = BUF_INIT;

    assert_int_equal(lines_state(m, strlen(m), &out), 0);
    assert_string_equal(buf_cstr(&out), "{\"seq\":2,\"ts\":\"t\",\"state\":\"S\",\"msg\":\"\"}");
    assert_int_equal(lines_state("{}", 2, &out), ERR_PROTOCOL);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_whole),
        cmocka_unit_test(records_are_found),
        cmocka_unit_test(states_become_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

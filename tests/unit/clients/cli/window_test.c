/* tests/unit/clients/cli/window_test.c -- clients/cli/window.c */
#include "clients/cli/window.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void begins_after_what_the_server_holds(void **state)
{
    /* After a welcome sending begins at last + 1, and only a durable last may be forgotten. */
    struct window w;

    window_init(&w);
    assert_false(window_may_send(&w, 1, 0));
    window_open(&w, 41, 1, 2, 100);
    assert_int_equal(w.next, 42);
    assert_int_equal(w.durable, 41);
    window_open(&w, 50, 0, 2, 100);
    assert_int_equal(w.durable, 41);
    window_open(&w, 10, 0, 2, 100); /* the server was rolled back */
    assert_int_equal(w.durable, 10);
}

static void keeps_within_the_window(void **state)
{
    /* Never more messages or bytes in flight than allowed, but one message always. */
    struct window w;

    window_init(&w);
    window_open(&w, 0, 1, 2, 100);
    assert_true(window_may_send(&w, 1000, 0));
    window_sent(&w, 5, 60, 1);
    assert_false(window_may_send(&w, 41, 2));
    assert_true(window_may_send(&w, 40, 2));
    window_sent(&w, 9, 40, 2);
    assert_false(window_may_send(&w, 0, 3));
    assert_int_equal(window_oldest_us(&w), 1);
    assert_int_equal(window_ack(&w, 7, 5), 0); /* in the middle of the second message */
    assert_true(window_may_send(&w, 60, 3));
    assert_int_equal(window_oldest_us(&w), 2);
    assert_int_equal(window_ack(&w, 9, 9), 0);
    assert_int_equal(window_oldest_us(&w), 0);
    assert_int_equal(w.durable, 9);
}

static void rewinds(void **state)
{
    /* gap goes back to expected, busy to accepted + 1 after a pause; what was in flight is forgotten. */
    struct window w;

    window_init(&w);
    window_open(&w, 0, 1, 8, 1000);
    window_sent(&w, 10, 10, 0);
    window_sent(&w, 20, 10, 0);
    assert_int_equal(window_ack(&w, 10, 10), 0);
    assert_int_equal(window_gap(&w, 6), 0);
    assert_int_equal(w.next, 6);
    assert_int_equal(w.durable, 5);
    assert_int_equal(w.count, 0);
    window_sent(&w, 20, 10, 0);
    window_busy(&w, 2000000, 100);
    assert_int_equal(w.next, 6);
    assert_false(window_may_send(&w, 1, 2000099));
    assert_true(window_may_send(&w, 1, 2000100));
    assert_int_equal(window_ack(&w, 20, 20), 0); /* it had come through after all */
    assert_int_equal(w.next, 21);
}

static void impossible_answers_are_refused(void **state)
{
    /* An ack of what was never sent, a durable beyond accepted, a gap ahead: ERR_PROTOCOL, nothing moves. */
    struct window w;

    window_init(&w);
    window_open(&w, 0, 1, 8, 1000);
    window_sent(&w, 10, 10, 0);
    assert_int_equal(window_ack(&w, 11, 0), ERR_PROTOCOL);
    assert_int_equal(window_ack(&w, 5, 6), ERR_PROTOCOL);
    assert_int_equal(window_gap(&w, 12), ERR_PROTOCOL);
    assert_int_equal(window_gap(&w, 0), ERR_PROTOCOL);
    assert_int_equal(w.accepted, 0);
    assert_int_equal(w.count, 1);
    assert_int_equal(window_ack(&w, 10, 10), 0);
    assert_int_equal(window_ack(&w, 4, 4), 0); /* late: no step back */
    assert_int_equal(w.accepted, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_after_what_the_server_holds),
        cmocka_unit_test(keeps_within_the_window),
        cmocka_unit_test(rewinds),
        cmocka_unit_test(impossible_answers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/alert/schedule_test.c -- what becomes of a delivery, and signatures as Standard Webhooks' own example has them. */
#include "alert/schedule.h"
#include "alert/sign.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SEC INT64_C(1000000)

static const struct schedule schedule = {5 * SEC, 3600 * SEC, 3 * 86400 * SEC};

/* Pauses grow threefold to the longest one, within a fifth; hundreds of tries over days, then it is given up. */
static void test_pauses(void **state)
{
    int64_t at_us = 0, want = 5 * SEC, now = 0;
    uint32_t tries = 0;
    char why[SCHEDULE_WHY_BYTES];

    for (;; tries++) {
        struct attempt a = {.why = "refused",
                            .tries = tries,
                            .now_us = now,
                            .random = tries * UINT64_C(0x9e3779b97f4a7c15)};
        enum outcome o = schedule_judge(&schedule, &a, &at_us, why, sizeof why);
        if (o == OUTCOME_DEAD)
            break;
        assert_int_equal(o, OUTCOME_LATER);
        assert_string_equal(why, "refused");
        assert_in_range(at_us - now, want - want / 5, want + want / 5);
        now = at_us;
        want = want * 3 > 3600 * SEC ? 3600 * SEC : want * 3;
    }
    assert_in_range(now, 3 * 86400 * SEC - 2 * 3600 * SEC, 3 * 86400 * SEC);
    assert_in_range(tries, 60, 100);
}

/* Zero means for ever. */
static void test_for_ever(void **state)
{
    struct schedule s = {5 * SEC, 3600 * SEC, 0};
    struct attempt a = {.status = 503, .tries = 4000000000u, .now_us = 400 * 86400 * SEC};
    int64_t at_us = 0;
    char why[SCHEDULE_WHY_BYTES];

    assert_int_equal(schedule_judge(&s, &a, &at_us, why, sizeof why), OUTCOME_LATER);
    assert_in_range(at_us - a.now_us, 2880 * SEC, 4320 * SEC);
}

/* Each status has its own consequence; Retry-After is heeded, up to a day. */
static void test_statuses(void **state)
{
    static const struct {
        int status;
        uint32_t tries;
        enum outcome want;
    } cases[] = {{200, 0, OUTCOME_SENT},  {204, 9, OUTCOME_SENT},  {299, 0, OUTCOME_SENT},
                 {301, 0, OUTCOME_LATER}, {302, 9, OUTCOME_LATER}, {400, 0, OUTCOME_LATER},
                 {400, 4, OUTCOME_DEAD},  {413, 4, OUTCOME_DEAD},  {422, 4, OUTCOME_DEAD},
                 {401, 9, OUTCOME_LATER}, {404, 9, OUTCOME_LATER}, {408, 9, OUTCOME_LATER},
                 {429, 9, OUTCOME_LATER}, {500, 9, OUTCOME_LATER}, {410, 0, OUTCOME_GONE},
                 {0, 9, OUTCOME_LATER},   {199, 0, OUTCOME_LATER}};
    int64_t at_us = 0;
    char why[SCHEDULE_WHY_BYTES];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attempt a = {.status = cases[i].status, .tries = cases[i].tries};
        if (schedule_judge(&schedule, &a, &at_us, why, sizeof why) != cases[i].want)
            fail_msg("%d after %u", cases[i].status, cases[i].tries);
    }
    struct attempt a = {.status = 503, .retry_after_us = 600 * SEC};
    assert_int_equal(schedule_judge(&schedule, &a, &at_us, why, sizeof why), OUTCOME_LATER);
    assert_int_equal(at_us, 600 * SEC);
    a.retry_after_us = 1000 * 86400 * SEC;
    assert_int_equal(schedule_judge(&schedule, &a, &at_us, why, sizeof why), OUTCOME_LATER);
    assert_int_equal(at_us, 86400 * SEC);
}

/* The example of the specification: its secret, its message, its signature. */
static void test_signature(void **state)
{
    static const char id[] = "msg_p5jXN8AQM9LWM0D4loKWxJek", body[] = "{\"test\": 2432232314}";
    struct receiver_secret s[2] = {0};
    struct buf out = BUF_INIT;
    int n = receiver_base64("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 32, s[0].key, sizeof s[0].key);

    assert_int_equal(n, 24);
    s[0].len = (size_t)n;
    memset(s[1].key, 7, 32);
    s[1].len = 32;
    assert_int_equal(sign_add(&out, s, 1, id, strlen(id), 1614265330, body, strlen(body)), 0);
    assert_string_equal(buf_cstr(&out), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    buf_clear(&out);
    assert_int_equal(sign_add(&out, s, 2, id, strlen(id), 1614265330, body, strlen(body)), 0);
    assert_int_equal(
        strncmp(buf_cstr(&out), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,", 51), 0);
    assert_int_equal(out.len, 2 * 47 + 1);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses), cmocka_unit_test(test_for_ever),
        cmocka_unit_test(test_statuses), cmocka_unit_test(test_signature)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

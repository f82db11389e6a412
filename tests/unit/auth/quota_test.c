/*
 * tests/unit/auth/quota_test.c -- how much a token may do, by a clock that the test turns.
 */
#include "auth/caller.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

#define SEC INT64_C(1000000)

static void test_average(void **state)
{
    /* Whatever the size of batches, over a long time what is taken is the rate, plus the burst and one batch at most. */
    unit_seed();
    for (int round = 0; round < 50; round++) {
        struct quotas q = {{0}};
        struct quota_use u = {.tailers = 0};
        uint64_t rate = q.max[QUOTA_LINES] = 1 + unit_below(5000), taken = 0, batch_max = 1 + unit_below(20000), batch = 0;
        int64_t now = SEC, end = 3600 * SEC;
        enum quota which;
        while (now < end) {
            int64_t wait = quota_wait(&q, &u, now, &which);
            if (wait) {
                assert_int_equal(which, QUOTA_LINES);
                now += wait; /* exactly then it is taken again */
                assert_int_equal(quota_wait(&q, &u, now, &which), 0);
            }
            batch = 1 + unit_below(batch_max);
            quota_charge(&q, &u, batch, 0, now);
            taken += batch;
            now += (int64_t)unit_below(1000);
        }
        uint64_t allowed = rate * (uint64_t)(now / SEC);
        assert_true(taken <= allowed + rate * (QUOTA_BURST_S + 1) + batch_max);
        assert_true(taken + batch_max + rate >= rate * (uint64_t)((end - SEC) / SEC)); /* and not less */
    }
}

static void test_burst(void **state)
{
    /* A rested bucket gives two seconds' worth and no more, however long it rested. */
    struct quotas q = {{0}};
    struct quota_use u = {.tailers = 0};
    enum quota which;
    unsigned got = 0;
    q.max[QUOTA_BYTES] = 100;
    quota_wait(&q, &u, SEC, &which);
    for (int64_t now = 1000000 * SEC; !quota_wait(&q, &u, now, &which); got++)
        quota_charge(&q, &u, 1, 1, now);
    assert_int_equal(got, 200);
    assert_int_equal(which, QUOTA_BYTES);
}

static void test_worst_counts(void **state)
{
    /* Of two buckets in debt the longer wait is told; stored bytes come before both. */
    struct quotas q = {{0}};
    struct quota_use u = {.tailers = 0};
    enum quota which;
    assert_int_equal(quota_wait(&q, &u, SEC, &which), 0); /* none: nothing is counted */
    quota_charge(&q, &u, 1u << 30, 1u << 30, SEC);
    assert_int_equal(quota_wait(&q, &u, SEC, &which), 0);
    q.max[QUOTA_LINES] = 10;
    q.max[QUOTA_BYTES] = 10;
    quota_charge(&q, &u, 120, 1020, SEC);
    int64_t wait = quota_wait(&q, &u, SEC, &which);
    assert_int_equal(which, QUOTA_BYTES);
    assert_in_range(wait, 100 * SEC, 100 * SEC + 2);
    q.max[QUOTA_STORED] = 1000;
    u.stored = 900;
    assert_int_equal(quota_wait(&q, &u, 1000 * SEC, &which), 0);
    assert_true(u.is_stored_wanted);
    quota_charge(&q, &u, 1, 100, 1000 * SEC);
    assert_true(quota_wait(&q, &u, 2000 * SEC, &which) > 0);
    assert_int_equal(which, QUOTA_STORED);
}

static void test_json(void **state)
{
    /* Quotas are known words with whole numbers above 0; anything else is refused and named. */
    static const struct {
        const char *text;
        const char *bad; /* NULL: good */
    } rows[] = {
        {"{}", NULL}, {"{\"lines_per_second\":1,\"stored_bytes\":9007199254740991}", NULL},
        {"{\"lines\":1}", "lines"}, {"{\"tailers\":0}", "tailers"}, {"{\"tailers\":-1}", "tailers"},
        {"{\"tailers\":1.5}", "tailers"}, {"{\"tailers\":\"3\"}", "tailers"}, {"{\"live_jobs\":9007199254740992}", "live_jobs"},
        {"[]", "quotas"}, {"7", "quotas"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_tree *v = NULL;
        struct quotas q = {{0}};
        const char *bad = NULL;
        assert_int_equal(json_tree_parse(rows[i].text, strlen(rows[i].text), &v, NULL), 0);
        int err = quotas_read(&q, v, &bad);
        assert_int_equal(err, rows[i].bad ? ERR_INVALID : 0);
        if (rows[i].bad)
            assert_string_equal(bad, rows[i].bad);
        json_tree_free(&v);
    }
    struct quotas q = {.max = {[QUOTA_TAILERS] = 3, [QUOTA_LINES] = 5}};
    struct buf out = BUF_INIT;
    struct json j;
    json_init(&j, &out);
    quotas_write(&j, &q);
    assert_string_equal(buf_cstr(&out), "{\"lines_per_second\":5,\"tailers\":3}");
    buf_clear(&out);
    assert_int_equal(quota_answer(&q, QUOTA_LINES, 1500000, &out), 2);
    assert_string_equal(buf_cstr(&out), "{\"code\":\"quota\",\"message\":\"this token has used up its lines per second: 5 are "
                                        "allowed\",\"quota\":\"lines_per_second\",\"limit\":5}");
    buf_release(&out);
}

static void test_tailers(void **state)
{
    /* A token has so many tails at a time; one that ends makes room; other callers are not counted. */
    struct token *t = token_new();
    struct caller *c[3], *free_one = caller_new(NULL);
    t->quotas.max[QUOTA_TAILERS] = 2;
    for (int i = 0; i < 3; i++)
        c[i] = caller_new(t);
    assert_int_equal(caller_tail(c[0]), 0);
    assert_int_equal(caller_tail(c[0]), 0); /* counts once */
    assert_int_equal(caller_tail(c[1]), 0);
    assert_int_equal(caller_tail(c[2]), ERR_LIMIT);
    assert_int_equal(caller_tail(free_one), 0);
    assert_int_equal(caller_tail(NULL), 0);
    caller_free(c[0]);
    assert_int_equal(caller_tail(c[2]), 0);
    caller_free(c[1]);
    caller_free(c[2]);
    assert_int_equal(t->use.tailers, 0);
    caller_free(free_one);
    caller_free(NULL);
    token_unref(&t);
}

static void test_project(void **state)
{
    /* A caller of one project sees that one, one of all sees each; without a token nothing is hidden. */
    struct token *one = token_new(), *all = token_new();
    strcpy(one->project, "p");
    one->scopes = SCOPE_READ;
    all->scopes = SCOPE_ALL;
    struct caller *a = caller_new(one), *b = caller_new(all), *n = caller_new(NULL);
    assert_string_equal(caller_project(a), "p");
    assert_null(caller_project(b));
    assert_true(caller_may_see(a, "p") && !caller_may_see(a, "q") && !caller_may_see(a, "") && !caller_may_see(a, "pp"));
    assert_true(caller_may_see(b, "q") && caller_may_see(n, "q") && caller_may_see(NULL, "q"));
    assert_true(caller_has(a, SCOPE_READ) && !caller_has(a, SCOPE_INGEST));
    assert_true(caller_has(b, SCOPE_ADMIN) && caller_has(n, SCOPE_ADMIN));
    caller_free(a);
    caller_free(b);
    caller_free(n);
    token_unref(&one);
    token_unref(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_average), cmocka_unit_test(test_burst),   cmocka_unit_test(test_worst_counts),
        cmocka_unit_test(test_json),    cmocka_unit_test(test_tailers), cmocka_unit_test(test_project),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

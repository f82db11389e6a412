/*
 * tests/unit/ingest/http_events_test.c -- POST events: what is taken, and every answer.
 */
#include "tests/unit/ingest/fake_hall.h"

static struct http *post(const char *text)
{
    struct http *x = calloc(1, sizeof *x);
    x->body_length = (int64_t)strlen(text);
    fake_change_done = NULL;
    ingest_http_events(fake_ingest, x, &fake_key);
    if (x->started) return x;
    for (const char *p = text; *p; p++) x->h->on_body(x, p, 1);
    x->h->on_body_end(x);
    return x;
}

static void end(struct http **x)
{
    (*x)->h->on_close(*x, 1);
    buf_release(&(*x)->reply);
    free(*x);
    *x = NULL;
}

static void test_moved(void **state)
{
    (void)state; /* A change is passed on whole and answered with the state before it and its record's seq. */
    struct http *x =
        post("{\"state\":\"failed\",\"ts\":1764000000.25,\"message\":\"oom\",\"exit_code\":137,\"rank\":3}");
    assert_int_equal(fake_change.to, STATE_FAILED);
    assert_int_equal(fake_change.ts_us, INT64_C(1764000000250000));
    assert_string_equal(fake_change_message, "oom");
    assert_int_equal(fake_change.has_exit_code, 1);
    assert_int_equal(fake_change.exit_code, 137);
    assert_int_equal(fake_change.rank, 3);
    assert_string_equal(fake_change.key.job, "demo");
    assert_false(x->started);
    fake_change_done(fake_change_user, 0, 1, STATE_RUNNING, 77);
    assert_int_equal(x->status, 200);
    assert_string_equal(buf_cstr(&x->reply), "{\"state\":\"TRAINING_JOB_FAILED\",\"previous\":\"TRAINING_JOB_"
                                             "RUNNING\",\"moved\":true,\"seq\":77}\n");
    end(&x);
    x = post("{\"state\":\"TRAINING_JOB_RUNNING\"}");
    assert_int_equal(fake_change.ts_us, 0);
    assert_int_equal(fake_change.rank, RECORD_RANK_NONE);
    assert_int_equal(fake_change.has_exit_code, 0);
    fake_change_done(fake_change_user, 0, 0, STATE_RUNNING, 0);
    assert_non_null(strstr(buf_cstr(&x->reply), "\"moved\":false"));
    end(&x);
}

static void test_refused(void **state)
{
    (void)state; /* What is no event is 400 and says which member is wrong; nothing reaches the stream. */
    static const char *const bad[][2] = {{"", "JSON"},
                                         {"[]", "JSON"},
                                         {"{", "JSON"},
                                         {"{}", "state"},
                                         {"{\"state\":1}", "state"},
                                         {"{\"state\":\"happy\"}", "state"},
                                         {"{\"state\":\"FAILED\",\"ts\":\"soon\"}", "ts"},
                                         {"{\"state\":\"FAILED\",\"ts\":true}", "ts"},
                                         {"{\"state\":\"FAILED\",\"exit_code\":\"1\"}", "exit_code"},
                                         {"{\"state\":\"FAILED\",\"exit_code\":1.5}", "exit_code"},
                                         {"{\"state\":\"FAILED\",\"rank\":65536}", "rank"},
                                         {"{\"state\":\"FAILED\",\"message\":5}", "message"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct http *x = post(bad[i][0]);
        assert_int_equal(x->status, 400);
        assert_non_null(strstr(buf_cstr(&x->reply), bad[i][1]));
        assert_null(fake_change_done);
        end(&x);
    }
    char *big = calloc(1, 70000);
    memset(big, ' ', 69999);
    struct http *x = post(big);
    assert_int_equal(x->status, 413);
    end(&x);
    free(big);
}

static void test_errors(void **state)
{
    (void)state; /* The stream's refusals: 409 with the state it is in, 404, 503. */
    static const struct {
        int err, status;
        const char *has;
    } table[] = {{ERR_TRANSITION, 409, "\"code\":\"bad_transition\""},
                 {ERR_TRANSITION, 409, "\"state\":\"TRAINING_JOB_COMPLETED\""},
                 {ERR_NOT_FOUND, 404, "not_found"},
                 {ERR_SEALED, 409, "sealed"},
                 {ERR_UNAVAILABLE, 503, "unavailable"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct http *x = post("{\"state\":\"RUNNING\"}");
        fake_change_done(fake_change_user, table[i].err, 0, STATE_COMPLETED, 0);
        assert_int_equal(x->status, table[i].status);
        assert_non_null(strstr(buf_cstr(&x->reply), table[i].has));
        end(&x);
    }
    struct http *x = post("{\"state\":\"RUNNING\"}"); /* gone before the answer */
    end(&x);
    assert_false(ingest_idle(fake_ingest));
    fake_change_done(fake_change_user, 0, 1, STATE_CREATED, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_open, fake_close)
int main(void)
{
    const struct CMUnitTest tests[] = {T(test_moved), T(test_refused), T(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

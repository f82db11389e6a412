/*
 * tests/unit/alert/nomem_test.c -- every allocation of reading rules and receivers, of evaluating a log, and of making what is
 * delivered fails once: never a crash, never a delivery that is cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/nomem.h"

#include "alert/eval.h"
#include "alert/event.h"
#include "alert/ruleset.h"
#include "base/err.h"

#define START_US INT64_C(1764000000000000)

static const char config[] =
    "{\"rules\":[{\"id\":\"nan\",\"line\":{\"contains\":\"NaN\"},\"labels\":{\"team\":\"a\"},"
    "\"annotations\":{\"summary\":\"{{job}}: {{line}}\"}},"
    "{\"id\":\"many\",\"rate\":{\"count\":2,\"per\":\"1m\",\"pattern\":\"loss (?P<value>[a-zA-Z]+)\"}},"
    "{\"id\":\"low\",\"metric\":{\"name\":\"loss\",\"above\":1}}],"
    "\"receivers\":[{\"id\":\"w\",\"url\":\"http://h/\",\"secrets\":[\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"],"
    "\"headers\":{\"X-A\":\"b\"}},"
    "{\"id\":\"am\",\"kind\":\"alertmanager\",\"url\":\"http://h/\"},"
    "{\"id\":\"s\",\"kind\":\"json\",\"url\":\"http://h/\",\"body\":{\"t\":\"{{title}} {{line}} {{evidence}}\"}}]}";

static int make_set(struct ruleset **ret)
{
    struct ruleset_draft d;
    struct fields_why why;
    int err;

    memset(&d, 0, sizeof d);
    err = ruleset_parse(config, sizeof config - 1, SOURCE_FILE, START_US, &d, &why);
    if (err >= 0) *ret = ruleset_make(&d);
    ruleset_draft_release(&d);
    return err;
}

/* What was written is a rule, whatever memory there is: one that is taken for a mistake would be left out. */
static void read_again(struct buf *rule, struct buf *receiver)
{
    struct rule *r = NULL;
    struct receiver *to = NULL;
    struct fields_why why;

    if (rule_parse(buf_cstr(rule), rule->len, &r, &why) < 0 || receiver_parse(buf_cstr(receiver), receiver->len, &to, &why) < 0)
        _exit(80);
    rule_free(&r);
    receiver_free(&to);
}

static int read_config(void)
{
    struct ruleset *s = NULL;
    struct buf rule = BUF_INIT, receiver = BUF_INIT;
    int err = make_set(&s);

    if (err == ERR_INVALID || (err >= 0 && (s->rule_count != 3 || s->receiver_count != 3))) _exit(70);
    for (uint32_t i = 0; err >= 0 && i < 3; i++) {
        buf_clear(&rule);
        buf_clear(&receiver);
        err = rule_write(&rule, s->rules[i]);
        if (err >= 0) err = receiver_write(&receiver, s->receivers[i], 1);
        if (err >= 0 && (rule.data[rule.len - 1] != '}' || receiver.data[receiver.len - 1] != '}')) _exit(71);
        if (err >= 0) read_again(&rule, &receiver);
    }
    ruleset_unref(&s);
    buf_release(&rule);
    buf_release(&receiver);
    return err;
}

static const char text[] =
    "{\"seq\":1,\"ts\":\"2025-11-24T16:00:00.000001Z\",\"rank\":3,\"msg\":\"step 1 loss 2.5\"}\n"
    "{\"seq\":2,\"ts\":\"2025-11-24T16:00:00.000002Z\",\"rank\":3,\"msg\":\"step 2 loss NaN\"}\n"
    "{\"seq\":3,\"ts\":\"2025-11-24T16:00:00.000003Z\",\"rank\":3,\"msg\":\"step 3 loss NaN\"}\n";

static int is_json(const char *data, size_t len)
{
    struct json_tree *root = NULL;
    int ok;

    nomem_pause();
    ok = json_tree_parse(data, len, &root, NULL) == 0;
    json_tree_free(&root);
    nomem_at = nomem_kept; /* passes go on */
    return ok;
}

/* The members of one. */
static int is_object(const char *members, size_t len)
{
    struct buf whole = BUF_INIT;
    long at = nomem_at;
    int ok;

    nomem_at = 0;
    ok = buf_addf(&whole, "{%.*s}", (int)len, members) == 0;
    nomem_at = at;
    ok = ok && is_json(whole.data, whole.len);
    buf_release(&whole);
    return ok;
}

/* What the log makes of the rules; a saved state is one that can be loaded. */
static int evaluate(void)
{
    struct ruleset *s = NULL;
    struct job_info *info;
    struct eval *e, *again;
    struct eval_alert *alerts = NULL;
    struct eval_frame f = {.text = text, .len = sizeof text - 1, .first_seq = 1, .recv_us = START_US};
    struct buf saved = BUF_INIT;
    uint32_t count;
    int err;

    nomem_pause();
    if (make_set(&s) < 0) _exit(72);
    info = job_info_new();
    info->epoch = 1;
    info->state = STATE_RUNNING;
    info->created_us = START_US - 1000000;
    job_key_make(&info->key, "default", 7, "demo", 4);
    nomem_begin();
    e = eval_new(info);
    again = eval_new(info);
    eval_set_rules(e, s, START_US - 1000);
    eval_begin(e, 0);
    eval_feed(e, &f);
    eval_tick(e, START_US + 1000);
    count = eval_take(e, &alerts);
    if (count < 2 || eval_upto(e) != 3) _exit(73);
    for (uint32_t i = 0; i < count; i++)
        if (!is_object(alerts[i].json, alerts[i].json_len)) _exit(74);
    err = eval_save(e, &saved);
    if (err >= 0) {
        eval_set_rules(again, s, START_US - 1000);
        err = eval_load(again, saved.data, saved.len, 3);
        if (err == ERR_INVALID) _exit(79);
    }
    eval_alerts_free(&alerts, count);
    eval_free(&e);
    eval_free(&again);
    job_info_free(&info);
    ruleset_unref(&s);
    buf_release(&saved);
    return err;
}

static const char core_text[] =
    "{\"id\":\"al_1\",\"status\":\"firing\",\"rule\":\"nan\",\"project\":\"default\",\"job\":\"demo\",\"severity\":\"critical\","
    "\"rank\":3,\"title\":\"loss is NaN\",\"starts_at\":\"2025-11-24T16:00:00Z\",\"seq\":2,\"line\":\"step 2 loss NaN\","
    "\"labels\":{\"team\":\"a\"},\"captures\":{\"x\":\"7\"}}";

/* To each receiver in turn: a whole document, or an error. */
static int deliver(void)
{
    struct ruleset *s = NULL;
    struct json_tree *core = NULL, *event = NULL;
    struct event_context c = {.public_url = "http://logs/", .evidence = text, .evidence_len = sizeof text - 1};
    struct buf out = BUF_INIT, parcel = BUF_INIT, body = BUF_INIT;
    struct event_parcel p;
    int err;

    nomem_pause();
    if (make_set(&s) < 0) _exit(75);
    nomem_begin();
    c.set = s;
    err = json_tree_parse(core_text, sizeof core_text - 1, &core, NULL);
    if (err >= 0) err = event_alert(&out, core, &c);
    if (err >= 0 && !is_json(out.data, out.len)) _exit(76);
    if (err >= 0) err = json_tree_parse(out.data, out.len, &event, NULL);
    for (uint32_t i = 0; err >= 0 && i < s->receiver_count; i++) {
        buf_clear(&parcel);
        err = event_delivery(&parcel, s->receivers[i], event, out.data, out.len, START_US);
        if (err >= 0 && (event_parcel_read(parcel.data, parcel.len, &p) < 0 || !is_json(p.body, p.body_len))) _exit(77);
    }
    if (err >= 0) err = event_alertmanager(&body, event, START_US);
    if (err >= 0 && !is_json(body.data, body.len)) _exit(78);
    json_tree_free(&core);
    json_tree_free(&event);
    ruleset_unref(&s);
    buf_release(&out);
    buf_release(&parcel);
    buf_release(&body);
    return err;
}

static void test_config(void **state)
{
    /* The whole set, refused, or the end of the process. */
    assert_true(nomem_sweep(read_config, NULL) > (NOMEM_ACTIVE ? 20 : 0));
}

static void test_evaluating(void **state)
{
    /* Every alert, or the end of the process; a state that can be loaded, or an error. */
    assert_true(nomem_sweep(evaluate, NULL) > (NOMEM_ACTIVE ? 20 : 0));
}

static void test_delivering(void **state)
{
    /* A whole body, or an error. */
    assert_true(nomem_sweep(deliver, NULL) > (NOMEM_ACTIVE ? 20 : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_config), cmocka_unit_test(test_evaluating),
                                       cmocka_unit_test(test_delivering)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

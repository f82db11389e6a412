/* tests/unit/alert/rule_test.c -- what is taken as a rule, what is refused and where, and that it is written as read. */
#include "alert/rule.h"
#include "alert/ruleset.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct rule *read_ok(const char *text)
{
    struct fields_why why = {"", ""};
    struct rule *r = NULL;
    if (rule_parse(text, strlen(text), &r, &why) < 0)
        fail_msg("%s: %s: %s", text, why.path, why.text);
    return r;
}

/* Every mistake is refused with the path of its member. */
static void test_mistakes_have_a_place(void **state)
{
    static const struct {
        const char *text, *path, *says;
    } cases[] = {
        {"[]", "$", "object"},
        {"{\"id\":\"a\"", "$", "not JSON"},
        {"{\"id\":\"a\"}", "$", "a condition is wanted"},
        {"{\"id\":\"a b\",\"line\":{\"contains\":\"x\"}}", "$.id", "letters"},
        {"{\"line\":{\"contains\":\"x\"}}", "$.id", "missing"},
        {"{\"id\":\"a\",\"line\":{}}", "$.line", "level, contains or pattern"},
        {"{\"id\":\"a\",\"line\":{\"contians\":\"x\"}}", "$.line.contians", "no such member"},
        {"{\"id\":\"a\",\"line\":{\"pattern\":\"(x\"}}", "$.line.pattern", "missing )"},
        {"{\"id\":\"a\",\"line\":{\"level\":\"loud\"}}", "$.line.level", "trace"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\",\"rank\":\"3-1\"}}", "$.line.rank", "ranks"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"state\":{\"in\":[\"FAILED\"]}}", "$.line",
         "second"},
        {"{\"id\":\"a\",\"state\":{\"in\":[]}}", "$.state.in", "list of states"},
        {"{\"id\":\"a\",\"state\":{\"in\":[\"FAILED\",\"GONE\"]}}", "$.state.in[1]", "a state"},
        {"{\"id\":\"a\",\"state\":{\"in\":[\"FAILED\"]},\"for\":\"5m\"}", "$.for", "terminal"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"for\":\"5m\"}", "$.for", "only conditions"},
        {"{\"id\":\"a\",\"silence\":{\"quiet\":\"5 parsecs\"}}", "$.silence.quiet", "a time"},
        {"{\"id\":\"a\",\"silence\":{\"quiet\":\"1ms\"}}", "$.silence.quiet", "from 100ms to 30d"},
        {"{\"id\":\"a\",\"silence\":{\"quiet\":\"5m\",\"of\":\"node\"}}", "$.silence.of",
         "job|rank|peers"},
        {"{\"id\":\"a\",\"absence\":{\"contains\":\"x\"}}", "$.absence.within", "missing"},
        {"{\"id\":\"a\",\"rate\":{\"count\":1,\"per\":\"1m\",\"level\":\"error\"}}", "$.rate.count",
         "from 2 to 256"},
        {"{\"id\":\"a\",\"rate\":{\"count\":5,\"per\":\"1m\"}}", "$.rate",
         "level, contains or pattern"},
        {"{\"id\":\"a\",\"metric\":{\"name\":\"loss\"}}", "$.metric", "exactly one"},
        {"{\"id\":\"a\",\"metric\":{\"name\":\"loss\",\"above\":1,\"below\":2}}", "$.metric",
         "exactly one"},
        {"{\"id\":\"a\",\"metric\":{\"name\":\"loss\",\"is\":\"inf\"}}", "$.metric.is", "nan"},
        {"{\"id\":\"a\",\"metric\":{\"name\":\"t\",\"below_median_percent\":100}}",
         "$.metric.below_median_percent", "between"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"group_by\":[\"colour\"]}", "$.group_by[0]",
         "cannot be grouped"},
        {"{\"id\":\"a\",\"line\":{\"pattern\":\"(?P<x>.)\"},\"group_by\":[\"captures.y\"]}",
         "$.group_by[0]", "grouped"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"labels\":{\"a-b\":\"c\"}}", "$.labels.a-b",
         "letters"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"labels\":{\"a\":1}}", "$.labels.a",
         "string"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"annotations\":{\"s\":\"{{jbo}}\"}}",
         "$.annotations.s", "{{jbo}}"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"annotations\":{\"s\":\"hi {{job\"}}",
         "$.annotations.s", "byte 3"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"annotations\":{\"s\":\"{{captures.y}}\"}}",
         "$.annotations.s", "captures.y"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"receivers\":[\"ok\",\"no no\"]}",
         "$.receivers[1]", "id of a receiver"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"severity\":\"bad\"}", "$.severity",
         "info|warning"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"muted_until\":\"soon\"}", "$.muted_until",
         "a time like"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"enabled\":1}", "$.enabled",
         "true or false"},
        {"{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"max_per_hour\":-1}", "$.max_per_hour",
         "whole number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fields_why why = {"", ""};
        struct rule *r = NULL;
        assert_int_equal(rule_parse(cases[i].text, strlen(cases[i].text), &r, &why), ERR_INVALID);
        if (strcmp(why.path, cases[i].path) != 0 || !strstr(why.text, cases[i].says))
            fail_msg("%s: got %s: %s", cases[i].text, why.path, why.text);
    }
}

/* A rule that is written and read again is the same rule: text, condition hash and all. */
static void test_written_as_read(void **state)
{
    static const char *const texts[] = {
        "{\"id\":\"a\",\"line\":{\"level\":\"warning\",\"contains\":\"CUDA "
        "\\\"x\\\"\",\"pattern\":\"gpu (?P<gpu>\\\\d+)\","
        "\"ignore_case\":true,\"rank\":\"0,3-5\",\"replica\":\"n-1\",\"stream\":\"stderr\"},"
        "\"project\":\"p\",\"title\":\"T\","
        "\"jobs\":\"train-*\",\"job_labels\":{\"team\":\"v\"},\"group_by\":[\"job\",\"rank\","
        "\"captures.gpu\"],\"dedup\":90,"
        "\"keep_firing_for\":\"1h30m\",\"max_per_hour\":0,\"severity\":\"critical\",\"labels\":{"
        "\"a\":\"b\"},"
        "\"annotations\":{\"summary\":\"{{job}} {{ captures.gpu }} "
        "{{labels.gpu}}\"},\"receivers\":[\"pager\"],"
        "\"muted_until\":\"2026-01-01T00:00:00Z\",\"enabled\":false}",
        "{\"id\":\"b\",\"state\":{\"in\":[\"failed\",\"TRAINING_JOB_STOPPED\"]}}",
        "{\"id\":\"b\",\"state\":{\"in\":[\"queued\"]},\"for\":\"1h\"}",
        "{\"id\":\"c\",\"silence\":{\"quiet\":0.5,\"of\":\"peers\"},\"receivers\":[]}",
        "{\"id\":\"d\",\"absence\":{\"within\":\"2m\"}}",
        "{\"id\":\"e\",\"rate\":{\"count\":10,\"per\":\"1m\",\"level\":\"error\"},\"for\":\"10s\"}",
        "{\"id\":\"f\",\"stall\":{\"after\":\"10m\"}}",
        "{\"id\":\"g\",\"metric\":{\"name\":\"loss\",\"is\":\"nan\"}}",
        "{\"id\":\"h\",\"metric\":{\"name\":\"loss\",\"above\":10.5},\"for\":\"1m\"}",
        "{\"id\":\"i\",\"metric\":{\"name\":\"tokens/"
        "s\",\"below_median_percent\":60},\"group_by\":[\"rank\"]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct rule *r = read_ok(texts[i]), *again;
        struct buf x = BUF_INIT, y = BUF_INIT;
        assert_int_equal(rule_write(&x, r), 0);
        again = read_ok(buf_cstr(&x));
        assert_int_equal(rule_write(&y, again), 0);
        assert_string_equal(buf_cstr(&x), buf_cstr(&y));
        assert_int_equal(rule_condition_hash(r), rule_condition_hash(again));
        rule_free(&r);
        rule_free(&again);
        buf_release(&x);
        buf_release(&y);
    }
}

/* A rule covers jobs by project, name and every label, and no other. */
static void test_scope(void **state)
{
    struct rule *r = read_ok("{\"id\":\"a\",\"project\":\"p\",\"jobs\":\"tr*n-*\",\"job_labels\":{"
                             "\"team\":\"v\"},\"stall\":{\"after\":1}}");
    struct json_tree *yes, *no;
    struct job_key key;

    assert_int_equal(json_tree_parse("{\"team\":\"v\",\"x\":\"y\"}", 20, &yes, NULL), 0);
    assert_int_equal(json_tree_parse("{\"team\":\"w\"}", 12, &no, NULL), 0);
    job_key_make(&key, "p", 1, "train-7", 7);
    assert_true(rule_covers(r, &key, yes));
    assert_false(rule_covers(r, &key, no));
    assert_false(rule_covers(r, &key, NULL));
    job_key_make(&key, "q", 1, "train-7", 7);
    assert_false(rule_covers(r, &key, yes));
    job_key_make(&key, "p", 1, "train", 5);
    assert_false(rule_covers(r, &key, yes));
    rule_free(&r);
    json_tree_free(&yes);
    json_tree_free(&no);
}

/* The shipped set is readable, off, and holds what the manual says. */
static void test_starter_set(void **state)
{
    static const char *const ids[] = {"cuda-oom", "disk-full", "gpu-xid",      "job-failed",
                                      "job-hung", "nan-loss",  "nccl-timeout", "rank-silent"};
    struct fields_why why = {"", ""};
    struct ruleset_draft d = {0};
    struct ruleset *s;

    if (ruleset_parse(ruleset_starter, strlen(ruleset_starter), SOURCE_STARTER, 1, &d, &why) < 0)
        fail_msg("%s: %s", why.path, why.text);
    s = ruleset_make(&d);
    assert_int_equal(s->rule_count, 8);
    assert_int_equal(s->enabled_count, 0);
    for (int i = 0; i < 8; i++) {
        assert_string_equal(s->rules[i]->id, ids[i]);
        assert_non_null(ruleset_rule(s, "", ids[i]));
    }
    ruleset_unref(&s);
}

/* A file's mistake is named with its place in the list, and a key may stand there once. */
static void test_file_mistakes(void **state)
{
    static const struct {
        const char *text, *path;
    } cases[] = {
        {"{\"rules\":[{\"id\":\"a\",\"stall\":{\"after\":1}},{\"id\":\"b\",\"line\":{\"pattern\":"
         "\"[\"}}]}",
         "$.rules[1].line.pattern"},
        {"{\"rules\":[{\"id\":\"a\",\"stall\":{\"after\":1}},{\"id\":\"a\",\"stall\":{\"after\":1}}"
         "]}",
         "$.rules[1].id"},
        {"{\"rules\":{}}", "$.rules"},
        {"{\"rulez\":[]}", "$.rulez"},
        {"{\"receivers\":[{\"id\":\"x\",\"kind\":\"webhook\",\"url\":\"ftp://x/\"}]}",
         "$.receivers[0].url"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fields_why why = {"", ""};
        struct ruleset_draft d = {0};
        assert_int_equal(
            ruleset_parse(cases[i].text, strlen(cases[i].text), SOURCE_FILE, 1, &d, &why),
            ERR_INVALID);
        assert_string_equal(why.path, cases[i].path);
        ruleset_draft_release(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_have_a_place),
        cmocka_unit_test(test_written_as_read),
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_starter_set),
        cmocka_unit_test(test_file_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

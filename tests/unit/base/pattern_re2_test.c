/*
 * tests/unit/base/pattern_re2_test.c -- patterns from outside, and the literal they must contain.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/pattern.h"
#include "tests/unit/base/unit.h"

static struct pattern *compile(const char *re, int ignore_case)
{
    struct pattern *p = NULL;
    char why[200] = "";
    if (pattern_new(re, strlen(re), ignore_case, &p, why, sizeof why) < 0)
        fail_msg("%s: %s", re, why);
    return p;
}

static int matches(const char *re, int ignore_case, const char *text)
{
    struct pattern *p = compile(re, ignore_case);
    int m = pattern_match(p, text, strlen(text));
    pattern_free(&p);
    assert_null(p);
    return m;
}

static void test_match(void **state)
{
    /* A pattern matches anywhere, with case or without. */
    assert_true(matches("loss=[0-9.]+", 0, "step 3 loss=0.5 ok"));
    assert_false(matches("loss=[0-9.]+$", 0, "step 3 loss=0.5 ok"));
    assert_false(matches("cuda", 0, "CUDA error"));
    assert_true(matches("cuda", 1, "CUDA error"));
    assert_true(matches("(?i)cuda", 0, "CUDA error"));
    assert_true(matches("^.$", 0, "\xc3\xa9"));
    assert_true(matches("\xc3\x89", 1, "\xc3\xa9"));
    assert_true(matches("", 0, ""));
    assert_false(matches("x", 0, ""));
    assert_true(matches("b", 0, "\xff""b"));
}

static void test_refused(void **state)
{
    /* A bad pattern is refused with RE2's reason, a long or too costly one too. */
    static const char *const bad[] = {"(", "[a", "a**", "\\", "(?<=a)b", "\\1", "\xff",
                                      "((a{1000}){1000}){1000}"};
    char why[200], long_re[PATTERN_BYTES_MAX + 1];
    struct pattern *p = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        *why = '\0';
        int rc = pattern_new(bad[i], strlen(bad[i]), 0, &p, why, sizeof why);
        if (rc != ERR_INVALID || !*why || p) fail_msg("taken: %s", bad[i]);
    }
    memset(long_re, 'a', sizeof long_re);
    assert_int_equal(pattern_new(long_re, sizeof long_re, 0, &p, why, sizeof why), ERR_TOO_BIG);
    assert_int_equal(pattern_new(long_re, sizeof long_re - 1, 0, &p, why, sizeof why), 0);
    pattern_free(&p);
    pattern_free(&p);
}

static void test_linear(void **state)
{
    /* A pattern that explodes elsewhere is done in linear time. */
    static char text[200000];
    struct pattern *p = compile("(a*)*(a|aa)+$", 0);
    int64_t start = clock_mono_us();
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 'b';
    assert_false(pattern_match(p, text, sizeof text));
    assert_true(clock_mono_us() - start < 10000000);
    pattern_free(&p);
}

static void test_literal(void **state)
{
    /* The literal is what every match must contain, or nothing. */
    static const struct {
        const char *re, *literal;
    } samples[] = {
        {"CUDA error", "CUDA error"}, {"loss=[0-9]+", "loss="},  {"^rank 3$", "rank 3"},
        {"ab.cdef", "cdef"},          {"abc?", "ab"},            {"abc*de", "ab"},
        {"abc+de", "abc"},            {"abc{0,2}d", "ab"},       {"a|b", ""},
        {"(abc)?", ""},               {"(?i)abc", ""},           {"x\\d+", "x"},
        {"caf\xc3\xa9?", "caf"},      {"caf\xc3\xa9*x", "caf"},  {"\xc3\xa9", "\xc3\xa9"},
        {"", ""},                     {".*", ""},                {"a??bcd", "bcd"},
        {"\\Qa?\\E", ""},             {"a+?b", "a"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct pattern *p = compile(samples[i].re, 0);
        if (strcmp(pattern_literal(p), samples[i].literal) != 0)
            fail_msg("%s: \"%s\"", samples[i].re, pattern_literal(p));
        pattern_free(&p);
        p = compile(samples[i].re, 1);
        assert_string_equal(pattern_literal(p), "");
        pattern_free(&p);
    }
}

static void test_literal_random(void **state)
{
    /* No text that matches a random pattern lacks its literal. */
    static const char *const tokens[] = {"a", "b", "c", "ab", ".", "^", "$", "?", "*", "+", "{0}",
                                         "{2}", "{0,1}", "[ab]", "[^a]", "\\.", "\\w", "|", "(a)",
                                         "(b|c)", "(?:c)*", "\\b", "}", "{"};
    int compiled = 0, matched = 0;
    unit_seed();
    for (int i = 0; i < 20000; i++) {
        char re[80] = "", why[100], text[16];
        struct pattern *p = NULL;
        for (size_t n = 1 + unit_below(6); n; n--)
            strcat(re, tokens[unit_below(sizeof tokens / sizeof *tokens)]);
        if (pattern_new(re, strlen(re), 0, &p, why, sizeof why) < 0) continue;
        compiled++;
        for (int k = 0; k < 20; k++) {
            size_t len = unit_below(sizeof text - 1);
            for (size_t at = 0; at < len; at++) text[at] = "abc.{}"[unit_below(6)];
            text[len] = '\0';
            if (!pattern_match(p, text, len)) continue;
            matched++;
            if (!strstr(text, pattern_literal(p)))
                fail_msg("/%s/ matches \"%s\" without \"%s\"", re, text, pattern_literal(p));
        }
        pattern_free(&p);
    }
    assert_true(compiled > 5000 && matched > 10000);
}

static void a_match_is_found_where_it_lies(void **state)
{
    /* The leftmost match at or after a place, ^ only at the very start, empty ones too. */
    struct pattern *p = NULL;
    char why[128];
    size_t from = 9, to = 9;

    assert_int_equal(pattern_new("b+", 2, 0, &p, why, sizeof why), 0);
    assert_true(pattern_find(p, "abbab", 5, 0, &from, &to) && from == 1 && to == 3);
    assert_true(pattern_find(p, "abbab", 5, 3, &from, &to) && from == 4 && to == 5);
    assert_false(pattern_find(p, "abbab", 5, 5, &from, &to));
    assert_false(pattern_find(p, "abbab", 5, 6, &from, &to));
    pattern_free(&p);
    assert_int_equal(pattern_new("^a|x*", 5, 0, &p, why, sizeof why), 0);
    assert_true(pattern_find(p, "aa", 2, 0, &from, &to) && from == 0 && to == 1);
    assert_true(pattern_find(p, "aa", 2, 1, &from, &to) && from == 1 && to == 1);
    pattern_free(&p);
}

struct held {
    const char *text;
    unsigned asked;
};

/* Does the text hold piece, upper and lower case being one? */
static int holds(void *user, const char *piece, size_t len)
{
    struct held *h = user;
    h->asked++;
    assert_true(len >= PATTERN_PIECE_BYTES_MIN);
    for (const char *t = h->text; strlen(t) >= len; t++) {
        size_t i = 0;
        while (i < len && (t[i] >= 'A' && t[i] <= 'Z' ? t[i] + 32 : t[i]) == piece[i]) i++;
        if (i == len) return 1;
    }
    return 0;
}

static void pieces_rule_out(void **state)
{
    /* What a text must hold to match, through alternatives, groups and flags; nothing is ruled out that has no pieces. */
    static const struct {
        const char *re, *text;
        int ignore_case, may;
    } rows[] = {
        {"rank \\d+ .*oom|ChildFailed.*137", "Rank 3 died: OOM", 0, 1},
        {"rank \\d+ .*oom|ChildFailed.*137", "rank 3 is fine", 0, 0},
        {"rank \\d+ .*oom|ChildFailed.*137", "ChildFailedError, exit code 137", 0, 1},
        {"rank \\d+ .*oom|ChildFailed.*137", "exit code 137", 0, 0},
        {"(cuda|nccl) error", "NCCL ERROR", 1, 1},
        {"(cuda|nccl) error", "an error", 1, 0},
        {"x+y?", "nothing of it", 0, 1},
        {"a.b|warning", "no", 0, 1},
        {"ÉCHEC|total", "nothing: the case of É is not ASCII's", 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pattern *p = NULL;
        struct held h = {rows[i].text, 0};
        char why[128];
        assert_int_equal(pattern_new(rows[i].re, strlen(rows[i].re), rows[i].ignore_case, &p, why, sizeof why), 0);
        if (!!pattern_may_match(p, holds, &h) != rows[i].may) fail_msg("/%s/ on \"%s\"", rows[i].re, rows[i].text);
        pattern_free(&p);
    }
}

static void pieces_never_rule_out_a_match(void **state)
{
    /* Random patterns of words, alternatives, repeats and classes on random texts: what matches is never ruled out. */
    static const char *const parts[] = {"abc", "abcd", "Bcd", "(", ")", "|",   "*", "+", "?",
                                        ".",   "[a-d]", "\\d", "^", "$", "{2}", "é", "É", "c"};
    unsigned seed = 11, compiled = 0, matched = 0, ruled_out = 0;
    for (int i = 0; i < 20000; i++) {
        struct pattern *p = NULL;
        char re[80] = "", text[40] = "", why[128];
        for (int k = 1 + (int)((unsigned)rand_r(&seed) % 7); k > 0; k--)
            strcat(re, parts[(unsigned)rand_r(&seed) % (sizeof parts / sizeof *parts)]);
        if (pattern_new(re, strlen(re), rand_r(&seed) % 2, &p, why, sizeof why)) continue;
        compiled++;
        for (int k = 0; k < 4; k++) {
            static const char *const bits[] = {"abc", "ABC", "bcd", "d", "1", "é", "É", "x", "C"};
            struct held h = {text, 0};
            text[0] = '\0';
            for (int n = (int)((unsigned)rand_r(&seed) % 6); n > 0; n--) strcat(text, bits[(unsigned)rand_r(&seed) % 9]);
            int may = pattern_may_match(p, holds, &h);
            ruled_out += !may;
            if (!pattern_match(p, text, strlen(text))) continue;
            matched++;
            if (!may) fail_msg("/%s/ matches \"%s\", which was ruled out", re, text);
        }
        pattern_free(&p);
    }
    assert_true(compiled > 3000 && matched > 3000 && ruled_out > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_linear),  cmocka_unit_test(test_literal),
        cmocka_unit_test(test_literal_random),
        cmocka_unit_test(a_match_is_found_where_it_lies),
        cmocka_unit_test(pieces_rule_out), cmocka_unit_test(pieces_never_rule_out_a_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

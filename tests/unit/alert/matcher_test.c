/* tests/unit/alert/matcher_test.c -- no line that a rule matches is passed over: against trying every rule on every line. */
#include "alert/automaton.h"
#include "alert/matcher.h"
#include "alert/rule.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/json.h"
#include "job/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINES_MAX 600
#define RULES 24

static uint64_t seed;

static unsigned rnd(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

static const char *const words[] = {
    "CUDA",  "out of memory", "nccl",  "Xid",       "é",      "\"quoted\"",
    "a/b",   "loss",          "error", "ss",        "e",      "<tag>",
    "日本",  "C:\\dir",       "1234",  "abcabcabd", "abcabd", "NaN",
    "[rank", "100%",          "tail",  "\t",        "KILL",   "x"};
#define WORDS (sizeof words / sizeof *words)

static struct rule *make_rule(unsigned i)
{
    static const char *const shapes[] = {"%s",  "%s.*%s",     "(%s|%s)",   "%s+ %s", "^%s",
                                         "%s$", "[0-9]{2}%s", "(?i)%s|%s", "\\d+",   "."};
    static const char *const levels[] = {"", "\"level\":\"error\",", "\"level\":\"info\",",
                                         "\"rank\":\"1-2\","};
    struct buf json = BUF_INIT, text = BUF_INIT;
    struct fields_why why;
    struct rule *r = NULL;
    const char *kind = i % 3 == 0   ? "\"rate\":{\"count\":2,\"per\":1,"
                       : i % 3 == 1 ? "\"absence\":{\"within\":1,"
                                    : "\"line\":{";

    do {
        char a[64] = "", b[64] = "";
        buf_clear(&json);
        buf_clear(&text);
        for (const char *c = words[rnd(WORDS)]; *c; c++)
            sprintf(a + strlen(a), "%s%c", strchr("\\.[]", *c) ? "\\" : "", *c);
        for (const char *c = words[rnd(WORDS)]; *c; c++)
            sprintf(b + strlen(b), "%s%c", strchr("\\.[]", *c) ? "\\" : "", *c);
        buf_addf(&json, "{\"id\":\"r%u\",%s%s\"ignore_case\":%s,", i, kind, levels[rnd(4)],
                 rnd(2) ? "true" : "false");
        if (rnd(8) == 0) {
            buf_adds(&json, "\"level\":\"warn\"}}");
        } else if (rnd(2)) {
            buf_adds(&json, "\"contains\":\"");
            json_escape(&json, words[i % WORDS], strlen(words[i % WORDS]));
            buf_adds(&json, "\"}}");
        } else {
            char shape[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(shape, sizeof shape, shapes[rnd(10)], a, b);
#pragma GCC diagnostic pop
            buf_adds(&json, "\"pattern\":\"");
            json_escape(&json, shape, strlen(shape));
            buf_adds(&json, "\"}}");
        }
    } while (rule_parse(buf_cstr(&json), json.len, &r, &why) <
             0); /* a second "level" is refused: another try */
    buf_release(&json);
    buf_release(&text);
    return r;
}

/* As some encoders do: characters that need no escape are escaped all the same. */
static void add_escaped(struct buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\' || (c == '/' && rnd(2)))
            buf_addf(b, "\\%c", c);
        else if (c == '\t')
            buf_adds(b, rnd(2) ? "\\t" : "\\u0009");
        else if (c < 0x80 && rnd(40) == 0)
            buf_addf(b, rnd(2) ? "\\u%04x" : "\\u%04X", c);
        else
            buf_addc(b, (char)c);
    }
}

static void make_line(struct buf *b)
{
    static const char *const levels[] = {"", "\"level\":\"info\",", "\"level\":\"warn\",",
                                         "\"level\":\"error\",", "\"level\":\"fatal\","};

    buf_adds(b, "{\"ts\":\"2026-11-23T20:54:01.123456Z\",");
    if (rnd(2))
        buf_addf(b, "\"rank\":%u,", rnd(4));
    if (rnd(3) == 0)
        buf_adds(b, "\"stream\":\"stderr\",");
    buf_adds(b, levels[rnd(5)]);
    buf_adds(b, "\"msg\":\"");
    for (unsigned n = rnd(6); n > 0; n--) {
        add_escaped(b, words[rnd(WORDS)]);
        if (rnd(3))
            buf_addc(b, rnd(6) ? ' ' : '=');
    }
    buf_addc(b, '"');
    if (rnd(10) == 0)
        buf_adds(b, ",\"fields\":{\"msg\":\"CUDA\"}");
    buf_adds(b, "}\n");
}

struct seen {
    uint8_t told[LINES_MAX][RULES];
    uint32_t last_index, hits;
};

static void on_hit(void *user, const struct matcher_hit *h)
{
    struct seen *s = user;
    assert_true(s->hits == 0 || h->index > s->last_index);
    s->hits++;
    s->last_index = h->index;
    for (unsigned i = 0; i < h->rule_count; i++) {
        assert_true(i == 0 || h->rules[i] > h->rules[i - 1]);
        s->told[h->index][h->rules[i]] = 1;
    }
}

/* Whatever lines and rules there are: a rule that matches a line is among those told for it. */
static void test_nothing_is_passed_over(void **state)
{
    struct matcher_scan *scan = matcher_scan_new();
    uint64_t start = 0x9e3779b97f4a7c15ULL, matches = 0, told = 0, tried = 0;

    for (int round = 0; round < 120; round++) {
        struct rule *rules[RULES];
        struct buf text = BUF_INIT, scratch = BUF_INIT;
        struct seen *seen = calloc(1, sizeof *seen);
        struct matcher *m;
        unsigned lines = 1 + (unsigned)round * 5 % LINES_MAX;

        seed = start + (uint64_t)round;
        for (unsigned i = 0; i < RULES; i++)
            rules[i] = make_rule(i);
        for (unsigned i = 0; i < lines; i++)
            make_line(&text);
        m = matcher_new((const struct rule *const *)rules, RULES);
        matcher_run(m, scan, text.data, text.len, on_hit, seen);
        const char *at = text.data;
        for (unsigned i = 0; i < lines; i++) {
            const char *nl = strchr(at, '\n');
            struct record_view v;
            assert_int_equal(record_parse(at, (size_t)(nl - at), &v), 0);
            for (unsigned k = 0; k < RULES; k++) {
                int is_match = filter_match(&rules[k]->lines.filter, &v, &scratch);
                matches += (uint64_t)is_match;
                told += seen->told[i][k];
                tried++;
                if (is_match && !seen->told[i][k])
                    fail_msg("round %d (seed %d): line %u: %.*s: rule %u was not told: %s%s", round,
                             round, i, (int)(nl - at), at, k,
                             rules[k]->lines.contains ? rules[k]->lines.contains : "",
                             rules[k]->lines.pattern_text ? rules[k]->lines.pattern_text : "");
            }
            at = nl + 1;
        }
        matcher_free(&m);
        for (unsigned i = 0; i < RULES; i++)
            rule_free(&rules[i]);
        buf_release(&text);
        buf_release(&scratch);
        free(seen);
    }
    assert_true(matches > 1000);
    assert_true(told < tried / 2); /* it does sort out */
    matcher_scan_free(&scan);
}

struct places {
    uint32_t words[16], count;
};
static void on_word(void *user, uint32_t word)
{
    struct places *p = user;
    p->words[p->count++] = word;
}

/* Words inside of words and behind one another are all found, in any case. */
static void test_automaton_finds_every_word(void **state)
{
    static const char *const list[] = {"he", "she", "his", "hers", "abcabd", "cab", "he"};
    static const size_t lens[] = {2, 3, 3, 4, 6, 3, 2};
    struct automaton a;
    struct places p = {{0}, 0};
    uint8_t fits[7];

    automaton_init(&a, list, lens, 7, fits);
    automaton_find(&a, "uSHErs", 6, on_word, &p);
    assert_int_equal(p.count, 4); /* she, he twice, hers */
    p.count = 0;
    automaton_find(&a, "abcabcabd", 9, on_word, &p);
    assert_int_equal(p.count, 3); /* cab twice, abcabd */
    automaton_release(&a);
}

/* A rule that is off, or of another kind, costs nothing. */
static void test_only_rules_on_lines(void **state)
{
    struct rule *rules[3] = {NULL};
    struct fields_why why;
    struct matcher_stats stats;
    struct matcher *m;
    static const char *const texts[] = {
        "{\"id\":\"a\",\"enabled\":false,\"line\":{\"contains\":\"xyz\"}}",
        "{\"id\":\"b\",\"stall\":{\"after\":1}}", "{\"id\":\"c\",\"absence\":{\"within\":1}}"};

    for (int i = 0; i < 3; i++)
        assert_int_equal(rule_parse(texts[i], strlen(texts[i]), &rules[i], &why), 0);
    m = matcher_new((const struct rule *const *)rules, 3);
    matcher_stats(m, &stats);
    assert_int_equal(stats.rules, 0);
    matcher_free(&m);
    for (int i = 0; i < 3; i++)
        rule_free(&rules[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_passed_over),
                                       cmocka_unit_test(test_automaton_finds_every_word),
                                       cmocka_unit_test(test_only_rules_on_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

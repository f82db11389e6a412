/*
 * alert/matcher.c -- from rules to an automaton, and over lines with it.
 */
#include "alert/matcher.h"

#include "alert/automaton.h"
#include "alert/rule.h"
#include "base/check.h"
#include "base/json.h"
#include "base/pattern_set.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BYTES_MAX 16 /* of an atom are looked for; longer ones only make the table larger */
#define WORD_BYTES_MIN 2
#define HEADS 4
#define MSG_KEY "\"msg\":\""
#define MSG_KEY_LEN (sizeof MSG_KEY - 1)
#define LEVEL_KEY "\"level\":\""
#define LEVEL_KEY_LEN (sizeof LEVEL_KEY - 1)

/* A rule that any line may concern, if its level is at least this. */
struct wild {
    uint32_t rule;
    enum level level_min;
};

struct matcher {
    uint64_t number; /* unique in this process */
    struct pattern_set *set;
    struct automaton words;
    uint32_t *rule_of;    /* by pattern */
    unsigned *atom_of;    /* by word */
    unsigned *free_atoms; /* taken for present in every line: there is nothing safe to look for */
    unsigned free_count;
    struct wild *wilds;
    uint32_t rule_count, pattern_count, wild_count;
    enum level wild_level_min; /* the lowest of the wild ones */
};

static uint64_t matchers_made;

/* ---- making one ---- */

/* The longest run of atom that JSON writes as it stands. */
static size_t safe_piece(const char *atom, const char **ret)
{
    size_t best = 0;

    for (const char *p = atom; *p;) {
        const char *start = p;
        while (*p && !strchr("\"\\/", *p) && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80)
            p++;
        if ((size_t)(p - start) > best) {
            best = (size_t)(p - start);
            *ret = start;
        }
        if (*p)
            p++;
    }
    return best < WORD_BYTES_MAX ? best : WORD_BYTES_MAX;
}

static void make_words(struct matcher *m)
{
    unsigned atoms = pattern_set_atom_count(m->set);
    const char **words = must_calloc(atoms + 1, sizeof *words);
    size_t *lens = must_calloc(atoms + 1, sizeof *lens);
    uint8_t *fits = must_calloc(atoms + 1, 1);
    uint32_t count = 0;

    m->atom_of = must_calloc(atoms + 1, sizeof *m->atom_of);
    m->free_atoms = must_calloc(atoms + 1, sizeof *m->free_atoms);
    for (unsigned i = 0; i < atoms; i++) {
        lens[count] = safe_piece(pattern_set_atom(m->set, i), &words[count]);
        if (lens[count] >= WORD_BYTES_MIN)
            m->atom_of[count++] = i;
        else
            m->free_atoms[m->free_count++] = i;
    }
    automaton_init(&m->words, words, lens, count, fits);
    for (uint32_t w = 0; w < count; w++)
        if (!fits[w])
            m->free_atoms[m->free_count++] = m->atom_of[w];
    free(words);
    free(lens);
    free(fits);
}

static void add_wild(struct matcher *m, uint32_t number, const struct rule *r)
{
    struct wild *w = &m->wilds[m->wild_count++];

    w->rule = number;
    w->level_min = r->lines.filter.level_min;
    if (m->wild_count == 1 || w->level_min < m->wild_level_min)
        m->wild_level_min = w->level_min;
}

static int looks_at_lines(const struct rule *r)
{
    return r->enabled && r->lines.is_set &&
           (r->kind == RULE_LINE || r->kind == RULE_RATE || r->kind == RULE_ABSENCE);
}

/* Its text: `contains` when that is a good literal, else the pattern. 0: it has neither. */
static int add_pattern(struct matcher *m, const struct rule *r)
{
    const struct rule_lines *l = &r->lines;

    if (l->contains && (strlen(l->contains) >= 4 || !l->pattern_text))
        CHECK(pattern_set_add(m->set, l->contains, strlen(l->contains), 1, l->ignore_case) >= 0);
    else if (l->pattern_text)
        CHECK(pattern_set_add(m->set, l->pattern_text, strlen(l->pattern_text), 0,
                              l->ignore_case) >= 0);
    else
        return 0;
    return 1;
}

struct matcher *matcher_new(const struct rule *const *rules, uint32_t count)
{
    struct matcher *m = must_calloc(1, sizeof *m);
    unsigned *always;
    unsigned always_count;

    m->number = __atomic_add_fetch(&matchers_made, 1, __ATOMIC_RELAXED);
    m->set = pattern_set_new();
    m->rule_of = must_calloc(count + 1, sizeof *m->rule_of);
    m->wilds = must_calloc(count + 1, sizeof *m->wilds);
    for (uint32_t i = 0; i < count; i++) {
        if (!looks_at_lines(rules[i]))
            continue;
        m->rule_count++;
        if (add_pattern(m, rules[i]))
            m->rule_of[m->pattern_count++] = i;
        else
            add_wild(m, i, rules[i]);
    }
    pattern_set_compile(m->set);
    make_words(m);
    always = must_calloc(m->pattern_count + 1, sizeof *always);
    always_count =
        pattern_set_candidates(m->set, m->free_atoms, m->free_count, always, m->pattern_count);
    for (unsigned i = 0; i < always_count; i++)
        add_wild(m, m->rule_of[always[i]], rules[m->rule_of[always[i]]]);
    free(always);
    return m;
}

void matcher_free(struct matcher **matcher)
{
    struct matcher *m = *matcher;

    *matcher = NULL;
    if (!m)
        return;
    pattern_set_free(&m->set);
    automaton_release(&m->words);
    free(m->rule_of);
    free(m->atom_of);
    free(m->free_atoms);
    free(m->wilds);
    free(m);
}

void matcher_stats(const struct matcher *m, struct matcher_stats *ret)
{
    ret->rules = m->rule_count;
    ret->wild = m->wild_count;
    ret->atoms = m->words.words;
    ret->states = m->words.states;
}

/* ---- scanning ---- */

struct candidate {
    const char *line, *msg;
    size_t len;
    uint32_t index;
    uint8_t literal, unescape; /* a literal is in it; look at the unescaped message */
};

struct matcher_scan {
    struct candidate *list;
    size_t count, cap;
    struct buf text; /* an unescaped message */
    unsigned *atoms; /* of the line at work */
    unsigned atom_count;
    uint32_t *stamp;      /* by atom: the line it was last seen in */
    uint32_t line_number; /* counts lines over all runs */
    unsigned *patterns, *rules;
    size_t atom_cap, pattern_cap, rule_cap;
    const struct matcher *m;
    uint64_t number; /* of the matcher there is room for */
};

struct matcher_scan *matcher_scan_new(void)
{
    return must_calloc(1, sizeof(struct matcher_scan));
}

void matcher_scan_free(struct matcher_scan **scan)
{
    struct matcher_scan *s = *scan;

    *scan = NULL;
    if (!s)
        return;
    free(s->list);
    buf_release(&s->text);
    free(s->atoms);
    free(s->stamp);
    free(s->patterns);
    free(s->rules);
    free(s);
}

/* Room for this matcher; what another one left is forgotten. */
static void scan_fit(struct matcher_scan *s, const struct matcher *m)
{
    size_t atoms = m->words.words + (size_t)m->free_count + 1,
           patterns = m->pattern_count + (size_t)1;
    size_t rules = patterns + m->wild_count;

    s->m = m;
    if (s->number == m->number)
        return;
    s->number = m->number;
    s->atoms = must_realloc(s->atoms, atoms * sizeof *s->atoms);
    s->stamp = must_realloc(s->stamp, atoms * sizeof *s->stamp);
    memset(s->stamp, 0, atoms * sizeof *s->stamp);
    s->line_number = 0;
    s->patterns = must_realloc(s->patterns, patterns * sizeof *s->patterns);
    s->rules = must_realloc(s->rules, rules * sizeof *s->rules);
}

static struct candidate *add_candidate(struct matcher_scan *s, const char *line, size_t len,
                                       const char *msg, uint32_t index)
{
    struct candidate *c;

    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 256;
        s->list = must_realloc(s->list, s->cap * sizeof *s->list);
    }
    c = &s->list[s->count++];
    *c = (struct candidate){line, msg, len, index, 0, 0};
    return c;
}

/* The level of a line, from what stands before its message. */
static enum level level_of(const char *line, const char *msg)
{
    const char *at = memmem(line, (size_t)(msg - line), LEVEL_KEY, LEVEL_KEY_LEN);
    const char *end;

    if (!at)
        return LEVEL_NONE;
    at += LEVEL_KEY_LEN;
    end = memchr(at, '"', (size_t)(msg - at));
    return end ? level_parse(at, (size_t)(end - at)) : LEVEL_NONE;
}

/* Is a character that a literal may hold written as \u00XX? */
static int has_plain_escape(const char *s, const char *end)
{
    while (s < end && (s = memchr(s, '\\', (size_t)(end - s))) != NULL) {
        if (end - s >= 6 && s[1] == 'u' && s[2] == '0' && s[3] == '0' && s[4] >= '2' && s[4] <= '7')
            return 1;
        s += 2;
    }
    return 0;
}

struct head {
    const unsigned char *p, *end;
    uint32_t state, seen; /* seen: all states or-ed */
    const char *line, *msg;
    uint32_t index;
};

/* A walk over the lines that are to be read by heads. */
struct walk {
    const struct matcher *m;
    struct matcher_scan *s;
    const char *at, *end;
    uint32_t index;
};

/* The next line for h: 0 at the end. */
static int next_line(struct walk *w, struct head *h)
{
    while (w->at < w->end) {
        const char *line = w->at, *nl = memchr(line, '\n', (size_t)(w->end - line));
        const char *msg;
        struct candidate *c = NULL;
        if (!nl)
            nl = w->end;
        w->at = nl + 1;
        w->index++;
        msg = memmem(line, (size_t)(nl - line), MSG_KEY, MSG_KEY_LEN);
        if (!msg)
            continue;
        msg += MSG_KEY_LEN;
        if (w->m->wild_count &&
            (w->m->wild_level_min == LEVEL_NONE || level_of(line, msg) >= w->m->wild_level_min))
            c = add_candidate(w->s, line, (size_t)(nl - line), msg, w->index - 1);
        if (has_plain_escape(msg, nl)) {
            if (!c)
                c = add_candidate(w->s, line, (size_t)(nl - line), msg, w->index - 1);
            c->literal = c->unescape = 1;
            continue;
        }
        if (c) { /* looked at anyhow */
            c->literal = 1;
            continue;
        }
        *h = (struct head){
            (const unsigned char *)msg, (const unsigned char *)nl, 0, 0, line, msg, w->index - 1};
        return 1;
    }
    return 0;
}

static void end_line(struct walk *w, const struct head *h)
{
    if (h->seen & AUTOMATON_HIT)
        add_candidate(w->s, h->line, (size_t)((const char *)h->end - h->line), h->msg, h->index)
            ->literal = 1;
}

static void read_one(const struct automaton *a, struct head *h)
{
    uint32_t state = h->state, seen = h->seen;

    for (const unsigned char *p = h->p; p < h->end; p++) {
        state = automaton_step(a, state, *p);
        seen |= state;
    }
    h->seen = seen;
}

/* Four lines in turn, n bytes each: their loads do not wait for each other. */
static void read_four(const struct automaton *a, struct head *h, size_t n)
{
    const unsigned char *p0 = h[0].p, *p1 = h[1].p, *p2 = h[2].p, *p3 = h[3].p;
    uint32_t s0 = h[0].state, s1 = h[1].state, s2 = h[2].state, s3 = h[3].state;
    uint32_t e0 = h[0].seen, e1 = h[1].seen, e2 = h[2].seen, e3 = h[3].seen;
    const uint32_t *next = a->next;
    const uint8_t *class_of = a->class_of;

    for (size_t i = 0; i < n; i++) {
        s0 = next[(s0 & AUTOMATON_AT) + class_of[p0[i]]];
        s1 = next[(s1 & AUTOMATON_AT) + class_of[p1[i]]];
        s2 = next[(s2 & AUTOMATON_AT) + class_of[p2[i]]];
        s3 = next[(s3 & AUTOMATON_AT) + class_of[p3[i]]];
        e0 |= s0;
        e1 |= s1;
        e2 |= s2;
        e3 |= s3;
    }
    h[0].p += n, h[1].p += n, h[2].p += n, h[3].p += n;
    h[0].state = s0, h[1].state = s1, h[2].state = s2, h[3].state = s3;
    h[0].seen = e0, h[1].seen = e1, h[2].seen = e2, h[3].seen = e3;
}

static void scan_lines(struct walk *w)
{
    const struct automaton *a = &w->m->words;
    struct head h[HEADS];
    int live = 0;

    while (live < HEADS && next_line(w, &h[live]))
        live++;
    while (live == HEADS) {
        size_t n = SIZE_MAX;
        for (int i = 0; i < HEADS; i++)
            if ((size_t)(h[i].end - h[i].p) < n)
                n = (size_t)(h[i].end - h[i].p);
        read_four(a, h, n);
        for (int i = 0; i < live;) {
            if (h[i].p < h[i].end) {
                i++;
                continue;
            }
            end_line(w, &h[i]);
            if (next_line(w, &h[i]))
                i++;
            else
                h[i] = h[--live];
        }
    }
    for (int i = 0; i < live; i++) {
        read_one(a, &h[i]);
        end_line(w, &h[i]);
    }
}

/* ---- which rules a line may concern ---- */

static void on_word(void *user, uint32_t word)
{
    struct matcher_scan *s = user;
    unsigned atom = s->m->atom_of[word];

    if (s->stamp[atom] == s->line_number)
        return;
    s->stamp[atom] = s->line_number;
    s->atoms[s->atom_count++] = atom;
}

static void find_atoms(const struct matcher *m, struct matcher_scan *s, const struct candidate *c)
{
    size_t len = c->len - (size_t)(c->msg - c->line);

    if (++s->line_number == 0) { /* after 2^32 lines */
        memset(s->stamp, 0, ((size_t)m->words.words + m->free_count + 1) * sizeof *s->stamp);
        s->line_number = 1;
    }
    s->atom_count = 0;
    automaton_find(&m->words, c->msg, len, on_word, s);
    if (c->unescape) {
        const char *end = c->msg;
        while (end < c->line + c->len && *end != '"')
            end += *end == '\\' ? 2 : 1;
        buf_clear(&s->text);
        if (json_unescape(&s->text, c->msg, (size_t)(end - c->msg)) == 0)
            automaton_find(&m->words, s->text.data, s->text.len, on_word, s);
    }
    for (unsigned i = 0; i < m->free_count; i++) {
        if (s->stamp[m->free_atoms[i]] == s->line_number)
            continue;
        s->stamp[m->free_atoms[i]] = s->line_number;
        s->atoms[s->atom_count++] = m->free_atoms[i];
    }
}

/* Ascending, once each. */
static unsigned add_rule(unsigned *rules, unsigned count, unsigned rule)
{
    unsigned i = count;

    while (i > 0 && rules[i - 1] > rule)
        i--;
    if (i > 0 && rules[i - 1] == rule)
        return count;
    memmove(rules + i + 1, rules + i, (count - i) * sizeof *rules);
    rules[i] = rule;
    return count + 1;
}

static unsigned find_rules(const struct matcher *m, struct matcher_scan *s,
                           const struct candidate *c)
{
    unsigned n, count = 0;

    if (c->literal) {
        find_atoms(m, s, c);
        n = pattern_set_candidates(m->set, s->atoms, s->atom_count, s->patterns, m->pattern_count);
        for (unsigned i = 0; i < n; i++)
            count = add_rule(s->rules, count, m->rule_of[s->patterns[i]]);
    }
    for (uint32_t i = 0; i < m->wild_count; i++)
        if (m->wilds[i].level_min == LEVEL_NONE ||
            level_of(c->line, c->msg) >= m->wilds[i].level_min)
            count = add_rule(s->rules, count, m->wilds[i].rule);
    return count;
}

static int by_index(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

void matcher_run(const struct matcher *m, struct matcher_scan *s, const char *text, size_t len,
                 void (*hit)(void *user, const struct matcher_hit *h), void *user)
{
    struct walk w = {m, s, text, text + len, 0};

    if (m->rule_count == 0 || len == 0)
        return;
    scan_fit(s, m);
    s->count = 0;
    scan_lines(&w);
    if (s->count > 1)
        qsort(s->list, s->count, sizeof *s->list, by_index);
    for (size_t i = 0; i < s->count; i++) {
        const struct candidate *c = &s->list[i];
        unsigned count = find_rules(m, s, c);
        struct matcher_hit h = {c->line, c->len, c->index, s->rules, count};
        if (count)
            hit(user, &h);
    }
}

/*
 * job/redact.c -- secrets taken out of text: what the scan finds, what is left of a key, the user's patterns.
 */
#include "job/redact.h"

#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/pattern.h"
#include "job/redact_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    char name[REDACT_NAME_BYTES_MAX + 1];
    struct pattern *pattern;
    int secret; /* which of its groups; -1: the whole match */
};

struct redact {
    uint8_t grams[REDACT_GRAMS];
    struct rule rules[REDACT_PATTERNS_MAX];
    unsigned rule_count;
};

static const char *const words[REDACT_KIND_COUNT] = {
#define X(name, word) word,
    REDACT_KIND_TABLE(X)
#undef X
};

const char *redact_word(enum redact_kind kind)
{
    CHECK(kind < REDACT_KIND_COUNT);
    return words[kind];
}

uint64_t redact_total(const struct redact_counts *c)
{
    uint64_t sum = 0;

    for (int i = 0; i < REDACT_KIND_COUNT; i++)
        sum += c->of[i];
    return sum;
}

void redact_counts_add(struct redact_counts *sum, const struct redact_counts *more)
{
    for (int i = 0; i < REDACT_KIND_COUNT; i++)
        sum->of[i] += more->of[i];
}

/* ---- the rules ---- */

/* NAME= in front of an expression; its length, 0. */
static size_t name_length(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return n && n <= REDACT_NAME_BYTES_MAX && text[n] == '=' ? n : 0;
}

static int add_rule(struct redact *r, const char *text, char *why, size_t why_size)
{
    struct rule *rule = &r->rules[r->rule_count];
    size_t n = name_length(text);
    const char *re = n ? text + n + 1 : text;
    int err;

    if (r->rule_count == REDACT_PATTERNS_MAX) {
        snprintf(why, why_size, "at most %d patterns", REDACT_PATTERNS_MAX);
        return ERR_LIMIT;
    }
    if (!*re) {
        snprintf(why, why_size, "the expression is empty");
        return ERR_INVALID;
    }
    err = pattern_new(re, strlen(re), 0, &rule->pattern, why, why_size);
    if (err < 0)
        return err;
    if (n)
        snprintf(rule->name, sizeof rule->name, "%.*s", (int)n, text);
    else
        snprintf(rule->name, sizeof rule->name, "%s", words[REDACT_PATTERN]);
    rule->secret = -1;
    for (unsigned i = 0; i < pattern_group_count(rule->pattern); i++)
        if (strcmp(pattern_group_name(rule->pattern, i), "secret") == 0)
            rule->secret = (int)i;
    r->rule_count++;
    return 0;
}

static int add_rules(struct redact *r, const char *patterns, char *why, size_t why_size)
{
    char *all = must_strdup(patterns), *next = all, *line, reason[200];
    unsigned number = 0;
    int err = 0;

    while (err >= 0 && (line = strsep(&next, "\n"))) {
        size_t len = strlen(line);

        number++;
        if (len && line[len - 1] == '\r')
            line[len - 1] = '\0';
        if (!*line || *line == '#')
            continue;
        err = add_rule(r, line, reason, sizeof reason);
        if (err < 0)
            snprintf(why, why_size, "line %u: %s", number, reason);
    }
    free(all);
    return err;
}

int redact_new(const char *patterns, struct redact **ret, char *why, size_t why_size)
{
    struct redact *r = must_calloc(1, sizeof *r);
    int err;

    redact__fill_grams(r->grams);
    err = patterns ? add_rules(r, patterns, why, why_size) : 0;
    if (err < 0)
        redact_free(&r);
    else
        *ret = r;
    return err;
}

int redact_new_file(const char *path, struct redact **ret, char *why, size_t why_size)
{
    char *patterns = NULL;
    size_t len = 0;
    int err = path && *path ? io_read_file(path, REDACT_FILE_BYTES_MAX, &patterns, &len) : 0;

    if (err < 0)
        snprintf(why, why_size, "%s", err_text(err));
    else
        err = redact_new(patterns, ret, why, why_size);
    free(patterns);
    return err;
}

void redact_free(struct redact **r)
{
    if (!*r)
        return;
    for (unsigned i = 0; i < (*r)->rule_count; i++)
        pattern_free(&(*r)->rules[i].pattern);
    free(*r);
    *r = NULL;
}

/* Could the rule's pattern be in text? */
static int may_match(const struct rule *rule, const char *text, size_t len)
{
    const char *literal = pattern_literal(rule->pattern);

    return !*literal || memmem(text, len, literal, strlen(literal));
}

int redact_wants(const struct redact *r, const struct redact_flow *f, const char *text, size_t len)
{
    return (f && f->open) || r->rule_count || redact__candidate(r->grams, text, len, 0) < len;
}

/* ---- writing ---- */

struct output {
    struct buf *out;
    const char *text;
    size_t copied; /* of text */
    int err, changed;
};

static void replace(struct output *o, size_t from, size_t to, const char *word)
{
    if (!o->err)
        o->err = buf_add(o->out, o->text + o->copied, from - o->copied);
    if (!o->err)
        o->err = buf_addf(o->out, "[redacted:%s]", word);
    o->copied = to;
    o->changed = 1;
}

/* The rest as it is. 1 changed, 0, or the error. */
static int finish(struct output *o, size_t len)
{
    if (!o->changed)
        return 0;
    if (!o->err)
        o->err = buf_add(o->out, o->text + o->copied, len - o->copied);
    return o->err ? o->err : 1;
}

/* ---- private keys over lines ---- */

void redact_flow_reopen(struct redact_flow *f)
{
    if (!f->seen)
        return;
    if (!f->open)
        f->open = 1;
    f->misses = 0;
    f->left = REDACT_KEY_LINES_MAX;
}

static void open_key(struct redact_flow *f, size_t prefix)
{
    if (f->open < UINT8_MAX)
        f->open++;
    f->seen = 1;
    f->misses = 0;
    f->left = REDACT_KEY_LINES_MAX;
    f->prefix = (uint16_t)(prefix < UINT16_MAX ? prefix : UINT16_MAX);
}

/* A line [from, to) while a key is open. Where the search for other secrets goes on. */
static size_t key_line(struct redact_flow *f, struct output *o, size_t from, size_t to)
{
    size_t begin, end;

    if (redact__key_end(o->text, to, from, &begin, &end)) {
        replace(o, redact__key_tail(o->text, from, begin), end, words[REDACT_PRIVATE_KEY]);
        f->open--;
        f->misses = 0;
        return end;
    }
    if (redact__key_line(o->text + from, to - from, f->prefix, &begin, &end)) {
        if (end > begin)
            replace(o, from + begin, from + end, words[REDACT_PRIVATE_KEY]);
        f->misses = 0;
        if (--f->left == 0)
            f->open = 0;
        return from + end;
    }
    if (++f->misses > REDACT_MISSES_MAX || --f->left == 0)
        f->open = 0;
    return from;
}

/* The same for text of several lines: those that may be the key's. */
static size_t rest_of_key(struct redact_flow *f, struct output *o, size_t len, size_t from)
{
    size_t at = from, next = from;

    while (f->open && next <= len && !o->err) {
        const char *nl = next < len ? memchr(o->text + next, '\n', len - next) : NULL;
        size_t to = nl ? (size_t)(nl - o->text) : len;

        at = key_line(f, o, next, to);
        next = to + 1;
    }
    return at;
}

/* The key that begins at span: to its end, or to the end of the text, and then the flow is open. */
static void whole_key(struct redact_flow *f, struct redact_span *span, size_t len, const char *text)
{
    size_t begin, end;

    if (f)
        f->seen = 1;
    if (redact__key_end(text, len, span->to, &begin, &end)) {
        span->to = end;
        return;
    }
    span->to = len;
    if (f)
        open_key(f, span->from);
}

/* ---- the passes ---- */

/* What has a form, in text from `from` on: what stands before it is looked at, not written. */
static int pass_forms(const struct redact *r, struct redact_flow *f, const char *text, size_t len, size_t from, struct buf *out,
                      struct redact_counts *counts)
{
    struct output o = {.out = out, .text = text, .copied = from};
    struct redact_span span;
    size_t at = f && f->open ? rest_of_key(f, &o, len, from) : 0;

    while (!o.err && (at = redact__candidate(r->grams, text, len, at)) < len) {
        if (!redact__detect(r->grams, text, len, at, &span) || span.from < o.copied) {
            at++;
            continue;
        }
        if (span.kind == REDACT_PRIVATE_KEY)
            whole_key(f, &span, len, text);
        replace(&o, span.from, span.to, words[span.kind]);
        counts->of[span.kind]++;
        at = span.to;
    }
    return finish(&o, len);
}

/* The part of a match that is the secret. */
static int secret_of(const struct rule *rule, const char *text, size_t from, size_t to, size_t *ret_from, size_t *ret_to)
{
    struct pattern_span groups[PATTERN_GROUPS_MAX];

    *ret_from = from;
    *ret_to = to;
    if (rule->secret < 0)
        return 1;
    if (!pattern_groups(rule->pattern, text + from, to - from, groups) || !groups[rule->secret].text)
        return 0;
    *ret_from = (size_t)(groups[rule->secret].text - text);
    *ret_to = *ret_from + groups[rule->secret].len;
    return 1;
}

static int pass_rule(const struct rule *rule, const char *text, size_t len, size_t from, struct buf *out,
                     struct redact_counts *counts)
{
    struct output o = {.out = out, .text = text, .copied = from};
    size_t at = from, begin, end;

    while (!o.err && at <= len && pattern_find(rule->pattern, text, len, at, &begin, &end)) {
        size_t next = end > begin ? end : end + 1;

        if (secret_of(rule, text, begin, end, &begin, &end) && end > begin && begin >= o.copied) {
            replace(&o, begin, end, rule->name);
            counts->of[REDACT_PATTERN]++;
        }
        at = next;
    }
    return finish(&o, len);
}

static int redact_from(const struct redact *r, struct redact_flow *f, const char *text, size_t len, size_t from, struct buf *out,
                       struct redact_counts *counts)
{
    struct buf next = BUF_INIT;
    int got, changed;

    buf_clear(out);
    changed = pass_forms(r, f, text, len, from, out, counts);
    for (unsigned i = 0; i < r->rule_count && changed >= 0; i++) {
        const char *now = changed ? buf_cstr(out) : text;
        size_t now_len = changed ? out->len : len;

        if (!may_match(&r->rules[i], now, now_len))
            continue;
        buf_clear(&next);
        got = pass_rule(&r->rules[i], now, now_len, changed ? 0 : from, &next, counts);
        if (got < 0) {
            changed = got;
        } else if (got) {
            struct buf spare = *out;
            *out = next;
            next = spare;
            changed = 1;
        }
    }
    buf_release(&next);
    return changed;
}

int redact_text(const struct redact *r, struct redact_flow *f, const char *text, size_t len, struct buf *out,
                struct redact_counts *counts)
{
    return redact_from(r, f, text, len, 0, out, counts);
}

/* ---- JSON ---- */

/* The end of a string literal's inside that begins at p. */
static size_t string_end(const char *text, size_t len, size_t p)
{
    while (p < len && text[p] != '"')
        p += text[p] == '\\' && p + 1 < len ? 2 : 1;
    return p < len ? p : len;
}

struct json_walk {
    const struct redact *r;
    struct buf plain, clean, key; /* a string unescaped, and without its secrets; the name of the next value */
    struct redact_counts *counts;
};

/* The string inside text[from..to): a name, or a value told with its name. */
static int redact_string(struct json_walk *w, struct output *o, size_t from, size_t to, int is_name)
{
    size_t head;
    int got;

    buf_clear(&w->plain);
    if (!is_name && w->key.len) {
        buf_add(&w->plain, w->key.data, w->key.len);
        buf_addc(&w->plain, '=');
    }
    head = w->plain.len;
    if (json_unescape(&w->plain, o->text + from, to - from) < 0)
        return 0; /* not ours to judge */
    if (is_name) {
        buf_clear(&w->key);
        buf_add(&w->key, w->plain.data, w->plain.len < 256 ? w->plain.len : 256);
    }
    got = redact_from(w->r, NULL, buf_cstr(&w->plain), w->plain.len, head, &w->clean, w->counts);
    if (got <= 0)
        return got;
    o->err = buf_add(o->out, o->text + o->copied, from - o->copied);
    if (!o->err)
        o->err = json_escape(o->out, w->clean.data, w->clean.len);
    o->copied = to;
    o->changed = 1;
    return o->err;
}

int redact_json(const struct redact *r, const char *text, size_t len, struct buf *out, struct redact_counts *counts)
{
    struct json_walk w = {.r = r, .counts = counts};
    struct output o = {.out = out, .text = text};
    size_t p = 0;
    int err = 0;

    buf_clear(out);
    if (!redact_wants(r, NULL, text, len))
        return 0;
    while (p < len && err >= 0) {
        size_t from, to, next;

        if (text[p] == '}' || text[p] == '{' || text[p] == ',')
            buf_clear(&w.key);
        if (text[p++] != '"')
            continue;
        from = p;
        to = string_end(text, len, p);
        p = to + 1;
        for (next = p; next < len && (text[next] == ' ' || text[next] == '\t'); next++)
            ;
        err = redact_string(&w, &o, from, to, next < len && text[next] == ':');
    }
    buf_release(&w.plain);
    buf_release(&w.clean);
    buf_release(&w.key);
    return err < 0 ? err : finish(&o, len);
}

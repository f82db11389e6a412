/*
 * serve/sieve.c -- filter, pattern and search hint under one reference count.
 */
#include "serve/sieve.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static int pattern_allows(const void *matcher, int (*has)(void *user, const char *piece, size_t len), void *user)
{
    return pattern_may_match(matcher, has, user);
}

static int match_pattern(const void *matcher, const char *text, size_t len)
{
    return pattern_match(matcher, text, len);
}

struct sieve *sieve_new(void)
{
    struct sieve *s = must_calloc(1, sizeof *s);

    s->refs = 1;
    filter_init(&s->filter);
    return s;
}

struct sieve *sieve_ref(struct sieve *s)
{
    if (s)
        s->refs++;
    return s;
}

void sieve_unref(struct sieve **sp)
{
    struct sieve *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    CHECKF(s->refs > 0, "refs=%d", s->refs);
    if (--s->refs)
        return;
    pattern_free(&s->pattern);
    free(s);
}

int sieve_set_pattern(struct sieve *s, const char *re, int ignore_case, char *why, size_t why_size)
{
    struct pattern *p = NULL;
    int err = pattern_new(re, strlen(re), ignore_case, &p, why, why_size);

    if (err < 0)
        return err;
    pattern_free(&s->pattern);
    s->pattern = p;
    s->filter.match = match_pattern;
    s->filter.may_match = pattern_allows;
    s->filter.matcher = p;
    return 0;
}

int sieve_is_open(const struct sieve *s)
{
    return !s || filter_is_open(&s->filter);
}

const char *sieve_literal(const struct sieve *s, size_t *ret_len)
{
    const char *literal = NULL;

    *ret_len = 0;
    if (!s)
        return NULL;
    if (s->filter.q_len && !s->filter.ignore_case) {
        *ret_len = s->filter.q_len;
        return s->filter.q;
    }
    if (s->pattern)
        literal = pattern_literal(s->pattern);
    if (!literal || !literal[0])
        return NULL;
    *ret_len = strlen(literal);
    return literal;
}

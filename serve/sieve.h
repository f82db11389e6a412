/*
 * serve/sieve.h -- a filter with all it needs (pattern, search hint), shared by a reader and its
 * worker steps.
 *
 * Reference-counted on the loop thread only; worker threads read it while somebody on the loop
 * holds a reference for them. NULL everywhere means: every record passes.
 */
#ifndef SERVE_SIEVE_H
#define SERVE_SIEVE_H

#include "base/pattern.h"
#include "job/filter.h"

struct sieve {
    int refs;
    struct filter filter;
    struct pattern *pattern; /* NULL: none; filter.matcher borrows it */
};

struct sieve *sieve_new(void);
struct sieve *sieve_ref(struct sieve *s); /* NULL is fine */
void sieve_unref(struct sieve **s);
/* The pattern, as ?re= gives it. ERR_INVALID, ERR_TOO_BIG with why. */
int sieve_set_pattern(struct sieve *s, const char *re, int ignore_case, char *why, size_t why_size);
/* Every record passes. */
int sieve_is_open(const struct sieve *s);
/* A literal all matches contain, for skipping frames; NULL when none is known. Borrowed. */
const char *sieve_literal(const struct sieve *s, size_t *ret_len);

#endif

/*
 * base/pattern_set.h -- many patterns together: which literals must be there before one can match.
 *
 * RE2's own analysis turns each pattern into a formula over atoms, lower-case literals, of which a matching
 * text must hold some. The caller looks for the atoms (all at once, in lower case) and is told which patterns are
 * worth trying. No atom is shorter than PATTERN_SET_ATOM_BYTES_MIN; a pattern without any may match anything.
 *
 * Use        new, add…, compile, then only read.
 * Threads    After compile, many.
 */
#ifndef BASE_PATTERN_SET_H
#define BASE_PATTERN_SET_H

#include <stddef.h>

#define PATTERN_SET_ATOM_BYTES_MIN 2

#ifdef __cplusplus
extern "C" {
#endif
struct pattern_set;

struct pattern_set *pattern_set_new(void);
void pattern_set_free(struct pattern_set **s);
/* is_literal: text is meant as it stands. Its number: 0, 1, 2 …; ERR_INVALID. */
int pattern_set_add(struct pattern_set *s, const char *re, size_t len, int is_literal, int ignore_case);
void pattern_set_compile(struct pattern_set *s);
unsigned pattern_set_atom_count(const struct pattern_set *s);
/* Lower case, NUL-terminated. */
const char *pattern_set_atom(const struct pattern_set *s, unsigned i);
/* May the pattern match a text without any atom? */
int pattern_set_is_wild(const struct pattern_set *s, unsigned pattern);
/* The patterns that a text with these atoms (numbers, any order, no repeats) may match, wild ones included,
 * ascending: at most max of them are written to ret. Returns how many there are. */
unsigned pattern_set_candidates(const struct pattern_set *s, const unsigned *atoms, unsigned count,
                                unsigned *ret, unsigned max);
#ifdef __cplusplus
}
#endif

#endif

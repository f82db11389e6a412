/*
 * base/pattern.h -- patterns from outside: RE2 (linear time), behind a C face.
 *
 * Limits     Pattern <= PATTERN_BYTES_MAX, program memory 4 MiB. Syntax: RE2, UTF-8. Text is
 *            meant to be valid UTF-8 (canonical records are): no '.' or class matches a byte that is
 *            no part of a character.
 * Threads    A compiled pattern may be used by many threads.
 */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include <stddef.h>

#define PATTERN_BYTES_MAX 1024

#ifdef __cplusplus
extern "C" {
#endif
struct pattern;

/* ERR_INVALID with RE2's reason in why; ERR_TOO_BIG. ignore_case: (?i). */
int pattern_new(const char *re, size_t len, int ignore_case, struct pattern **ret_pattern, char *why,
                size_t why_size);
void pattern_free(struct pattern **p);
/* 1 if it matches anywhere in text. */
int pattern_match(const struct pattern *p, const char *text, size_t len);
/* A literal that every match must contain (case-sensitive patterns only), or "" when none is known.
 * Lets search skip frames. Borrowed. */
const char *pattern_literal(const struct pattern *p);
#ifdef __cplusplus
}
#endif

#endif

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
/* The leftmost match at or after from: 1 and its bounds [*ret_from, *ret_to), which may be empty; 0: none. */
int pattern_find(const struct pattern *p, const char *text, size_t len, size_t from,
                 size_t *ret_from, size_t *ret_to);
/* A literal that every match must contain (case-sensitive patterns only), or "" when none is known.
 * Lets search skip frames. Borrowed. */
const char *pattern_literal(const struct pattern *p);

/* Could a text match, by the pieces it holds? has(user, piece, len) says whether it may hold a piece of at least
 * PATTERN_PIECE_BYTES_MIN bytes, in any mixture of upper and lower case; pieces are ASCII, lower case. 0: certainly no match.
 * "rank \\d+ .*oom|ChildFailed" asks for "rank ", "oom" and "childfailed". */
#define PATTERN_PIECE_BYTES_MIN 3
typedef int pattern_has_fn(void *user, const char *piece, size_t len);
int pattern_may_match(const struct pattern *p, pattern_has_fn *has, void *user);

/* ---- named groups: (?P<name>…) ---- */
#define PATTERN_GROUPS_MAX 16 /* named groups that are told; further ones are not */
struct pattern_span {
    const char *text; /* inside the matched text; NULL: the group took no part */
    size_t len;
};
/* In the order they are written. */
unsigned pattern_group_count(const struct pattern *p);
const char *pattern_group_name(const struct pattern *p, unsigned i);
/* 1 and what each named group of the leftmost match holds, pattern_group_count() of them; 0: no match. */
int pattern_groups(const struct pattern *p, const char *text, size_t len, struct pattern_span *ret_spans);
#ifdef __cplusplus
}
#endif

#endif

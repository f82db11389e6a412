/*
 * alert/matcher.h -- the lines of all rules at once: which rules may a line concern?
 *
 * The literals that RE2 says a match must contain (base/pattern_set.h) make one automaton (Aho-Corasick, upper
 * and lower case alike). It is read over the messages as they lie in canonical text, JSON escapes and all, four lines
 * in turn: each step waits for the last one of its own line only. A literal is cut at what JSON may
 * escape; a line in which plain ASCII is escaped (\u0041) is unescaped first. So no match is missed, and what is
 * found is tried whole by the caller (filter_match on the record).
 *
 * Wild       Rules without a literal are candidates for every line that their level and rank allow: they cost.
 * Not found  With ignore_case: U+212A and U+017F, which fold to k and s.
 * Threads    Read by any number; scratch memory is the caller's.
 */
#ifndef ALERT_MATCHER_H
#define ALERT_MATCHER_H

#include "base/buf.h"
#include "job/frame.h"

#include <stddef.h>
#include <stdint.h>

struct matcher;
struct rule;

/* Over the enabled rules that look at lines; numbers are places in rules. */
struct matcher *matcher_new(const struct rule *const *rules, uint32_t count);
void matcher_free(struct matcher **m);

struct matcher_stats {
    uint32_t rules, wild, atoms, states;
};
void matcher_stats(const struct matcher *m, struct matcher_stats *ret);

struct matcher_hit {
    const char *line; /* in the scanned text, without '\n' */
    size_t len;
    uint32_t index; /* of the line in the text, from 0 */
    const unsigned *rules;
    unsigned rule_count;
};
/* One scanner per thread. */
struct matcher_scan;
struct matcher_scan *matcher_scan_new(void);
void matcher_scan_free(struct matcher_scan **s);
/* Read text (canonical lines, each with '\n'). Every line that some rule may concern is told in order. */
void matcher_run(const struct matcher *m, struct matcher_scan *s, const char *text, size_t len,
                 void (*hit)(void *user, const struct matcher_hit *h), void *user);

#endif

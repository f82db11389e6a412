/*
 * clients/cli/match.h -- what is looked for: --grep, -F and -q, with -i, as the server takes it and as we do.
 *
 * The server finds lines (its index skips what cannot match). Here the same patterns (base/pattern.h on both
 * sides) tell where in a line to put the light, and decide alone where the server cannot: -v, and a tail with
 * lines of context.
 */
#ifndef CLIENTS_CLI_MATCH_H
#define CLIENTS_CLI_MATCH_H

#include "base/buf.h"
#include "clients/cli/term.h"

#define MATCH_MARKS_MAX 256 /* found places shown in one line */

struct match;

struct match_options {
    const char *grep;   /* NULL: none */
    int fixed;          /* grep is plain text */
    const char *search; /* lines must hold it too; NULL: none */
    int ignore_case;
    int invert; /* the lines that do not match */
};

/* *ret is NULL when nothing is looked for. ERR_INVALID with why. */
int match_new(const struct match_options *o, struct match **ret, char *why, size_t why_size);
void match_free(struct match **m);
/* Append to a path what makes the server find these lines; not for `invert`. */
void match_args(const struct match_options *o, struct buf *path);
/* Is it one of the lines wanted? */
int match_is(const struct match *m, const char *text, size_t len);
/* The places found in text, in order, none over another. Returns their number; 0 for `invert`. */
size_t match_marks(const struct match *m, const char *text, size_t len,
                   struct term_mark marks[MATCH_MARKS_MAX]);

#endif

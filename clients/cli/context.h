/*
 * clients/cli/context.h -- lines before and after the lines wanted, as grep -A -B -C: pure.
 *
 *     fed:     a b c M d e f g h M i        -B 1 -A 1
 *     given:       c M d   --   h M i
 *
 * Limits     CONTEXT_LINES_MAX lines on a side; CONTEXT_BYTES_MAX of lines are held back, the oldest go first.
 */
#ifndef CLIENTS_CLI_CONTEXT_H
#define CLIENTS_CLI_CONTEXT_H

#include <stddef.h>

#define CONTEXT_LINES_MAX 10000
#define CONTEXT_BYTES_MAX (16UL << 20)

enum context_kind {
    CONTEXT_MATCH,
    CONTEXT_AROUND,
    CONTEXT_SEPARATOR /* lines were left out here; line is NULL */
};

struct context;
/* < 0 ends the feeding with that code. */
typedef int context_fn(void *user, enum context_kind kind, const char *line, size_t len);

struct context *context_new(size_t before, size_t after, context_fn *give, void *user);
void context_free(struct context **c);
/* The next line, in order. */
int context_feed(struct context *c, const char *line, size_t len, int is_match);
/* Lines that were not fed lie between the last one and the next. */
void context_skipped(struct context *c);
/* How many of the lines after the last match are still due. */
size_t context_due(const struct context *c);

#endif

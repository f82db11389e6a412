/*
 * digest/block_int.h -- a line of text under the eyes of the block readers, and the readers by kind.
 */
#ifndef DIGEST_BLOCK_INT_H
#define DIGEST_BLOCK_INT_H

#include "digest/block.h"

#include <string.h>

#define LITERAL(s) s, sizeof(s) - 1

struct block_text {
    const char *s; /* the line */
    size_t n;
    size_t indent; /* leading spaces; a tab counts 8 */
    const char *t; /* behind them */
    size_t tn;
};

static inline int block_starts(const char *s, size_t n, const char *what, size_t len)
{
    return n >= len && memcmp(s, what, len) == 0;
}
#define STARTS(x, literal) block_starts((x)->t, (x)->tn, LITERAL(literal))
static inline int block_has(const struct block_text *x, const char *what, size_t len)
{
    return x->tn >= len && memmem(x->t, x->tn, what, len) != NULL;
}
#define HAS(x, literal) block_has((x), LITERAL(literal))

/* Each begins its kind (1: phase, kind, level, role set), and says whether a line goes on (1, role). */
int block__python_begin(struct block *b, const struct block_text *x, enum block_role *role);
int block__python_next(struct block *b, const struct block_text *x, enum block_role *role);
int block__native_begin(struct block *b, const struct block_text *x, enum block_role *role);
/* Told by what stands inside the line: NCCL's warnings, failed assertions. b->level is the line's. */
int block__inside_begin(struct block *b, const struct block_text *x, enum block_role *role);
int block__native_next(struct block *b, const struct block_text *x, enum block_role *role);
int block__panic_begin(struct block *b, const struct block_text *x, enum block_role *role);
int block__panic_next(struct block *b, const struct block_text *x, enum block_role *role);
/* Messages of known libraries that have more lines: is this one? */
int block__message_goes_on(const struct block_text *x, enum block_role *role);

#endif

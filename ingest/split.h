/*
 * ingest/split.h -- where the values of a JSON document end: of an array, or of objects one after another.
 *
 * Knows brackets and strings, nothing more: what stands between them is judged by the scanner. Works over
 * any cut of the input.
 */
#ifndef INGEST_SPLIT_H
#define INGEST_SPLIT_H

#include <stddef.h>
#include <stdint.h>

enum split_state { SPLIT_OPEN, SPLIT_FIRST, SPLIT_NEXT, SPLIT_INSIDE, SPLIT_BARE, SPLIT_AFTER, SPLIT_CLOSED };

struct split {
    int is_array;
    enum split_state state;
    uint32_t depth;
    int in_string, escaped;
    uint64_t element_count; /* begun so far */
    const char *why;
};

enum split_got {
    SPLIT_SKIP = 1, /* n bytes between values */
    SPLIT_MORE,     /* n bytes of a value that goes on */
    SPLIT_VALUE,    /* n bytes that end a value */
};

void split_init(struct split *s, int is_array);
/* Look at the next bytes (len > 0); *ret_n are used. enum split_got, or ERR_INVALID (why). */
int split_next(struct split *s, const char *p, size_t len, size_t *ret_n);
/* NULL when the document is whole, else what is missing. */
const char *split_finish(const struct split *s);

#endif

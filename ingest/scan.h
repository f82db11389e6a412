/*
 * ingest/scan.h -- a scanner of JSON text that copies what is already good.
 *
 * A log line that is valid JSON needs no unescaping and no printing: its strings are found with a
 * 16-byte scan and copied. Only what cannot stand in a canonical record is rewritten:
 *     invalid UTF-8 -> U+FFFD, raw control bytes -> escapes, lone surrogates -> \ufffd,
 *     NaN, Infinity, -Infinity (Python's json.dumps writes them) -> strings
 * Everything else stays byte for byte, numbers of any size included; space between tokens goes.
 *
 * Not here   What the members of a log line mean (ingest/line.h), small documents (base/json_tree.h).
 * Errors     ERR_INVALID: why says what was wrong, p stands where. ERR_NOMEM, ERR_TOO_BIG of the buffer.
 */
#ifndef INGEST_SCAN_H
#define INGEST_SCAN_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct scan {
    const char *p;
    const char *end;
    const char *why; /* a static sentence, set with ERR_INVALID */
    uint64_t replaced_count, nul_count;
};

enum scan_flag {
    SCAN_ESCAPED = 1, /* holds a backslash */
    SCAN_CR = 2,      /* holds a carriage return */
};

/* The inside of a string, canonical and still escaped. */
struct scan_text {
    const char *text; /* borrowed from the input; NULL when it was rewritten */
    size_t offset;    /* then: where it starts in the scratch buffer */
    size_t len;
    size_t plain_bytes; /* when unescaped */
    unsigned flags;
};

void scan_init(struct scan *s, const char *text, size_t len);
/* ERR_INVALID with a reason, for callers that find fault themselves. */
int scan_fail(struct scan *s, const char *why);

static inline void scan_space(struct scan *s)
{
    if (s->p < s->end && (unsigned char)*s->p > ' ') return; /* nearly always */
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n')) s->p++;
}

/* p stands after the opening quote, and after the closing one on success. A string that needs rewriting
 * is appended to scratch (which is not cleared). */
int scan_string(struct scan *s, struct buf *scratch, struct scan_text *ret);
/* p stands on a number: it is borrowed as it is written. */
int scan_number(struct scan *s, const char **ret_text, size_t *ret_len);
/* Append the value at p to out; arrays and objects may nest depth levels. */
int scan_value(struct scan *s, struct buf *out, int depth);
/* p stands on '{': append the members without the braces, with a comma first when out is not empty. */
int scan_members(struct scan *s, struct buf *out, int depth);
/* Append plain text escaped, invalid UTF-8 replaced and NUL escaped, both counted in s. */
int scan_escape(struct scan *s, struct buf *out, const char *text, size_t len);
/* The largest n <= max at which UTF-8 text may be cut; looks at most 3 bytes back. max < len. */
size_t scan_cut(const char *text, size_t max);

#endif

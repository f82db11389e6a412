/*
 * serve/document.h -- a document under way that remembers when a piece of it is missing.
 *
 * Promises   After the first error nothing is added any more: err tells, and what is in out is not to be sent.
 */
#ifndef SERVE_DOCUMENT_H
#define SERVE_DOCUMENT_H

#include "base/buf.h"

#include <string.h>

struct document {
    struct buf *out; /* borrowed */
    int err;         /* the first: ERR_NOMEM, ERR_TOO_BIG of out; 0 */
};

/* Something that goes into it could not be made. */
static inline void document_note(struct document *d, int err)
{
    if (err < 0 && d->err == 0)
        d->err = err;
}

static inline void document_add(struct document *d, const void *data, size_t len)
{
    if (d->err == 0)
        d->err = buf_add(d->out, data, len);
}

static inline void document_adds(struct document *d, const char *s)
{
    document_add(d, s, strlen(s));
}

static inline void document_addc(struct document *d, char c)
{
    document_add(d, &c, 1);
}

static inline __attribute__((format(printf, 2, 3))) void document_addf(struct document *d, const char *fmt, ...)
{
    va_list ap;

    if (d->err)
        return;
    va_start(ap, fmt);
    d->err = buf_vaddf(d->out, fmt, ap);
    va_end(ap);
}

#endif

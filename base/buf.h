/*
 * base/buf.h -- a growable run of bytes with a ceiling.
 *
 * Promises   data[len] is always readable and '\0' once anything was added or buf_init was called
 *            with buf_cstr; growth is by doubling; nothing is lost when growth fails.
 * Limits     Created with bytes_max: an add that would exceed it returns ERR_TOO_BIG and leaves
 *            the buffer as it was. 0 means BUF_BYTES_MAX_DEFAULT (1 GiB).
 * Threads    One owner at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define BUF_BYTES_MAX_DEFAULT (1UL << 30)

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t bytes_max;
};

#define BUF_INIT {NULL, 0, 0, 0}

void buf_init(struct buf *b, size_t bytes_max);
void buf_release(struct buf *b);
/* len = 0; keeps the memory. */
void buf_clear(struct buf *b);
/* Room for extra more bytes (plus a NUL). ERR_TOO_BIG, ERR_NOMEM. */
int buf_reserve(struct buf *b, size_t extra);
int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vaddf(struct buf *b, const char *fmt, va_list ap);
/* Decimal, no locale, fast. */
int buf_addu64(struct buf *b, uint64_t v);
/* Drop n bytes from the front (memmove). n <= len. */
void buf_consume(struct buf *b, size_t n);
/* The bytes as a NUL-terminated string, never NULL. Borrowed until the next change. */
const char *buf_cstr(struct buf *b);
/* Hand the malloc'd memory to the caller and start empty. *ret_len may be NULL. */
char *buf_steal(struct buf *b, size_t *ret_len);

#endif

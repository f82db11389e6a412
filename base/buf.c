/*
 * base/buf.c -- a growable run of bytes with a ceiling.
 */
#include "base/buf.h"

#include "base/check.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_BYTES 64

void buf_init(struct buf *b, size_t bytes_max)
{
    *b = (struct buf){.bytes_max = bytes_max};
}

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.bytes_max = b->bytes_max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data) b->data[0] = '\0';
}

int buf_reserve(struct buf *b, size_t extra)
{
    size_t max = b->bytes_max ? b->bytes_max : BUF_BYTES_MAX_DEFAULT;
    if (extra > max || b->len > max - extra) return ERR_TOO_BIG;
    size_t need = b->len + extra + 1;
    if (need <= b->cap) return 0;
    size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > max + 1) cap = max + 1;
    char *data = realloc(b->data, cap);
    if (!data) return ERR_NOMEM;
    if (!b->data) data[0] = '\0';
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
    if (b->cap <= len || b->len >= b->cap - len || b->bytes_max) {
        int rc = buf_reserve(b, len);
        if (rc < 0) return rc;
    }
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_adds(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap ? b->cap - b->len : 0;
    int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    int rc = n < 0 ? ERR_INVALID : buf_reserve(b, (size_t)n);
    if (rc < 0) {
        if (b->data) b->data[b->len] = '\0';
    } else {
        if ((size_t)n >= room) vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return rc;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = buf_vaddf(b, fmt, ap);
    va_end(ap);
    return rc;
}

int buf_addu64(struct buf *b, uint64_t v)
{
    char digits[20];
    char *p = digits + sizeof digits;
    do *--p = (char)('0' + v % 10);
    while (v /= 10);
    return buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

void buf_consume(struct buf *b, size_t n)
{
    CHECKF(n <= b->len, "n=%zu len=%zu", n, b->len);
    if (!n) return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

const char *buf_cstr(struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_steal(struct buf *b, size_t *ret_len)
{
    char *data = b->data;
    if (ret_len) *ret_len = b->len;
    if (!data) data = must_calloc(1, 1);
    b->data = NULL;
    b->len = b->cap = 0;
    return data;
}

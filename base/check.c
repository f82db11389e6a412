/*
 * base/check.c -- the last words of a process that found a bug of its own.
 *
 * Written with one write(2) from a fixed buffer: memory may be what is broken.
 */
#include "base/check.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_WORDS_BYTES 1024

void check_failed(const char *file, int line, const char *func, const char *cond, const char *fmt,
                  ...)
{
    char text[LAST_WORDS_BYTES];
    int n = snprintf(text, sizeof text, "%s:%d: %s: CHECK(%s) failed", file, line, func, cond);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    if (len + 3 < sizeof text) {
        va_list ap;
        va_start(ap, fmt);
        n = vsnprintf(text + len + 2, sizeof text - len - 2, fmt, ap);
        va_end(ap);
        if (n > 0) {
            size_t room = sizeof text - len - 3;
            memcpy(text + len, ": ", 2);
            len += 2 + ((size_t)n < room ? (size_t)n : room);
        }
    }
    if (len > sizeof text - 1) len = sizeof text - 1;
    text[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, text, len);
    (void)ignored;
    abort();
}

static void *must(void *p, unsigned long bytes)
{
    if (!p) check_failed(__FILE__, __LINE__, __func__, "memory", "no %lu bytes left", bytes);
    return p;
}

void *must_malloc(unsigned long bytes)
{
    return must(malloc(bytes ? bytes : 1), bytes);
}

void *must_calloc(unsigned long count, unsigned long bytes)
{
    if (!count || !bytes) count = bytes = 1;
    return must(calloc(count, bytes), bytes);
}

void *must_realloc(void *p, unsigned long bytes)
{
    return must(realloc(p, bytes ? bytes : 1), bytes);
}

int must_have(int err)
{
    if (err == ERR_NOMEM) must(NULL, 0);
    return err;
}

char *must_strdup(const char *s)
{
    return must_strndup(s, strlen(s));
}

char *must_strndup(const char *s, unsigned long n)
{
    n = strnlen(s, n);
    char *copy = must_malloc(n + 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

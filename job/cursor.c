/*
 * job/cursor.c -- "<epoch>:<seq>".
 */
#include "job/cursor.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>

/* Digits of [s, end) into *ret. ERR_INVALID when empty, not digits only, or over 2^64 - 1. */
static int parse_number(const char *s, const char *end, uint64_t *ret)
{
    uint64_t v = 0;
    if (s == end) return ERR_INVALID;
    for (; s < end; s++) {
        if (*s < '0' || *s > '9') return ERR_INVALID;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v))
            return ERR_INVALID;
    }
    *ret = v;
    return 0;
}

int cursor_parse(const char *s, size_t len, struct cursor *ret)
{
    const char *end = s + len, *colon = s;
    struct cursor c = {0, 0};
    while (colon < end && *colon != ':') colon++;
    if (colon < end) {
        if (parse_number(s, colon, &c.epoch) != 0) return ERR_INVALID;
        s = colon + 1;
    }
    if (parse_number(s, end, &c.seq) != 0) return ERR_INVALID;
    *ret = c;
    return 0;
}

const char *cursor_format(const struct cursor *c, char out[CURSOR_TEXT_BYTES])
{
    snprintf(out, CURSOR_TEXT_BYTES, "%" PRIu64 ":%" PRIu64, c->epoch, c->seq);
    return out;
}

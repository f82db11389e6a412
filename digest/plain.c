/*
 * digest/plain.c -- the text of a line as a reader wants it.
 *
 * A JSON text is unescaped first; then, on both roads, what begins an ANSI sequence is stepped over to its end.
 */
#include "digest/plain.h"

#include "base/err.h"
#include "base/json.h"

#include <string.h>

#define ESC 0x1b
#define BEL 0x07

size_t plain_cut(const char *text, size_t len, size_t max)
{
    size_t n = max;

    if (len <= max) return len;
    while (n > 0 && max - n < 4 && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    return n;
}

/* Bytes of the ANSI sequence at s, which begins with ESC: CSI, OSC up to BEL or ESC \, or two bytes. */
static size_t sequence(const char *s, size_t n)
{
    size_t i = 2;

    if (n < 2) return n;
    if (s[1] == '[') {
        while (i < n && (s[i] < '@' || s[i] > '~')) i++;
        return i < n ? i + 1 : n;
    }
    if (s[1] != ']') return 2;
    while (i < n && s[i] != BEL && s[i] != ESC) i++;
    if (i < n && s[i] == ESC) i++;
    return i < n ? i + 1 : n;
}

/* Take the sequences out, in place. */
static void strip(struct buf *b)
{
    const char *p = b->data, *end = b->data + b->len, *esc;
    char *to = b->data;

    while ((esc = memchr(p, ESC, (size_t)(end - p))) != NULL) {
        memmove(to, p, (size_t)(esc - p));
        to += esc - p;
        p = esc + sequence(esc, (size_t)(end - esc));
    }
    memmove(to, p, (size_t)(end - p));
    b->len = (size_t)(to - b->data) + (size_t)(end - p);
    b->data[b->len] = '\0';
}

/* A prefix of escaped text, at least max bytes if there are so many, that does not end inside an escape. */
static size_t escaped_prefix(const char *s, size_t len, size_t max)
{
    size_t i = 0;

    if (len <= max) return len;
    while (i < max) {
        const char *slash = memchr(s + i, '\\', max - i);
        if (!slash) return max;
        i = (size_t)(slash - s);
        i += i + 1 < len && s[i + 1] == 'u' ? 6 : 2;
    }
    return i <= len ? i : len;
}

/* The length without a character that was cut off at the end. */
static size_t whole_characters(const char *s, size_t len)
{
    size_t lead = len;
    unsigned char c;

    while (lead > 0 && len - lead < 3 && ((unsigned char)s[lead - 1] & 0xc0) == 0x80) lead--;
    if (!lead) return len;
    c = (unsigned char)s[lead - 1];
    if (c >= 0xc0 && len - lead < (c >= 0xf0 ? 3u : c >= 0xe0 ? 2u : 1u)) return lead - 1;
    return len;
}

int plain_from_json(struct buf *scratch, const char *json, size_t len, const char **ret_text,
                    size_t *ret_len)
{
    size_t prefix;
    int err;

    if (!memchr(json, '\\', len)) {
        *ret_text = json;
        *ret_len = plain_cut(json, len, PLAIN_BYTES_MAX);
        return 0;
    }
    buf_clear(scratch);
    err = buf_reserve(scratch, PLAIN_BYTES_MAX);
    if (err < 0) return err;
    prefix = escaped_prefix(json, len, PLAIN_BYTES_MAX);
    err = json_unescape(scratch, json, prefix);
    if (err < 0 && err != ERR_INVALID) return err;
    strip(scratch);
    *ret_text = scratch->data;
    *ret_len = prefix < len ? whole_characters(scratch->data, scratch->len) : scratch->len;
    *ret_len = plain_cut(scratch->data, *ret_len, PLAIN_BYTES_MAX);
    return 0;
}

int plain_from_text(struct buf *scratch, const char *text, size_t len, const char **ret_text,
                    size_t *ret_len)
{
    int err;

    len = plain_cut(text, len, PLAIN_BYTES_MAX);
    if (!memchr(text, ESC, len)) {
        *ret_text = text;
        *ret_len = len;
        return 0;
    }
    buf_clear(scratch);
    err = buf_add(scratch, text, len);
    if (err < 0) return err;
    strip(scratch);
    *ret_text = scratch->data;
    *ret_len = scratch->len;
    return 0;
}

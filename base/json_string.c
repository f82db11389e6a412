/*
 * base/json_string.c -- the inside of JSON strings: escaping and unescaping (RFC 8259, 7).
 *
 * Both copy the long plain runs between escapes in one piece; a run is found eight bytes at a time.
 */
#include "base/err.h"
#include "base/json.h"

#include <string.h>

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)
#define ZERO_BYTES(w) (((w) - ONES) & ~(w) & HIGHS)

/* Bytes of s before the first that must be escaped. */
static size_t plain_run(const char *s, size_t len)
{
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        uint64_t w;
        memcpy(&w, s + at, 8);
        uint64_t control = (w - ONES * 0x20) & ~w & HIGHS;
        if (control | ZERO_BYTES(w ^ ONES * '"') | ZERO_BYTES(w ^ ONES * '\\')) break;
    }
    while (at < len && (unsigned char)s[at] >= 0x20 && s[at] != '"' && s[at] != '\\') at++;
    return at;
}

static size_t escape_one(unsigned char c, char out[6])
{
    static const char hex[] = "0123456789abcdef";
    char letter;
    switch (c) {
    case '"': letter = '"'; break;
    case '\\': letter = '\\'; break;
    case '\b': letter = 'b'; break;
    case '\f': letter = 'f'; break;
    case '\n': letter = 'n'; break;
    case '\r': letter = 'r'; break;
    case '\t': letter = 't'; break;
    default:
        memcpy(out, "\\u00", 4);
        out[4] = hex[c >> 4];
        out[5] = hex[c & 15];
        return 6;
    }
    out[0] = '\\';
    out[1] = letter;
    return 2;
}

int json_escape(struct buf *out, const char *s, size_t len)
{
    size_t before = out->len;
    while (len) {
        size_t run = plain_run(s, len);
        int rc = run ? buf_add(out, s, run) : 0;
        if (rc >= 0 && run < len) {
            char esc[6];
            rc = buf_add(out, esc, escape_one((unsigned char)s[run], esc));
            run++;
        }
        if (rc < 0) { /* half a string is of no use to anybody */
            out->len = before;
            if (out->data) out->data[before] = '\0';
            return rc;
        }
        s += run;
        len -= run;
    }
    return 0;
}

static int hex4(const char *s, unsigned *ret)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)s[i], low = c | 0x20;
        if (c >= '0' && c <= '9') v = v << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f') v = v << 4 | (low - 'a' + 10U);
        else return ERR_INVALID;
    }
    *ret = v;
    return 0;
}

static size_t utf8_put(unsigned cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 63));
    out[2] = (char)(0x80 | (cp >> 6 & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

/* s is at "\uXXXX"; returns the bytes read (6, or 12 for a pair) or ERR_INVALID. */
static int unescape_u(const char *s, size_t len, char out[4], size_t *ret_len)
{
    unsigned cp, low;
    int used = 6;
    if (len < 6 || hex4(s + 2, &cp) < 0) return ERR_INVALID;
    if (cp >= 0xd800 && cp < 0xe000) {
        if (cp < 0xdc00 && len >= 12 && s[6] == '\\' && s[7] == 'u' && hex4(s + 8, &low) >= 0 &&
            low >= 0xdc00 && low < 0xe000) {
            cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
            used = 12;
        } else {
            cp = 0xfffd;
        }
    }
    *ret_len = utf8_put(cp, out);
    return used;
}

/* s is at a backslash; returns the bytes read. */
static int unescape_one(const char *s, size_t len, char out[4], size_t *ret_len)
{
    if (len < 2) return ERR_INVALID;
    *ret_len = 1;
    switch (s[1]) {
    case '"': out[0] = '"'; return 2;
    case '\\': out[0] = '\\'; return 2;
    case '/': out[0] = '/'; return 2;
    case 'b': out[0] = '\b'; return 2;
    case 'f': out[0] = '\f'; return 2;
    case 'n': out[0] = '\n'; return 2;
    case 'r': out[0] = '\r'; return 2;
    case 't': out[0] = '\t'; return 2;
    case 'u': return unescape_u(s, len, out, ret_len);
    default: return ERR_INVALID;
    }
}

int json_unescape(struct buf *out, const char *s, size_t len)
{
    while (len) {
        const char *slash = memchr(s, '\\', len);
        size_t run = slash ? (size_t)(slash - s) : len;
        int rc = buf_add(out, s, run);
        if (rc < 0) return rc;
        s += run;
        len -= run;
        if (!len) break;
        char piece[4];
        size_t piece_len;
        int used = unescape_one(s, len, piece, &piece_len);
        if (used < 0) return used;
        rc = buf_add(out, piece, piece_len);
        if (rc < 0) return rc;
        s += used;
        len -= (size_t)used;
    }
    return 0;
}

/*
 * digest/fingerprint.c -- a hash of a text without what varies.
 *
 * A small scanner walks words. Its sink takes the normalised bytes: the hash, or a buffer.
 */
#include "digest/fingerprint.h"

#include <string.h>

struct sink {
    uint64_t h;
    char *out; /* NULL: only the hash */
    size_t size, len;
};

static void put(struct sink *k, char c)
{
    k->h = (k->h ^ (unsigned char)c) * UINT64_C(0x100000001b3);
    if (k->out && k->len + 1 < k->size) k->out[k->len] = c;
    k->len++;
}

static void put_all(struct sink *k, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) put(k, s[i]);
}

enum { C_DIGIT = 1, C_HEX = 2, C_WORD = 4, C_PATH = 8 };

/* Word bytes: letters, digits, '_', bytes of other scripts. Path bytes: those and what file names have. */
static const unsigned char class_of[256] = {
    ['0' ... '9'] = C_DIGIT | C_HEX | C_WORD | C_PATH,
    ['a' ... 'f'] = C_HEX | C_WORD | C_PATH,
    ['A' ... 'F'] = C_HEX | C_WORD | C_PATH,
    ['g' ... 'z'] = C_WORD | C_PATH,
    ['G' ... 'Z'] = C_WORD | C_PATH,
    ['_'] = C_WORD | C_PATH,
    [0x80 ... 0xff] = C_WORD | C_PATH,
    ['.'] = C_PATH,
    ['/'] = C_PATH,
    ['-'] = C_PATH,
    ['+'] = C_PATH,
    ['@'] = C_PATH,
    ['='] = C_PATH,
    ['~'] = C_PATH,
    ['%'] = C_PATH,
};

static int is(char c, int class)
{
    return class_of[(unsigned char)c] & class;
}

static size_t run(const char *s, size_t n, int class)
{
    size_t i = 0;

    while (i < n && is(s[i], class)) i++;
    return i;
}

/* Bytes of a number at s (a digit): digits joined by one of .:,-_/x, an exponent, a unit of bytes. */
static size_t number_run(const char *s, size_t n)
{
    size_t i = run(s, n, C_DIGIT);

    while (i + 1 < n && strchr(".:,-_/xT+", s[i]) && is(s[i + 1], C_DIGIT))
        i += 1 + run(s + i + 1, n - i - 1, C_DIGIT);
    if (i + 1 < n && (s[i] == 'e' || s[i] == 'E')) {
        size_t sign = s[i + 1] == '-' || s[i + 1] == '+';
        size_t digits = run(s + i + 1 + sign, n - i - 1 - sign, C_DIGIT);
        if (digits) i += 1 + sign + digits;
    }
    return i;
}

/* After a number: " GiB", "MB", "KiB"… */
static size_t unit_run(const char *s, size_t n)
{
    size_t i = n && *s == ' ', start;

    if (i < n && strchr("KMGTPkmgt", s[i]) && s[i])
        i++;
    else
        return 0;
    start = i;
    if (i < n && s[i] == 'i') i++;
    if (i < n && s[i] == 'B') i++;
    return i > start && s[i - 1] == 'B' && (i == n || !is(s[i], C_WORD)) ? i : 0;
}

/* 8-4-4-4-12 */
static size_t uuid_run(const char *s, size_t n)
{
    static const size_t parts[] = {8, 4, 4, 4, 12};
    size_t at = 0;

    for (size_t k = 0; k < 5; k++) {
        if (k && (at >= n || s[at++] != '-')) return 0;
        if (n - at < parts[k] || run(s + at, parts[k], C_HEX) != parts[k]) return 0;
        at += parts[k];
    }
    return at;
}

/* Is this word a number written in hexadecimal: 0x…, or six and more hexadecimal digits, one of them 0-9? */
static int is_hex_word(const char *s, size_t n)
{
    if (n > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
        return run(s + 2, n - 2, C_HEX) == n - 2;
    if (n < 6 || run(s, n, C_HEX) != n) return 0;
    for (size_t i = 0; i < n; i++) {
        if (is(s[i], C_DIGIT)) return 1;
    }
    return 0;
}

/* A path at s: its last name only is told apart, "…/" in front of it. Returns the bytes of the directories. */
static size_t directories(const char *s, size_t n)
{
    size_t len = run(s, n, C_PATH), slash = 0, slashes = 0;

    for (size_t i = 0; i < len; i++) {
        if (s[i] != '/') continue;
        slashes++;
        if (i + 1 < len) slash = i + 1;
    }
    return slashes > 1 || (slashes && *s == '/') ? slash : 0;
}

static void put_word(struct sink *k, const char *s, size_t n)
{
    size_t i = 0;

    while (i < n) {
        size_t digits = run(s + i, n - i, C_DIGIT);
        if (digits) put(k, '#');
        i += digits;
        while (i < n && !is(s[i], C_DIGIT)) put(k, s[i++]);
    }
}

static void walk(struct sink *k, const char *s, size_t len)
{
    size_t i = 0;
    int path_seen = 0, space = 1;

    if (len > FINGERPRINT_BYTES_MAX) len = FINGERPRINT_BYTES_MAX;
    while (len && s[len - 1] == ' ') len--;
    while (i < len) {
        size_t n, left = len - i;

        if (s[i] == ' ' || s[i] == '\t') {
            if (!space) put(k, ' ');
            space = 1;
            path_seen = 0;
            i++;
            continue;
        }
        space = 0;
        if (is(s[i], C_HEX) && (n = uuid_run(s + i, left))) {
            put(k, '#');
            i += n;
        } else if (!path_seen && is(s[i], C_PATH) && (n = directories(s + i, left))) {
            put(k, '/');
            i += n;
            path_seen = 1; /* what is left of it holds no directory */
        } else if (is(s[i], C_WORD)) {
            n = run(s + i, left, C_WORD);
            if (is_hex_word(s + i, n)) {
                put(k, '#');
            } else if (is(s[i], C_DIGIT)) {
                n = number_run(s + i, left);
                put(k, '#');
                n += unit_run(s + i + n, left - n);
            } else {
                put_word(k, s + i, n);
            }
            i += n;
        } else {
            if (!is(s[i], C_PATH)) path_seen = 0;
            int sign = (s[i] == '-' || s[i] == '+') && i + 1 < len && is(s[i + 1], C_DIGIT);
            if (!sign || (i && is(s[i - 1], C_WORD))) put(k, s[i]);
            i++;
        }
    }
}

uint64_t fingerprint_bytes(uint64_t h, const char *s, size_t len)
{
    struct sink k = {.h = h};

    put_all(&k, s, len);
    return k.h;
}

uint64_t fingerprint_text(uint64_t h, const char *s, size_t len)
{
    struct sink k = {.h = h};

    walk(&k, s, len);
    put(&k, '\n');
    return k.h;
}

uint64_t fingerprint_end(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    return h ? h : 1;
}

size_t fingerprint_normal(const char *s, size_t len, char *out, size_t size)
{
    struct sink k = {.h = 0, .out = out, .size = size};

    walk(&k, s, len);
    if (!size) return k.len;
    if (k.len >= size) k.len = size - 1;
    out[k.len] = '\0';
    return k.len;
}

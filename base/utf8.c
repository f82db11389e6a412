/*
 * base/utf8.c -- the shape of well-formed UTF-8 (Unicode 15, table 3-7).
 */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* The bytes at s that are part of one well-formed sequence or a prefix of one. *ret_need is the
 * length the lead byte asks for, 0 when it is no lead byte. */
static size_t sequence(const unsigned char *s, size_t len, size_t *ret_need)
{
    unsigned char lead = s[0], lo = 0x80, hi = 0xbf;
    size_t need;
    if (lead < 0x80) need = 1;
    else if (lead < 0xc2) need = 0;
    else if (lead < 0xe0) need = 2;
    else if (lead < 0xf0) need = 3;
    else if (lead < 0xf5) need = 4;
    else need = 0;
    *ret_need = need;
    if (need < 2) return need;
    if (lead == 0xe0) lo = 0xa0;
    else if (lead == 0xed) hi = 0x9f;
    else if (lead == 0xf0) lo = 0x90;
    else if (lead == 0xf4) hi = 0x8f;
    size_t got = 1;
    while (got < need && got < len && s[got] >= lo && s[got] <= hi) {
        lo = 0x80;
        hi = 0xbf;
        got++;
    }
    return got;
}

size_t utf8_valid_prefix(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t at = 0;
    while (at < len) {
        uint64_t words[2];
        while (len - at >= sizeof words) {
            memcpy(words, p + at, sizeof words);
            if ((words[0] | words[1]) & UINT64_C(0x8080808080808080)) break;
            at += sizeof words;
        }
        size_t stop = len - at < sizeof words ? len : at + sizeof words;
        while (at < stop) {
            size_t need, got;
            if (p[at] < 0x80) {
                at++;
                continue;
            }
            got = sequence(p + at, len - at, &need);
            if (!need || got < need) return at;
            at += need;
        }
    }
    return at;
}

size_t utf8_bad_run(const char *s, size_t len)
{
    size_t need, got = sequence((const unsigned char *)s, len, &need);
    return got ? got : 1;
}

void utf8_mend(char *s)
{
    size_t len = strlen(s);

    for (size_t at = utf8_valid_prefix(s, len); at < len; at += utf8_valid_prefix(s + at, len - at)) {
        size_t bad = utf8_bad_run(s + at, len - at);

        memset(s + at, '?', bad);
    }
}

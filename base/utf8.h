/*
 * base/utf8.h -- is it UTF-8 (RFC 3629: no overlongs, no surrogates, at most U+10FFFF)?
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* Bytes of the valid prefix; == len when all is valid. Fast over ASCII runs. */
size_t utf8_valid_prefix(const char *s, size_t len);
/* How many bytes at s (an invalid place, len > 0) one U+FFFD replaces: the maximal subpart of an
 * ill-formed sequence (Unicode 15, 3.9), at least 1. */
size_t utf8_bad_run(const char *s, size_t len);
/* Put '?' in place of every byte that is not part of a valid character: of a text that was cut somewhere. */
void utf8_mend(char *s);

#endif

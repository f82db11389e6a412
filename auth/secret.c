/*
 * auth/secret.c -- making and checking the text of tokens and tickets.
 */
#include "auth/secret.h"

#include "auth/hash.h"
#include "base/err.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

#define RANDOM_BYTES 32
#define RANDOM_DIGITS 43 /* 62^43 > 2^256 */
#define CHECK_DIGITS 6   /* 62^6 > 2^32 */

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* The number in bytes (changed: it is divided away) as count digits. */
static void write_base62(unsigned char *bytes, size_t len, char *out, size_t count)
{
    while (count--) {
        unsigned rest = 0;

        for (size_t i = 0; i < len; i++) {
            unsigned v = rest << 8 | bytes[i];

            bytes[i] = (unsigned char)(v / 62);
            rest = v % 62;
        }
        out[count] = alphabet[rest];
    }
}

static void write_check(const char *text, size_t len, char out[CHECK_DIGITS])
{
    uint32_t crc = (uint32_t)crc32(0, (const unsigned char *)text, (unsigned)len);
    unsigned char bytes[4] = {(unsigned char)(crc >> 24), (unsigned char)(crc >> 16),
                              (unsigned char)(crc >> 8), (unsigned char)crc};

    write_base62(bytes, sizeof bytes, out, CHECK_DIGITS);
}

void secret_make(const char *prefix, char out[SECRET_BYTES + 1])
{
    unsigned char random[RANDOM_BYTES];
    size_t at = SECRET_PREFIX_BYTES;

    hash_random(random, sizeof random);
    memcpy(out, prefix, at);
    write_base62(random, sizeof random, out + at, RANDOM_DIGITS);
    at += RANDOM_DIGITS;
    write_check(out, at, out + at);
    out[SECRET_BYTES] = '\0';
    hash_wipe(random, sizeof random);
}

int secret_check(const char *prefix, const char *text, size_t len)
{
    char check[CHECK_DIGITS];
    size_t at = SECRET_BYTES - CHECK_DIGITS;

    if (len != SECRET_BYTES || memcmp(text, prefix, SECRET_PREFIX_BYTES) != 0)
        return ERR_INVALID;
    for (size_t i = SECRET_PREFIX_BYTES; i < len; i++)
        if (!text[i] || !strchr(alphabet, text[i]))
            return ERR_INVALID;
    write_check(text, at, check);
    return memcmp(check, text + at, CHECK_DIGITS) == 0 ? 0 : ERR_CORRUPT;
}

/*
 * auth/hash_ssl.c -- the door to libcrypto.
 */
#include "auth/hash.h"

#include "base/check.h"
#include "base/err.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

void hash_sha256(const void *data, size_t len, unsigned char out[HASH_BYTES])
{
    CHECK(SHA256(data, len, out) != NULL);
}

int hash_equal(const unsigned char a[HASH_BYTES], const unsigned char b[HASH_BYTES])
{
    return CRYPTO_memcmp(a, b, HASH_BYTES) == 0;
}

const char *hash_hex(const unsigned char hash[HASH_BYTES], char out[HASH_HEX_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[HASH_HEX_BYTES] = '\0';
    return out;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hash_parse(const char *hex, unsigned char out[HASH_BYTES])
{
    if (strlen(hex) != HASH_HEX_BYTES)
        return ERR_INVALID;
    for (int i = 0; i < HASH_BYTES; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return ERR_INVALID;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

void hash_random(void *out, size_t len)
{
    CHECK(RAND_bytes(out, (int)len) == 1);
}

void hash_wipe(void *data, size_t len)
{
    OPENSSL_cleanse(data, len);
}

/*
 * auth/hash.h -- SHA-256, comparing without telling where, random bytes: the door to libcrypto.
 */
#ifndef AUTH_HASH_H
#define AUTH_HASH_H

#include <stddef.h>

#define HASH_BYTES 32
#define HASH_HEX_BYTES 64 /* without NUL */

void hash_sha256(const void *data, size_t len, unsigned char out[HASH_BYTES]);
/* Takes as long for any two. */
int hash_equal(const unsigned char a[HASH_BYTES], const unsigned char b[HASH_BYTES]);
/* Lower case, with NUL. Returns out. */
const char *hash_hex(const unsigned char hash[HASH_BYTES], char out[HASH_HEX_BYTES + 1]);
/* ERR_INVALID unless exactly 64 lower-case digits. */
int hash_parse(const char *hex, unsigned char out[HASH_BYTES]);
/* From the system's generator; without one nothing goes on (CHECK). */
void hash_random(void *out, size_t len);
/* Overwrite a secret, whatever the compiler thinks of it. */
void hash_wipe(void *data, size_t len);

#endif

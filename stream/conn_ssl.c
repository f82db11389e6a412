/*
 * stream/conn_ssl.c -- the SHA-1 by which Redis knows a script: the room's door to libcrypto.
 */
#include "base/check.h"
#include "stream/conn_int.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void conn__hash_script(const char *script, char out[41])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    CHECK(EVP_Digest(script, strlen(script), digest, &len, EVP_sha1(), NULL) == 1 && len == 20);
    for (unsigned i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

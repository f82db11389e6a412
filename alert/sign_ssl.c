/*
 * alert/sign_ssl.c -- the door to libcrypto.
 */
#include "alert/sign.h"

#include "base/check.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define SIGNATURE_BYTES 32

int sign_add(struct buf *out, const struct receiver_secret *secrets, uint32_t count, const char *id,
             size_t id_len, int64_t timestamp_s, const char *body, size_t body_len)
{
    unsigned char mac[SIGNATURE_BYTES];
    unsigned char text[(SIGNATURE_BYTES + 2) / 3 * 4 + 1];
    unsigned len = 0;
    struct buf signed_text = BUF_INIT;
    int err = buf_add(&signed_text, id, id_len);

    if (err == 0)
        err = buf_addf(&signed_text, ".%" PRId64 ".", timestamp_s);
    if (err == 0)
        err = buf_add(&signed_text, body, body_len);
    for (uint32_t i = 0; i < count && err == 0; i++) {
        CHECK(HMAC(EVP_sha256(), secrets[i].key, (int)secrets[i].len,
                   (const unsigned char *)signed_text.data, signed_text.len, mac, &len) &&
              len == SIGNATURE_BYTES);
        EVP_EncodeBlock(text, mac, (int)len);
        err = buf_addf(out, "%sv1,%s", i ? " " : "", (const char *)text);
    }
    buf_release(&signed_text);
    return err;
}

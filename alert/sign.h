/*
 * alert/sign.h -- the signature of a delivery: Standard Webhooks 1.0 (standardwebhooks.com), symmetric.
 *
 * "v1," and the base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>", one for each secret, a space between: while secrets are
 * exchanged both sides know one of them.
 */
#ifndef ALERT_SIGN_H
#define ALERT_SIGN_H

#include "alert/receiver.h"
#include "base/buf.h"

/* The value of `webhook-signature`, appended. timestamp_s: that of `webhook-timestamp`. ERR_NOMEM. */
int sign_add(struct buf *out, const struct receiver_secret *secrets, uint32_t count, const char *id,
             size_t id_len, int64_t timestamp_s, const char *body, size_t body_len);

#endif

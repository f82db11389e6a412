/*
 * serve/quotas_refuse.c -- the answer to who has used a quota up.
 */
#include "base/buf.h"
#include "serve/quotas.h"

#include <stdio.h>

void quotas_refuse(struct serve_ctx *ctx, struct http *x, const struct token *t, enum quota which)
{
    struct buf body = BUF_INIT;
    char seconds[12];

    ctx->quota_refused[which]++;
    snprintf(seconds, sizeof seconds, "%u",
             quota_answer(&t->quotas, which, QUOTA_RETRY_S * INT64_C(1000000), &body));
    buf_addc(&body, '\n');
    http_set_header(x, "Retry-After", seconds);
    http_reply(x, 429, "application/json", body.data, body.len);
    buf_release(&body);
}

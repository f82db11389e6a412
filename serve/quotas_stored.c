/*
 * serve/quotas_stored.c -- how many bytes a token's project holds, looked up now and then.
 */
#include "base/clock.h"
#include "serve/auth.h"
#include "serve/quotas.h"
#include "stream/stream.h"

static void on_bytes(void *user, int err, uint64_t bytes)
{
    struct token *t = user;

    t->use.is_stored_asked = 0;
    t->use.stored_us = clock_mono_us();
    if (err == 0)
        t->use.stored = bytes;
    token_unref(&t);
}

void quotas_tick(struct serve_ctx *ctx)
{
    const struct tokens *tokens = token_store_tokens(auth_store(ctx->auth));
    int64_t now = clock_mono_us();
    struct token *t;
    size_t pos = 0;

    while ((t = tokens_next(tokens, &pos))) {
        struct quota_use *u = &t->use;
        int is_full = u->stored + u->stored_since >= t->quotas.max[QUOTA_STORED];
        int64_t every_us = is_full ? QUOTA_RETRY_S * INT64_C(1000000) : QUOTA_STORED_US;

        if (!u->is_stored_wanted || u->is_stored_asked || (u->stored_us && u->stored_us + every_us > now))
            continue;
        u->is_stored_wanted = 0;
        u->is_stored_asked = 1;
        u->stored += u->stored_since; /* what is taken while looking counts twice at worst */
        u->stored_since = 0;
        stream_jobs_bytes(ctx->stream, *t->project ? t->project : NULL, on_bytes, token_ref(t));
    }
}

/*
 * serve/ctx.c -- making and freeing serve's own registries.
 */
#include "serve/ctx.h"

#include "base/check.h"
#include "serve/digests.h"
#include "serve/followers.h"
#include "serve/reader.h"
#include "serve/tail_int.h"

void serve_ctx_open(struct serve_ctx *ctx)
{
    CHECK(ctx->loop && ctx->stream && ctx->archive && !ctx->readers && !ctx->tails);
    ctx->readers = readers_new(ctx->loop);
    ctx->digests = digests_new(ctx->loop);
    ctx->tails = tails_new(ctx->loop);
    ctx->followers = followers_new();
}

void serve_ctx_close(struct serve_ctx *ctx)
{
    followers_free(&ctx->followers);
    tails_free(&ctx->tails);
    digests_free(&ctx->digests);
    readers_free(&ctx->readers);
}

/*
 * serve/quotas.c -- may a caller make one more job?
 */
#include "serve/quotas.h"

#include "base/check.h"
#include "base/err.h"
#include "stream/stream.h"

#include <stdlib.h>

struct admission {
    struct serve_ctx *ctx;
    struct token *token;
    quotas_fn *then;
    void *user;
};

static void admission_end(struct admission *a, int err)
{
    a->then(a->user, err);
    token_unref(&a->token);
    free(a);
}

static void on_live(void *user, int err, uint64_t live)
{
    struct admission *a = user;

    if (err == 0 && live >= a->token->quotas.max[QUOTA_JOBS])
        err = ERR_LIMIT;
    admission_end(a, err);
}

static void on_exists(void *user, int err)
{
    struct admission *a = user;
    const char *project = *a->token->project ? a->token->project : NULL;

    if (err != ERR_NOT_FOUND) {
        admission_end(a, err);
        return;
    }
    stream_jobs_live(a->ctx->stream, project, a->token->quotas.max[QUOTA_JOBS], on_live, a);
}

void quotas_admit_job(struct serve_ctx *ctx, const struct caller *c, const struct job_key *key, quotas_fn *then,
                      void *user)
{
    struct admission *a;

    if (!c || !c->token || !c->token->quotas.max[QUOTA_JOBS]) {
        then(user, 0);
        return;
    }
    a = must_calloc(1, sizeof *a);
    *a = (struct admission){.ctx = ctx, .token = token_ref(c->token), .then = then, .user = user};
    stream_job_exists(ctx->stream, key, on_exists, a);
}

/*
 * serve/quotas.h -- quotas that must be asked for: live jobs when one is made, stored bytes now and then.
 *
 * The rest is counted where it happens: lines and bytes in ingest/, tailers in auth/caller.h.
 */
#ifndef SERVE_QUOTAS_H
#define SERVE_QUOTAS_H

#include "auth/caller.h"
#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

/* The caller wants to make key, or write to it: then(user, 0) when it may, later or at once. ERR_LIMIT: the job is not
 * there, and its token has all the live jobs it may; other errors: Redis could not be asked. */
typedef void quotas_fn(void *user, int err);
void quotas_admit_job(struct serve_ctx *ctx, const struct caller *c, const struct job_key *key, quotas_fn *then,
                      void *user);
/* 429 for who has used this one up. */
void quotas_refuse(struct serve_ctx *ctx, struct http *x, const struct token *t, enum quota which);
/* Once a second: look up what was wanted and is older than QUOTA_STORED_US. */
void quotas_tick(struct serve_ctx *ctx);

#endif

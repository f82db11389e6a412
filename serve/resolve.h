/*
 * serve/resolve.h -- from the J of a path to the job's full key, asking Redis when it must.
 *
 * A caller whose token belongs to one project sees that project only: a job of another one, and another
 * `?project=`, are answered exactly as a job that is not there (same question to Redis, same 404).
 *
 * Remembers found ids for RESOLVE_CACHE_US so that a request per line does not cost two round
 * trips; an id that becomes ambiguous in another project is noticed that much later.
 */
#ifndef SERVE_RESOLVE_H
#define SERVE_RESOLVE_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define RESOLVE_CACHE_US 1000000
#define RESOLVE_CACHE_MAX 65536

struct resolve_cache;
struct resolve_cache *resolve_cache_new(void);
void resolve_cache_free(struct resolve_cache **c);

enum resolve_need {
    RESOLVE_EXISTING, /* 404 when the job is not there */
    RESOLVE_OR_NEW,   /* this request makes it when it is missing: in project "default" (or ?project=), if the quota
                         of live jobs allows */
    RESOLVE_OR_LATER, /* the same, but it only waits for the job */
};
typedef void resolve_fn(struct serve_ctx *ctx, struct http *x, const struct job_key *key);
/* Calls then(ctx, x, key), now or later (the body waits), or answers the error itself. */
void resolve_job(struct serve_ctx *ctx, struct http *x, const char *job, enum resolve_need need, resolve_fn *then);
/* A job was deleted: forget it. */
void resolve_forget(struct serve_ctx *ctx, const struct job_key *key);

#endif

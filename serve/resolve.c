/*
 * serve/resolve.c -- the J of a path becomes a job_key.
 *
 * A request that must wait for Redis stays with a small `waiting` handler whose body is paused; when
 * the client leaves first, on_close detaches it and the late answer finds nothing.
 */
#include "serve/resolve.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "serve/auth.h"
#include "serve/quotas.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

struct cached {
    char project[ID_BYTES_MAX + 1];
    int64_t until_us;
};

struct resolve_cache {
    struct map *by_name;
};

struct waiting {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the client has gone */
    struct job_key key; /* project "": not known yet */
    int is_foreign;     /* another project than the caller's was asked for */
    enum resolve_need need;
    resolve_fn *then;
};

struct resolve_cache *resolve_cache_new(void)
{
    struct resolve_cache *c = must_calloc(1, sizeof *c);
    c->by_name = map_new();
    return c;
}

static void cache_clear(struct resolve_cache *c)
{
    size_t pos = 0;
    struct cached *e;
    while ((e = map_next(c->by_name, &pos, NULL, NULL)))
        free(e);
    map_free(&c->by_name);
}

void resolve_cache_free(struct resolve_cache **c)
{
    if (!*c)
        return;
    cache_clear(*c);
    free(*c);
    *c = NULL;
}

/* What is remembered: "J" of a caller for all projects, "P/J" of one for P. */
static const struct cached *cache_get(struct resolve_cache *c, const char *name)
{
    const struct cached *e = map_get(c->by_name, name, strlen(name));
    return e && e->until_us > clock_mono_us() ? e : NULL;
}

static void cache_put(struct resolve_cache *c, const char *name, const char *project)
{
    if (map_count(c->by_name) >= RESOLVE_CACHE_MAX) {
        cache_clear(c);
        c->by_name = map_new();
    }
    struct cached *e = map_get(c->by_name, name, strlen(name));
    if (!e) {
        e = must_calloc(1, sizeof *e);
        map_put(c->by_name, name, strlen(name), e);
    }
    strcpy(e->project, project);
    e->until_us = clock_mono_us() + RESOLVE_CACHE_US;
}

void resolve_forget(struct serve_ctx *ctx, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];
    job_key_text(key, text);
    free(map_del(ctx->resolve_cache->by_name, key->job, strlen(key->job)));
    free(map_del(ctx->resolve_cache->by_name, text, strlen(text)));
}

static void on_waiting_close(struct http *x, int clean)
{
    struct waiting *w = http_user(x);
    w->x = NULL;
}

static const struct http_handler waiting_handler = {.on_close = on_waiting_close};

static void answer_error(struct http *x, int err, const char *job)
{
    switch (err) {
    case ERR_NOT_FOUND:
        http_reply_error(x, 404, "not_found", "there is no job %s", job);
        return;
    case ERR_AMBIGUOUS:
        http_reply_error(x, 409, "ambiguous",
                         "more than one project has a job %s: add ?project=", job);
        return;
    default:
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "unavailable", "%s", err_text(err));
    }
}

/* The exchange back from waiting; NULL: the client has gone. */
static struct http *wait_end(struct waiting *w)
{
    struct http *x = w->x;
    if (x) {
        http_handle(x, NULL, NULL);
        http_resume_body(x);
    }
    return x;
}

static struct waiting *wait_for(struct serve_ctx *ctx, struct http *x, enum resolve_need need,
                                resolve_fn *then)
{
    struct waiting *w = must_calloc(1, sizeof *w);
    *w = (struct waiting){.ctx = ctx, .x = x, .need = need, .then = then};
    http_handle(x, &waiting_handler, w);
    http_pause_body(x);
    return w;
}

/* ---- may it be made? ---- */

static void on_admitted(void *user, int err)
{
    struct waiting *w = user;
    struct http *x = wait_end(w);
    if (x && err == ERR_LIMIT)
        quotas_refuse(w->ctx, x, auth_caller(x)->token, QUOTA_JOBS);
    else if (x && err)
        answer_error(x, err, w->key.job);
    else if (x)
        w->then(w->ctx, x, &w->key);
    free(w);
}

/* The key is known: on to the handler, unless the job would be one too many. */
static void go_on(struct serve_ctx *ctx, struct http *x, enum resolve_need need, resolve_fn *then,
                  const struct job_key *key)
{
    const struct caller *caller = auth_caller(x);
    if (need != RESOLVE_OR_NEW || !caller || !caller->token || !caller->token->quotas.max[QUOTA_JOBS]) {
        then(ctx, x, key);
        return;
    }
    struct waiting *w = wait_for(ctx, x, need, then);
    w->key = *key;
    quotas_admit_job(ctx, caller, key, on_admitted, w);
}

/* ---- which job? ---- */

static void on_found(void *user, int err, const struct job_key *key)
{
    struct waiting *w = user;
    struct http *x = wait_end(w);
    struct job_key fresh;
    if (!x)
        goto out;
    if (err == 0) {
        cache_put(w->ctx->resolve_cache, key->job, key->project);
    } else if (err == ERR_NOT_FOUND && w->need != RESOLVE_EXISTING) {
        CHECK(job_key_make(&fresh, PROJECT_DEFAULT, strlen(PROJECT_DEFAULT), w->key.job,
                           strlen(w->key.job)) == 0);
        key = &fresh;
    } else {
        answer_error(x, err, w->key.job);
        goto out;
    }
    go_on(w->ctx, x, w->need, w->then, key);
out:
    free(w);
}

/* A caller of one project. What is foreign was looked for like everything else, and is missing. */
static void on_looked(void *user, int err)
{
    struct waiting *w = user;
    struct http *x = wait_end(w);
    char text[JOB_KEY_TEXT_BYTES];
    if (!x)
        goto out;
    if (err == 0 && w->is_foreign)
        err = ERR_NOT_FOUND;
    if (err) {
        answer_error(x, err, w->key.job);
        goto out;
    }
    cache_put(w->ctx->resolve_cache, job_key_text(&w->key, text), w->key.project);
    w->then(w->ctx, x, &w->key);
out:
    free(w);
}

static void answer_bad_project(struct http *x)
{
    http_reply_error(x, 400, "bad_id", "project is no id: [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
}

/* In the caller's own project and nowhere else. */
static void resolve_in(struct serve_ctx *ctx, struct http *x, const char *own, const char *job,
                       enum resolve_need need, resolve_fn *then)
{
    const char *asked = http_arg(x, "project");
    int is_foreign = asked && strcmp(asked, own) != 0;
    char text[JOB_KEY_TEXT_BYTES];
    struct job_key key;
    struct waiting *w;
    if (asked && !id_valid(asked, strlen(asked))) {
        answer_bad_project(x);
        return;
    }
    CHECK(job_key_make(&key, own, strlen(own), job, strlen(job)) == 0);
    if (!is_foreign && cache_get(ctx->resolve_cache, job_key_text(&key, text))) {
        then(ctx, x, &key);
        return;
    }
    if (!is_foreign && need != RESOLVE_EXISTING) {
        go_on(ctx, x, need, then, &key);
        return;
    }
    w = wait_for(ctx, x, need, then);
    w->key = key;
    w->is_foreign = is_foreign;
    stream_job_exists(ctx->stream, &key, on_looked, w);
}

void resolve_job(struct serve_ctx *ctx, struct http *x, const char *job, enum resolve_need need,
                 resolve_fn *then)
{
    struct job_key key;
    const char *project = http_arg(x, "project"), *own = caller_project(auth_caller(x));
    if (!id_valid(job, strlen(job))) {
        http_reply_error(x, 400, "bad_id", "a job id is [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
        return;
    }
    if (own) {
        resolve_in(ctx, x, own, job, need, then);
        return;
    }
    const struct cached *hit = project ? NULL : cache_get(ctx->resolve_cache, job);
    if (hit)
        project = hit->project;
    if (project) {
        if (job_key_make(&key, project, strlen(project), job, strlen(job)) != 0)
            answer_bad_project(x);
        else
            go_on(ctx, x, need, then, &key);
        return;
    }
    struct waiting *w = wait_for(ctx, x, need, then);
    strcpy(w->key.job, job);
    stream_job_find(ctx->stream, job, on_found, w);
}

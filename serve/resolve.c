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
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

struct cached {
    char project[ID_BYTES_MAX + 1];
    int64_t until_us;
};

struct resolve_cache {
    struct map *by_job;
};

struct waiting {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the client has gone */
    char job[ID_BYTES_MAX + 1];
    enum resolve_need need;
    resolve_fn *then;
};

struct resolve_cache *resolve_cache_new(void)
{
    struct resolve_cache *c = must_calloc(1, sizeof *c);
    c->by_job = map_new();
    return c;
}

static void cache_clear(struct resolve_cache *c)
{
    size_t pos = 0;
    struct cached *e;
    while ((e = map_next(c->by_job, &pos, NULL, NULL)))
        free(e);
    map_free(&c->by_job);
}

void resolve_cache_free(struct resolve_cache **c)
{
    if (!*c)
        return;
    cache_clear(*c);
    free(*c);
    *c = NULL;
}

static const struct cached *cache_get(struct resolve_cache *c, const char *job)
{
    const struct cached *e = map_get(c->by_job, job, strlen(job));
    return e && e->until_us > clock_mono_us() ? e : NULL;
}

static void cache_put(struct resolve_cache *c, const struct job_key *key)
{
    if (map_count(c->by_job) >= RESOLVE_CACHE_MAX) {
        cache_clear(c);
        c->by_job = map_new();
    }
    struct cached *e = map_get(c->by_job, key->job, strlen(key->job));
    if (!e) {
        e = must_calloc(1, sizeof *e);
        map_put(c->by_job, key->job, strlen(key->job), e);
    }
    strcpy(e->project, key->project);
    e->until_us = clock_mono_us() + RESOLVE_CACHE_US;
}

void resolve_forget(struct serve_ctx *ctx, const struct job_key *key)
{
    free(map_del(ctx->resolve_cache->by_job, key->job, strlen(key->job)));
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

static void on_found(void *user, int err, const struct job_key *key)
{
    struct waiting *w = user;
    struct http *x = w->x;
    struct job_key fresh;
    if (!x)
        goto out;
    if (err == 0) {
        cache_put(w->ctx->resolve_cache, key);
    } else if (err == ERR_NOT_FOUND && w->need == RESOLVE_OR_NEW) {
        CHECK(job_key_make(&fresh, PROJECT_DEFAULT, strlen(PROJECT_DEFAULT), w->job,
                           strlen(w->job)) == 0);
        key = &fresh;
    } else {
        http_handle(x, NULL, NULL);
        answer_error(x, err, w->job);
        goto out;
    }
    http_handle(x, NULL, NULL);
    http_resume_body(x);
    w->then(w->ctx, x, key);
out:
    free(w);
}

void resolve_job(struct serve_ctx *ctx, struct http *x, const char *job, enum resolve_need need,
                 resolve_fn *then)
{
    struct job_key key;
    const char *project = http_arg(x, "project");
    if (!id_valid(job, strlen(job))) {
        http_reply_error(x, 400, "bad_id", "a job id is [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
        return;
    }
    const struct cached *hit = project ? NULL : cache_get(ctx->resolve_cache, job);
    if (hit)
        project = hit->project;
    if (project) {
        if (job_key_make(&key, project, strlen(project), job, strlen(job)) != 0)
            http_reply_error(x, 400, "bad_id",
                             "project is no id: [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
        else
            then(ctx, x, &key);
        return;
    }
    struct waiting *w = must_calloc(1, sizeof *w);
    *w = (struct waiting){.ctx = ctx, .x = x, .need = need, .then = then};
    strcpy(w->job, job);
    http_handle(x, &waiting_handler, w);
    http_pause_body(x);
    stream_job_find(ctx->stream, w->job, on_found, w);
}

/*
 * serve/stats.c -- GET /v1/jobs/J/stats: the door.
 *
 *     digest (serve/digests.h) --> text, on a worker --> answer
 */
#include "serve/stats.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "serve/digests.h"
#include "serve/query.h"
#include "serve/range.h"

#include <stdlib.h>
#include <string.h>

struct asked {
    uv_work_t req;
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the exchange is over */
    struct job_key key;
    struct stats_options o;
    struct digests_wait *wait; /* NULL: not waiting */
    struct digests_view *view; /* while the worker reads it */
    struct buf text;
    int err;
};

static void free_asked(struct asked *a)
{
    digests_cancel(&a->wait);
    digests_unref(&a->view);
    buf_release(&a->text);
    free(a);
}

static void on_close(struct http *x, int clean)
{
    struct asked *a = http_user(x);

    a->x = NULL;
    if (!a->view)
        free_asked(a);
}

static const struct http_handler handler = {.on_close = on_close};

static void work_write(uv_work_t *req)
{
    struct asked *a = req->data;

    a->err = stats_json(&a->text, &a->key, a->view->epoch, a->view->digest, &a->o);
}

static void on_written(uv_work_t *req, int status)
{
    struct asked *a = req->data;

    digests_unref(&a->view);
    if (!a->x) {
        free_asked(a);
    } else if (a->err < 0) {
        range_reply_failed(a->x, &a->key, a->err);
    } else {
        http_set_header(a->x, "Cache-Control", "no-store");
        http_reply(a->x, 200, "application/json", a->text.data, a->text.len);
    }
}

static void on_digest(void *user, int err, struct digests_view *v)
{
    struct asked *a = user;

    a->wait = NULL;
    if (err < 0) {
        range_reply_failed(a->x, &a->key, err);
        return;
    }
    a->view = digests_ref(v);
    CHECK(uv_queue_work(a->ctx->loop, &a->req, work_write, on_written) == 0);
}

/* A whole number of the query. ERR_INVALID was answered. */
static int read_count(struct http *x, const char *name, unsigned min, unsigned max, uint32_t *ret)
{
    const char *value = http_arg(x, name);
    uint64_t n;

    if (!value)
        return 0;
    if (query_number(value, min, max, &n) < 0 || strlen(value) > 9) {
        http_reply_error(x, 400, err_code(ERR_INVALID), "%s: a number from %u to %u", name, min, max);
        return ERR_INVALID;
    }
    *ret = (uint32_t)n;
    return 0;
}

static int refuse_unknown(struct http *x)
{
    const char *name, *value;

    for (unsigned i = 0; http_arg_at(x, i, &name, &value); i++) {
        if (!strcmp(name, "buckets") || !strcmp(name, "points") || !strcmp(name, "project") ||
            !strcmp(name, "ticket") || *name == '_')
            continue;
        http_reply_error(x, 400, err_code(ERR_INVALID), "%.60s: no such argument; known: buckets, points",
                         name);
        return ERR_INVALID;
    }
    return 0;
}

int stats_options_read(struct http *x, struct stats_options *ret)
{
    *ret = (struct stats_options){STATS_BUCKETS_DEFAULT, STATS_POINTS_AUTO};
    return refuse_unknown(x) < 0 || read_count(x, "buckets", 1, STATS_BUCKETS_MAX, &ret->buckets) < 0 ||
                   read_count(x, "points", 0, DIGEST_POINTS_MAX, &ret->points) < 0
               ? ERR_INVALID
               : 0;
}

void stats_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    struct stats_options o;
    struct asked *a;

    if (stats_options_read(x, &o) < 0)
        return;
    a = must_calloc(1, sizeof *a);
    a->req.data = a;
    a->ctx = ctx;
    a->x = x;
    a->key = *key;
    a->o = o;
    buf_init(&a->text, 0);
    http_handle(x, &handler, a);
    digests_get(ctx, key, on_digest, a, &a->wait);
}

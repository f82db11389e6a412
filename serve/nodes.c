/*
 * serve/nodes.c -- Redis first, then the archive; and the list of a job's nodes over HTTP.
 */
#include "serve/nodes.h"

#include "base/check.h"
#include "base/err.h"
#include "serve/patient.h"
#include "storage/archive.h"
#include "stream/nodes.h"

#include <stdlib.h>
#include <string.h>

struct load {
    uv_work_t work;
    struct serve_ctx *ctx;
    struct job_key key;
    char *lines;
    size_t len;
    int err;
    nodes_fn *done;
    void *user;
};

static void work_archive(uv_work_t *work)
{
    struct load *l = work->data;

    l->err = archive_get_nodes(l->ctx->archive, &l->key, &l->lines, &l->len);
}

static void on_archive(uv_work_t *work, int status)
{
    struct load *l = work->data;

    if (l->err == ERR_NOT_FOUND)
        l->err = 0;
    l->done(l->user, l->err < 0 ? l->err : 0, l->lines ? l->lines : "", l->lines ? l->len : 0);
    free(l->lines);
    free(l);
}

static void on_redis(void *user, int err, const char *lines, size_t len)
{
    struct load *l = user;

    if (err < 0 || len) {
        l->done(l->user, err, lines, len);
        free(l);
        return;
    }
    l->work.data = l;
    CHECK(uv_queue_work(l->ctx->loop, &l->work, work_archive, on_archive) == 0);
}

void nodes_load(struct serve_ctx *ctx, const struct job_key *key, nodes_fn *done, void *user)
{
    struct load *l = must_calloc(1, sizeof *l);

    l->ctx = ctx;
    l->key = *key;
    l->done = done;
    l->user = user;
    stream_nodes_get(ctx->stream, key, on_redis, l);
}

/* ---- over HTTP ---- */

struct nodes_call {
    struct patient p;
    struct job_key key;
};

static struct nodes_call *call_of(struct patient *p)
{
    return (struct nodes_call *)(void *)p;
}

static void release(struct patient *p)
{
    free(call_of(p));
}

static void on_nodes(void *user, int err, const char *lines, size_t len)
{
    struct nodes_call *c = user;
    struct buf out = BUF_INIT;

    if (!patient_back(&c->p))
        return;
    if (err < 0) {
        patient_failed(&c->p, err, "there is no such job");
        return;
    }
    buf_adds(&out, "{\"nodes\":[");
    for (const char *p = lines, *end = lines + len, *nl; p < end; p = nl + 1) {
        nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl)
            break;
        if (p > lines)
            buf_addc(&out, ',');
        buf_add(&out, p, (size_t)(nl - p));
    }
    buf_adds(&out, "]}\n");
    http_reply(c->p.x, 200, "application/json", out.data, out.len);
    buf_release(&out);
}

static void ask(struct patient *p)
{
    patient_call(p);
    nodes_load(p->ctx, &call_of(p)->key, on_nodes, call_of(p));
}

static const struct patient_ops ops = {.begin = ask, .ask = ask, .release = release};

void nodes_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    struct nodes_call *c = must_calloc(1, sizeof *c);

    c->key = *key;
    patient_open(&c->p, &ops, ctx, x);
}

/*
 * serve/api_jobs.c -- POST and GET /v1/jobs, GET and DELETE /v1/jobs/J.
 */
#include "serve/api_jobs.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "job/info.h"
#include "job/state.h"
#include "serve/auth.h"
#include "serve/json_body.h"
#include "serve/job_json.h"
#include "serve/jobs_query.h"
#include "serve/purge.h"
#include "serve/quotas.h"
#include "serve/resolve.h"
#include "stream/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One request waiting for its body, for Redis or for a worker. x NULL: the client has gone. */
struct api_call {
    struct serve_ctx *ctx;
    struct http *x;
    struct buf body;
    struct job_key key;
    int err;
};

static void on_call_close(struct http *x, int clean)
{
    struct api_call *c = http_user(x);
    c->x = NULL;
    if (c->body.bytes_max) { /* still taking the body: nobody else holds the call */
        buf_release(&c->body);
        free(c);
    }
}

static const struct http_handler call_handler = {.on_close = on_call_close};

static struct api_call *call_new(struct serve_ctx *ctx, struct http *x)
{
    struct api_call *c = must_calloc(1, sizeof *c);
    c->ctx = ctx;
    c->x = x;
    http_handle(x, &call_handler, c);
    return c;
}

/* The exchange back, or NULL; the call is over either way. */
static struct http *call_end(struct api_call *c)
{
    struct http *x = c->x;
    if (x)
        http_handle(x, NULL, NULL);
    buf_release(&c->body);
    free(c);
    return x;
}

static void reply_err(struct http *x, int err)
{
    switch (err) {
    case ERR_NOT_FOUND:
        http_reply_error(x, 404, "not_found", "there is no such job");
        return;
    case ERR_BUSY:
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 429, "busy", "%s", err_text(err));
        return;
    default:
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, err_code(err), "%s", err_text(err));
    }
}

/* ---- create ---- */

struct create_fields {
    struct job_create c;
    struct buf labels, extra;
};

/* The caller's project, or answered: another one is as if it were not there. */
static int may_see(struct http *x, const char *project)
{
    if (caller_may_see(auth_caller(x), project))
        return 1;
    http_reply_error(x, 404, "not_found", "there is no project %s", project);
    return 0;
}

/* Labels: an object of strings. Copies it in canonical form; 0 or an answered error. */
static int read_labels(struct http *x, const struct json_tree *labels, struct buf *out)
{
    struct json j;
    unsigned count = 0;
    if (!json_tree_is_obj(labels)) {
        http_reply_error(x, 400, "bad_request", "labels: an object of strings is wanted");
        return ERR_INVALID;
    }
    json_init(&j, out);
    json_obj(&j);
    for (const struct json_tree *v = json_tree_first(labels); v; v = json_tree_next(v)) {
        const char *key = json_tree_key(v), *value = json_tree_str(v);
        if (!value || strlen(key) > JOB_LABEL_KEY_BYTES_MAX ||
            strlen(value) > JOB_LABEL_VALUE_BYTES_MAX || ++count > JOB_LABELS_MAX ||
            key[0] == '\0') {
            http_reply_error(
                x, 400, "bad_request",
                "labels: at most %d, keys of 1-%d bytes, values strings of at most %d bytes",
                JOB_LABELS_MAX, JOB_LABEL_KEY_BYTES_MAX, JOB_LABEL_VALUE_BYTES_MAX);
            return ERR_INVALID;
        }
        json_kstr(&j, key, value);
    }
    json_end(&j);
    return 0;
}

static int is_own_field(const char *key)
{
    static const char *const own[] = {"id", "project", "name", "labels", "ranks"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(key, own[i]) == 0)
            return 1;
    return 0;
}

/* A string member that may be absent; 0 or an answered error. */
static int read_text(struct http *x, const struct json_tree *root, const char *name,
                     size_t bytes_max, const char **ret)
{
    *ret = NULL;
    if (json_tree_get_str(root, name, ret) >= 0 && (!*ret || strlen(*ret) <= bytes_max))
        return 0;
    http_reply_error(x, 400, "bad_request", "%s: a string of at most %zu bytes is wanted", name,
                     bytes_max);
    return ERR_INVALID;
}

static int read_create(struct http *x, const struct json_tree *root, struct create_fields *f)
{
    const char *id, *project;
    int64_t ranks = 0;
    char made[ID_BYTES_MAX + 1];
    struct json j;
    if (read_text(x, root, "id", ID_BYTES_MAX, &id) ||
        read_text(x, root, "project", ID_BYTES_MAX, &project) ||
        read_text(x, root, "name", JOB_NAME_BYTES_MAX, &f->c.name))
        return ERR_INVALID;
    if (!id) {
        id_make(made);
        id = made;
    }
    if (!project)
        project = http_arg(x, "project");
    if (!project)
        project = caller_project(auth_caller(x));
    if (!project)
        project = PROJECT_DEFAULT;
    if (job_key_make(&f->c.key, project, strlen(project), id, strlen(id)) != 0) {
        http_reply_error(x, 400, "bad_id", "id and project are [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
        return ERR_INVALID;
    }
    if (!may_see(x, project))
        return ERR_NOT_FOUND;
    if (json_tree_get_i64(root, "ranks", &ranks) < 0 || ranks < 0 || ranks > JOB_RANKS_MAX) {
        http_reply_error(x, 400, "bad_request", "ranks: a whole number from 1 to %d is wanted",
                         JOB_RANKS_MAX);
        return ERR_INVALID;
    }
    f->c.ranks = (uint32_t)ranks;
    const struct json_tree *labels = json_tree_get(root, "labels");
    if (labels && !json_tree_is_null(labels)) {
        if (read_labels(x, labels, &f->labels) != 0)
            return ERR_INVALID;
        f->c.labels_json = buf_cstr(&f->labels);
    }
    json_init(&j, &f->extra);
    json_obj(&j);
    for (const struct json_tree *v = json_tree_first(root); v; v = json_tree_next(v)) {
        if (is_own_field(json_tree_key(v)))
            continue;
        json_key(&j, json_tree_key(v));
        json_tree_print(&j, v);
    }
    json_end(&j);
    f->c.extra_json = buf_cstr(&f->extra);
    return 0;
}

static void reply_job(struct http *x, int status, const struct job_info *info)
{
    struct buf out = BUF_INIT;
    if (job_json(&out, info, clock_wall_us()) != 0)
        http_reply_error(x, 500, "no_memory", "%s", err_text(ERR_NOMEM));
    else {
        buf_addc(&out, '\n');
        http_reply(x, status, "application/json", out.data, out.len);
    }
    buf_release(&out);
}

static void on_created(void *user, int err, int created, const struct job_info *info)
{
    struct http *x = call_end(user);
    if (!x)
        return;
    if (err)
        reply_err(x, err);
    else
        reply_job(x, created ? 201 : 200, info);
}

/* What is to be created, while it is asked whether it may be. */
struct creation {
    struct create_fields fields; /* borrows root */
    struct json_tree *root;
    struct api_call *call;
};

static void on_admitted(void *user, int err)
{
    struct creation *n = user;
    struct serve_ctx *ctx = n->call->ctx;
    if (err == 0) {
        stream_job_create(ctx->stream, &n->fields.c, on_created, n->call);
    } else {
        struct http *x = call_end(n->call);
        if (x && err == ERR_LIMIT)
            quotas_refuse(ctx, x, auth_caller(x)->token, QUOTA_JOBS);
        else if (x)
            reply_err(x, err);
    }
    json_tree_free(&n->root);
    buf_release(&n->fields.labels);
    buf_release(&n->fields.extra);
    free(n);
}

static void on_create_body(struct http *x, const char *data, size_t len)
{
    struct api_call *c = http_user(x);
    int err = buf_add(&c->body, data, len);
    if (!err)
        return;
    call_end(c);
    if (!json_body_lacks_memory(x, err))
        http_reply_error(x, 413, "too_large", "a job is described in at most %d bytes",
                         API_JOBS_BODY_BYTES_MAX);
}

static void on_create_body_end(struct http *x)
{
    struct api_call *c = http_user(x);
    struct serve_ctx *ctx = c->ctx;
    struct create_fields f = {.labels = BUF_INIT, .extra = BUF_INIT};
    struct buf body = c->body;
    c->body = (struct buf)BUF_INIT;
    call_end(c);
    struct json_tree *root = json_body_parse(x, &body); /* no body: a job with a made id */
    buf_release(&body);
    if (!root || read_create(x, root, &f) != 0)
        goto out;
    struct creation *n = must_calloc(1, sizeof *n);
    *n = (struct creation){.fields = f, .root = root, .call = call_new(ctx, x)};
    quotas_admit_job(ctx, auth_caller(x), &n->fields.c.key, on_admitted, n);
    return;
out:
    json_tree_free(&root);
    buf_release(&f.labels);
    buf_release(&f.extra);
}

static const struct http_handler create_handler = {
    .on_body = on_create_body, .on_body_end = on_create_body_end, .on_close = on_call_close};

void api_jobs_create(struct serve_ctx *ctx, struct http *x)
{
    if (http_body_max(x, API_JOBS_BODY_BYTES_MAX) != 0)
        return;
    struct api_call *c = call_new(ctx, x);
    buf_init(&c->body, API_JOBS_BODY_BYTES_MAX);
    http_handle(x, &create_handler, c);
}

/* ---- show ---- */

static void on_shown(void *user, int err, const struct job_info *info)
{
    struct http *x = call_end(user);
    if (!x)
        return;
    if (err)
        reply_err(x, err);
    else
        reply_job(x, 200, info);
}

void api_jobs_show(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    stream_job_get(ctx->stream, key, 1, on_shown, call_new(ctx, x));
}

/* ---- delete ---- */

static void on_purged(void *user, int err)
{
    struct http *x = call_end(user);

    if (!x)
        return;
    if (err < 0)
        reply_err(x, err);
    else
        http_reply(x, 204, NULL, NULL, 0);
}

void api_jobs_delete(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    purge_job(ctx, key, on_purged, call_new(ctx, x));
}

/* ---- list ---- */

static void on_listed(void *user, int err, const struct job_info *const *infos, uint32_t count,
                      int64_t next_us, const char *next_key)
{
    struct http *x = call_end(user);
    struct buf out = BUF_INIT;
    char cursor[JOB_KEY_TEXT_BYTES + 32];
    struct json j;
    if (!x)
        return;
    if (err) {
        reply_err(x, err);
        return;
    }
    json_init_may_fail(&j, &out);
    json_obj(&j);
    json_key(&j, "jobs");
    json_arr(&j);
    for (uint32_t i = 0; i < count; i++) {
        struct buf one = BUF_INIT;
        job_json_compact(&one, infos[i], clock_wall_us());
        json_raw(&j, one.data, one.len);
        buf_release(&one);
    }
    json_end(&j);
    json_key(&j, "next");
    if (next_us) {
        snprintf(cursor, sizeof cursor, "%" PRId64 ":%s", next_us, next_key);
        json_str(&j, cursor);
    } else {
        json_null(&j);
    }
    json_end(&j);
    buf_addc(&out, '\n');
    if (json_err(&j))
        http_reply_error(x, 500, "no_memory", "%s", err_text(ERR_NOMEM));
    else
        http_reply(x, 200, "application/json", out.data, out.len);
    buf_release(&out);
}

void api_jobs_list(struct serve_ctx *ctx, struct http *x)
{
    struct job_list_query q;
    if (jobs_query_read(x, &q) != 0)
        return;
    if (!q.project)
        q.project = caller_project(auth_caller(x));
    else if (!may_see(x, q.project))
        return;
    stream_job_list(ctx->stream, &q, on_listed, call_new(ctx, x));
}

/*
 * serve/api_projects.c -- GET and POST /v1/projects.
 */
#include "serve/api_projects.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "job/id.h"
#include "serve/auth.h"
#include "serve/job_json.h"
#include "serve/patient.h"
#include "stream/projects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct projects_call {
    struct patient p;
    char id[ID_BYTES_MAX + 1];
    char name[PROJECT_NAME_BYTES_MAX + 1];
    char own[ID_BYTES_MAX + 1]; /* the one the caller may see; "": all */
};

static struct projects_call *call_of(struct patient *p)
{
    return (struct projects_call *)(void *)p;
}

static void release(struct patient *p)
{
    free(call_of(p));
}

static void add_project(struct json *j, const struct project_info *info)
{
    struct buf job = BUF_INIT;

    json_obj(j);
    json_kstr(j, "id", info->id);
    json_kstr(j, "name", info->name);
    job_json_time(j, "created_at", info->created_us);
    job_json_time(j, "updated_at", info->updated_us);
    json_key(j, "latest_job");
    if (info->latest && job_json_compact(&job, info->latest, clock_wall_us()) >= 0)
        json_raw(j, job.data, job.len);
    else
        json_null(j);
    json_end(j);
    buf_release(&job);
}

static void reply(struct projects_call *c, int status, struct buf *out)
{
    buf_addc(out, '\n');
    http_reply(c->p.x, status, "application/json", out->data, out->len);
    buf_release(out);
}

/* ---- list ---- */

static void on_listed(void *user, int err, const struct project_info *infos, uint32_t count)
{
    struct projects_call *c = user;
    struct buf out = BUF_INIT;
    struct json j;

    if (!patient_back(&c->p))
        return;
    if (err < 0) {
        patient_failed(&c->p, err, "there are no projects");
        return;
    }
    json_init(&j, &out);
    json_obj(&j);
    json_key(&j, "projects");
    json_arr(&j);
    for (uint32_t i = 0; i < count; i++)
        if (!c->own[0] || !strcmp(c->own, infos[i].id))
            add_project(&j, &infos[i]);
    json_end(&j);
    json_end(&j);
    reply(c, 200, &out);
}

static void ask_list(struct patient *p)
{
    patient_call(p);
    stream_project_list(p->ctx->stream, 1, on_listed, call_of(p));
}

/* ---- create ---- */

static void on_created(void *user, int err, int created, const struct project_info *info)
{
    struct projects_call *c = user;
    struct buf out = BUF_INIT;
    struct json j;

    if (!patient_back(&c->p))
        return;
    if (err == ERR_EXISTS) {
        /* whose name it is, is not for everybody to know */
        if (c->own[0] && strcmp(c->own, info->id) != 0)
            http_reply_error(c->p.x, 409, err_code(err), "that name is taken");
        else
            http_reply_error(c->p.x, 409, err_code(err), "project %s is called %s", info->id, info->name);
        return;
    }
    if (err < 0) {
        patient_failed(&c->p, err, "there is no such project");
        return;
    }
    json_init(&j, &out);
    add_project(&j, info);
    reply(c, created ? 201 : 200, &out);
}

static void ask_create(struct patient *p)
{
    struct projects_call *c = call_of(p);

    patient_call(p);
    stream_project_create(p->ctx->stream, c->id, c->name, on_created, c);
}

/* "Computer vision!" -> "Computer-vision" */
static int make_id(struct projects_call *c)
{
    size_t n = 0;

    for (const char *s = c->name; *s && n < ID_BYTES_MAX; s++) {
        int good = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');

        if (good || (n && (*s == '.' || *s == '_')))
            c->id[n++] = *s;
        else if (n && c->id[n - 1] != '-')
            c->id[n++] = '-';
    }
    while (n && c->id[n - 1] == '-')
        n--;
    c->id[n] = '\0';
    return n ? 0 : ERR_INVALID;
}

static int read_create(struct projects_call *c, const struct json_tree *root)
{
    const char *id = NULL, *name = NULL;

    if (json_tree_get_str(root, "id", &id) < 0 || json_tree_get_str(root, "name", &name) < 0)
        return ERR_INVALID;
    if (name && (strlen(name) > PROJECT_NAME_BYTES_MAX || strpbrk(name, "\n\r")))
        return ERR_INVALID;
    snprintf(c->name, sizeof c->name, "%s", name ? name : "");
    if (!id && c->own[0])
        id = c->own;
    if (!id)
        return make_id(c);
    if (!id_valid(id, strlen(id)))
        return ERR_INVALID;
    strcpy(c->id, id);
    return 0;
}

static void begin_create(struct patient *p)
{
    struct projects_call *c = call_of(p);
    struct json_tree *root = patient_json(p);
    int err;

    if (!root)
        return;
    err = read_create(c, root);
    json_tree_free(&root);
    if (err < 0)
        http_reply_error(p->x, 400, "bad_request",
                         "wanted: an id ([A-Za-z0-9][A-Za-z0-9._-]{0,127}), a name of one line (at most %d bytes), "
                         "or both",
                         PROJECT_NAME_BYTES_MAX);
    else if (c->own[0] && strcmp(c->own, c->id) != 0)
        http_reply_error(p->x, 404, "not_found", "there is no project %s", c->id);
    else
        ask_create(p);
}

static const struct patient_ops list_ops = {.begin = ask_list, .ask = ask_list, .release = release};
static const struct patient_ops create_ops = {.begin = begin_create, .ask = ask_create, .release = release};

static void open_call(struct serve_ctx *ctx, struct http *x, const struct patient_ops *ops)
{
    struct projects_call *c = must_calloc(1, sizeof *c);
    const char *own = caller_project(auth_caller(x));

    if (own)
        strcpy(c->own, own);
    patient_open(&c->p, ops, ctx, x);
}

void api_projects_list(struct serve_ctx *ctx, struct http *x)
{
    open_call(ctx, x, &list_ops);
}

void api_projects_create(struct serve_ctx *ctx, struct http *x)
{
    open_call(ctx, x, &create_ops);
}

/*
 * serve/baseten_lists.c -- lists of projects and jobs in the Baseten view.
 *
 *     projects (their names) -> pages of jobs, newest first, until there are no more -> answer, turned round
 *                            \-> the jobs of one id                                     when ascending
 *
 * The API has no pages, so an answer is gathered whole: one JSON text a job.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/map.h"
#include "serve/auth.h"
#include "serve/baseten.h"
#include "serve/baseten_json.h"
#include "serve/patient.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 1000

enum list_kind { LIST_PROJECTS, LIST_PROJECT_JOBS, LIST_SEARCH };

struct listed {
    int64_t created_us;
    size_t start, end; /* in the text */
};

struct list_call {
    struct patient p;
    enum list_kind kind;
    char project[ID_BYTES_MAX + 1]; /* "": all */
    char job[ID_BYTES_MAX + 1];     /* "": all */
    int nothing_matches;            /* what was asked for cannot be, or is not the caller's to see */
    uint32_t state_mask;            /* 0: all */
    int asc;
    struct map *names; /* of projects by id: char * */
    struct buf project_json;
    struct buf text;   /* of the jobs, one after the other */
    struct listed *jobs;
    uint32_t count, cap;
    struct job_key *keys; /* of a job id, in each project that has it */
    uint32_t key_count, key_at;
};

static struct list_call *call_of(struct patient *p)
{
    return (struct list_call *)(void *)p;
}

static void forget(struct list_call *c)
{
    char *name;
    size_t pos = 0;

    while (c->names && (name = map_next(c->names, &pos, NULL, NULL)))
        free(name);
    map_free(&c->names);
    buf_clear(&c->text);
    buf_clear(&c->project_json);
    free(c->keys);
    c->keys = NULL;
    c->count = c->key_count = c->key_at = 0;
}

static void release(struct patient *p)
{
    struct list_call *c = call_of(p);

    forget(c);
    buf_release(&c->text);
    buf_release(&c->project_json);
    free(c->jobs);
    free(c);
}

static int came_back(struct list_call *c, int err)
{
    if (!patient_back(&c->p))
        return 0;
    if (err >= 0)
        return 1;
    patient_failed(&c->p, err, BASETEN_NO_PROJECT);
    return 0;
}

/* ---- the answer ---- */

static void add_job(struct list_call *c, const struct job_info *info)
{
    const char *name = map_get(c->names, info->key.project, strlen(info->key.project));
    struct json j;

    if (c->state_mask && !(c->state_mask & 1u << info->state))
        return;
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->jobs = must_realloc(c->jobs, c->cap * sizeof *c->jobs);
    }
    c->jobs[c->count] = (struct listed){.created_us = info->created_us, .start = c->text.len};
    json_init(&j, &c->text);
    baseten_job_json(&j, info, name, info->state);
    c->jobs[c->count++].end = c->text.len;
}

static int by_age(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;

    return x->created_us < y->created_us ? 1 : x->created_us > y->created_us ? -1 : 0;
}

static void answer_jobs(struct list_call *c)
{
    struct buf out = BUF_INIT;
    struct json j;

    json_init(&j, &out);
    json_obj(&j);
    if (c->kind == LIST_PROJECT_JOBS) {
        json_key(&j, "training_project");
        json_raw(&j, c->project_json.data, c->project_json.len);
    }
    json_key(&j, "training_jobs");
    json_arr(&j);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct listed *one = &c->jobs[c->asc ? c->count - 1 - i : i];

        json_raw(&j, c->text.data + one->start, one->end - one->start);
    }
    json_end(&j);
    json_end(&j);
    buf_addc(&out, '\n');
    http_reply(c->p.x, 200, "application/json", out.data, out.len);
    buf_release(&out);
}

/* ---- jobs by page ---- */

static void ask_page(struct list_call *c, int64_t before_us, const char *before_key);

static void on_page(void *user, int err, const struct job_info *const *infos, uint32_t count, int64_t next_us,
                    const char *next_key)
{
    struct list_call *c = user;

    if (!came_back(c, err))
        return;
    for (uint32_t i = 0; i < count && c->count < BASETEN_JOBS_MAX; i++)
        add_job(c, infos[i]);
    if (next_us && c->count < BASETEN_JOBS_MAX)
        ask_page(c, next_us, next_key);
    else
        answer_jobs(c);
}

static int only_active(uint32_t mask)
{
    for (int s = 0; s < STATE_COUNT; s++)
        if (mask & 1u << s && state_is_terminal((enum job_state)s))
            return 0;
    return mask != 0;
}

static void ask_page(struct list_call *c, int64_t before_us, const char *before_key)
{
    struct job_list_query q = {.project = c->project[0] ? c->project : NULL,
                               .state_mask = c->state_mask,
                               .active_only = only_active(c->state_mask),
                               .limit = PAGE,
                               .before_us = before_us};

    if (before_us)
        memcpy(q.before_key, before_key, strlen(before_key) + 1);
    patient_call(&c->p);
    stream_job_list(c->p.ctx->stream, &q, on_page, c);
}

/* ---- jobs by id ---- */

static void ask_key(struct list_call *c);

static void on_info(void *user, int err, const struct job_info *info)
{
    struct list_call *c = user;

    if (!came_back(c, err == ERR_NOT_FOUND ? 0 : err))
        return;
    if (info && err >= 0)
        add_job(c, info);
    c->key_at++;
    ask_key(c);
}

static void ask_key(struct list_call *c)
{
    if (c->key_at == c->key_count) {
        if (c->count)
            qsort(c->jobs, c->count, sizeof *c->jobs, by_age);
        answer_jobs(c);
        return;
    }
    patient_call(&c->p);
    stream_job_get(c->p.ctx->stream, &c->keys[c->key_at], 0, on_info, c);
}

static void on_keys(void *user, int err, const struct job_key *keys, uint32_t count)
{
    struct list_call *c = user;

    if (!came_back(c, err))
        return;
    c->keys = must_calloc(count + 1, sizeof *c->keys);
    for (uint32_t i = 0; i < count; i++)
        if (!c->project[0] || !strcmp(c->project, keys[i].project))
            c->keys[c->key_count++] = keys[i];
    ask_key(c);
}

/* ---- projects ---- */

static void answer_projects(struct list_call *c, const struct project_info *infos, uint32_t count)
{
    struct buf out = BUF_INIT;
    struct json j;

    json_init(&j, &out);
    json_obj(&j);
    json_key(&j, "training_projects");
    json_arr(&j);
    for (uint32_t i = 0; i < count; i++)
        if (!c->project[0] || !strcmp(c->project, infos[i].id))
            baseten_project_json(&j, &infos[i]);
    json_end(&j);
    json_end(&j);
    buf_addc(&out, '\n');
    http_reply(c->p.x, 200, "application/json", out.data, out.len);
    buf_release(&out);
}

static void ask_jobs(struct list_call *c)
{
    if (c->nothing_matches) {
        answer_jobs(c);
    } else if (c->job[0]) {
        patient_call(&c->p);
        stream_job_find_all(c->p.ctx->stream, c->job, on_keys, c);
    } else {
        ask_page(c, 0, "");
    }
}

static void on_projects(void *user, int err, const struct project_info *infos, uint32_t count)
{
    struct list_call *c = user;
    struct json j;

    if (!came_back(c, err))
        return;
    if (c->kind == LIST_PROJECTS) {
        answer_projects(c, infos, count);
        return;
    }
    c->names = map_new();
    for (uint32_t i = 0; i < count; i++) {
        free(map_put(c->names, infos[i].id, strlen(infos[i].id), must_strdup(infos[i].name)));
        if (c->kind != LIST_PROJECT_JOBS || strcmp(infos[i].id, c->project) != 0)
            continue;
        json_init(&j, &c->project_json);
        baseten_project_json(&j, &infos[i]);
    }
    if (c->kind == LIST_PROJECT_JOBS && (!c->project_json.len || c->nothing_matches))
        patient_failed(&c->p, ERR_NOT_FOUND, BASETEN_NO_PROJECT);
    else
        ask_jobs(c);
}

static void ask(struct patient *p)
{
    struct list_call *c = call_of(p);

    forget(c);
    patient_call(p);
    stream_project_list(p->ctx->stream, c->kind != LIST_SEARCH, on_projects, c);
}

/* ---- what is searched for ---- */

static int bad(struct list_call *c, const char *name, const char *wanted)
{
    http_reply_error(c->p.x, 400, "bad_request", "%s: %s is wanted", name, wanted);
    return ERR_INVALID;
}

/* An id that is none matches nothing. */
static int read_id(struct list_call *c, const struct json_tree *root, const char *name, char out[ID_BYTES_MAX + 1])
{
    const char *text = NULL;

    if (json_tree_get_str(root, name, &text) < 0)
        return bad(c, name, "a string");
    if (!text || !*text)
        return 0;
    if (id_valid(text, strlen(text)))
        strcpy(out, text);
    else
        c->nothing_matches = 1;
    return 0;
}

static int read_statuses(struct list_call *c, const struct json_tree *root)
{
    const struct json_tree *list = json_tree_get(root, "statuses");
    enum job_state s;

    if (!list || json_tree_is_null(list))
        return 0;
    if (!json_tree_is_arr(list))
        return bad(c, "statuses", "an array of strings");
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v)) {
        const char *text = json_tree_str(v);

        if (!text)
            return bad(c, "statuses", "an array of strings");
        if (state_parse(text, strlen(text), &s) == 0)
            c->state_mask |= 1u << s;
    }
    if (json_tree_first(list) && !c->state_mask)
        c->nothing_matches = 1; /* newer clients know states that no job here can be in */
    return 0;
}

static int read_order(struct list_call *c, const struct json_tree *root)
{
    const struct json_tree *list = json_tree_get(root, "order_by"), *v;
    const char *field = NULL, *order = NULL;

    if (!list || json_tree_is_null(list))
        return 0;
    v = json_tree_is_arr(list) ? json_tree_first(list) : NULL;
    if (!v)
        return json_tree_is_arr(list) ? 0 : bad(c, "order_by", "an array");
    if (json_tree_get_str(v, "field", &field) < 0 || (field && strcmp(field, "created_at") != 0))
        return bad(c, "order_by", "the field created_at");
    if (json_tree_get_str(v, "order", &order) < 0 || (order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0))
        return bad(c, "order_by", "the order asc or desc");
    c->asc = order && order[0] == 'a';
    return 0;
}

/* A caller of one project searches there, whatever he names. */
static void keep_inside(struct list_call *c)
{
    const char *own = caller_project(auth_caller(c->p.x));

    if (!own)
        return;
    if (c->project[0] && strcmp(c->project, own) != 0)
        c->nothing_matches = 1;
    strcpy(c->project, own);
}

static void begin_search(struct patient *p)
{
    struct list_call *c = call_of(p);
    struct json_tree *root = patient_json(p);

    if (!root)
        return;
    if (read_id(c, root, "project_id", c->project) == 0 && read_id(c, root, "job_id", c->job) == 0 &&
        read_statuses(c, root) == 0 && read_order(c, root) == 0) {
        keep_inside(c);
        ask(p);
    }
    json_tree_free(&root);
}

static const struct patient_ops list_ops = {.begin = ask, .ask = ask, .release = release};
static const struct patient_ops search_ops = {.begin = begin_search, .ask = ask, .release = release};

static struct list_call *new_call(enum list_kind kind)
{
    struct list_call *c = must_calloc(1, sizeof *c);

    c->kind = kind;
    return c;
}

void baseten_projects(struct serve_ctx *ctx, struct http *x)
{
    struct list_call *c = new_call(LIST_PROJECTS);
    const char *own = caller_project(auth_caller(x));

    if (own)
        strcpy(c->project, own);
    patient_open(&c->p, &list_ops, ctx, x);
}

void baseten_project_jobs(struct serve_ctx *ctx, struct http *x)
{
    char project[ID_BYTES_MAX + 1];
    struct list_call *c;
    int is_foreign;

    if (baseten_path_project(x, project, &is_foreign) < 0)
        return;
    c = new_call(LIST_PROJECT_JOBS);
    c->nothing_matches = is_foreign;
    strcpy(c->project, project);
    patient_open(&c->p, &list_ops, ctx, x);
}

void baseten_search(struct serve_ctx *ctx, struct http *x)
{
    patient_open(&new_call(LIST_SEARCH)->p, &search_ops, ctx, x);
}

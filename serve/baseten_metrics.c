/*
 * serve/baseten_metrics.c -- from the JSON lines of nodes to series of points.
 *
 *     project -> job -> nodes -> answer
 */
#include "serve/baseten_metrics.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "job/node.h"
#include "serve/baseten.h"
#include "serve/baseten_json.h"
#include "serve/baseten_logs.h"
#include "serve/baseten_query.h"
#include "serve/nodes.h"
#include "serve/patient.h"
#include "stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct metrics_call {
    struct patient p;
    struct job_key key;
    int is_foreign;
    struct baseten_query q;
    struct project_info project;
    struct buf job_json;
};

/* A node's line, read, and the points of it that are asked for. */
struct node_view {
    struct json_tree *root;
    const struct baseten_query *q;
    int end_is_open;
};

static struct metrics_call *call_of(struct patient *p)
{
    return (struct metrics_call *)(void *)p;
}

static void release(struct patient *p)
{
    buf_release(&call_of(p)->job_json);
    free(call_of(p));
}

/* ---- series ---- */

static int in_window(const struct node_view *v, const struct json_tree *at)
{
    const char *text = json_tree_str(at);
    int64_t us;

    if (!text || clock_parse_rfc3339(text, strlen(text), &us) < 0)
        return 0;
    if (v->q->has_start && us < v->q->start_ms * 1000)
        return 0;
    return v->end_is_open || us < (v->q->end_ms + 1) * 1000;
}

/* Which number of a point: itself (gpu < 0), or that of a GPU. */
static const struct json_tree *value_of(const struct json_tree *point, int gpu)
{
    const struct json_tree *v = point;

    if (gpu >= 0)
        for (v = json_tree_first(point); v && gpu > 0; gpu--)
            v = json_tree_next(v);
    return v && json_tree_is_num(v) ? v : NULL;
}

/* "key":[{"timestamp","value"}] of the node's series name, each times factor; v NULL: empty. */
static void add_series(struct json *j, const char *key, const struct node_view *v, const char *name, int gpu, double factor)
{
    const struct json_tree *at, *point, *value;

    json_key(j, key);
    json_arr(j);
    at = v && factor > 0 ? json_tree_first(json_tree_get(v->root, "at")) : NULL;
    point = at ? json_tree_first(json_tree_get(v->root, name)) : NULL;
    for (; at && point; at = json_tree_next(at), point = json_tree_next(point)) {
        if (!in_window(v, at) || !(value = value_of(point, gpu)))
            continue;
        json_obj(j);
        json_kstr(j, "timestamp", json_tree_str(at));
        json_key(j, "value");
        json_double(j, json_tree_double(value) * factor);
        json_end(j);
    }
    json_end(j);
}

static double total(const struct node_view *v, const char *name)
{
    const struct json_tree *n = v ? json_tree_get(v->root, name) : NULL;

    return n && json_tree_is_num(n) ? json_tree_double(n) : 0;
}

static void add_gpu_series(struct json *j, const char *key, const struct node_view *v, const char *name)
{
    const struct json_tree *gpu = v ? json_tree_first(json_tree_get(v->root, "gpu_names")) : NULL;

    json_key(j, key);
    json_obj(j);
    for (int i = 0; gpu && i < NODE_GPUS_MAX; i++, gpu = json_tree_next(gpu)) {
        char number[12];

        snprintf(number, sizeof number, "%d", i);
        add_series(j, number, v, name, i, 1);
    }
    json_end(j);
}

/* The members of M; v NULL: all empty. */
static void add_metrics(struct json *j, const struct node_view *v)
{
    double disk = total(v, "disk_total_bytes");

    add_series(j, "cpu_usage", v, "cpu", -1, total(v, "cpu_count"));
    add_series(j, "cpu_memory_usage_bytes", v, "memory_bytes", -1, 1);
    add_gpu_series(j, "gpu_utilization", v, "gpu");
    add_gpu_series(j, "gpu_memory_usage_bytes", v, "gpu_memory_bytes");
    json_key(j, "ephemeral_storage");
    json_obj(j);
    add_series(j, "usage_bytes", v, "disk_bytes", -1, 1);
    add_series(j, "utilization", v, "disk_bytes", -1, disk > 0 ? 1 / disk : 0);
    json_end(j);
}

/* ---- the answer ---- */

/* Read the line at *p and move behind it. NULL at the end; a line that is none is passed over. */
static struct json_tree *next_node(const char **p, const char *end)
{
    struct json_tree *root = NULL;

    while (*p < end) {
        const char *line = *p, *nl = memchr(line, '\n', (size_t)(end - line));

        *p = nl ? nl + 1 : end;
        if (json_tree_parse(line, (size_t)((nl ? nl : end) - line), &root, NULL) == 0)
            return root;
    }
    return NULL;
}

static void answer(struct metrics_call *c, const char *lines, size_t len)
{
    int64_t open_from_ms = clock_wall_us() / 1000 - BASETEN_END_OPEN_MS;
    struct node_view v = {.q = &c->q, .end_is_open = !c->q.has_end || c->q.end_ms > open_from_ms};
    const char *p = lines, *end = lines + len;
    struct buf out = BUF_INIT;
    unsigned count = 0;
    const char *name;
    struct json j;

    json_init(&j, &out);
    json_obj(&j);
    json_key(&j, "training_job");
    json_raw(&j, c->job_json.data, c->job_json.len);
    json_key(&j, "cache");
    json_null(&j);
    json_key(&j, "per_node_metrics");
    json_arr(&j);
    for (; (v.root = next_node(&p, end)); json_tree_free(&v.root), count++) {
        json_obj(&j);
        json_kstr(&j, "node_id", json_tree_get_str(v.root, "replica", &name) == 1 ? name : "");
        json_key(&j, "metrics");
        json_obj(&j);
        add_metrics(&j, &v);
        json_end(&j);
        json_end(&j);
    }
    json_end(&j);
    p = lines;
    v.root = count == 1 ? next_node(&p, end) : NULL;
    add_metrics(&j, v.root ? &v : NULL);
    json_tree_free(&v.root);
    json_end(&j);
    buf_addc(&out, '\n');
    http_reply(c->p.x, 200, "application/json", out.data, out.len);
    buf_release(&out);
}

static int came_back(struct metrics_call *c, int err)
{
    if (!patient_back(&c->p))
        return 0;
    if (err >= 0)
        return 1;
    patient_failed(&c->p, err, BASETEN_NO_JOB);
    return 0;
}

static void on_nodes(void *user, int err, const char *lines, size_t len)
{
    if (came_back(user, err))
        answer(user, lines, len);
}

static void on_job(void *user, int err, const struct job_info *info)
{
    struct metrics_call *c = user;
    struct json j;

    if (!came_back(c, err >= 0 && c->is_foreign ? ERR_NOT_FOUND : err))
        return;
    buf_clear(&c->job_json);
    json_init(&j, &c->job_json);
    baseten_job_json(&j, info, c->project.name, info->state);
    patient_call(&c->p);
    nodes_load(c->p.ctx, &c->key, on_nodes, c);
}

static void on_project(void *user, int err, int created, const struct project_info *info)
{
    struct metrics_call *c = user;

    if (!came_back(c, err))
        return;
    c->project = *info;
    patient_call(&c->p);
    stream_job_get(c->p.ctx->stream, &c->key, 0, on_job, c);
}

static void ask(struct patient *p)
{
    struct metrics_call *c = call_of(p);

    patient_call(p);
    stream_project_get(p->ctx->stream, c->key.project, on_project, c);
}

static void begin(struct patient *p)
{
    struct metrics_call *c = call_of(p);
    struct json_tree *body = patient_json(p);
    char why[128];
    int err;

    if (!body)
        return;
    err = baseten_query_read(&c->q, p->x, body, why, sizeof why);
    json_tree_free(&body);
    if (err < 0)
        http_reply_error(p->x, 400, err_code(err), "%s", why);
    else
        ask(p);
}

static const struct patient_ops ops = {.begin = begin, .ask = ask, .release = release};

void baseten_metrics(struct serve_ctx *ctx, struct http *x)
{
    struct job_key key;
    struct metrics_call *c;
    int is_foreign;

    if (baseten_path_key(x, &key, &is_foreign) < 0)
        return;
    c = must_calloc(1, sizeof *c);
    c->key = key;
    c->is_foreign = is_foreign;
    patient_open(&c->p, &ops, ctx, x);
}

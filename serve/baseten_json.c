/*
 * serve/baseten_json.c -- printing jobs and projects of the Baseten view.
 */
#include "serve/baseten_json.h"

#include "base/json_tree.h"
#include "serve/job_json.h"

#include <string.h>

static const struct json_tree *member(const struct json_tree *extra, const char *name)
{
    const struct json_tree *v = extra ? json_tree_get(extra, name) : NULL;

    return v && !json_tree_is_null(v) ? v : NULL;
}

static void add_count(struct json *j, const struct json_tree *type, const char *name)
{
    const struct json_tree *v = member(type, name);
    int64_t n;

    json_ki64(j, name, v && json_tree_i64(v, &n) >= 0 ? n : 0);
}

static void add_text_or_null(struct json *j, const struct json_tree *type, const char *name)
{
    const struct json_tree *v = member(type, name);

    json_kstr(j, name, v ? json_tree_str(v) : NULL);
}

static void add_instance_type(struct json *j, const struct json_tree *extra)
{
    const struct json_tree *type = member(extra, "instance_type"), *memory;
    const char *name = type ? json_tree_str(type) : NULL, *id = NULL;
    int64_t n;

    if (type && json_tree_is_obj(type)) {
        json_tree_get_str(type, "name", &name);
        json_tree_get_str(type, "id", &id);
    }
    if (!name)
        name = id ? id : "unspecified";
    json_key(j, "instance_type");
    json_obj(j);
    json_kstr(j, "id", id ? id : name);
    json_kstr(j, "name", name);
    add_count(j, type, "memory_limit_mib");
    add_count(j, type, "millicpu_limit");
    add_count(j, type, "gpu_count");
    add_text_or_null(j, type, "gpu_type");
    memory = member(type, "gpu_memory_limit_mib");
    json_key(j, "gpu_memory_limit_mib");
    if (memory && json_tree_i64(memory, &n) >= 0)
        json_i64(j, n);
    else
        json_null(j);
    json_end(j);
}

/* Absent or an object: null is more than clients can bear. */
static void add_user(struct json *j, const struct json_tree *extra)
{
    const struct json_tree *user = member(extra, "user");
    const char *email = user ? json_tree_str(user) : NULL;

    if (user && json_tree_is_obj(user))
        json_tree_get_str(user, "email", &email);
    if (!email)
        return;
    json_key(j, "user");
    json_obj(j);
    json_kstr(j, "email", email);
    json_end(j);
}

static void add_foreign(struct json *j, const struct json_tree *extra)
{
    static const char *const counts[] = {"priority", "node_count"};
    const struct json_tree *model = member(extra, "availability_model");
    int64_t n;

    add_instance_type(j, extra);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const struct json_tree *v = member(extra, counts[i]);

        if (v && json_tree_i64(v, &n) >= 0)
            json_ki64(j, counts[i], n);
    }
    if (!model)
        model = member(extra, "availability");
    if (model && json_tree_str(model))
        json_kstr(j, "availability_model", json_tree_str(model));
    add_user(j, extra);
}

void baseten_job_json(struct json *j, const struct job_info *info, const char *project_name, enum job_state state)
{
    struct json_tree *extra = NULL;

    if (info->extra_json && json_tree_parse(info->extra_json, strlen(info->extra_json), &extra, NULL) < 0)
        extra = NULL;
    json_obj(j);
    json_kstr(j, "id", info->key.job);
    json_kstr(j, "name", info->name && info->name[0] ? info->name : NULL);
    job_json_time(j, "created_at", info->created_us);
    job_json_time(j, "updated_at", info->updated_us);
    json_kstr(j, "current_status", state_name(state));
    json_kstr(j, "error_message", state_is_terminal(state) ? info->error_message : NULL);
    add_foreign(j, extra);
    json_kstr(j, "training_project_id", info->key.project);
    json_key(j, "training_project");
    json_obj(j);
    json_kstr(j, "id", info->key.project);
    json_kstr(j, "name", project_name ? project_name : info->key.project);
    json_end(j);
    json_end(j);
    json_tree_free(&extra);
}

void baseten_project_json(struct json *j, const struct project_info *info)
{
    json_obj(j);
    json_kstr(j, "id", info->id);
    json_kstr(j, "name", info->name);
    job_json_time(j, "created_at", info->created_us);
    job_json_time(j, "updated_at", info->updated_us);
    json_kstr(j, "team_name", NULL);
    json_key(j, "latest_job");
    if (info->latest)
        baseten_job_json(j, info->latest, info->name, info->latest->state);
    else
        json_null(j);
    json_end(j);
}

/*
 * serve/api_rules.c -- rules and receivers over HTTP: one set of verbs over two kinds of things.
 */
#include "serve/api_rules.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/json.h"
#include "serve/api_rules_int.h"
#include "serve/auth.h"
#include "serve/json_body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- who may see what ---- */

/* The project whose things alone are seen; NULL: all. "*" in ?project= means those of all projects: "" here.
 * ERR_INVALID: answered. */
static int wanted_project(struct http *x, const char **ret)
{
    const char *project = http_arg(x, "project");

    if (project && strcmp(project, "*") == 0)
        project = "";
    else if (project && !id_valid(project, strlen(project))) {
        http_reply_error(
            x, 400, "bad_id",
            "project is [A-Za-z0-9][A-Za-z0-9._-]{0,127}, or * for what is of all projects");
        return ERR_INVALID;
    }
    *ret = project;
    return 0;
}

/* A caller of one project sees what is of it; of things that are shared those of all projects too. */
static int may_see(const struct thing_ops *ops, const struct http *x, const void *v)
{
    const char *own = caller_project(auth_caller(x));

    return !own || strcmp(ops->project(v), own) == 0 || (ops->is_shared && !*ops->project(v));
}

/* Only an admin of all projects changes what is of all. */
static int may_change(const struct thing_ops *ops, struct http *x, const void *v)
{
    const char *own = caller_project(auth_caller(x));

    if (!own || strcmp(ops->project(v), own) == 0)
        return 1;
    auth_forbid(x, "this is of all projects: a token for all of them is needed");
    return 0;
}

/* What holds now; NULL: answered. */
static const struct ruleset *current_set(struct serve_ctx *ctx, struct http *x)
{
    const struct ruleset *s = alert_ruleset(ctx->alert);

    if (!s) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "unavailable", "%s", err_text(ERR_UNAVAILABLE));
    }
    return s;
}

static const char *path_id(const struct http *x)
{
    return strrchr(http_path(x), '/') + 1;
}

/* The one that the path means; NULL: answered. One of the caller's own project goes before that of all. */
static const void *find(const struct thing_ops *ops, const struct ruleset *s, struct http *x)
{
    const char *id = path_id(x), *project = NULL, *own = caller_project(auth_caller(x));
    const void *found = NULL;

    if (wanted_project(x, &project) < 0)
        return NULL;
    for (uint32_t i = 0; i < ops->count(s); i++) { /* "" comes before every project */
        const void *v = ops->at(s, i);
        if (strcmp(ops->id(v), id) != 0 || !may_see(ops, x, v) ||
            (project && strcmp(ops->project(v), project) != 0))
            continue;
        if (found && !own) {
            http_reply_error(x, 409, "ambiguous",
                             "more than one project has a %s of this id: add ?project=P, or * for "
                             "that of all projects",
                             ops->word);
            return NULL;
        }
        found = v;
    }
    if (!found)
        http_reply_error(x, 404, "not_found", "there is no such %s", ops->word);
    return found;
}

/* ---- answers ---- */

void api__reply_mistake(const char *word, struct http *x, const struct fields_why *why)
{
    struct buf out = BUF_INIT;
    char code[32];
    struct json j;

    snprintf(code, sizeof code, "bad_%s", word);
    json_init(&j, &out);
    json_obj(&j);
    json_kstr(&j, "code", code);
    json_key(&j, "message");
    struct buf text = BUF_INIT;
    buf_addf(&text, "%s: %s", why->path, why->text);
    json_str(&j, buf_cstr(&text));
    json_kstr(&j, "path", why->path);
    json_end(&j);
    buf_addc(&out, '\n');
    http_reply(x, 400, "application/json", out.data, out.len);
    buf_release(&text);
    buf_release(&out);
}

static void reply_thing(const struct thing_ops *ops, struct http *x, int status, const void *thing)
{
    struct buf out = BUF_INIT;

    ops->write(&out, thing);
    buf_addc(&out, '\n');
    http_reply(x, status, "application/json", out.data, out.len);
    buf_release(&out);
}

static void reply_put_err(const struct thing_ops *ops, struct http *x, int err)
{
    switch (err) {
    case ERR_EXISTS:
        http_reply_error(x, 409, "exists",
                         "there is a %s of this id: PUT replaces it, PATCH changes it", ops->word);
        break;
    case ERR_NOT_FOUND:
        http_reply_error(x, 404, "not_found", "there is no such %s", ops->word);
        break;
    case ERR_LIMIT:
        http_reply_error(x, 409, "limit", "at most %d rules and %d receivers are kept", RULES_MAX,
                         RECEIVERS_MAX);
        break;
    case ERR_ORDER:
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 409, "changed",
                         "somebody else has changed it meanwhile: look and try again");
        break;
    default:
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, err_code(err), "%s", err_text(err));
    }
}

static int refuse_file(const struct thing_ops *ops, struct http *x, const void *old)
{
    if (!old || ops->source(old) != SOURCE_FILE)
        return 0;
    http_reply_error(x, 409, "read_only",
                     "this %s comes from the rules file: change it there and send SIGHUP",
                     ops->word);
    return 1;
}

/* ---- a change on its way ---- */

struct change {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the client has gone */
    const struct thing_ops *ops;
    char project[ID_BYTES_MAX + 1], id[ID_BYTES_MAX + 1];
    int status; /* of success */
};

static void on_change_close(struct http *x, int clean)
{
    struct change *c = http_user(x);
    c->x = NULL;
}

static const struct http_handler change_handler = {.on_close = on_change_close};

static struct change *change_new(struct serve_ctx *ctx, struct http *x, const struct thing_ops *ops,
                                 const char *project, const char *id, int status)
{
    struct change *c = must_calloc(1, sizeof *c);

    c->ctx = ctx;
    c->x = x;
    c->ops = ops;
    c->status = status;
    snprintf(c->project, sizeof c->project, "%s", project);
    snprintf(c->id, sizeof c->id, "%s", id);
    http_handle(x, &change_handler, c);
    return c;
}

static void on_changed(void *user, int err, uint64_t revision)
{
    struct change *c = user;
    struct http *x = c->x;
    const struct ruleset *s = alert_ruleset(c->ctx->alert);

    if (!x)
        goto out;
    http_handle(x, NULL, NULL);
    if (err < 0) {
        reply_put_err(c->ops, x, err);
        goto out;
    }
    if (c->status == 204) {
        http_reply(x, 204, NULL, NULL, 0);
        goto out;
    }
    for (uint32_t i = 0; s && i < c->ops->count(s); i++) {
        const void *v = c->ops->at(s, i);
        if (strcmp(c->ops->id(v), c->id) == 0 && strcmp(c->ops->project(v), c->project) == 0) {
            reply_thing(c->ops, x, c->status, v);
            goto out;
        }
    }
    http_reply_error(x, 404, "not_found", "it was deleted as soon as it was written");
out:
    free(c);
}

static void put(struct serve_ctx *ctx, struct http *x, const struct thing_ops *ops, void **thing,
                uint64_t expected, int status)
{
    struct change *c = change_new(ctx, x, ops, ops->project(*thing), ops->id(*thing), status);

    ops->put(ctx->alert, thing, expected, on_changed, c);
}

/* ---- the verbs ---- */

static void list(struct serve_ctx *ctx, struct http *x, const struct thing_ops *ops)
{
    const struct ruleset *s = current_set(ctx, x);
    const char *project = NULL;
    struct buf out = BUF_INIT;
    int n = 0;

    if (!s || wanted_project(x, &project) < 0)
        return;
    buf_addf(&out, "{\"%s\":[", ops->list);
    for (uint32_t i = 0; i < ops->count(s); i++) {
        const void *v = ops->at(s, i);
        if (!may_see(ops, x, v) || (project && strcmp(ops->project(v), project) != 0))
            continue;
        if (n++)
            buf_addc(&out, ',');
        ops->write(&out, v);
    }
    buf_adds(&out, "]}\n");
    http_reply(x, 200, "application/json", out.data, out.len);
    buf_release(&out);
}

static void show(struct serve_ctx *ctx, struct http *x, const struct thing_ops *ops)
{
    const struct ruleset *s = current_set(ctx, x);
    const void *v;

    if (s && (v = find(ops, s, x)))
        reply_thing(ops, x, 200, v);
}

/* The body's project, else the query's, else the caller's, else that of all. 0, or an answered error. */
static int settle_project(struct http *x, const struct thing_ops *ops, void *thing)
{
    const char *project = NULL;

    if (wanted_project(x, &project) < 0)
        return ERR_INVALID;
    if (project && ops->project(thing)[0] && strcmp(project, ops->project(thing)) != 0) {
        http_reply_error(x, 400, "bad_request", "the body names another project than the query");
        return ERR_INVALID;
    }
    if (project && *project)
        ops->set_project(thing, project);
    project = caller_project(auth_caller(x));
    if (project && !*ops->project(thing))
        ops->set_project(thing, project);
    return may_change(ops, x, thing) ? 0 : ERR_INVALID;
}

static const void *find_exact(const struct thing_ops *ops, const struct ruleset *s,
                              const char *project, const char *id)
{
    for (uint32_t i = 0; i < ops->count(s); i++)
        if (strcmp(ops->id(ops->at(s, i)), id) == 0 &&
            strcmp(ops->project(ops->at(s, i)), project) == 0)
            return ops->at(s, i);
    return NULL;
}

static void create(struct serve_ctx *ctx, struct http *x, const struct thing_ops *ops,
                   const struct json_tree *root)
{
    const struct ruleset *s = current_set(ctx, x);
    struct fields_why why;
    void *thing = NULL;

    if (!s)
        return;
    if (ops->read(root, &thing, &why) < 0) {
        api__reply_mistake(ops->word, x, &why);
        return;
    }
    if (settle_project(x, ops, thing) < 0 ||
        refuse_file(ops, x, find_exact(ops, s, ops->project(thing), ops->id(thing))))
        ops->free(&thing);
    else
        put(ctx, x, ops, &thing, ALERT_NEW, 201);
}

static void replace(struct serve_ctx *ctx, struct http *x, const struct thing_ops *ops,
                    const struct json_tree *root)
{
    const struct ruleset *s = current_set(ctx, x);
    const void *old;
    struct fields_why why;
    void *thing = NULL;

    if (!s)
        return;
    if (ops->read(root, &thing, &why) < 0) {
        api__reply_mistake(ops->word, x, &why);
        return;
    }
    if (strcmp(ops->id(thing), path_id(x)) != 0) {
        http_reply_error(x, 400, "bad_request", "the body names another id than the path");
        ops->free(&thing);
        return;
    }
    if (settle_project(x, ops, thing) < 0) {
        ops->free(&thing);
        return;
    }
    old = find_exact(ops, s, ops->project(thing), ops->id(thing));
    if (refuse_file(ops, x, old))
        ops->free(&thing);
    else
        put(ctx, x, ops, &thing, ALERT_ANY, old && ops->source(old) == SOURCE_API ? 200 : 201);
}

static void patch(struct serve_ctx *ctx, struct http *x, const struct thing_ops *ops,
                  const struct json_tree *root)
{
    const struct ruleset *s = current_set(ctx, x);
    const char *own = caller_project(auth_caller(x));
    const void *old;
    struct fields_why why;
    void *thing = NULL;
    int is_own;

    if (!s || !(old = find(ops, s, x)))
        return;
    is_own = !own || strcmp(ops->project(old), own) == 0;
    if (is_own && refuse_file(ops, x, old))
        return;
    if (ops->patch(old, root, &thing, &why) < 0) {
        api__reply_mistake(ops->word, x, &why);
        return;
    }
    if (strcmp(ops->id(thing), ops->id(old)) != 0 ||
        strcmp(ops->project(thing), ops->project(old)) != 0) {
        http_reply_error(x, 400, "bad_request", "id and project cannot be changed");
        ops->free(&thing);
        return;
    }
    if (!is_own) /* that of all projects stays; the project gets one of its own */
        ops->set_project(thing, own);
    put(ctx, x, ops, &thing,
        !is_own || ops->source(old) == SOURCE_STARTER ? ALERT_NEW : ops->revision(old), 200);
}

static void delete_thing(struct serve_ctx *ctx, struct http *x, const struct thing_ops *ops)
{
    const struct ruleset *s = current_set(ctx, x);
    const void *old;

    if (!s || !(old = find(ops, s, x)) || !may_change(ops, x, old) || refuse_file(ops, x, old))
        return;
    if (ops->source(old) == SOURCE_STARTER) {
        http_reply_error(x, 409, "read_only",
                         "this %s is part of the starter set: it is off unless it is enabled",
                         ops->word);
        return;
    }
    ops->del(ctx->alert, ops->project(old), ops->id(old), on_changed,
             change_new(ctx, x, ops, ops->project(old), ops->id(old), 204));
}

/* ---- the routes ---- */

static void rules_create_body(struct serve_ctx *ctx, struct http *x, const struct json_tree *root)
{
    create(ctx, x, &api__rules, root);
}
static void rules_replace_body(struct serve_ctx *ctx, struct http *x, const struct json_tree *root)
{
    replace(ctx, x, &api__rules, root);
}
static void rules_patch_body(struct serve_ctx *ctx, struct http *x, const struct json_tree *root)
{
    patch(ctx, x, &api__rules, root);
}
static void receivers_create_body(struct serve_ctx *ctx, struct http *x,
                                  const struct json_tree *root)
{
    create(ctx, x, &api__receivers, root);
}
static void receivers_replace_body(struct serve_ctx *ctx, struct http *x,
                                   const struct json_tree *root)
{
    replace(ctx, x, &api__receivers, root);
}
static void receivers_patch_body(struct serve_ctx *ctx, struct http *x,
                                 const struct json_tree *root)
{
    patch(ctx, x, &api__receivers, root);
}

void api_rules_list(struct serve_ctx *ctx, struct http *x)
{
    list(ctx, x, &api__rules);
}
void api_rules_show(struct serve_ctx *ctx, struct http *x)
{
    show(ctx, x, &api__rules);
}
void api_rules_delete(struct serve_ctx *ctx, struct http *x)
{
    delete_thing(ctx, x, &api__rules);
}
void api_rules_create(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, API_RULES_BODY_BYTES_MAX, rules_create_body);
}
void api_rules_replace(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, API_RULES_BODY_BYTES_MAX, rules_replace_body);
}
void api_rules_patch(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, API_RULES_BODY_BYTES_MAX, rules_patch_body);
}

void api_receivers_list(struct serve_ctx *ctx, struct http *x)
{
    list(ctx, x, &api__receivers);
}
void api_receivers_show(struct serve_ctx *ctx, struct http *x)
{
    show(ctx, x, &api__receivers);
}
void api_receivers_delete(struct serve_ctx *ctx, struct http *x)
{
    delete_thing(ctx, x, &api__receivers);
}
void api_receivers_create(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, API_RULES_BODY_BYTES_MAX, receivers_create_body);
}
void api_receivers_replace(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, API_RULES_BODY_BYTES_MAX, receivers_replace_body);
}
void api_receivers_patch(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, API_RULES_BODY_BYTES_MAX, receivers_patch_body);
}

/*
 * serve/api_deliveries.c -- one walk over the dead letters for showing, sending again and dropping.
 *
 *     page --filter--> page --filter--> … --> answer, or the ids to move --> answer
 */
#include "serve/api_deliveries.h"

#include "alert/dead.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "serve/auth.h"
#include "serve/json_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_MAX 65536
#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000
#define ANSWER_BYTES_MAX (32UL << 20)

enum deed { SHOW, REPLAY, DROP };

struct walk {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the client has gone */
    enum deed deed;
    char own[ID_BYTES_MAX + 1];      /* of the caller; "": all projects */
    char receiver[ID_BYTES_MAX + 1]; /* "": of all */
    int has_ids;
    char (*wanted)[DEAD_ID_BYTES]; /* has_ids */
    uint32_t wanted_count;
    char (*found)[DEAD_ID_BYTES];
    uint32_t found_count, limit;
    char after[DEAD_ID_BYTES];
    struct buf out;
    struct json j;
};

static void free_walk(struct walk *w)
{
    free(w->wanted);
    free(w->found);
    buf_release(&w->out);
    free(w);
}

static void on_close(struct http *x, int clean)
{
    struct walk *w = http_user(x);

    w->x = NULL;
}

static const struct http_handler handler = {.on_close = on_close};

static void fail(struct walk *w, int err)
{
    if (w->x) {
        http_handle(w->x, NULL, NULL);
        http_set_header(w->x, "Retry-After", "1");
        http_reply_error(w->x, 503, err_code(err), "%s", err_text(err));
    }
    free_walk(w);
}

static void reply(struct walk *w)
{
    if (w->x) {
        http_handle(w->x, NULL, NULL);
        http_set_header(w->x, "Cache-Control", "no-store");
        http_reply(w->x, 200, "application/json", w->out.data, w->out.len);
    }
    free_walk(w);
}

/* ---- what is found ---- */

static int is_wanted(const struct walk *w, const struct dead_letter *d)
{
    if (*w->own && strcmp(d->project, w->own) != 0)
        return 0;
    if (*w->receiver && strcmp(d->receiver, w->receiver) != 0)
        return 0;
    if (!w->has_ids)
        return 1;
    for (uint32_t i = 0; i < w->wanted_count; i++)
        if (strcmp(w->wanted[i], d->id) == 0)
            return 1;
    return 0;
}

static void put_event(struct json *j, const struct dead_letter *d)
{
    static const char *const words[] = {"rule", "status"};
    struct json_tree *body = NULL;
    const struct json_tree *event;
    int64_t seq;

    if (json_tree_parse(d->body, d->body_len, &body, NULL) < 0)
        return;
    event = json_tree_is_obj(json_tree_get(body, "data")) ? json_tree_get(body, "data") : body;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (json_tree_str(json_tree_get(event, words[i])))
            json_kstr(j, words[i], json_tree_str(json_tree_get(event, words[i])));
    if (json_tree_get_i64(event, "seq", &seq) > 0)
        json_ki64(j, "seq", seq);
    json_key(j, "body");
    json_raw(j, d->body, d->body_len);
    json_tree_free(&body);
}

static void put_letter(struct walk *w, const struct dead_letter *d)
{
    struct json *j = &w->j;

    json_obj(j);
    json_kstr(j, "id", d->id);
    fields_put_time(j, "at", d->at_us);
    json_kstr(j, "receiver", d->receiver);
    json_kstr(j, "project", *d->project ? d->project : NULL);
    json_kstr(j, "job", d->job.job);
    json_kstr(j, "job_project", d->job.project);
    json_kstrn(j, "alert", d->alert, d->alert_len);
    json_kstr(j, "why", d->why);
    json_ku64(j, "attempts", d->attempts);
    fields_put_time(j, "queued_at", d->queued_us);
    put_event(j, d);
    json_end(j);
}

static void on_moved(void *user, int err, uint64_t count)
{
    struct walk *w = user;

    if (err < 0) {
        fail(w, err);
        return;
    }
    json_obj(&w->j);
    json_ku64(&w->j, w->deed == REPLAY ? "replayed" : "dropped", count);
    json_end(&w->j);
    buf_addc(&w->out, '\n');
    reply(w);
}

static void end(struct walk *w, int is_more)
{
    const char *ids[DEAD_REPLAY_MAX];

    if (w->deed == SHOW) {
        json_end(&w->j);
        json_kstr(&w->j, "next", is_more ? w->after : NULL);
        json_end(&w->j);
        buf_addc(&w->out, '\n');
        reply(w);
        return;
    }
    for (uint32_t i = 0; i < w->found_count; i++)
        ids[i] = w->found[i];
    alert_dead_replay(w->ctx->alert, ids, w->found_count, w->deed == REPLAY, on_moved, w);
}

static void on_page(void *user, int err, const struct dead_letter *list, uint32_t count, int is_end)
{
    struct walk *w = user;

    if (err < 0 || !w->x) {
        fail(w, err < 0 ? err : ERR_CLOSED);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (w->found_count == w->limit || w->out.len > ANSWER_BYTES_MAX) {
            end(w, 1);
            return;
        }
        snprintf(w->after, sizeof w->after, "%s", list[i].id);
        if (!is_wanted(w, &list[i]))
            continue;
        if (w->deed == SHOW)
            put_letter(w, &list[i]);
        else
            snprintf(w->found[w->found_count], DEAD_ID_BYTES, "%s", list[i].id);
        w->found_count++;
    }
    if (is_end)
        end(w, 0);
    else
        alert_dead_list(w->ctx->alert, w->after, on_page, w);
}

static struct walk *walk_new(struct serve_ctx *ctx, struct http *x, enum deed deed)
{
    struct walk *w = must_calloc(1, sizeof *w);
    const char *own = caller_project(auth_caller(x));

    w->ctx = ctx;
    w->x = x;
    w->deed = deed;
    w->limit = deed == SHOW ? LIMIT_DEFAULT : DEAD_REPLAY_MAX;
    snprintf(w->own, sizeof w->own, "%s", own ? own : "");
    buf_init(&w->out, 2 * ANSWER_BYTES_MAX);
    json_init(&w->j, &w->out);
    return w;
}

static void go(struct walk *w)
{
    http_handle(w->x, &handler, w);
    alert_dead_list(w->ctx->alert, w->after, on_page, w);
}

/* ---- the list ---- */

static int read_query(struct walk *w, struct http *x)
{
    const char *name, *value;
    char *rest;

    for (unsigned i = 0; http_arg_at(x, i, &name, &value); i++) {
        if (!strcmp(name, "receiver") && id_valid(value, strlen(value))) {
            snprintf(w->receiver, sizeof w->receiver, "%s", value);
        } else if (!strcmp(name, "after") && alert_dead_id_valid(value)) {
            snprintf(w->after, sizeof w->after, "%s", value);
        } else if (!strcmp(name, "limit") && *value >= '1' && *value <= '9' && strlen(value) <= 4 &&
                   strtoul(value, &rest, 10) <= LIMIT_MAX && !*rest) {
            w->limit = (uint32_t)strtoul(value, NULL, 10);
        } else if (*name != '_') {
            http_reply_error(
                x, 400, "bad_argument",
                "%.60s: receiver=ID, after=ID of a dead letter, limit=1 to %d are taken", name,
                LIMIT_MAX);
            return ERR_INVALID;
        }
    }
    return 0;
}

void api_deliveries_dead(struct serve_ctx *ctx, struct http *x)
{
    struct walk *w = walk_new(ctx, x, SHOW);

    if (read_query(w, x) < 0) {
        free_walk(w);
        return;
    }
    json_obj(&w->j);
    json_key(&w->j, "dead");
    json_arr(&w->j);
    go(w);
}

/* ---- moving them ---- */

static int read_ids(struct walk *w, const struct json_tree *ids)
{
    w->has_ids = 1;
    w->wanted = must_calloc(DEAD_REPLAY_MAX, sizeof *w->wanted);
    for (const struct json_tree *v = json_tree_first(ids); v; v = json_tree_next(v)) {
        const char *id = json_tree_str(v);
        if (!id || !alert_dead_id_valid(id) || w->wanted_count == DEAD_REPLAY_MAX)
            return ERR_INVALID;
        snprintf(w->wanted[w->wanted_count++], DEAD_ID_BYTES, "%s", id);
    }
    return 0;
}

static int read_body(struct walk *w, const struct json_tree *root)
{
    const struct json_tree *ids = json_tree_get(root, "ids");
    const char *receiver = json_tree_str(json_tree_get(root, "receiver"));
    int all = json_tree_true(json_tree_get(root, "all"));

    if ((ids != NULL) + (receiver != NULL) + (all != 0) != 1)
        return ERR_INVALID;
    if (receiver) {
        if (!id_valid(receiver, strlen(receiver)))
            return ERR_INVALID;
        snprintf(w->receiver, sizeof w->receiver, "%s", receiver);
    }
    if (ids && (!json_tree_is_arr(ids) || read_ids(w, ids) < 0))
        return ERR_INVALID;
    return 0;
}

static void move(struct serve_ctx *ctx, struct http *x, const struct json_tree *root,
                 enum deed deed)
{
    struct walk *w = walk_new(ctx, x, deed);

    w->found = must_calloc(DEAD_REPLAY_MAX, sizeof *w->found);
    if (read_body(w, root) == 0) {
        go(w);
        return;
    }
    http_reply_error(x, 400, "bad_argument",
                     "one of {\"ids\":[…]} (at most %d ids of dead letters), {\"receiver\":ID}, "
                     "{\"all\":true} is wanted",
                     DEAD_REPLAY_MAX);
    free_walk(w);
}

static void replay_body(struct serve_ctx *ctx, struct http *x, const struct json_tree *root)
{
    move(ctx, x, root, REPLAY);
}

static void drop_body(struct serve_ctx *ctx, struct http *x, const struct json_tree *root)
{
    move(ctx, x, root, DROP);
}

void api_deliveries_replay(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, BODY_BYTES_MAX, replay_body);
}

void api_deliveries_drop(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, BODY_BYTES_MAX, drop_body);
}

/* ---- what waits ---- */

static void on_waiting(void *user, int err, const struct waiting *list, uint32_t count,
                       uint64_t dead)
{
    struct walk *w = user;
    struct json *j = &w->j;

    if (err < 0) {
        fail(w, err);
        return;
    }
    json_obj(j);
    json_key(j, "receivers");
    json_arr(j);
    for (uint32_t i = 0; i < count; i++) {
        const struct receiver *r = list[i].receiver;
        if (*w->own && strcmp(r->project, w->own) != 0)
            continue;
        json_obj(j);
        json_kstr(j, "receiver", r->id);
        json_kstr(j, "project", *r->project ? r->project : NULL);
        json_kbool(j, "enabled", r->enabled);
        json_ku64(j, "queued", list[i].queued);
        json_ku64(j, "queued_bytes", list[i].queued_bytes);
        fields_put_time(j, "next_at", list[i].next_us);
        json_end(j);
    }
    json_end(j);
    if (!*w->own)
        json_ku64(j, "dead", dead);
    json_end(j);
    buf_addc(&w->out, '\n');
    reply(w);
}

void api_deliveries_show(struct serve_ctx *ctx, struct http *x)
{
    struct walk *w = walk_new(ctx, x, SHOW);

    http_handle(x, &handler, w);
    alert_waiting(ctx->alert, on_waiting, w);
}

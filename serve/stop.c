/*
 * serve/stop.c -- the move to STOPPED, and its two answers.
 */
#include "serve/stop.h"

#include "base/check.h"
#include "base/err.h"
#include "job/record.h"
#include "serve/auth.h"
#include "serve/baseten.h"
#include "serve/baseten_json.h"
#include "serve/patient.h"
#include "stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_MESSAGE_BYTES_MAX 4096
#define STOP_MESSAGE "stopped on request"

struct stop_call {
    struct patient p;
    struct job_key key;
    char message[STOP_MESSAGE_BYTES_MAX + 1];
    int is_baseten, is_foreign;
    struct project_info project;
};

static struct stop_call *call_of(struct patient *p)
{
    return (struct stop_call *)(void *)p;
}

static void release(struct patient *p)
{
    free(call_of(p));
}

static void reply(struct stop_call *c, int status, struct buf *out)
{
    buf_addc(out, '\n');
    http_reply(c->p.x, status, "application/json", out->data, out->len);
    buf_release(out);
}

static void refuse(struct stop_call *c, enum job_state state)
{
    struct buf out = BUF_INIT, text = BUF_INIT;
    struct json j;

    buf_addf(&text, "job %s has ended: it is %s", c->key.job, state_short(state));
    json_init(&j, &out);
    json_obj(&j);
    json_kstr(&j, "code", err_code(ERR_TRANSITION));
    json_kstr(&j, "message", buf_cstr(&text));
    json_kstr(&j, "state", state_name(state));
    json_end(&j);
    buf_release(&text);
    reply(c, 409, &out);
}

/* ---- the Baseten view answers with the job ---- */

static void on_job(void *user, int err, const struct job_info *info)
{
    struct stop_call *c = user;
    struct buf out = BUF_INIT;
    struct json j;

    if (!patient_back(&c->p))
        return;
    if (err < 0) {
        patient_failed(&c->p, err, BASETEN_NO_JOB);
        return;
    }
    json_init(&j, &out);
    json_obj(&j);
    json_key(&j, "training_job");
    baseten_job_json(&j, info, c->project.name, info->state);
    json_end(&j);
    reply(c, 200, &out);
}

static void on_project(void *user, int err, int created, const struct project_info *info)
{
    struct stop_call *c = user;

    if (!patient_back(&c->p))
        return;
    if (err < 0) {
        patient_failed(&c->p, err, BASETEN_NO_JOB);
        return;
    }
    c->project = *info;
    patient_call(&c->p);
    stream_job_get(c->p.ctx->stream, &c->key, 0, on_job, c);
}

/* ---- the move ---- */

static void on_stopped(void *user, int err, int moved, enum job_state from, uint64_t seq)
{
    struct stop_call *c = user;
    struct buf out = BUF_INIT;
    struct json j;

    if (!patient_back(&c->p))
        return;
    if (err == ERR_TRANSITION || err == ERR_SEALED) {
        refuse(c, from);
    } else if (err < 0) {
        patient_failed(&c->p, err, c->is_baseten ? BASETEN_NO_JOB : "there is no such job");
    } else if (c->is_baseten) {
        patient_call(&c->p);
        stream_project_get(c->p.ctx->stream, c->key.project, on_project, c);
    } else {
        json_init(&j, &out);
        json_obj(&j);
        json_kstr(&j, "state", state_name(STATE_STOPPED));
        json_kstr(&j, "previous", state_name(from));
        json_kbool(&j, "moved", moved);
        json_ku64(&j, "seq", seq);
        json_end(&j);
        reply(c, 200, &out);
    }
}

/* A foreign job is looked for, as a missing one would be, and is missing. */
static void on_foreign(void *user, int err, const struct job_info *info)
{
    struct stop_call *c = user;

    if (patient_back(&c->p))
        patient_failed(&c->p, err < 0 ? err : ERR_NOT_FOUND, BASETEN_NO_JOB);
}

static void ask(struct patient *p)
{
    struct stop_call *c = call_of(p);
    struct state_change change = {
        .key = c->key, .to = STATE_STOPPED, .message = c->message, .rank = RECORD_RANK_NONE};

    patient_call(p);
    if (c->is_foreign)
        stream_job_get(p->ctx->stream, &c->key, 0, on_foreign, c);
    else
        stream_change_state(p->ctx->stream, &change, on_stopped, c);
}

static void say_who(struct stop_call *c, const char *message)
{
    const struct caller *who = auth_caller(c->p.x);

    if (message)
        strcpy(c->message, message);
    else if (who && who->token)
        snprintf(c->message, sizeof c->message, "stopped by token %s", who->token->name);
    else
        strcpy(c->message, STOP_MESSAGE);
}

static void begin(struct patient *p)
{
    struct stop_call *c = call_of(p);
    struct json_tree *root = patient_json(p);
    const char *message = NULL;

    if (!root)
        return;
    if (json_tree_get_str(root, "message", &message) < 0 || (message && strlen(message) > STOP_MESSAGE_BYTES_MAX)) {
        http_reply_error(p->x, 400, "bad_request", "message: a string of at most %d bytes is wanted",
                         STOP_MESSAGE_BYTES_MAX);
    } else {
        say_who(c, message);
        ask(p);
    }
    json_tree_free(&root);
}

static const struct patient_ops ops = {.begin = begin, .ask = ask, .release = release};

static void open_call(struct serve_ctx *ctx, struct http *x, const struct job_key *key, int is_baseten, int is_foreign)
{
    struct stop_call *c = must_calloc(1, sizeof *c);

    c->key = *key;
    c->is_baseten = is_baseten;
    c->is_foreign = is_foreign;
    patient_open(&c->p, &ops, ctx, x);
}

void stop_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    open_call(ctx, x, key, 0, 0);
}

void stop_baseten(struct serve_ctx *ctx, struct http *x)
{
    struct job_key key;
    int is_foreign;

    if (baseten_path_key(x, &key, &is_foreign) == 0)
        open_call(ctx, x, &key, 1, is_foreign);
}

/*
 * serve/baseten_job.c -- one job of the Baseten view: what it is, what it has not.
 *
 *     project -> job -> answer
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/baseten.h"
#include "serve/baseten_json.h"
#include "serve/followers.h"
#include "serve/patient.h"
#include "stream/stream.h"

#include <stdlib.h>

enum question { ASK_JOB, ASK_AUTH_CODES, ASK_CHECKPOINTS };

struct job_call {
    struct patient p;
    struct job_key key;
    int is_foreign;
    enum question question;
    struct project_info project;
};

static struct job_call *call_of(struct patient *p)
{
    return (struct job_call *)(void *)p;
}

static void release(struct patient *p)
{
    free(call_of(p));
}

/* What the caller is told: not the end before he can have had the last line. */
static enum job_state told_state(const struct serve_ctx *ctx, const struct job_info *info)
{
    enum job_state before;

    if (!state_is_terminal(info->state) || info->history_count < 2 ||
        followers_may_know(ctx->followers, info, clock_wall_us()))
        return info->state;
    before = info->history[info->history_count - 2].state;
    return before == STATE_DEPLOYING || before == STATE_RUNNING ? before : info->state;
}

static void on_job(void *user, int err, const struct job_info *info)
{
    struct job_call *c = user;
    struct buf out = BUF_INIT;
    struct json j;

    if (!patient_back(&c->p))
        return;
    if (err >= 0 && c->is_foreign)
        err = ERR_NOT_FOUND;
    if (err < 0) {
        patient_failed(&c->p, err, BASETEN_NO_JOB);
        return;
    }
    json_init(&j, &out);
    json_obj(&j);
    if (c->question != ASK_AUTH_CODES) {
        json_key(&j, "training_job");
        baseten_job_json(&j, info, c->project.name, told_state(c->p.ctx, info));
    }
    if (c->question == ASK_JOB) {
        json_key(&j, "training_project");
        baseten_project_json(&j, &c->project);
    } else {
        json_key(&j, c->question == ASK_AUTH_CODES ? "auth_codes" : "checkpoints");
        json_arr(&j);
        json_end(&j);
    }
    json_end(&j);
    buf_addc(&out, '\n');
    http_reply(c->p.x, 200, "application/json", out.data, out.len);
    buf_release(&out);
}

static void on_project(void *user, int err, int created, const struct project_info *info)
{
    struct job_call *c = user;

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

static void ask(struct patient *p)
{
    struct job_call *c = call_of(p);

    patient_call(p);
    stream_project_get(p->ctx->stream, c->key.project, on_project, c);
}

static const struct patient_ops ops = {.begin = ask, .ask = ask, .release = release};

static void open_call(struct serve_ctx *ctx, struct http *x, enum question question)
{
    struct job_key key;
    struct job_call *c;
    int is_foreign;

    if (baseten_path_key(x, &key, &is_foreign) < 0)
        return;
    c = must_calloc(1, sizeof *c);
    c->key = key;
    c->is_foreign = is_foreign;
    c->question = question;
    patient_open(&c->p, &ops, ctx, x);
}

void baseten_job(struct serve_ctx *ctx, struct http *x)
{
    open_call(ctx, x, ASK_JOB);
}

void baseten_auth_codes(struct serve_ctx *ctx, struct http *x)
{
    open_call(ctx, x, ASK_AUTH_CODES);
}

void baseten_checkpoints(struct serve_ctx *ctx, struct http *x)
{
    open_call(ctx, x, ASK_CHECKPOINTS);
}

/*
 * serve/patient.c -- body, pauses, and the end of an exchange that may outlive its client.
 */
#include "serve/patient.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/json_body.h"

#include <stdlib.h>
#include <string.h>

struct patient_pause {
    uv_timer_t timer;
    struct patient *p; /* NULL: nobody waits any more */
};

static void on_pause_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop_pause(struct patient *p)
{
    if (!p->pause)
        return;
    p->pause->p = NULL;
    uv_close((uv_handle_t *)&p->pause->timer, on_pause_closed);
    p->pause = NULL;
}

static void release_when_over(struct patient *p)
{
    if (p->x || p->calls)
        return;
    drop_pause(p);
    buf_release(&p->body);
    p->ops->release(p);
}

static void on_close(struct http *x, int clean)
{
    struct patient *p = http_user(x);

    p->x = NULL;
    drop_pause(p);
    if (p->ops->gone)
        p->ops->gone(p);
    release_when_over(p);
}

static void on_drain(struct http *x)
{
    struct patient *p = http_user(x);

    if (p->ops->drain)
        p->ops->drain(p);
}

static void on_body(struct http *x, const char *data, size_t len)
{
    struct patient *p = http_user(x);
    int err = http_started(x) ? 0 : buf_add(&p->body, data, len);

    if (err < 0 && !json_body_lacks_memory(x, err))
        http_reply_error(x, 413, "too_large", "at most %d bytes are read here", PATIENT_BODY_BYTES_MAX);
}

static void on_body_end(struct http *x)
{
    struct patient *p = http_user(x);

    if (!http_started(x))
        p->ops->begin(p);
}

static const struct http_handler handler = {
    .on_body = on_body, .on_body_end = on_body_end, .on_drain = on_drain, .on_close = on_close};

void patient_open(struct patient *p, const struct patient_ops *ops, struct serve_ctx *ctx, struct http *x)
{
    p->ops = ops;
    p->ctx = ctx;
    p->x = x;
    p->until_us = clock_mono_us() + PATIENT_US;
    buf_init(&p->body, PATIENT_BODY_BYTES_MAX);
    http_handle(x, &handler, p);
    http_body_max(x, PATIENT_BODY_BYTES_MAX);
}

void patient_call(struct patient *p)
{
    p->calls++;
}

int patient_back(struct patient *p)
{
    CHECK(p->calls > 0);
    p->calls--;
    if (p->x)
        return 1;
    release_when_over(p);
    return 0;
}

/* ---- when Redis is away ---- */

static void on_pause_over(uv_timer_t *timer)
{
    struct patient_pause *pause = timer->data;
    struct patient *p = pause->p;

    if (!p)
        return;
    drop_pause(p);
    p->ops->ask(p);
}

static int is_passing(int err)
{
    return err == ERR_UNAVAILABLE || err == ERR_TIMEOUT || err == ERR_BUSY || err == ERR_READONLY;
}

int patient_wait(struct patient *p, int err)
{
    CHECK(p->x && !p->pause);
    if (!is_passing(err) || p->ctx->draining || clock_mono_us() + PATIENT_PAUSE_MS * 1000 > p->until_us)
        return 0;
    p->pause = must_calloc(1, sizeof *p->pause);
    p->pause->p = p;
    p->pause->timer.data = p->pause;
    CHECK(uv_timer_init(p->ctx->loop, &p->pause->timer) == 0);
    CHECK(uv_timer_start(&p->pause->timer, on_pause_over, PATIENT_PAUSE_MS, 0) == 0);
    return 1;
}

void patient_failed(struct patient *p, int err, const char *what)
{
    if (err == ERR_NOT_FOUND) {
        http_reply_error(p->x, 404, err_code(err), "%s", what);
        return;
    }
    if (patient_wait(p, err))
        return;
    http_set_header(p->x, "Retry-After", "1");
    http_reply_error(p->x, 503, err_code(err), "%s", err_text(err));
}

struct json_tree *patient_json(struct patient *p)
{
    return json_body_parse(p->x, &p->body);
}

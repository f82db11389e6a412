/*
 * serve/rules_test.c -- a job read again for a rule.
 */
#include "serve/rules_test.h"

#include "alert/replay.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "serve/api_rules.h"
#include "serve/api_rules_int.h"
#include "serve/reader.h"
#include "serve/resolve.h"
#include "stream/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rules_test {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the client has gone */
    struct job_key key;
    struct buf body, out;
    struct rule *rule;
    struct job_info *info;
    struct replay *replay;
    struct reader *reader;
    uv_work_t work;
    const char *data;
    size_t len;
    uint64_t lost;
    int busy, is_end, err, asked;
};

static unsigned tests_open;

static void release(struct rules_test *t)
{
    if (t->busy || t->asked || t->x)
        return;
    replay_free(&t->replay);
    reader_close(&t->reader);
    rule_free(&t->rule);
    job_info_free(&t->info);
    buf_release(&t->body);
    buf_release(&t->out);
    free(t);
    tests_open--;
}

static void on_close(struct http *x, int clean)
{
    struct rules_test *t = http_user(x);

    t->x = NULL;
    release(t);
}

/* ---- reading and evaluating ---- */

static void go_on(struct rules_test *t);

static void on_wake(void *user)
{
    go_on(user);
}

static void on_work(uv_work_t *work)
{
    struct rules_test *t = work->data;

    t->err = t->is_end ? replay_end(t->replay, &t->out)
                       : replay_feed(t->replay, t->data, t->len, &t->out);
}

static void on_worked(uv_work_t *work, int status)
{
    struct rules_test *t = work->data;

    t->busy = 0;
    if (!t->x) {
        release(t);
        return;
    }
    if (t->err < 0) {
        http_abort(t->x);
        return;
    }
    if (t->is_end && t->lost && t->out.len > 2) { /* before the last brace */
        t->out.len -= 2;
        buf_addf(&t->out, ",\"lost\":%" PRIu64 "}\n", t->lost);
    }
    http_write(t->x, t->out.data ? t->out.data : "", t->out.len);
    buf_clear(&t->out);
    if (t->is_end)
        http_finish(t->x);
    else
        go_on(t);
}

static void work(struct rules_test *t)
{
    t->busy = 1;
    t->work.data = t;
    CHECK(uv_queue_work(t->ctx->loop, &t->work, on_work, on_worked) == 0);
}

static void go_on(struct rules_test *t)
{
    struct reader_item item;
    int n;

    if (t->busy || !t->x || t->is_end || http_backlog(t->x) > HTTP_BACKLOG_HIGH_BYTES)
        return;
    while ((n = reader_next(t->reader, &item)) > 0) {
        if (item.kind == READER_LOST)
            t->lost += item.lost_to - item.lost_from + 1;
        if (item.kind == READER_FAILED) {
            http_abort(t->x);
            return;
        }
        if (item.kind == READER_SLICE && item.len) {
            t->data = item.data;
            t->len = item.len;
            work(t);
            return;
        }
        if (item.kind == READER_END) {
            t->is_end = 1;
            work(t);
            return;
        }
    }
}

static void on_drain(struct http *x)
{
    go_on(http_user(x));
}

/* ---- beginning ---- */

static void copy_info(struct rules_test *t, const struct job_info *from)
{
    struct job_info *i = job_info_new();

    i->key = from->key;
    i->epoch = from->epoch;
    i->state = from->state;
    i->created_us = from->created_us;
    i->labels_json = must_strdup(from->labels_json ? from->labels_json : "{}");
    i->history_count = from->history_count;
    for (uint32_t k = 0; k < from->history_count; k++) {
        i->history[k] = from->history[k];
        i->history[k].message = NULL;
    }
    i->ranks = must_calloc(from->rank_count + 1, sizeof *i->ranks);
    memcpy(i->ranks, from->ranks, from->rank_count * sizeof *i->ranks);
    i->rank_count = from->rank_count;
    i->producers = must_calloc(from->producer_count + 1, sizeof *i->producers);
    for (uint32_t k = 0; k < from->producer_count; k++) {
        memcpy(i->producers[k].id, from->producers[k].id, sizeof i->producers[k].id);
        i->producers[k].epoch = from->producers[k].epoch;
        i->producers[k].last = from->producers[k].last;
        i->producers[k].rank = from->producers[k].rank;
        i->producers[k].has_fin = from->producers[k].has_fin;
        i->producers[k].fin = from->producers[k].fin;
    }
    i->producer_count = from->producer_count;
    t->info = i;
}

static void on_info(void *user, int err, const struct job_info *info)
{
    struct rules_test *t = user;
    struct reader_options o = {.key = t->key, .upto = UINT64_MAX, .shape = {.kind = SHAPE_NDJSON}};

    t->asked = 0;
    if (!t->x) {
        release(t);
        return;
    }
    if (err < 0) {
        http_set_header(t->x, "Retry-After", "1");
        http_reply_error(t->x, err == ERR_NOT_FOUND ? 404 : 503, err_code(err), "%s",
                         err_text(err));
        return;
    }
    copy_info(t, info);
    t->replay = replay_new(t->info, &t->rule);
    http_start(t->x, 200, "application/x-ndjson", -1);
    reader_open(t->ctx, &o, on_wake, t, &t->reader);
    go_on(t);
}

static void on_body(struct http *x, const char *data, size_t len)
{
    struct rules_test *t = http_user(x);

    if (buf_add(&t->body, data, len) < 0)
        http_reply_error(x, 413, "too_large", "at most %d bytes are read here",
                         API_RULES_BODY_BYTES_MAX);
}

static void on_body_end(struct http *x)
{
    struct rules_test *t = http_user(x);
    struct fields_why why;

    if (http_started(x))
        return;
    if (rule_parse(buf_cstr(&t->body), t->body.len, &t->rule, &why) < 0) {
        api__reply_mistake("rule", x, &why);
        return;
    }
    t->asked = 1;
    stream_job_get(t->ctx->stream, &t->key, 1, on_info, t);
}

static const struct http_handler handler = {
    .on_body = on_body, .on_body_end = on_body_end, .on_drain = on_drain, .on_close = on_close};

static void on_resolved(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    struct rules_test *t;

    if (tests_open >= RULES_TESTS_MAX) {
        http_set_header(x, "Retry-After", "5");
        http_reply_error(x, 429, "busy", "at most %d rules are tested at a time", RULES_TESTS_MAX);
        return;
    }
    if (http_body_max(x, API_RULES_BODY_BYTES_MAX) != 0)
        return;
    t = must_calloc(1, sizeof *t);
    tests_open++;
    t->ctx = ctx;
    t->x = x;
    t->key = *key;
    buf_init(&t->body, API_RULES_BODY_BYTES_MAX);
    http_handle(x, &handler, t);
}

void rules_test_http(struct serve_ctx *ctx, struct http *x)
{
    const char *job = http_arg(x, "job");

    if (!job || !id_valid(job, strlen(job))) {
        http_reply_error(x, 400, "bad_request", "job: the id of a job is wanted");
        return;
    }
    resolve_job(ctx, x, job, RESOLVE_EXISTING, on_resolved);
}

/*
 * stream/jobs_sum.c -- sums over the jobs of a project: how many live, how many bytes.
 *
 *     ZINTERCARD jl:project:<p> jl:active         live ones
 *     ZRANGE index <n> <n + chunk>, HGET bytes …  bytes, a chunk of jobs at a time
 *
 * A job made or deleted while the bytes are being added up may be missed or counted once too often: the sum is for
 * quotas, which look again soon.
 */
#include "base/check.h"
#include "base/err.h"
#include "stream/stream_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUM_CHUNK 512

struct sum_call {
    struct stream *st;
    char index[STREAM_IDS_KEY_BYTES];
    uint64_t at; /* jobs looked at */
    uint32_t asked;
    uint64_t sum;
    stream_number_fn *done;
    void *user;
};

static struct sum_call *call_new(struct stream *st, const char *project, stream_number_fn *done, void *user)
{
    struct sum_call *c = must_calloc(1, sizeof *c);

    c->st = st;
    c->done = done;
    c->user = user;
    if (project)
        stream__project_key(c->index, project);
    else
        strcpy(c->index, STREAM_KEY_JOBS);
    stream__call_begin(st);
    return c;
}

static void call_end(struct sum_call *c, int err)
{
    struct stream *st = c->st;

    c->done(c->user, err < 0 ? err : 0, c->sum);
    free(c);
    stream__call_end(st);
}

/* ---- live ---- */

static void on_live(void *user, int err, const struct reply *reply)
{
    struct sum_call *c = user;

    if (err == 0)
        c->sum = reply_u64(reply);
    call_end(c, err);
}

void stream_jobs_live(struct stream *st, const char *project, uint64_t limit, stream_number_fn *done, void *user)
{
    struct sum_call *c = call_new(st, project, done, user);
    char number[24];

    snprintf(number, sizeof number, "%llu", (unsigned long long)limit);
    if (project)
        conn_words(st->cmd, CONN_IDEMPOTENT, on_live, c, "ZINTERCARD", "2", c->index, STREAM_KEY_ACTIVE, "LIMIT", number,
                   NULL);
    else
        conn_words(st->cmd, CONN_IDEMPOTENT, on_live, c, "ZCARD", STREAM_KEY_ACTIVE, NULL);
}

/* ---- bytes ---- */

static void ask_chunk(struct sum_call *c);

static void on_bytes(void *user, int err, const struct reply *reply)
{
    struct sum_call *c = user;

    if (err < 0) {
        call_end(c, err);
        return;
    }
    for (uint32_t i = 0; i < c->asked; i++)
        c->sum += reply_u64(c->asked == 1 ? reply : reply_at(reply, i));
    ask_chunk(c);
}

static void on_names(void *user, int err, const struct reply *reply)
{
    struct sum_call *c = user;
    struct conn_request *r;
    char name[STREAM_KEY_BYTES];
    struct job_key key;

    if (err < 0 || reply->count == 0) {
        call_end(c, err);
        return;
    }
    r = conn_request_new(reply->count * 128);
    c->asked = 0;
    for (uint32_t i = 0; i < reply->count; i++) {
        const struct reply *text = reply_at(reply, i);

        if (job_key_parse(&key, text->str, text->len) < 0)
            continue;
        conn_request_begin(r, 3);
        conn_request_str(r, "HGET");
        conn_request_str(r, stream__key(name, &key, "meta"));
        conn_request_str(r, "bytes");
        c->asked++;
    }
    c->at += reply->count;
    if (!c->asked) {
        conn_request_free(&r);
        ask_chunk(c);
        return;
    }
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_bytes, c);
}

static void ask_chunk(struct sum_call *c)
{
    char from[24], to[24];

    snprintf(from, sizeof from, "%llu", (unsigned long long)c->at);
    snprintf(to, sizeof to, "%llu", (unsigned long long)c->at + SUM_CHUNK - 1);
    conn_words(c->st->cmd, CONN_IDEMPOTENT, on_names, c, "ZRANGE", c->index, from, to, NULL);
}

void stream_jobs_bytes(struct stream *st, const char *project, stream_number_fn *done, void *user)
{
    ask_chunk(call_new(st, project, done, user));
}

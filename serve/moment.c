/*
 * serve/moment.c -- asking Redis, then the archive.
 */
#include "serve/moment.h"

#include "base/check.h"
#include "base/err.h"
#include "storage/archive.h"

#include <stdlib.h>

struct moments_call {
    uv_work_t work;
    struct serve_ctx *ctx;
    struct job_key key;
    struct moment_ask asks[MOMENTS_MAX];
    uint32_t count;
    int from_archive[MOMENTS_MAX]; /* to be looked up there */
    int err;
    struct moments m;
    moments_fn *done;
    void *user;
};

static void finish(struct moments_call *c, int err)
{
    c->done(c->user, err, err < 0 ? NULL : &c->m);
    free(c);
}

static int look_up(struct moments_call *c, uint32_t i)
{
    const struct archive *a = c->ctx->archive;
    uint64_t seq;
    int64_t ns;
    int found;

    if (c->asks[i].seq) {
        found = archive_recv_ns(a, &c->key, c->asks[i].seq, &ns);
        if (found == 1)
            c->m.at[i].ns = ns;
    } else { /* at[i].seq is the first one that Redis holds: what follows the archive */
        found = archive_find_recv(a, &c->key, c->asks[i].us * 1000, &seq);
        if (found == 1 && seq < c->m.at[i].seq)
            c->m.at[i].seq = seq;
    }
    return found;
}

static void work_archive(uv_work_t *work)
{
    struct moments_call *c = work->data;

    for (uint32_t i = 0; i < c->count && c->err >= 0; i++)
        if (c->from_archive[i])
            c->err = look_up(c, i);
}

static void on_archive(uv_work_t *work, int status)
{
    struct moments_call *c = work->data;

    finish(c, c->err < 0 ? c->err : 0);
}

/* The first record of the frame (or right after it) that was received at us or later. */
static uint64_t seq_at(const struct stream_place *p, int64_t us)
{
    int64_t index = (us - p->recv_us) * 1000;

    return p->first + (index < (int64_t)p->count ? (uint64_t)index : p->count);
}

static void on_places(void *user, int err, const struct stream_places *p)
{
    struct moments_call *c = user;
    int any = 0;

    if (err < 0) {
        finish(c, err);
        return;
    }
    c->m.epoch = p->epoch;
    c->m.seq = p->seq;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct stream_place *at = &p->at[i];
        const struct moment_ask *ask = &c->asks[i];

        c->m.at[i].seq = ask->seq;
        if (at->first && ask->seq)
            c->m.at[i].ns = at->recv_us * 1000 + (int64_t)(ask->seq - at->first);
        else if (at->first)
            c->m.at[i].seq = seq_at(at, ask->us);
        else if (!ask->seq)
            c->m.at[i].seq = p->first_held;
        c->from_archive[i] = !at->first && p->first_held > 1 && ask->seq <= p->seq;
        any |= c->from_archive[i];
    }
    if (!any) {
        finish(c, 0);
        return;
    }
    c->work.data = c;
    CHECK(uv_queue_work(c->ctx->loop, &c->work, work_archive, on_archive) == 0);
}

void moments_find(struct serve_ctx *ctx, const struct job_key *key, int close_ms,
                  const struct moment_ask *asks, uint32_t count, moments_fn *done, void *user)
{
    struct moments_call *c = must_calloc(1, sizeof *c);
    struct stream_place_ask places[MOMENTS_MAX];

    CHECK(count <= MOMENTS_MAX);
    c->ctx = ctx;
    c->key = *key;
    c->count = count;
    c->done = done;
    c->user = user;
    for (uint32_t i = 0; i < count; i++) {
        c->asks[i] = asks[i];
        places[i] = (struct stream_place_ask){asks[i].seq, asks[i].us};
    }
    stream_find_places(ctx->stream, key, close_ms, places, count, on_places, c);
}

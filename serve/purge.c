/*
 * serve/purge.c -- one job removed for good.
 */
#include "serve/purge.h"

#include "base/check.h"
#include "base/err.h"
#include "base/fault.h"
#include "serve/resolve.h"
#include "storage/archive.h"
#include "stream/stream.h"

#include <stdlib.h>

struct purge {
    uv_work_t work;
    struct serve_ctx *ctx;
    struct job_key key;
    int is_second; /* time at the archive */
    int err;
    purge_fn *done;
    void *user;
};

static void end(struct purge *p, int err)
{
    p->done(p->user, err);
    free(p);
}

static void work_delete(uv_work_t *work)
{
    struct purge *p = work->data;

    FAULT_POINT("purge.archive");
    p->err = archive_delete(p->ctx->archive, &p->key);
    if (p->err == ERR_NOT_FOUND)
        p->err = 0;
}

static void delete_archive(struct purge *p);

static void on_stream_deleted(void *user, int err)
{
    struct purge *p = user;

    if (err < 0) {
        end(p, err);
        return;
    }
    resolve_forget(p->ctx, &p->key);
    p->is_second = 1;
    delete_archive(p);
}

static void on_archive_deleted(uv_work_t *work, int status)
{
    struct purge *p = work->data;

    if (p->err < 0 || p->is_second) {
        end(p, p->err);
        return;
    }
    FAULT_POINT("purge.stream");
    stream_job_delete(p->ctx->stream, &p->key, on_stream_deleted, p);
}

static void delete_archive(struct purge *p)
{
    p->work.data = p;
    CHECK(uv_queue_work(p->ctx->loop, &p->work, work_delete, on_archive_deleted) == 0);
}

void purge_job(struct serve_ctx *ctx, const struct job_key *key, purge_fn *done, void *user)
{
    struct purge *p = must_calloc(1, sizeof *p);

    p->ctx = ctx;
    p->key = *key;
    p->done = done;
    p->user = user;
    delete_archive(p);
}

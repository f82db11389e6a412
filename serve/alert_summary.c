/*
 * serve/alert_summary.c -- the verdict on a job that has ended, in a few words: what alerts carry of its post-mortem.
 *
 *     job (Redis) -> digest (serve/digests.h) -> weigh (worker) -> words
 */
#include "serve/alert_summary.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "digest/verdict.h"
#include "job/record.h"
#include "serve/digests.h"
#include "stream/stream.h"

#include <stdlib.h>

struct alert_summary {
    struct serve_ctx *ctx;
    struct job_key key;
    void (*done)(void *user, int err, const char *json); /* NULL: cancelled */
    void *user;
    int pending; /* something will come back */
    struct job_info *info;
    struct digests_wait *wait;
    struct digests_view *view;
    uv_work_t work;
    struct buf out;
};

static void free_summary(struct alert_summary *s)
{
    digests_cancel(&s->wait);
    digests_unref(&s->view);
    job_info_free(&s->info);
    buf_release(&s->out);
    free(s);
}

static void end(struct alert_summary *s, int err)
{
    if (s->done)
        s->done(s->user, err, err < 0 ? NULL : buf_cstr(&s->out));
    free_summary(s);
}

/* What is pending has come back: 1 when somebody still waits, else s is gone. */
static int is_wanted(struct alert_summary *s)
{
    s->pending = 0;
    if (s->done)
        return 1;
    free_summary(s);
    return 0;
}

static void work_weigh(uv_work_t *work)
{
    struct alert_summary *s = work->data;
    struct verdict v = {.rank = RECORD_RANK_NONE};
    struct json j;

    verdict_make(&v, s->view->digest, s->info, clock_wall_us());
    json_init(&j, &s->out);
    json_obj(&j);
    json_kstr(&j, "kind", verdict_kind_name(v.kind));
    json_kstr(&j, "sentence", v.sentence);
    json_key(&j, "rank");
    v.rank == RECORD_RANK_NONE ? json_null(&j) : json_i64(&j, v.rank);
    json_kstr(&j, "cause", cause_id(v.cause)); /* NULL: null */
    json_kstr(&j, "confidence", verdict_confidence_name(v.confidence));
    json_key(&j, "line");
    v.group ? json_str(&j, v.group->title ? v.group->title : "") : json_null(&j);
    json_end(&j);
    verdict_release(&v);
}

static void on_weighed(uv_work_t *work, int status)
{
    struct alert_summary *s = work->data;

    if (is_wanted(s))
        end(s, 0);
}

static void on_digest(void *user, int err, struct digests_view *v)
{
    struct alert_summary *s = user;

    s->wait = NULL;
    if (err < 0) {
        end(s, err);
        return;
    }
    s->view = digests_ref(v);
    s->pending = 1;
    s->work.data = s;
    CHECK(uv_queue_work(s->ctx->loop, &s->work, work_weigh, on_weighed) == 0);
}

static void on_info(void *user, int err, const struct job_info *info)
{
    struct alert_summary *s = user;

    if (!is_wanted(s))
        return;
    if (err < 0) {
        end(s, err);
        return;
    }
    s->info = job_info_copy(info);
    digests_get(s->ctx, &s->key, on_digest, s, &s->wait);
}

struct alert_summary *alert_summarize(void *user, const struct job_key *key,
                                      void (*done)(void *user, int err, const char *json),
                                      void *done_user)
{
    struct alert_summary *s = must_calloc(1, sizeof *s);

    s->ctx = user;
    s->key = *key;
    s->done = done;
    s->user = done_user;
    s->pending = 1;
    stream_job_get(s->ctx->stream, key, 1, on_info, s);
    return s;
}

void alert_summary_cancel(struct alert_summary **summary)
{
    struct alert_summary *s = *summary;

    *summary = NULL;
    if (!s)
        return;
    s->done = NULL;
    digests_cancel(&s->wait);
    if (!s->pending)
        free_summary(s);
}

/*
 * serve/postmortem.c -- one post-mortem on its way from the question to the document.
 *
 *     LOOKUP (Redis: the job) -> DIGEST (serve/digests.h) -> weigh (worker) -> TAILS (reader) -> write (worker)
 *
 * The job is asked for before the digest, so that the digest holds all that the job's counters speak of.
 */
#include "serve/postmortem.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/digests.h"
#include "serve/postmortem_int.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct call {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the exchange is over; what is pending is awaited */
    struct job_key key;
    struct postmortem_question asked;
    int64_t begun_us;
    int pending; /* a call or worker step that will come back */
    struct job_info *info;
    struct digests_wait *wait;
    struct digests_view *view;
    struct verdict verdict;
    struct postmortem_want wants[POSTMORTEM_TAILS_MAX];
    unsigned want_count;
    struct postmortem_tail *tails;
    struct postmortem_reading *reading;
    uv_work_t work;
    struct buf out;
    int err;
};

static void call_free(struct call *c)
{
    c->ctx->postmortems--;
    digests_cancel(&c->wait);
    digests_unref(&c->view);
    postmortem__reading_free(&c->reading);
    postmortem__tails_free(c->tails, c->want_count);
    verdict_release(&c->verdict);
    job_info_free(&c->info);
    buf_release(&c->out);
    free(c);
}

static void on_close(struct http *x, int clean)
{
    struct call *c = http_user(x);

    c->x = NULL;
    digests_cancel(&c->wait);
    postmortem__reading_free(&c->reading);
    if (!c->pending)
        call_free(c);
}

static const struct http_handler handler = {.on_close = on_close};

/* The answer is an error; the call is over. */
static void fail(struct call *c, int err)
{
    struct http *x = c->x;

    if (x) {
        http_handle(x, NULL, NULL);
        if (err == ERR_NOT_FOUND) {
            http_reply_error(x, 404, "not_found", "there is no job %s", c->key.job);
        } else {
            http_set_header(x, "Retry-After", "1");
            http_reply_error(x, 503, err_code(err), "%s", err_text(err));
        }
    }
    call_free(c);
}

/* Something pending has come back: 1 when somebody still waits for the answer, else c is gone. */
static int is_wanted(struct call *c)
{
    c->pending = 0;
    if (c->x)
        return 1;
    call_free(c);
    return 0;
}

static void start_work(struct call *c, void (*work)(uv_work_t *), void (*after)(uv_work_t *, int))
{
    c->pending = 1;
    c->work.data = c;
    CHECK(uv_queue_work(c->ctx->loop, &c->work, work, after) == 0);
}

/* ---- the document ---- */

static void write_work(uv_work_t *work)
{
    struct call *c = work->data;
    struct postmortem p = {.info = c->info,
                           .digest = c->view->digest,
                           .verdict = &c->verdict,
                           .now_us = clock_wall_us(),
                           .tails = c->tails,
                           .tail_count = c->want_count,
                           .ranks_max = c->asked.ranks_max,
                           .groups_max = c->asked.groups_max,
                           .computed_us = clock_mono_us() - c->begun_us};

    buf_init(&c->out, POSTMORTEM_BYTES_MAX);
    c->err = c->asked.form == POSTMORTEM_JSON ? postmortem__json(&c->out, &p)
             : c->asked.form == POSTMORTEM_MD ? postmortem__markdown(&c->out, &p)
                                        : postmortem__html(&c->out, &p);
}

static void on_written(uv_work_t *work, int status)
{
    static const char *const types[] = {"application/json", "text/markdown; charset=utf-8",
                                        "text/html; charset=utf-8"};
    struct call *c = work->data;
    struct http *x;

    if (!is_wanted(c))
        return;
    if (c->err < 0) {
        fail(c, c->err);
        return;
    }
    x = c->x;
    http_handle(x, NULL, NULL);
    http_set_header(x, "X-Content-Type-Options", "nosniff");
    http_set_header(x, "Cache-Control", "no-store");
    http_set_header(x, "Vary", "Accept");
    if (c->asked.form == POSTMORTEM_PAGE)
        http_set_header(x, "Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; "
                        "base-uri 'none'; form-action 'none'");
    http_reply(x, 200, types[c->asked.form], c->out.data, c->out.len);
    call_free(c);
}

/* ---- the last lines ---- */

static void on_tails(void *user)
{
    struct call *c = user;
    int err = postmortem__reading_err(c->reading);

    postmortem__reading_free(&c->reading);
    if (err < 0) {
        fail(c, err);
        return;
    }
    start_work(c, write_work, on_written);
}

static void read_tails(struct call *c)
{
    struct postmortem_tails_options o = {.ctx = c->ctx,
                                         .key = &c->key,
                                         .epoch = c->view->epoch,
                                         .wants = c->wants,
                                         .count = c->want_count,
                                         .lines = c->asked.lines};

    c->tails = must_calloc(c->want_count + 1, sizeof *c->tails);
    o.tails = c->tails;
    if (postmortem__read_tails(&o, on_tails, c, &c->reading))
        on_tails(c);
}

/* ---- the verdict ---- */

static void weigh_work(uv_work_t *work)
{
    struct call *c = work->data;

    const struct digest *d = c->view->digest;
    int64_t now_us = clock_wall_us();

    /* of a part: nobody is silent whose later lines were not read */
    if (d->upto < c->info->seq && d->last.recv_us && d->last.recv_us < now_us)
        now_us = d->last.recv_us;
    verdict_make(&c->verdict, d, c->info, now_us);
    c->want_count = postmortem__wants(&c->verdict, c->view->digest, c->wants);
}

static void on_weighed(uv_work_t *work, int status)
{
    struct call *c = work->data;

    if (is_wanted(c))
        read_tails(c);
}

/* ---- what is known ---- */

static void on_digest(void *user, int err, struct digests_view *v)
{
    struct call *c = user;

    c->wait = NULL;
    if (err < 0) {
        fail(c, err);
        return;
    }
    c->view = digests_ref(v);
    start_work(c, weigh_work, on_weighed);
}

static void on_info(void *user, int err, const struct job_info *info)
{
    struct call *c = user;

    if (!is_wanted(c))
        return;
    if (err < 0) {
        fail(c, err);
        return;
    }
    c->info = job_info_copy(info);
    /* half a log would blame the wrong one; pages are kept */
    if (state_is_terminal(info->state) || c->asked.form != POSTMORTEM_JSON)
        digests_get(c->ctx, &c->key, on_digest, c, &c->wait);
    else
        digests_get_by(c->ctx, &c->key, c->begun_us + POSTMORTEM_LIVE_US, on_digest, c, &c->wait);
}

void postmortem_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    struct postmortem_question asked;
    struct call *c;

    if (postmortem__question_read(x, &asked) != 0)
        return;
    if (ctx->postmortems >= POSTMORTEMS_MAX) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "busy", "%d post-mortems are being made", POSTMORTEMS_MAX);
        return;
    }
    c = must_calloc(1, sizeof *c);
    c->asked = asked;
    c->ctx = ctx;
    c->x = x;
    c->key = *key;
    c->begun_us = clock_mono_us();
    c->verdict.rank = RECORD_RANK_NONE;
    ctx->postmortems++;
    http_handle(x, &handler, c);
    c->pending = 1;
    stream_job_get(ctx->stream, key, 1, on_info, c);
}

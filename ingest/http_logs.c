/*
 * ingest/http_logs.c -- POST /v1/jobs/J/logs: a body of lines, appended whole or not at all.
 *
 *     on_body -> coding -> decoder -> batch -> stream_append -> reply
 *
 * A small plain body is decoded where it arrives. A big or a compressed one (16 KB of it may be 64 MiB of
 * lines) is gathered in `pending` and decoded on a worker thread, one piece at a time; while more than
 * INGEST_PENDING_HIGH_BYTES wait the socket is not read. The exchange, the worker and the append may end
 * in any order: the upload is freed by the last of them.
 *
 * Threads    Between uv_queue_work and its done callback coding, decoder, batch, `working` and `charged`
 *            belong to the worker.
 */
#include "ingest/ingest_int.h"
#include "ingest/logs_request.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"
#include "ingest/coding_zstd.h"
#include "ingest/marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct upload {
    struct ingest *in;
    struct http *x; /* NULL: the exchange is over */
    struct job_key key;
    struct token *token; /* whose quota is charged; NULL: nobody's */
    uint64_t msg_bytes;  /* of the batch */
    struct logs_request req;
    struct coding *coding;
    struct decoder *decoder;
    struct marks *marks; /* the decoder's while it decodes */
    struct buf marks_key;
    struct batch *batch;
    size_t charged;         /* by decoder and batch */
    struct buf pending;     /* arrived, not yet with the worker */
    struct buf working;     /* with the worker */
    size_t gathered_charged; /* by both */
    uv_work_t work;
    int by_worker;          /* decoded on worker threads */
    int work_active, append_active;
    int body_whole, body_paused, work_last;
    int answered;
    int err;                /* of coding or decoder */
    int in_coding;          /* it was the coding's */
    uint64_t replaced, split, bad, nul, redacted; /* told in the reply */
};

/* Of a body that was refused: its lines are not there, and may come again from the middle of a private key. */
static void leave_marks(struct upload *up)
{
    if (!up->marks) return;
    marks_reopen(up->marks);
    marks_pool_give(up->in->marks, buf_cstr(&up->marks_key), up->marks_key.len, &up->marks);
}

static void free_when_over(struct upload *up)
{
    struct ingest *in = up->in;

    if (up->x || up->work_active || up->append_active) return;
    token_unref(&up->token);
    coding_free(&up->coding);
    ingest__decoder_put(in, &up->decoder);
    leave_marks(up);
    buf_release(&up->marks_key);
    batch_free(&up->batch);
    buf_release(&up->pending);
    buf_release(&up->working);
    ingest__charge(in, &up->charged, 0);
    ingest__charge(in, &up->gathered_charged, 0);
    free(up);
    ingest__leave(in);
}

/* ---- answers ---- */

/* The hall may have answered by itself: 408, 413. */
static int can_answer(const struct upload *up)
{
    return up->x && !http_started(up->x);
}

static void reply_object(struct upload *up, int status, struct buf *body)
{
    int open = can_answer(up);

    up->answered = 1;
    buf_addc(body, '\n');
    if (open) http_reply(up->x, status, "application/json", body->data, body->len);
    buf_release(body);
}

/* An error with the members that help a program: expected, epoch, line. 0: leave out. */
static void refuse(struct upload *up, int err, const char *code, const char *message, const char *key,
                   uint64_t value)
{
    struct answer a = ingest__answer(err);
    struct buf body = BUF_INIT;
    struct json j;
    char seconds[12];

    if (up->answered) return;
    ingest__count_refusal(up->in, err);
    json_init(&j, &body);
    json_obj(&j);
    json_kstr(&j, "code", code ? code : a.code);
    json_kstr(&j, "message", message ? message : a.message);
    if (key && value) json_ku64(&j, key, value);
    json_end(&j);
    if (can_answer(up) && a.retry_after) {
        snprintf(seconds, sizeof seconds, "%u", a.retry_after);
        http_set_header(up->x, "Retry-After", seconds);
    }
    if (can_answer(up) && err == ERR_UNSUPPORTED)
        http_set_header(up->x, "Accept-Encoding", "zstd, gzip, identity");
    reply_object(up, a.status, &body);
}

static void refuse_quota(struct upload *up, enum quota which, int64_t wait_us)
{
    struct buf body = BUF_INIT;
    char seconds[12];

    snprintf(seconds, sizeof seconds, "%u", quota_answer(&up->token->quotas, which, wait_us, &body));
    http_set_header(up->x, "Retry-After", seconds);
    reply_object(up, 429, &body);
}

static void refuse_body(struct upload *up)
{
    uint64_t line = 0;
    const char *why = decoder_error(up->decoder, &line);

    if (up->in_coding && up->err == ERR_INVALID) {
        refuse(up, ERR_INVALID, "bad_encoding", "the body is not what Content-Encoding says, or is cut short",
               NULL, 0);
    } else if (up->in_coding && up->err == ERR_TOO_BIG) {
        refuse(up, ERR_TOO_BIG, NULL, "the decoded body, or the window of its compression, is too big", NULL, 0);
    } else if (up->err == ERR_BUSY) {
        refuse(up, ERR_BUSY, NULL, "too much is being decoded at once; try again", NULL, 0);
    } else {
        refuse(up, up->err, up->err == ERR_INVALID ? "bad_line" : NULL, *why ? why : NULL, "line", line);
    }
}

static void reply_stored(struct upload *up, const struct append_result *res)
{
    struct buf body = BUF_INIT;
    struct json j;

    json_init(&j, &body);
    json_obj(&j);
    json_ku64(&j, "first", res->first);
    json_ku64(&j, "last", res->last);
    json_ku64(&j, "accepted", res->accepted);
    json_ku64(&j, "duplicates", res->duplicates);
    json_kstr(&j, "durability", durability_name(res->durability));
    if (up->replaced) json_ku64(&j, "replaced_utf8", up->replaced);
    if (up->nul) json_ku64(&j, "nul", up->nul);
    if (up->split) json_ku64(&j, "split", up->split);
    if (up->bad) json_ku64(&j, "bad_lines", up->bad);
    if (up->redacted) json_ku64(&j, "redacted", up->redacted);
    json_end(&j);
    reply_object(up, 200, &body);
}

/* ---- the append ---- */

static void on_appended(void *user, const struct append_result *res)
{
    struct upload *up = user;

    FAULT_POINT("ingest.http.answer");
    up->append_active = 0;
    if (res->err && up->in->o.redact) {
        up->marks = marks_pool_take(up->in->marks, buf_cstr(&up->marks_key), up->marks_key.len);
        leave_marks(up);
    }
    if (res->err == 0 && res->accepted) ingest__charge_quota(up->token, res->accepted, up->msg_bytes);
    switch (res->err) {
    case 0: reply_stored(up, res); break;
    case ERR_GAP: refuse(up, res->err, NULL, NULL, "expected", res->expected); break;
    case ERR_FENCED: refuse(up, res->err, NULL, NULL, "epoch", res->producer_epoch); break;
    default: refuse(up, res->err, NULL, NULL, NULL, 0); break;
    }
    free_when_over(up);
}

static void append(struct upload *up)
{
    struct batch *b = up->batch;
    int err = logs_request_number(&up->req, b);

    if (err) {
        refuse(up, ERR_INVALID, NULL, up->req.why, NULL, 0);
        return;
    }
    if (b->line_count == 0 && !b->producer.has_fin) {
        refuse(up, ERR_INVALID, "empty_body", "there is no line in the body", NULL, 0);
        return;
    }
    up->msg_bytes = b->msg_bytes;
    up->replaced = b->replaced_utf8_count;
    up->nul = b->nul_count;
    up->split = b->split_count;
    up->bad = b->skipped_bad_count;
    up->redacted = redact_total(&b->redacted);
    ingest__count_batch(up->in, b);
    ingest__decoder_put(up->in, &up->decoder);
    marks_pool_give(up->in->marks, buf_cstr(&up->marks_key), up->marks_key.len, &up->marks);
    coding_free(&up->coding);
    up->append_active = 1;
    stream_append(up->in->o.stream, &up->key, &up->batch, on_appended, up);
    ingest__charge(up->in, &up->charged, 0); /* the stream counts it now */
}

/* ---- decoding ---- */

static int on_decoded(void *user, const char *data, size_t len)
{
    struct upload *up = user;
    int err;

    up->in_coding = 0;
    err = decoder_feed(up->decoder, data, len);
    if (!err) err = ingest__charge(up->in, &up->charged, decoder_bytes(up->decoder));
    if (!err) up->in_coding = 1;
    return err;
}

/* A piece of the body, and at its end the rest. Loop or worker. */
static void decode(struct upload *up, const char *data, size_t len, int last)
{
    if (up->err) return;
    up->in_coding = 1;
    up->err = coding_feed(up->coding, data, len, on_decoded, up);
    if (!up->err && last) up->err = coding_finish(up->coding, on_decoded, up);
    if (up->err || !last) return;
    up->in_coding = 0;
    up->err = decoder_finish(up->decoder, &up->batch);
}

static void on_work(uv_work_t *w)
{
    struct upload *up = w->data;
    decode(up, up->working.data, up->working.len, up->work_last);
}

static void start_work(struct upload *up);

static void on_work_done(uv_work_t *w, int status)
{
    struct upload *up = w->data;

    CHECK(status == 0); /* nobody cancels it */
    up->work_active = 0;
    buf_clear(&up->working);
    ingest__charge(up->in, &up->gathered_charged, up->pending.len);
    if (up->answered) {
        free_when_over(up);
        return;
    }
    if (up->err) {
        refuse_body(up);
        return;
    }
    if (up->work_last) {
        append(up);
        return;
    }
    start_work(up);
}

/* Hand what has arrived to the worker, if it is free. */
static void start_work(struct upload *up)
{
    struct buf spare = up->working;
    size_t waits = up->pending.len;

    if (up->work_active || up->answered || (!waits && !up->body_whole)) return;
    up->working = up->pending;
    up->pending = spare;
    up->work_last = up->body_whole;
    up->work_active = 1;
    up->work.data = up;
    CHECK(uv_queue_work(up->in->o.loop, &up->work, on_work, on_work_done) == 0);
    if (up->body_paused) {
        up->body_paused = 0;
        http_resume_body(up->x);
    }
}

static void gather(struct upload *up, const char *data, size_t len)
{
    int err = ingest__charge(up->in, &up->gathered_charged, up->gathered_charged + len);

    if (!err) err = buf_add(&up->pending, data, len);
    if (err) {
        refuse(up, err, NULL, NULL, NULL, 0);
        return;
    }
    start_work(up);
    if (up->pending.len >= INGEST_PENDING_HIGH_BYTES && !up->body_paused) {
        up->body_paused = 1;
        http_pause_body(up->x);
    }
}

/* ---- the exchange ---- */

static void on_body(struct http *x, const char *data, size_t len)
{
    struct upload *up = http_user(x);

    if (up->answered || len == 0) return;
    up->req.body_bytes += len;
    if (up->req.body_bytes >= INGEST_INLINE_BYTES_MAX) up->by_worker = 1;
    if (up->by_worker) {
        gather(up, data, len);
        return;
    }
    decode(up, data, len, 0);
    if (up->err) refuse_body(up);
}

static void on_body_end(struct http *x)
{
    struct upload *up = http_user(x);

    if (up->answered) return;
    up->body_whole = 1;
    if (up->by_worker) {
        start_work(up);
        return;
    }
    decode(up, NULL, 0, 1);
    if (up->err) {
        refuse_body(up);
    } else {
        append(up);
    }
}

static void on_close(struct http *x, int clean)
{
    struct upload *up = http_user(x);

    up->x = NULL;
    up->answered = 1;
    free_when_over(up);
}

static const struct http_handler handler = {
    .on_body = on_body, .on_body_end = on_body_end, .on_close = on_close};

/* What the lines of this producer before these were. Who does not name itself is told apart by its defaults. */
static int take_marks(struct upload *up, struct decode_options *o)
{
    int err = buf_addf(&up->marks_key, "%s/%s %s %d %s %s", up->key.project, up->key.job, up->req.producer.id, o->rank,
                       o->replica, o->stream);

    if (err) return err;
    up->marks = marks_pool_take(up->in->marks, up->marks_key.data, up->marks_key.len);
    o->marks = up->marks;
    return up->marks ? 0 : ERR_NOMEM;
}

void ingest_http_logs(struct ingest *i, struct http *x, const struct job_key *key)
{
    struct upload *up = must_calloc(1, sizeof *up);
    struct decode_options o;
    enum quota which;
    int64_t wait_us;
    int err;

    ingest__enter(i);
    i->stats.requests++;
    up->in = i;
    up->x = x;
    up->key = *key;
    up->token = ingest__token(http_guest(x));
    http_handle(x, &handler, up);
    wait_us = ingest__quota_wait(i, up->token, &which);
    if (wait_us) { /* before its body is looked at */
        refuse_quota(up, which, wait_us);
        return;
    }
    decode_options_init(&o);
    o.line_bytes_max = i->o.line_bytes_max;
    o.body_bytes_max = i->o.body_bytes_max;
    o.recv_us = clock_wall_us();
    o.redact = i->o.redact;
    err = logs_request_read(&up->req, x, &o);
    if (err) {
        refuse(up, err, NULL, up->req.why, NULL, 0);
        return;
    }
    err = coding_new(up->req.coding, i->o.body_bytes_max, &up->coding);
    if (err == ERR_UNSUPPORTED) {
        refuse(up, err, "unsupported_encoding", "Content-Encoding must be identity, gzip or zstd", NULL, 0);
        return;
    }
    if (!err) err = take_marks(up, &o);
    if (!err) err = ingest__decoder_get(i, &o, &up->decoder);
    if (err) {
        refuse(up, err, NULL, NULL, NULL, 0);
        return;
    }
    up->by_worker = up->req.is_coded || http_body_length(x) >= INGEST_INLINE_BYTES_MAX;
    /* a plain body may not be larger than what it decodes to; the hall answers 413 by itself */
    if (!up->req.is_coded && http_body_max(x, i->o.body_bytes_max)) {
        ingest__count_refusal(i, ERR_TOO_BIG);
        up->answered = 1;
    }
}

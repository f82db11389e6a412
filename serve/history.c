/*
 * serve/history.c -- one read of a job's log: look the job up, find where to begin, stream.
 *
 *     LOOKUP --info--> [LOCATE: walk back N matches] --> STREAM --> done
 *
 * The read covers (after, upto] with upto fixed at the start, so a read of a live job ends.
 */
#include "serve/history.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/pack.h"
#include "serve/history_int.h"
#include "serve/query.h"
#include "serve/range.h"
#include "serve/reader.h"
#include "stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct history {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the exchange is over, only the pending call is awaited */
    struct job_key key;
    struct query query;
    uint64_t epoch;
    uint64_t after, upto;
    int in_call;
    int stored;
    int locating;
    uint64_t nth; /* while locating: the match found last */
    struct reader *reader;
    struct history_writer writer;
};

static void free_history(struct history *h)
{
    reader_close(&h->reader);
    query_release(&h->query);
    history_writer_release(&h->writer);
    free(h);
}

static void on_close(struct http *x, int clean)
{
    struct history *h = http_user(x);

    h->x = NULL;
    reader_close(&h->reader);
    if (!h->in_call)
        free_history(h);
}

/* ---- streaming ---- */

/* What we wrote around the records; packed when the answer is. */
static int write_own(struct history *h)
{
    struct buf packed;
    int err = 0;

    if (!h->writer.out.len)
        return 0;
    if (!h->stored) {
        http_write(h->x, h->writer.out.data, h->writer.out.len);
        return 0;
    }
    buf_init(&packed, 0);
    err = pack_zstd(&packed, h->writer.out.data, h->writer.out.len, 1);
    if (err >= 0)
        http_write(h->x, packed.data, packed.len);
    buf_release(&packed);
    return err;
}

static int take_item(struct history *h, const struct reader_item *item)
{
    struct history_writer *w = &h->writer;
    int err;

    buf_clear(&w->out);
    switch (item->kind) {
    case READER_SLICE:
        history_writer_slice(w, &item->slice);
        err = write_own(h);
        http_write(h->x, item->data, item->len);
        return err;
    case READER_LOST:
        history_writer_lost(w, item->lost_from, item->lost_to, item->err);
        return write_own(h);
    case READER_END:
        history_writer_end(w, reader_position(h->reader), item->limited);
        return write_own(h);
    case READER_FAILED:
        return item->err;
    case READER_RUN: /* not asked for */
        break;
    }
    return ERR_INVALID;
}

static void stream_out(struct history *h)
{
    struct reader_item item;

    while (h->reader && http_backlog(h->x) < HTTP_BACKLOG_HIGH_BYTES &&
           reader_next(h->reader, &item)) {
        int err = take_item(h, &item);

        if (err >= 0 && item.kind != READER_END)
            continue;
        reader_close(&h->reader);
        if (err < 0)
            http_abort(h->x); /* h may be gone */
        else
            http_finish(h->x);
        return;
    }
}

static void on_drain(struct http *x)
{
    struct history *h = http_user(x);

    if (!h->locating)
        stream_out(h);
}

static void on_readable(void *user)
{
    stream_out(user);
}

static const struct http_handler handler = {.on_drain = on_drain, .on_close = on_close};

static enum shape_kind shape_of(enum query_format format)
{
    return format == QUERY_TEXT ? SHAPE_TEXT : format == QUERY_NDJSON ? SHAPE_NDJSON : SHAPE_ARRAY;
}

static const char *type_of(enum query_format format)
{
    return format == QUERY_TEXT     ? "text/plain; charset=utf-8"
           : format == QUERY_NDJSON ? "application/x-ndjson"
                                    : "application/json";
}

static struct reader_options reader_options_of(const struct history *h)
{
    const struct query *q = &h->query;

    return (struct reader_options){
        .key = h->key,
        .epoch = h->epoch,
        .after = h->after,
        .upto = h->upto,
        .backward = q->desc,
        .shape = {.kind = shape_of(q->format), .sieve = q->sieve, .skip_states = !q->states},
        .records_max = q->limit,
        .urgent = 1,
    };
}

static void begin(struct history *h)
{
    const struct query *q = &h->query;
    struct reader_options o = reader_options_of(h);

    h->stored = q->format == QUERY_NDJSON && !q->sieve && !q->limit && !q->desc && q->states &&
                query_accepts_coding(http_header(h->x, "Accept-Encoding"), "zstd");
    o.stored = h->stored;
    http_set_header(h->x, "X-Content-Type-Options", "nosniff");
    if (q->format == QUERY_NDJSON)
        http_set_header(h->x, "Vary", "Accept-Encoding");
    if (h->stored)
        http_set_header(h->x, "Content-Encoding", "zstd");
    http_start(h->x, 200, type_of(q->format), -1);
    if (!strcmp(http_method(h->x), "HEAD")) {
        http_finish(h->x);
        return;
    }
    history_writer_init(&h->writer, q->format, h->epoch);
    if (q->format == QUERY_JSON) {
        history_writer_begin(&h->writer);
        http_write(h->x, h->writer.out.data, h->writer.out.len);
    }
    if (h->stored &&
        h->after >= h->upto) { /* an empty answer is an empty frame: decoders want one */
        struct buf packed;

        buf_init(&packed, 0);
        if (pack_zstd(&packed, "", 0, 1) == 0)
            http_write(h->x, packed.data, packed.len);
        buf_release(&packed);
    }
    reader_open(h->ctx, &o, on_readable, h, &h->reader);
    stream_out(h);
}

/* ---- tail=N: where the Nth match from the end lies ---- */

static void on_located(void *user)
{
    struct history *h = user;
    struct reader_item item;

    while (reader_next(h->reader, &item)) {
        if (item.kind == READER_SLICE)
            h->nth = item.slice.given_seq;
        if (item.kind != READER_END && item.kind != READER_FAILED)
            continue;
        reader_close(&h->reader);
        h->locating = 0;
        if (item.kind == READER_FAILED) {
            range_reply_failed(h->x, &h->key, item.err); /* h may be gone */
            return;
        }
        if (item.limited)
            h->after = h->nth - 1;
        begin(h);
        return;
    }
}

static void locate(struct history *h)
{
    struct reader_options o = reader_options_of(h);

    h->locating = 1;
    o.backward = 1;
    o.shape.kind = SHAPE_COUNT;
    o.records_max = h->query.tail;
    reader_open(h->ctx, &o, on_located, h, &h->reader);
    on_located(h);
}

/* ---- the job ---- */

static void choose_start(struct history *h)
{
    struct query *q = &h->query;

    if (!q->has_tail || q->tail == QUERY_TAIL_ALL || h->after >= h->upto) {
        begin(h);
        return;
    }
    if (!q->tail) {
        h->after = h->upto;
        begin(h);
        return;
    }
    if (q->desc) { /* newest first: the tail is what the limit leaves */
        if (!q->limit || q->tail < q->limit)
            q->limit = q->tail;
        begin(h);
        return;
    }
    if (!q->sieve && q->states) { /* every record counts: no need to look */
        if (h->upto - h->after > q->tail)
            h->after = h->upto - q->tail;
        begin(h);
        return;
    }
    locate(h);
}

static void on_info(void *user, int err, const struct job_info *info)
{
    struct history *h = user;

    h->in_call = 0;
    if (!h->x) {
        free_history(h);
        return;
    }
    if (err < 0) {
        range_reply_failed(h->x, &h->key, err);
        return;
    }
    h->epoch = info->epoch;
    if (range_of(&h->query, info, &h->after, &h->upto) < 0) {
        range_reply_reset(h->x, h->epoch);
        return;
    }
    choose_start(h);
}

void history_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    struct history *h;
    struct query query;
    char why[256];

    if (query_parse(&query, x, QUERY_LOGS, why, sizeof why) < 0) {
        http_reply_error(x, 400, err_code(ERR_INVALID), "%s", why);
        return;
    }
    if (query.states < 0)
        query.states = query.format != QUERY_TEXT;
    h = must_calloc(1, sizeof *h);
    h->ctx = ctx;
    h->x = x;
    h->key = *key;
    h->query = query;
    http_handle(x, &handler, h);
    h->in_call = 1;
    stream_job_get(ctx->stream, key, 0, on_info, h);
}

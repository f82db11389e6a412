/*
 * serve/baseten_logs.c -- the window of a request as a range of records, and the stream of its lines.
 */
#include "serve/baseten_logs.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/baseten.h"
#include "serve/baseten_line.h"
#include "serve/baseten_logs_int.h"
#include "serve/followers.h"
#include "serve/history_int.h"

#include <stdlib.h>

static struct logs *logs_of(struct patient *p)
{
    return (struct logs *)(void *)p;
}

static void release(struct patient *p)
{
    struct logs *l = logs_of(p);

    reader_close(&l->reader);
    sieve_unref(&l->sieve);
    free(l);
}

static void gone(struct patient *p)
{
    reader_close(&logs_of(p)->reader);
}

void logs__fail(struct logs *l, int err)
{
    if (http_started(l->p.x)) {
        if (patient_wait(&l->p, err))
            return; /* then again() */
        reader_close(&l->reader);
        http_abort(l->p.x); /* l may be gone */
        return;
    }
    reader_close(&l->reader);
    patient_failed(&l->p, err, BASETEN_NO_JOB);
}

void logs__find_moments(struct logs *l, int close_ms, const struct moment_ask *asks, uint32_t count, moments_fn *done)
{
    patient_call(&l->p);
    moments_find(l->p.ctx, &l->key, close_ms, asks, count, done, l);
}

int logs__came_back(struct logs *l, int err)
{
    if (!patient_back(&l->p))
        return 0;
    if (err >= 0)
        return 1;
    logs__fail(l, err);
    return 0;
}

static void on_readable(void *user)
{
    struct logs *l = user;

    l->on_items(l);
}

void logs__open_reader(struct logs *l, uint64_t from, uint64_t to, int backward, enum shape_kind kind,
                       uint64_t records_max, void (*on_items)(struct logs *l))
{
    struct reader_options o = {
        .key = l->key,
        .epoch = l->epoch,
        .after = from - 1,
        .upto = to,
        .backward = backward,
        .shape = {.kind = kind, .sieve = l->sieve},
        .records_max = records_max,
        .urgent = 1,
    };

    CHECK(!l->reader);
    l->on_items = on_items;
    reader_open(l->p.ctx, &o, on_readable, l, &l->reader);
    on_items(l);
}

/* ---- the answer ---- */

static void stream_out(struct logs *l);

static void write_lines(struct logs *l, const char *data, size_t len, uint64_t count)
{
    if (l->given)
        http_write(l->p.x, ",", 1);
    l->given += count;
    http_write(l->p.x, data, len);
    l->bytes += len + 1;
}

static void start_answer(struct logs *l)
{
    http_set_header(l->p.x, "X-Content-Type-Options", "nosniff");
    http_start(l->p.x, 200, "application/json", -1);
    http_write(l->p.x, "{\"logs\":[", 9);
}

static void end_answer(struct logs *l)
{
    reader_close(&l->reader);
    http_write(l->p.x, "]}\n", 3);
    http_finish(l->p.x);
}

/* ---- lost records: a line at the time of the last of them, in the order of the page ---- */

static void on_lost_time(void *user, int err, const struct moments *m)
{
    struct logs *l = user;
    struct buf line = BUF_INIT;
    int64_t ns;

    if (!logs__came_back(l, err))
        return;
    ns = m->at[0].ns;
    if (!ns && m->at[1].ns) /* the index went with them: right beside what follows */
        ns = m->at[1].ns + (l->q.asc ? -1 : 1);
    baseten_line_lost(&line, ns, l->lost.lost_from, l->lost.lost_to, history_reason(l->lost.err));
    write_lines(l, line.data, line.len, 1);
    buf_release(&line);
    l->lost.kind = READER_SLICE;
    l->again = stream_out;
    stream_out(l);
}

static void date_lost(struct logs *l)
{
    uint64_t last = l->q.asc ? l->lost.lost_to : l->lost.lost_from, next = l->q.asc ? last + 1 : last - 1;
    struct moment_ask asks[2] = {{.seq = last}, {.seq = next ? next : last}};

    logs__find_moments(l, 0, asks, 2, on_lost_time);
}

/* ---- the budget: older lines are left out, but none of the millisecond the last one is in ---- */

static void on_budget_edge(void *user, int err, const struct moments *m)
{
    struct logs *l = user;
    uint64_t edge;

    if (!logs__came_back(l, err))
        return;
    edge = m->at[0].seq > l->from ? m->at[0].seq : l->from;
    l->again = stream_out;
    if (edge >= l->reached)
        end_answer(l);
    else
        logs__open_reader(l, edge, l->reached - 1, 1, SHAPE_BASETEN, 0, stream_out);
}

static void on_budget_time(void *user, int err, const struct moments *m)
{
    struct logs *l = user;
    struct moment_ask ask = {0};

    if (!logs__came_back(l, err))
        return;
    ask.us = m->at[0].ns / NS_PER_MS * 1000;
    if (m->at[0].ns)
        logs__find_moments(l, 0, &ask, 1, on_budget_edge);
    else
        end_answer(l);
}

static void end_at_budget(struct logs *l)
{
    struct moment_ask ask = {.seq = l->reached};

    logs__find_moments(l, 0, &ask, 1, on_budget_time);
}

/* ---- the read ---- */

/* The page has been read. Short of its limit and with more in the window, it goes on there. */
static void go_on(struct logs *l)
{
    int more = l->q.asc ? l->to < l->b : l->from > l->a;

    if (!l->q.limit || l->given >= l->q.limit || !more) {
        end_answer(l);
        return;
    }
    if (l->q.asc)
        l->a = l->to + 1;
    else
        l->b = l->from - 1;
    l->want = l->q.limit - l->given;
    l->again = logs__cut_page;
    logs__cut_page(l);
}

/* 1: go on with the next item. */
static int take_item(struct logs *l, const struct reader_item *item)
{
    switch (item->kind) {
    case READER_SLICE:
        write_lines(l, item->data, item->len, item->slice.records);
        l->reached = item->slice.given_seq;
        if (l->bytes < BASETEN_BYTES_MAX || l->q.limit || l->q.asc || l->budget_is_spent)
            return 1;
        l->budget_is_spent = 1;
        reader_close(&l->reader);
        l->again = end_at_budget;
        end_at_budget(l);
        return 0;
    case READER_LOST:
        l->lost = *item;
        l->again = date_lost;
        date_lost(l);
        return 0;
    case READER_END:
        reader_close(&l->reader);
        go_on(l);
        return 0;
    case READER_FAILED:
        logs__fail(l, item->err);
        return 0;
    case READER_RUN: /* not asked for */
        break;
    }
    return 0;
}

static void stream_out(struct logs *l)
{
    struct reader_item item;

    while (l->reader && l->lost.kind != READER_LOST && http_backlog(l->p.x) < HTTP_BACKLOG_HIGH_BYTES &&
           reader_next(l->reader, &item))
        if (!take_item(l, &item))
            return;
}

static void drain(struct patient *p)
{
    struct logs *l = logs_of(p);

    if (http_started(p->x) && l->reader && !p->pause)
        stream_out(l);
}

void logs__read(struct logs *l, uint64_t from, uint64_t to)
{
    l->from = from;
    l->to = to;
    l->bytes = 0;
    l->again = stream_out;
    if (!http_started(l->p.x))
        start_answer(l);
    logs__open_reader(l, from, to, !l->q.asc, SHAPE_BASETEN, 0, stream_out);
}

/* ---- the window ---- */

static int end_is_open(const struct baseten_query *q)
{
    if (!q->has_end)
        return 1;
    return !q->limit && q->end_ms > clock_wall_us() / 1000 - BASETEN_END_OPEN_MS;
}

/* A poller whose clock is ahead would ask from a time on that is not yet. Its end is a minute after what it
 * takes for now, and so tells by how much. */
static int64_t start_ms(const struct baseten_query *q)
{
    int64_t ahead_ms = q->end_ms - clock_wall_us() / 1000 - BASETEN_POLL_END_MS;

    if (q->limit || q->asc || !q->has_end || ahead_ms <= 0 || ahead_ms > BASETEN_END_OPEN_MS)
        return q->start_ms;
    return q->start_ms > ahead_ms ? q->start_ms - ahead_ms : 0;
}

static void on_window(void *user, int err, const struct moments *m)
{
    struct logs *l = user;

    if (!logs__came_back(l, err >= 0 && l->is_foreign ? ERR_NOT_FOUND : err))
        return;
    l->epoch = m->epoch;
    l->a = l->q.has_start ? m->at[0].seq : 1;
    l->b = end_is_open(&l->q) ? m->seq : m->at[1].seq - 1;
    if (!l->q.limit && !l->q.asc)
        followers_note(l->p.ctx->followers, &l->key, l->epoch, l->b);
    /* Nothing there: ascending, or without a start, the window is moved to where there is something. */
    if (l->a > l->b && (l->q.asc || !l->q.has_start))
        l->b = m->seq;
    if (l->a > l->b) {
        start_answer(l);
        end_answer(l);
        return;
    }
    l->want = l->q.limit;
    logs__cut_page(l);
}

static void ask(struct patient *p)
{
    struct logs *l = logs_of(p);
    struct moment_ask asks[2] = {{.us = start_ms(&l->q) * 1000}, {.us = (l->q.end_ms + 1) * 1000}};

    if (http_started(p->x))
        l->again(l);
    else
        logs__find_moments(l, l->q.asc, asks, 2, on_window);
}

static void begin(struct patient *p)
{
    struct logs *l = logs_of(p);
    struct json_tree *body = patient_json(p);
    char why[128];
    int err;

    if (!body)
        return;
    err = baseten_query_read(&l->q, p->x, body, why, sizeof why);
    json_tree_free(&body);
    if (err < 0) {
        http_reply_error(p->x, 400, err_code(err), "%s", why);
        return;
    }
    if (l->q.level_min != LEVEL_NONE) {
        l->sieve = sieve_new();
        l->sieve->filter.level_min = l->q.level_min;
    }
    ask(p);
}

static const struct patient_ops ops = {
    .begin = begin, .ask = ask, .drain = drain, .release = release, .gone = gone};

void baseten_logs(struct serve_ctx *ctx, struct http *x, const struct job_key *key, int is_foreign)
{
    struct logs *l = must_calloc(1, sizeof *l);

    l->key = *key;
    l->is_foreign = is_foreign;
    patient_open(&l->p, &ops, ctx, x);
}

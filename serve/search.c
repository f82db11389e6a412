/*
 * serve/search.c -- one search over a job: a reader that gives places of hits, counted and told.
 *
 *     LOOKUP --info--> SCAN (reader: SHAPE_HITS) --> done
 */
#include "serve/search.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "job/record.h"
#include "serve/history_int.h"
#include "serve/job_json.h"
#include "serve/query.h"
#include "serve/range.h"
#include "serve/reader.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

#define SEARCH_RETRY_AFTER "1"

struct search {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the exchange is over, only the pending call is awaited */
    struct job_key key;
    struct query query;
    uint64_t after, upto;
    int in_call;
    struct reader *reader;
    uint64_t hits, hits_told;
    int64_t told_us;      /* when progress was told last */
    uint64_t *buckets;    /* query.buckets of them */
    struct buf out;
};

uint32_t search_bucket(uint64_t seq, uint64_t from, uint64_t to, uint32_t count)
{
    CHECK(from <= seq && seq <= to && count);
    return (uint32_t)((unsigned __int128)(seq - from) * count / (to - from + 1));
}

static void free_search(struct search *s)
{
    s->ctx->searches--;
    reader_close(&s->reader);
    query_release(&s->query);
    buf_release(&s->out);
    free(s->buckets);
    free(s);
}

static void on_close(struct http *x, int clean)
{
    struct search *s = http_user(x);

    s->x = NULL;
    reader_close(&s->reader);
    if (!s->in_call)
        free_search(s);
}

/* ---- what is told ---- */

static void tell_hit(struct search *s, const struct shape_hit *hit)
{
    struct json j;

    json_init(&j, &s->out);
    json_obj(&j);
    json_kstr(&j, "type", "hit");
    json_ku64(&j, "seq", hit->seq);
    job_json_time(&j, "ts", hit->ts_us);
    json_key(&j, "rank");
    if (hit->rank == RECORD_RANK_NONE)
        json_null(&j);
    else
        json_i64(&j, hit->rank);
    json_kstr(&j, "level", level_name((enum level)hit->level));
    json_end(&j);
    buf_addc(&s->out, '\n');
}

static void tell_lost(struct search *s, const struct reader_item *item)
{
    struct json j;

    json_init(&j, &s->out);
    json_obj(&j);
    json_kstr(&j, "type", "lost");
    json_ku64(&j, "from", item->lost_from);
    json_ku64(&j, "to", item->lost_to);
    json_kstr(&j, "reason", history_reason(item->err));
    json_end(&j);
    buf_addc(&s->out, '\n');
}

static void tell_counts(struct search *s, int done)
{
    struct json j;

    json_init(&j, &s->out);
    json_obj(&j);
    json_kstr(&j, "type", done ? "done" : "progress");
    if (!done)
        json_ku64(&j, "scanned_to", reader_position(s->reader));
    json_ku64(&j, "hits", s->hits);
    json_ku64(&j, "from", s->after + 1);
    json_ku64(&j, "to", s->upto);
    json_key(&j, "buckets");
    json_arr(&j);
    for (uint32_t i = 0; i < s->query.buckets; i++)
        json_u64(&j, s->buckets[i]);
    json_end(&j);
    json_end(&j);
    buf_addc(&s->out, '\n');
    s->told_us = clock_mono_us();
}

static void send_out(struct search *s)
{
    if (s->out.len)
        http_write(s->x, s->out.data, s->out.len);
    buf_clear(&s->out);
}

/* ---- the scan ---- */

static void take_hits(struct search *s, const struct reader_item *item)
{
    struct shape_hit hit;

    for (size_t at = 0; at + sizeof hit <= item->len; at += sizeof hit) {
        memcpy(&hit, item->data + at, sizeof hit);
        s->hits++;
        s->buckets[search_bucket(hit.seq, s->after + 1, s->upto, s->query.buckets)]++;
        if (s->hits_told < s->query.limit) {
            s->hits_told++;
            tell_hit(s, &hit);
        }
    }
}

/* 1: the search is over, s may be gone. */
static int take_item(struct search *s, const struct reader_item *item)
{
    switch (item->kind) {
    case READER_SLICE:
        take_hits(s, item);
        return 0;
    case READER_LOST:
        tell_lost(s, item);
        return 0;
    case READER_END:
        reader_close(&s->reader);
        tell_counts(s, 1);
        send_out(s);
        http_finish(s->x);
        return 1;
    case READER_FAILED:
        reader_close(&s->reader);
        range_reply_failed(s->x, &s->key, item->err);
        return 1;
    case READER_RUN: /* not asked for */
        break;
    }
    return 1;
}

static void scan(struct search *s)
{
    struct reader_item item;

    while (s->reader && http_backlog(s->x) < HTTP_BACKLOG_HIGH_BYTES &&
           reader_next(s->reader, &item)) {
        if (take_item(s, &item))
            return;
        if (clock_mono_us() - s->told_us > SEARCH_PROGRESS_US)
            tell_counts(s, 0);
        send_out(s);
    }
    if (s->reader && clock_mono_us() - s->told_us > SEARCH_PROGRESS_US &&
        http_backlog(s->x) < HTTP_BACKLOG_HIGH_BYTES) { /* a step without a hit */
        tell_counts(s, 0);
        send_out(s);
    }
}

static void on_drain(struct http *x)
{
    scan(http_user(x));
}

static void on_readable(void *user)
{
    scan(user);
}

static const struct http_handler handler = {.on_drain = on_drain, .on_close = on_close};

static void begin(struct search *s, const struct job_info *info)
{
    struct query *q = &s->query;
    uint64_t count = s->upto > s->after ? s->upto - s->after : 0;
    struct reader_options o = {
        .key = s->key,
        .epoch = info->epoch,
        .after = s->after,
        .upto = s->upto,
        .backward = q->desc,
        .shape = {.kind = SHAPE_HITS, .sieve = q->sieve, .skip_states = 1},
        .urgent = 1,
    };

    if (!q->buckets)
        q->buckets = SEARCH_BUCKETS_DEFAULT;
    if (q->buckets > count)
        q->buckets = (uint32_t)count;
    s->buckets = must_calloc(q->buckets ? q->buckets : 1, sizeof *s->buckets);
    s->told_us = clock_mono_us();
    http_set_header(s->x, "X-Content-Type-Options", "nosniff");
    http_set_header(s->x, "Cache-Control", "no-store");
    http_start(s->x, 200, "application/x-ndjson", -1);
    if (!strcmp(http_method(s->x), "HEAD")) {
        http_finish(s->x);
        return;
    }
    reader_open(s->ctx, &o, on_readable, s, &s->reader);
    scan(s);
}

static void on_info(void *user, int err, const struct job_info *info)
{
    struct search *s = user;

    s->in_call = 0;
    if (!s->x)
        free_search(s);
    else if (err < 0)
        range_reply_failed(s->x, &s->key, err);
    else if (range_of(&s->query, info, &s->after, &s->upto) < 0)
        range_reply_reset(s->x, info->epoch);
    else
        begin(s, info);
}

static int refuse_query(struct http *x, const struct query *q)
{
    if (!q->sieve) {
        http_reply_error(x, 400, err_code(ERR_INVALID),
                         "a search looks for something: q, re, or a filter like level");
        return 1;
    }
    if (q->limit > SEARCH_HITS_MAX) {
        http_reply_error(x, 400, err_code(ERR_INVALID), "limit: at most %d hits are told one by one",
                         SEARCH_HITS_MAX);
        return 1;
    }
    return 0;
}

void search_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    struct search *s;
    struct query query;
    char why[256];

    if (query_parse(&query, x, QUERY_SEARCH, why, sizeof why) < 0) {
        http_reply_error(x, 400, err_code(ERR_INVALID), "%s", why);
        return;
    }
    if (refuse_query(x, &query)) {
        query_release(&query);
        return;
    }
    if (ctx->searches >= SEARCHES_MAX) {
        http_set_header(x, "Retry-After", SEARCH_RETRY_AFTER);
        http_reply_error(x, 503, "busy", "%d searches are under way", SEARCHES_MAX);
        query_release(&query);
        return;
    }
    if (!query.limit)
        query.limit = SEARCH_HITS_DEFAULT;
    s = must_calloc(1, sizeof *s);
    s->ctx = ctx;
    s->x = x;
    s->key = *key;
    s->query = query;
    buf_init(&s->out, 0);
    ctx->searches++;
    http_handle(x, &handler, s);
    s->in_call = 1;
    stream_job_get(ctx->stream, key, 0, on_info, s);
}

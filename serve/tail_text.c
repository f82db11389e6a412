/*
 * serve/tail_text.c -- a tail as a chunked body: plain text for curl -N, or NDJSON.
 */
#include "serve/tail_int.h"

#include <string.h>

static void open_text(struct tail *t)
{
    http_set_header(t->x, "Cache-Control", "no-store");
    http_set_header(t->x, "X-Accel-Buffering", "no");
    http_set_header(t->x, "X-Content-Type-Options", "nosniff");
    http_start(
        t->x, 200,
        t->query.format == QUERY_NDJSON ? "application/x-ndjson" : "text/plain; charset=utf-8", -1);
    if (!strcmp(http_method(t->x), "HEAD")) {
        struct http *x = t->x;

        tail__over(t);
        http_finish(x);
        return;
    }
    tail__opened(t);
}

static uint64_t *open_count(struct tail_stats *s)
{
    return &s->open_text;
}

static void raw(struct tail *t, const char *data, size_t len)
{
    http_write(t->x, data, len);
}

static void close_text(struct tail *t, int code, const char *reason)
{
    http_finish(t->x);
}

static void drop_text(struct tail *t, int code)
{
    http_abort(t->x);
}

static size_t backlog(const struct tail *t)
{
    return http_backlog(t->x);
}

const struct tail_sink tail__text = {
    .open_count = open_count,
    .open = open_text,
    .raw = raw,
    .close = close_text,
    .drop = drop_text,
    .backlog = backlog,
};

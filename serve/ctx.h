/*
 * serve/ctx.h -- what every door out needs to hand: the rooms below, and serve's own registries.
 *
 * joblogd.c zeroes it, sets the rooms, calls serve_ctx_open() before the first request and
 * serve_ctx_close() after the http server is closed (and the loop has run dry of worker steps).
 * Everything in it is borrowed but readers and tails.
 * Threads    The loop thread only.
 */
#ifndef SERVE_CTX_H
#define SERVE_CTX_H

#include <stdint.h>
#include <uv.h>

struct archive;
struct ingest;
struct http_server;
struct pump;
struct readers;
struct resolve_cache;
struct settings;
struct stream;
struct tails;

struct serve_ctx {
    uv_loop_t *loop;
    struct stream *stream;
    struct archive *archive; /* never NULL */
    struct ingest *ingest;
    struct http_server *http;
    struct pump *pump;
    struct resolve_cache *resolve_cache;
    int64_t started_us;      /* wall clock */
    int draining;            /* SIGTERM was seen */
    struct readers *readers; /* serve/reader.h */
    struct tails *tails;     /* serve/tail.h */
};

/* Make readers and tails (loop, stream and archive must be set). */
void serve_ctx_open(struct serve_ctx *ctx);
/* Frees them; every exchange and WebSocket is gone by then. Handles close on the loop: run it
 * once more. */
void serve_ctx_close(struct serve_ctx *ctx);

#endif

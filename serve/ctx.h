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

#include "auth/quota.h"

#include <stdint.h>
#include <uv.h>

struct alert;
struct archive;
struct digests;
struct event_sessions;
struct auth;
struct followers;
struct ingest;
struct job_gauges;
struct manys;
struct http_server;
struct pump;
struct readers;
struct rebuild;
struct retention;
struct resolve_cache;
struct settings;
struct settle;
struct stream;
struct tails;

struct serve_ctx {
    uv_loop_t *loop;
    struct stream *stream;
    struct archive *archive; /* never NULL */
    struct ingest *ingest;
    struct http_server *http; /* NULL before it is open and after it is closed */
    struct auth *auth;        /* serve/auth.h */
    struct pump *pump;
    struct settle *settle; /* NULL: --settle-level 0 */
    struct alert *alert;
    struct rebuild *rebuild;
    struct retention *retention; /* NULL before it is open */
    struct event_sessions *events; /* serve/events.h; joblogd.c makes it, after serve_ctx_open() */
    struct resolve_cache *resolve_cache;
    int64_t started_us;      /* wall clock */
    int draining;            /* SIGTERM was seen */
    unsigned postmortems;      /* being made (serve/postmortem.h) */
    unsigned searches;         /* under way (serve/search.h) */
    uint64_t quota_refused[QUOTA_COUNT]; /* by serve; ingest counts its own */
    const char *web_dir;     /* --web: the page is read from there; "" or NULL: it is built in */
    struct readers *readers; /* serve/reader.h */
    struct digests *digests; /* serve/digests.h */
    struct tails *tails;     /* serve/tail.h */
    struct job_gauges *job_gauges; /* serve/job_gauges.h; joblogd.c makes it */
    struct manys *manys; /* serve/tail_many.h; joblogd.c makes it, after serve_ctx_open() */
    struct followers *followers; /* serve/followers.h */
};

/* Make readers and tails (loop, stream and archive must be set). */
void serve_ctx_open(struct serve_ctx *ctx);
/* Frees them; every exchange and WebSocket is gone by then. Handles close on the loop: run it
 * once more. */
void serve_ctx_close(struct serve_ctx *ctx);

#endif

/*
 * clients/cli/http.h -- requests to joblogd: whole answers, and answers that are read while they come.
 *
 * Promises   Blocking, with deadlines. An answer of any status is a success of the call; the network's
 *            failures are ERR_UNAVAILABLE with a sentence in reply.error.
 *            The calls of a thread share a connection while the server keeps it open.
 * Threads    Any; nothing is shared between threads. http_setup() once, before threads are started.
 */
#ifndef CLIENTS_CLI_HTTP_H
#define CLIENTS_CLI_HTTP_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define HTTP_URL_BYTES_MAX 1024
#define HTTP_REPLY_BYTES_MAX (64UL << 20)
#define HTTP_CONNECT_US 10000000

struct http_server {
    char url[HTTP_URL_BYTES_MAX];                /* without a trailing '/', as people wrote it */
    char base[HTTP_URL_BYTES_MAX];               /* what paths are put behind */
    char host[256], unix_path[256], prefix[256]; /* prefix: path of the URL, "" or "/joblog" */
    int port;
    int is_tls;
    const char *token, *project, *cacert; /* borrowed, may be NULL */
    const char *cert, *key;               /* the client's own, PEM files */
};

struct http_reply {
    long status; /* 0: none came */
    struct buf body;
    int64_t retry_after_us;
    char error[256];
};

void http_setup(void);
/* At a thread's end: close the connection it kept. */
void http_forget(void);
/* http://HOST[:PORT][/PREFIX], https://…, unix:/path. ERR_INVALID with why. */
int http_server_parse(struct http_server *s, const char *url, char *why, size_t why_size);
/* Append "?key=value" or "&key=value", percent-encoded. */
void http_arg(struct buf *path, const char *key, const char *value);

/* body NULL: none; else JSON. ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_TOO_BIG. */
int http_call(const struct http_server *s, const char *method, const char *path, const char *body,
              int64_t timeout_us, struct http_reply *ret);
void http_reply_release(struct http_reply *r);

struct http_stream {
    const char *accept;
    const char *last_event_id; /* NULL or "": none */
    int compressed;     /* offer compression */
    int64_t silence_us; /* give up (ERR_TIMEOUT) when nothing came for so long; 0: never */
    int64_t first_us;   /* … until the first byte; 0: as silence_us */
    int wake_fd;        /* readable: look for signals (ERR_CANCELLED) and tick; -1: none */
    int64_t tick_us;    /* on_tick at least this often; 0: whenever something happens */
    /* Bytes of an answer with status 200; < 0 ends the call with that code. */
    int (*on_data)(void *user, const char *data, size_t len);
    int (*on_tick)(void *user); /* < 0 ends the call with that code; NULL: none */
    void *user;
};
/* Other statuses: the body is in ret->body. 0: the answer came to its end; ERR_* as above. */
int http_stream(const struct http_server *s, const char *path, const struct http_stream *o,
                struct http_reply *ret);

#endif

/*
 * http/http.h -- the front hall: listeners, connections and strict HTTP/1.1, one loop.
 *
 * The rest of the house sees only this header and http/ws.h. One exchange (struct http) is one
 * request and its response; requests of a connection are served in order, one in flight.
 *
 *     on_request  the header is complete and linted: route, authorise, choose a handler with
 *                 http_handle(), or answer at once (http_reply). Runs before any body byte.
 *     on_body     decoded body bytes (Content-Length or chunked, already de-chunked; content
 *                 coding is the handler's). http_pause_body() stops reading from the socket.
 *     on_body_end the body is whole. Reply now or later, from any callback of the loop thread.
 *     on_drain    a streamed response's backlog fell below HTTP_BACKLOG_LOW_BYTES: write more.
 *     on_close    the exchange is over, one way or the other: last callback, detach here. After
 *                 it the pointer is dead. `clean` says the response was fully handed to the kernel.
 *
 * Promises   Malformed requests never reach on_request. Nothing of a refused body reaches on_body.
 *            HEAD is answered with headers only whatever the handler writes.
 *            A handler that returns without a reply may reply later; deadlines are ours only until the body
 *            is whole, the handler's after that.
 *            Callbacks are never called from inside http_reply/http_start/http_write/http_finish.
 * Not here   Routes, auth, content codings, JSON. RFC 9110, RFC 9112.
 * Threads    The loop thread only.
 * Limits     struct http_limits, defaults in parentheses.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_BACKLOG_HIGH_BYTES (256 * 1024) /* a handler should stop writing above this */
#define HTTP_BACKLOG_LOW_BYTES (64 * 1024)   /* on_drain below this */
#define HTTP_QUERY_ARGS_MAX 128

struct http_server;
struct http;

struct http_limits {
    uint32_t connections_max;      /* (20000) above: accepted, answered 503, closed */
    uint32_t connections_per_ip_max; /* (0 = no limit): same */
    size_t header_bytes_max;       /* (16384) 431 */
    size_t target_bytes_max;       /* (8192) 414 */
    uint64_t body_bytes_max;       /* (64 MiB) 413 as sent, before decoding; a handler may lower it per request */
    int64_t header_us;             /* (10 s) from first byte (or accept) to the blank line: 408, absolute */
    int64_t body_us;               /* (60 s) in every such span at least 1 KiB/s must come, else 408; not while paused */
    int64_t keepalive_us;          /* (75 s) idle between requests */
    int64_t write_us;              /* (60 s) without write progress while there is backlog: dropped */
    int64_t ws_silence_us;         /* (40 s) a WebSocket peer from which nothing comes and which takes nothing: dropped;
                                    * it is pinged after 5/8 of it */
};

struct http_stats { /* counters since start, for /metrics */
    uint64_t connections_total, connections_open, requests_total, refused_total /* 4xx by the hall */,
        overload_total, timeouts_total, bytes_in_total, bytes_out_total, ws_open, ws_total;
    uint64_t backlog_bytes; /* response bytes held in memory right now */
    uint64_t tls_handshakes_total, tls_failed_total;
    int no_descriptors; /* now: new connections are refused, the others go on */
    int64_t tls_not_after_s; /* when the certificate ends; 0: there is none */
};

struct http_handler {
    void (*on_request)(struct http *x); /* only for the server's root handler */
    void (*on_body)(struct http *x, const char *data, size_t len);
    void (*on_body_end)(struct http *x);
    void (*on_drain)(struct http *x);
    void (*on_close)(struct http *x, int clean);
};

/* Root: its on_request is called for every request. limits NULL: defaults. */
int http_server_open(uv_loop_t *loop, const struct http_limits *limits, const struct http_handler *root,
                     void *root_user, struct http_server **ret_server);
void http_limits_default(struct http_limits *l);
/* "127.0.0.1:8000", "[::1]:8000", "localhost:8000" (both families), ":8000" (any), "unix:/path".
 * Port 0 picks one. ERR_INVALID, ERR_IO (why names the reason). */
int http_listen(struct http_server *s, const char *address, char *why, size_t why_size);
/* The TCP port of the first TCP listener without (with) TLS, 0 if none. */
int http_port(const struct http_server *s);
int http_tls_port(const struct http_server *s);
/* A certificate for http_listen_tls() (TCP only), read once before it; http_tls_reload() reads the files again: new
 * connections get what is there now, on errors (why) what was. */
struct tls_options; /* http/tls.h */
int http_tls_open(struct http_server *s, const struct tls_options *o, char *why, size_t why_size);
int http_tls_reload(struct http_server *s, char *why, size_t why_size);
int http_listen_tls(struct http_server *s, const char *address, char *why, size_t why_size);
/* Stop accepting; idle keep-alive connections close; responses in flight finish with Connection: close. */
void http_server_drain(struct http_server *s);
/* True when no connection is left (WebSockets included). */
int http_server_idle(const struct http_server *s);
/* Drop what is left and release. Takes and NULLs. on_close of every open exchange and WebSocket is
 * called. Not from inside a callback of the hall. The handles close in later turns: run the loop on
 * until uv_run() has nothing left, then nothing is. */
void http_server_close(struct http_server **s);
void http_server_stats(const struct http_server *s, struct http_stats *ret);

/* ---- the request ---- */
const char *http_method(const struct http *x); /* "GET", "POST", … as sent; HEAD shows as "HEAD" */
/* Percent-decoded, validated UTF-8 without NUL, starts with '/' (or is "*" for OPTIONS); "%2F" is kept as
 * it was sent. */
const char *http_path(const struct http *x);
/* Decoded query argument, first occurrence; NULL when absent, "" when without value. '+' is a space. */
const char *http_arg(const struct http *x, const char *name);
/* i-th argument in order; 0 when past the end. */
int http_arg_at(const struct http *x, unsigned i, const char **ret_name, const char **ret_value);
const char *http_raw_query(const struct http *x); /* "" when none */
/* Header value, name in any case, NULL when absent; repeated ones are joined with ", ". */
const char *http_header(const struct http *x, const char *name);
/* -1 when chunked, 0 when there is none. */
int64_t http_body_length(const struct http *x);
const char *http_peer(const struct http *x); /* "127.0.0.1" or "unix" */
int http_peer_is_loopback(const struct http *x);
uint64_t http_id(const struct http *x); /* unique per process, for logs */
/* Hide an argument: http_arg and http_arg_at do not tell it any more. */
void http_hide_arg(struct http *x, const char *name);
/* Who was let in: opaque here. release(guest) is called once, after the last callback of the exchange, or of
 * the WebSocket that it became. At most one per exchange. */
void http_set_guest(struct http *x, void *guest, void (*release)(void *guest));
void *http_guest(const struct http *x); /* NULL: none was set */
/* Visit every exchange in flight (not those that are WebSockets by now: ws_each). visit may abort it. */
void http_each(struct http_server *s, void (*visit)(struct http *x, void *user), void *user);
struct http_server *http_server_of(const struct http *x);
void *http_root_user(const struct http *x);

/* Choose who serves this exchange; user comes back by http_user(). */
void http_handle(struct http *x, const struct http_handler *h, void *user);
void *http_user(const struct http *x);
/* Lower the body cap for this request (413 when the declared length is already over: returns
 * ERR_TOO_BIG and the 413 has been sent). */
int http_body_max(struct http *x, uint64_t bytes);
void http_pause_body(struct http *x);
void http_resume_body(struct http *x);

/* ---- the response ---- */
/* Header lines for the next reply or start: name and value without CR/LF (CHECKed). */
void http_set_header(struct http *x, const char *name, const char *value);
/* A whole response. Body is copied. content_type may be NULL. When the request body has not been read
 * whole the connection is closed after the reply (with a lingering close, so the reply arrives). */
void http_reply(struct http *x, int status, const char *content_type, const void *body, size_t len);
/* {"code":…,"message":…} with optional Retry-After (seconds, 0 none). */
void http_reply_error(struct http *x, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A streamed response: length -1 for chunked (or until close for HTTP/1.0). */
void http_start(struct http *x, int status, const char *content_type, int64_t length);
/* Queue body bytes (copied). Returns the backlog in bytes; above HTTP_BACKLOG_HIGH_BYTES wait for
 * on_drain. On a dead connection the bytes are dropped and 0 is returned; on_close follows. */
size_t http_write(struct http *x, const void *data, size_t len);
size_t http_backlog(const struct http *x);
/* The response is whole. With an error in mid-stream use http_abort (the client sees a broken chunk/length). */
void http_finish(struct http *x);
void http_abort(struct http *x);
int http_started(const struct http *x); /* a reply or start was made */

#endif

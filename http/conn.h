/*
 * http/conn.h -- a connection, and the exchange in flight on it.
 *
 * conn_lws.c moves its bytes, exchange.c its states, response.c writes to it.
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "base/buf.h"
#include "http/body.h"
#include "http/head.h"
#include "http/link.h"

#define SLICE_BYTES (64 * 1024)           /* most that is handed to libwebsockets in one write */
#define PEER_BYTES_MAX 64

struct lws;
struct ws;

/* Who was let in; empty when nobody was named. */
struct guest {
    void *who;
    void (*release)(void *who);
};

/* One request and its response. */
struct http {
    struct conn *conn;
    uint64_t id;
    struct head head;
    struct body body;
    const struct http_handler *h;
    void *user;
    struct guest guest;
    struct buf headers; /* set by http_set_header, for the next response */
    struct ws *ws;      /* accepted: to be handed over */
    unsigned body_done : 1, end_told : 1, paused : 1, started : 1, done : 1, aborted : 1,
        by_hall : 1, want_drain : 1, chunked_out : 1, bodyless : 1;
    int64_t out_left; /* declared bytes still to be written; -1 when not declared */
};

#define CONN_STATES(X)                                                                             \
    X(CONN_HEAD)     /* waiting for, or in, a request head */                                      \
    X(CONN_BODY)     /* a request is in flight, its body is coming */                              \
    X(CONN_REPLY)    /* its body is whole, the response is not */                                  \
    X(CONN_HANDOVER) /* a WebSocket upgrade was accepted */                                        \
    X(CONN_TUNNEL)   /* under TLS: it carries a WebSocket to its end */                            \
    X(CONN_FLUSH)    /* nothing more is read; what is queued goes out */                           \
    X(CONN_LINGER)   /* shut down for writing; input is thrown away until the peer closes */
enum conn_state {
#define X(name) name,
    CONN_STATES(X)
#undef X
};

struct conn {
    struct http_server *server;
    struct link link;     /* server->conns */
    struct link deferred; /* server->deferred_conns */
    struct lws *wsi;
    int fd;
    enum conn_state state;
    struct http *x;
    struct buf in;       /* unread bytes: a partial head, or what came while nothing is taken */
    size_t scanned;      /* bytes of a partial head already looked at */
    char *out;           /* queued output: out[out_at .. out_at + out_len) */
    size_t out_at, out_len, out_cap;
    size_t in_lws;       /* bytes of the last write that libwebsockets may still hold */
    size_t accounted;    /* this connection's part of stats.backlog_bytes */
    int64_t deadline_us; /* earliest thing to look at; INT64_MAX none */
    int64_t head_us;     /* when a head must be whole, or an idle connection ends */
    int64_t window_us;   /* end of the body's rate window */
    int64_t wrote_us;    /* last progress of output */
    int64_t linger_us;
    uint64_t window_bytes;
    uint64_t requests;
    unsigned turn_count; /* requests begun in this turn of the loop */
    struct tls *tls;       /* from the first byte on; NULL: plain, or nothing has come */
    struct tunnel *tunnel; /* in CONN_TUNNEL and after it */
    struct ws *carried;    /* at the far end of the tunnel, while it is there */
    unsigned rx_on : 1, dead : 1, close_after : 1, is_loopback : 1, is_counted : 1,
        is_tls : 1 /* of a TLS listener */, tls_told : 1 /* its handshake was counted */,
        tls_ended : 1 /* the peer has said goodbye */,
        busy : 1; /* its turn is running: it will look at the exchange again by itself */
    char peer[PEER_BYTES_MAX];
};

/* ---- conn_lws.c ---- */
/* Take fd (closed on failure). refuse: answer 503 and close. */
int conn__adopt(struct http_server *s, int fd, const char *peer, int is_loopback, int is_tls, int refuse);
/* Send at once what goes, queue the rest; on failure the connection is dead. NULLs with length 0
 * are fine; the head is at most SLICE_BYTES. */
void conn__send(struct conn *c, const void *head, size_t head_len, const void *body, size_t body_len);
size_t conn__backlog(const struct conn *c);
/* The same, and what the kernel holds that the peer's has not taken. */
size_t conn__unsent(const struct conn *c);
/* Send what is queued while libwebsockets takes it. */
void conn__flush(struct conn *c);
/* Reading on or off as the state asks. */
void conn__update_reading(struct conn *c);
/* Say that no more comes: TLS' goodbye, then the end of the stream. 1: done; 0: the goodbye is still going out, again
 * when the backlog is 0. */
int conn__shutdown(struct conn *c);
/* Is the peer gone? 1: it has closed its half, 2: the connection is broken. */
int conn__peer_gone(const struct conn *c);
/* Close it in a deferred turn; on_close is called there. */
void conn__kill(struct conn *c);
void conn__defer(struct conn *c);
/* In a deferred turn only: detach from libwebsockets and release. */
void conn__destroy(struct conn **c);

/* ---- exchange.c ---- */
void exchange__input(struct conn *c, const char *data, size_t len);
/* Whatever can go on goes on: finish, next request, drain, close. */
void exchange__advance(struct conn *c);
/* Nothing more is taken: send what is queued, shut down, linger. */
void exchange__close(struct conn *c);
/* Its WebSocket was handed over: from here on it carries bytes. */
void exchange__tunnel(struct conn *c);
/* on_close and release of the exchange in flight. */
void exchange__end(struct conn *c, int clean);
void exchange__deadline(struct conn *c, int64_t now_us);
/* Work out the next deadline from the state. */
void exchange__rearm(struct conn *c);
const char *conn_state_name(enum conn_state s);

/* ---- response.c ---- */
/* A whole error answer without an exchange (a refused head). Closes after. */
void response__refuse(struct conn *c, const struct refusal *r);

#endif

/*
 * http/http_int.h -- what the files of the front hall share among themselves.
 *
 *     listen.c     addresses, listening sockets, accept
 *     conn_lws.c   one connection: bytes in, bytes out, both through libwebsockets' raw-socket role
 *     exchange.c   the state machine of a connection: head, body, reply, close
 *     request.c    a request's head: lint, tokenise, count, decode
 *     body.c       where a body ends: Content-Length and chunks
 *     response.c   what goes back
 *     ws_lws.c     WebSockets after the hand-over
 *     server_lws.c the context, the loop's handles, deferred work, deadlines, open and close
 *
 * Deferred work   A callback never comes from inside a call of the public API, and a connection is
 *            never closed from inside a callback of libwebsockets other than its own return value.
 *            Both are queued on the server (server__defer) and done by one uv_idle handle.
 * Deadlines  One uv timer for all connections (server__wake_at): it is armed for the earliest
 *            deadline and looks at every connection when it fires. libwebsockets' own timers are
 *            late when armed from foreign callbacks, so none are used.
 */
#ifndef HTTP_HTTP_INT_H
#define HTTP_HTTP_INT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "http/http.h"
#include "http/ws.h"

#define HEAD_FIELDS_MAX 100               /* header lines of a request; more is 431 */
#define SLICE_BYTES (64 * 1024)           /* most that is handed to libwebsockets in one write */
#define LINGER_US INT64_C(1000000)        /* after shutdown: wait for the peer to close */
#define WATCH_US INT64_C(1000000)         /* how often a waiting exchange looks for a vanished peer */
#define BODY_BYTES_PER_S 1024             /* slowest body that is waited for */
#define TICK_US INT64_C(50000)            /* deadlines are kept to this grain */
#define SERVED_PER_TURN_MAX 64            /* pipelined requests of one connection in one loop turn */
#define TRAILER_BYTES_MAX 4096
#define PEER_BYTES_MAX 64

struct lws;
struct lws_context;
struct lws_vhost;
struct conn;

/* ---- intrusive lists ---- */
struct link {
    struct link *prev, *next; /* a head points at itself; a free link holds NULLs */
};
static inline void link_head(struct link *l)
{
    l->prev = l->next = l;
}
static inline int link_in(const struct link *l)
{
    return l->next != NULL;
}
static inline void link_add(struct link *head, struct link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
static inline void link_del(struct link *l)
{
    if (!l->next) return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}
#define link_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- request.c ---- */
struct head_pair {
    const char *name, *value;
};

/* A parsed head. Strings live in the owned blocks. */
struct head {
    char *block;   /* the bytes of the head, cut into NUL-terminated strings */
    char *decoded; /* percent-decoded path and arguments */
    char *joined;  /* values of repeated headers */
    const char *method, *path, *raw_query;
    int minor; /* HTTP/1.minor */
    int is_head, keep_alive, chunked, expects_continue, is_upgrade;
    int64_t length; /* Content-Length, 0 when absent, -1 when chunked */
    const char *ws_key;
    unsigned field_count, arg_count;
    struct head_pair fields[HEAD_FIELDS_MAX];
    struct head_pair args[HTTP_QUERY_ARGS_MAX];
};

/* How a request is refused by the hall. status 0: it is not. */
struct refusal {
    int status;
    const char *code, *message;
};
static inline int refuse(struct refusal *ret, int status, const char *code, const char *message)
{
    *ret = (struct refusal){status, code, message};
    return ERR_INVALID;
}

/* Look for the end of the head in data[0..len), *scanned bytes of which were looked at before.
 * Returns its length with the blank line, 0 when more is needed, or -1 with *ret_refusal set. */
int head__find(const char *data, size_t len, size_t *scanned, const struct http_limits *l,
               struct refusal *ret_refusal);
/* Parse a whole head (as found by head__find). 0, or ERR_INVALID with *ret_refusal set and nothing
 * to release, or ERR_NOMEM. */
int head__parse(struct head *h, const char *data, size_t len, const struct http_limits *l,
                struct refusal *ret_refusal);
void head__release(struct head *h);
const char *head__field(const struct head *h, const char *name);

/* request_lint.c: is the head written as RFC 9112 says? 0 or ERR_INVALID with the refusal. */
int head__lint(const char *data, size_t len, const struct http_limits *l, struct refusal *ret_refusal);
/* Percent-decode the path and the query of h->raw target into h->decoded. */
int head__decode_target(struct head *h, char *target, struct refusal *ret_refusal);

/* ---- body.c ---- */
enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED };
struct body {
    enum body_kind kind;
    int state;           /* of the chunk decoder */
    unsigned digits;     /* of the chunk size so far */
    unsigned trailer_bytes;
    uint64_t left;       /* bytes of the body or of this chunk still to come */
    uint64_t taken;      /* decoded bytes so far */
    uint64_t bytes_max;
};
void body__init(struct body *b, int64_t length, uint64_t bytes_max);
/* Eat from data; at most one run of decoded bytes comes out per call (*ret_run may be NULL).
 * 0: more is needed (call again while bytes are left), 1: the body is whole, ERR_INVALID, ERR_TOO_BIG. */
int body__feed(struct body *b, const char *data, size_t len, size_t *ret_used, const char **ret_run,
               size_t *ret_run_len);

/* ---- the exchange ---- */
struct http {
    struct conn *conn;
    uint64_t id;
    struct head head;
    struct body body;
    const struct http_handler *h;
    void *user;
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
    unsigned rx_on : 1, dead : 1, close_after : 1, is_loopback : 1, is_counted : 1,
        busy : 1; /* its turn is running: it will look at the exchange again by itself */
    char peer[PEER_BYTES_MAX];
};

struct listener {
    struct link link;
    struct http_server *server;
    uv_poll_t poll;
    int fd;
    int port; /* 0: unix socket */
    char path[108];
};

struct http_server {
    uv_loop_t *loop;
    struct lws_context *context;
    struct lws_vhost *raw_vhost, *ws_vhost, *ws_wide_vhost;
    struct http_limits limits;
    struct http_stats stats;
    const struct http_handler *root;
    void *root_user;
    struct link listeners, conns, sockets /* struct ws */, deferred_conns, deferred_sockets;
    size_t conn_count, ws_count;
    struct map *peers; /* address -> size_t * of open connections; only with a per-address limit */
    uv_idle_t idle;    /* runs the deferred work; active only while there is some */
    uv_timer_t timer;  /* the next deadline */
    uv_timer_t accept_timer; /* accepting is paused until then: out of descriptors */
    int64_t timer_us;  /* what timer is armed for; INT64_MAX when not */
    int spare_fd;      /* given up to accept and answer when descriptors run out */
    int draining, closing, handles_open;
    struct ws *handing; /* the hand-over under way: libwebsockets calls back inside it */
    uint64_t next_id;
    struct buf head; /* of the response being built */
    int64_t date_s;
    char date[40];
    unsigned char *scratch; /* SLICE_BYTES with headroom: heads with small bodies, fragments */
};

/* ---- server_lws.c ---- */
void server__defer(struct http_server *s, struct link *list, struct link *item);
/* Have the deadlines looked at no later than this. */
void server__wake_at(struct http_server *s, int64_t mono_us);
const char *server__date(struct http_server *s);
/* Count a connection of this address; ERR_LIMIT when it has too many. */
int server__peer_add(struct http_server *s, const char *peer);
void server__peer_del(struct http_server *s, const char *peer);

/* ---- listen.c ---- */
void listen__pause(struct http_server *s, int64_t for_us);
void listen__close_all(struct http_server *s);

/* ---- conn_lws.c ---- */
/* Take fd (closed on failure). refuse: answer 503 and close. */
int conn__adopt(struct http_server *s, int fd, const char *peer, int is_loopback, int refuse);
/* Send at once what goes, queue the rest; on failure the connection is dead. NULLs with length 0
 * are fine; the head is at most SLICE_BYTES. */
void conn__send(struct conn *c, const void *head, size_t head_len, const void *body, size_t body_len);
size_t conn__backlog(const struct conn *c);
/* Send what is queued while libwebsockets takes it. */
void conn__flush(struct conn *c);
/* Reading on or off as the state asks. */
void conn__update_reading(struct conn *c);
void conn__shutdown(struct conn *c);
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
/* on_close and release of the exchange in flight. */
void exchange__end(struct conn *c, int clean);
void exchange__deadline(struct conn *c, int64_t now_us);
/* Work out the next deadline from the state. */
void exchange__rearm(struct conn *c);
const char *conn_state_name(enum conn_state s);

/* ---- response.c ---- */
/* A whole error answer without an exchange (a refused head). Closes after. */
void response__refuse(struct conn *c, const struct refusal *r);

/* ---- ws_lws.c ---- */
extern const char ws__vhost_name[], ws__wide_vhost_name[];
/* In a deferred turn: turn the connection into the WebSocket accepted on it. Takes c. */
void ws__hand_over(struct conn **c);
/* The connection died before the hand-over. */
void ws__orphan(struct ws **w);
void ws__deferred(struct link *item);
void ws__deadlines(struct http_server *s, int64_t now_us, int64_t *earliest_us);
void ws__close_all(struct http_server *s);

#endif

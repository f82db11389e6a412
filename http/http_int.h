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
 *     tls_ssl.c    TLS sessions: bytes in, bytes out
 *     tunnel.c     a WebSocket under TLS: a socketpair between its connection and ws_lws.c
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

#include "base/map.h"
#include "http/conn.h"
#include "http/tls.h"
#include "http/tunnel.h"
#include "http/ws.h"

#define LINGER_US INT64_C(1000000)        /* after shutdown: wait for the peer to close */
#define WATCH_US INT64_C(1000000)         /* how often a waiting exchange looks for a vanished peer */
#define BODY_BYTES_PER_S 1024             /* slowest body that is waited for */
#define TICK_US INT64_C(50000)            /* deadlines are kept to this grain */
#define SERVED_PER_TURN_MAX 64            /* pipelined requests of one connection in one loop turn */

struct lws_context;
struct lws_vhost;

struct http_server {
    uv_loop_t *loop;
    struct lws_context *context;
    struct tls_server *tls; /* NULL: no TLS listeners */
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

/* ---- ws_lws.c ---- */
extern const char ws__vhost_name[], ws__wide_vhost_name[];
/* In a deferred turn: turn the connection into the WebSocket accepted on it. Takes c. */
void ws__hand_over(struct conn **c);
/* The connection that carried it under TLS is gone. */
void ws__lost_carrier(struct ws *w);
/* The connection died before the hand-over. */
void ws__orphan(struct ws **w);
void ws__deferred(struct link *item);
void ws__deadlines(struct http_server *s, int64_t now_us, int64_t *earliest_us);
void ws__close_all(struct http_server *s);

#endif

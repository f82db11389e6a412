/*
 * http/ws_lws.c -- WebSockets: the hand-over to libwebsockets' ws role, and messages both ways.
 *
 * Hand-over   The upgrade was read and validated by us (request.c) and authorised by a handler.
 *             In a deferred turn: dup(2) the descriptor, close the raw wsi (it does not shut the
 *             socket down), and adopt the duplicate with a request text written here, followed by
 *             what the client had already sent behind its head. libwebsockets' HTTP parser never
 *             sees a byte of the peer's. All its callbacks up to ESTABLISHED come inside the
 *             adoption call, so server->handing says whose they are.
 * Compression permessage-deflate is never offered to it: in 4.1.6 a peer can abort the process.
 * Sending     A message is a payload with LWS_PRE bytes before it, into which the frame header is
 *             written backwards: the same bytes for every connection, so one message serves all.
 *             Only while libwebsockets holds nothing is it given more, at most SLICE_BYTES at a
 *             time: longer messages leave as fragments (RFC 6455, 5.4).
 * Closing     Ours: what is queued, then the Close frame, then up to CLOSE_WAIT_US for the peer's
 *             (send_close() for why it is not sent the documented way).
 *             A socket that must go at once is detached, shut down and killed: libwebsockets alone
 *             would wait for its buffer to drain.
 */
#include <libwebsockets.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "http/conn_lws.h"
#include "http/ws_message_lws.h"

#define PING_US INT64_C(25000000)     /* silence after which the peer is asked */
#define SILENCE_US INT64_C(40000000)  /* silence after which it is dropped */
#define CLOSE_WAIT_US INT64_C(2000000)
#define REASON_BYTES_MAX 123
#define SUBPROTOCOL_BYTES_MAX 128
#define WIDE_MESSAGE_BYTES (64 * 1024) /* larger messages are read in larger pieces */
#define QUEUE_MIN 8
#define WS_CODE_NONE 1005
#define WS_CODE_BROKEN 1006
#define WS_CODE_NOT_UTF8 1007
#define WS_CODE_TOO_BIG 1009

const char ws__vhost_name[] = "hall-ws", ws__wide_vhost_name[] = "hall-ws-wide";

struct ws {
    struct http_server *server;
    struct link link;     /* server->sockets */
    struct link deferred; /* server->deferred_sockets */
    struct lws *wsi;      /* NULL before the hand-over and after the end */
    const struct ws_handler *h;
    void *user;
    struct ws_message **queue; /* ring; the first one is sent up to sent_bytes */
    size_t queue_at, queue_count, queue_cap;
    size_t sent_bytes;
    size_t queued_bytes; /* not yet given to libwebsockets */
    size_t in_lws;       /* last write that it may still hold */
    size_t accounted;
    struct buf message; /* being received */
    size_t message_bytes_max;
    int64_t heard_us, wrote_us, close_by_us;
    int close_code; /* as on_close will be told */
    int wanted_code; /* that we shall send */
    char reason[REASON_BYTES_MAX + 1];
    unsigned is_open : 1, closing : 1, close_sent : 1, dead : 1, pinged : 1, paused : 1,
        want_drain : 1, is_counted : 1;
    char peer[PEER_BYTES_MAX];
    char subprotocol[SUBPROTOCOL_BYTES_MAX];
    char key[25];
};

/* ---- the queue ---- */

size_t ws_backlog(const struct ws *w)
{
    return w->queued_bytes + w->in_lws;
}

static void account(struct ws *w)
{
    size_t now = ws_backlog(w);
    w->server->stats.backlog_bytes += now;
    w->server->stats.backlog_bytes -= w->accounted;
    w->accounted = now;
}

static void defer(struct ws *w)
{
    server__defer(w->server, &w->server->deferred_sockets, &w->deferred);
}

static void kill_later(struct ws *w)
{
    w->dead = 1;
    defer(w);
}

static void enqueue(struct ws *w, struct ws_message *m)
{
    if (w->queue_count == w->queue_cap) {
        size_t cap = w->queue_cap ? w->queue_cap * 2 : QUEUE_MIN;
        struct ws_message **grown = must_calloc(cap, sizeof(*grown));
        for (size_t i = 0; i < w->queue_count; i++)
            grown[i] = w->queue[(w->queue_at + i) % w->queue_cap];
        free(w->queue);
        w->queue = grown;
        w->queue_at = 0;
        w->queue_cap = cap;
    }
    w->queue[(w->queue_at + w->queue_count++) % w->queue_cap] = m;
    w->queued_bytes += m->len;
}

static void dequeue(struct ws *w)
{
    struct ws_message *m = w->queue[w->queue_at];
    w->queue_at = (w->queue_at + 1) % w->queue_cap;
    w->queue_count--;
    w->sent_bytes = 0;
    ws_message_unref(&m);
}

static void drop_queue(struct ws *w)
{
    while (w->queue_count) dequeue(w);
    w->queued_bytes = 0;
    account(w);
}

static int can_write(const struct ws *w)
{
    return w->is_open && !w->dead && !w->close_sent && w->in_lws == 0;
}

/* One frame; libwebsockets holds nothing. */
static void write_frame(struct ws *w, unsigned char *payload, size_t len, int kind)
{
    CHECKF(len <= SLICE_BYTES && w->in_lws == 0, "len=%zu in_lws=%zu", len, w->in_lws);
    if (lws_write(w->wsi, payload, len, (enum lws_write_protocol)kind) < 0) {
        kill_later(w);
        return;
    }
    w->server->stats.bytes_out_total += len;
    w->wrote_us = clock_mono_us();
    if (lws_partial_buffered(w->wsi)) {
        w->in_lws = len ? len : 1;
        server__wake_at(w->server, w->wrote_us + w->server->limits.write_us);
    }
}

/* The next piece of the first message: the message itself, or a fragment copied out of it (a
 * header written into a shared payload would spoil it). */
static void write_next(struct ws *w)
{
    struct ws_message *m = w->queue[w->queue_at];
    size_t n = m->len - w->sent_bytes;
    int kind = m->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
    if (m->len <= SLICE_BYTES) {
        write_frame(w, m->bytes + LWS_PRE, m->len, kind);
    } else {
        unsigned char *piece = w->server->scratch + LWS_PRE;
        if (n > SLICE_BYTES) n = SLICE_BYTES;
        memcpy(piece, m->bytes + LWS_PRE + w->sent_bytes, n);
        if (w->sent_bytes) kind = LWS_WRITE_CONTINUATION;
        if (w->sent_bytes + n < m->len) kind |= LWS_WRITE_NO_FIN;
        write_frame(w, piece, n, kind);
    }
    w->sent_bytes += n;
    w->queued_bytes -= n;
    if (w->sent_bytes == m->len) dequeue(w);
}

static void flush(struct ws *w)
{
    while (w->queue_count && can_write(w)) write_next(w);
    if (w->closing && !w->queue_count && can_write(w)) defer(w);
    account(w);
}

static size_t backlog_after_send(struct ws *w)
{
    if (w->dead) return 0;
    if (ws_backlog(w) >= WS_BACKLOG_LOW_BYTES) w->want_drain = 1;
    return ws_backlog(w);
}

size_t ws_send_message(struct ws *w, struct ws_message *m)
{
    if (w->closing || w->dead) return 0;
    if (w->queue_count == 0 && m->len <= SLICE_BYTES && can_write(w)) {
        write_frame(w, m->bytes + LWS_PRE, m->len, m->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
        account(w);
    } else {
        enqueue(w, ws_message_ref(m));
        flush(w);
    }
    return backlog_after_send(w);
}

size_t ws_send_text(struct ws *w, const void *data, size_t len)
{
    if (w->closing || w->dead) return 0;
    if (w->queue_count == 0 && len <= SLICE_BYTES && can_write(w)) {
        if (len) memcpy(w->server->scratch + LWS_PRE, data, len);
        write_frame(w, w->server->scratch + LWS_PRE, len, LWS_WRITE_TEXT);
        account(w);
    } else {
        struct ws_message *m = ws_message_new(data, len, 0);
        if (!m) {
            ws_abort(w);
            return 0;
        }
        enqueue(w, m);
        flush(w);
    }
    return backlog_after_send(w);
}

/* ---- opening ---- */

int ws_accept(struct http *x, const char *subprotocol, size_t message_bytes_max, const struct ws_handler *h,
              void *user)
{
    struct conn *c = x->conn;
    struct ws *w;
    CHECKF(x->head.is_upgrade && !x->started && !x->ws, "id=%llu", (unsigned long long)x->id);
    if (c->dead || x->aborted) return ERR_CLOSED;
    if (c->server->draining) {
        http_reply_error(x, 503, "shutting_down", "the server is shutting down; reconnect");
        return ERR_UNAVAILABLE;
    }
    CHECK(!subprotocol || (strlen(subprotocol) < SUBPROTOCOL_BYTES_MAX && !strpbrk(subprotocol, "\r\n")));
    w = must_calloc(1, sizeof(*w));
    w->server = c->server;
    w->h = h;
    w->user = user;
    w->message_bytes_max = message_bytes_max;
    w->close_code = WS_CODE_BROKEN;
    buf_init(&w->message, message_bytes_max);
    memcpy(w->peer, c->peer, sizeof(w->peer));
    memcpy(w->key, x->head.ws_key, 24);
    if (subprotocol) memcpy(w->subprotocol, subprotocol, strlen(subprotocol));
    x->ws = w;
    if (!c->busy) conn__defer(c);
    return 0;
}

/* The last callback, and the end of w. */
static void finish(struct ws *w)
{
    struct http_server *s = w->server;
    w->dead = 1;
    drop_queue(w);
    w->in_lws = 0;
    account(w);
    if (w->h->on_close) w->h->on_close(w, w->close_code);
    link_del(&w->deferred);
    if (link_in(&w->link)) {
        link_del(&w->link);
        s->ws_count--;
        s->stats.ws_open--;
        s->stats.connections_open--;
        if (w->is_counted) server__peer_del(s, w->peer);
    }
    buf_release(&w->message);
    free(w->queue);
    free(w);
}

void ws__orphan(struct ws **wp)
{
    struct ws *w = *wp;
    *wp = NULL;
    finish(w);
}

void ws__hand_over(struct conn **cp)
{
    struct conn *c = *cp;
    struct http_server *s = c->server;
    struct ws *w = c->x->ws;
    struct buf request = BUF_INIT;
    int is_wide = w->message_bytes_max > WIDE_MESSAGE_BYTES;
    int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    struct lws *wsi = NULL;
    c->x->ws = NULL;
    link_add(&s->sockets, &w->link);
    s->ws_count++;
    s->stats.ws_open++;
    s->stats.ws_total++;
    s->stats.connections_open++;
    w->is_counted = c->is_counted;
    c->is_counted = 0;
    buf_addf(&request,
             "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
             is_wide ? ws__wide_vhost_name : ws__vhost_name, w->key);
    buf_add(&request, c->in.data ? c->in.data : "", c->in.len);
    exchange__end(c, 1);
    conn__destroy(cp);
    if (fd >= 0 && !w->dead) {
        w->heard_us = w->wrote_us = clock_mono_us();
        s->handing = w;
        wsi = lws_adopt_socket_vhost_readbuf(is_wide ? s->ws_wide_vhost : s->ws_vhost, fd, request.data,
                                             request.len);
        s->handing = NULL;
    } else if (fd >= 0) {
        close(fd);
    }
    buf_release(&request);
    if (!w->is_open) { /* no descriptor, or the peer went before the 101 */
        if (wsi && w->wsi == NULL) lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        finish(w);
        return;
    }
    server__wake_at(s, w->heard_us + PING_US);
}

/* ---- receiving ---- */

static void close_with(struct ws *w, int code, const char *reason)
{
    if (w->closing || w->dead) return;
    w->closing = 1;
    w->wanted_code = code;
    w->close_code = code;
    snprintf(w->reason, sizeof(w->reason), "%s", reason ? reason : "");
    w->close_by_us = clock_mono_us() + CLOSE_WAIT_US;
    server__wake_at(w->server, w->close_by_us);
    if (w->is_open && w->paused) { /* the peer's Close must be read */
        w->paused = 0;
        lws_rx_flow_control(w->wsi, 1);
    }
    flush(w);
}

static void deliver(struct ws *w, const char *data, size_t len, int is_binary)
{
    if (!is_binary && utf8_valid_prefix(data, len) != len) {
        drop_queue(w);
        close_with(w, WS_CODE_NOT_UTF8, "not UTF-8");
        return;
    }
    if (w->h->on_message) w->h->on_message(w, data, len, is_binary);
}

static void receive(struct ws *w, const char *data, size_t len)
{
    int is_first = lws_is_first_fragment(w->wsi), is_final = lws_is_final_fragment(w->wsi);
    int is_binary = lws_frame_is_binary(w->wsi);
    w->heard_us = clock_mono_us();
    w->pinged = 0;
    w->server->stats.bytes_in_total += len;
    if (w->closing || w->dead) return;
    if (is_first) buf_clear(&w->message);
    if (w->message.len + len > w->message_bytes_max) {
        drop_queue(w);
        close_with(w, WS_CODE_TOO_BIG, "message too big");
        return;
    }
    if (is_first && is_final) {
        deliver(w, data, len, is_binary);
        return;
    }
    if (buf_add(&w->message, data, len) < 0) {
        kill_later(w);
        return;
    }
    if (!is_final) return;
    deliver(w, w->message.data, w->message.len, is_binary);
    if (w->message.cap > SLICE_BYTES) buf_release(&w->message);
    else buf_clear(&w->message);
    w->message.bytes_max = w->message_bytes_max;
}

static void on_peer_close(struct ws *w, const unsigned char *payload, size_t len)
{
    if (!w->close_sent) w->close_code = len >= 2 ? payload[0] << 8 | payload[1] : WS_CODE_NONE;
    w->closing = 1;
    w->close_sent = 1; /* libwebsockets answers it */
    drop_queue(w);
    w->close_by_us = clock_mono_us() + CLOSE_WAIT_US;
    server__wake_at(w->server, w->close_by_us);
}

/* libwebsockets holds nothing any more. */
static void on_writable(struct ws *w)
{
    if (w->in_lws) w->wrote_us = clock_mono_us();
    w->in_lws = 0;
    if (w->dead) return;
    flush(w);
    if (!w->want_drain || w->closing || ws_backlog(w) >= WS_BACKLOG_LOW_BYTES) return;
    w->want_drain = 0;
    if (w->h->on_drain) w->h->on_drain(w);
}

/* The 101's header lines that are ours. */
static int add_headers(struct ws *w, struct lws_process_html_args *args)
{
    int n;
    if (!w || !w->subprotocol[0]) return 0;
    n = snprintf(args->p, (size_t)args->max_len, "Sec-WebSocket-Protocol: %s\r\n", w->subprotocol);
    if (n >= args->max_len) return -1;
    args->p += n;
    return 0;
}

int ws__callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct ws *w = lws_get_opaque_user_data(wsi);
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return strcmp(in, "websocket") == 0 ? 0 : -1;
    case LWS_CALLBACK_HTTP: return -1; /* our text asks for nothing else */
    case LWS_CALLBACK_ADD_HEADERS: {
        struct lws_context *context = lws_get_context(wsi);
        struct http_server *s = lws_context_user(context);
        return add_headers(s->handing, in);
    }
    case LWS_CALLBACK_ESTABLISHED: {
        struct http_server *s = lws_context_user(lws_get_context(wsi));
        w = s->handing;
        if (!w) return -1;
        lws_set_opaque_user_data(wsi, w);
        w->wsi = wsi;
        w->is_open = 1;
        if (w->h->on_open) w->h->on_open(w);
        flush(w);
        return 0;
    }
    default: break;
    }
    if (!w) return 0; /* not established, or detached */
    switch (reason) {
    case LWS_CALLBACK_RECEIVE: receive(w, in, len); break;
    case LWS_CALLBACK_RECEIVE_PONG:
        w->heard_us = clock_mono_us();
        w->pinged = 0;
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE: on_writable(w); break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: on_peer_close(w, in, len); break;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        w->wsi = NULL;
        if (w->server->handing == w) { /* ws__hand_over() tells of it */
            w->is_open = 0;
            break;
        }
        finish(w);
        break;
    default: break;
    }
    return 0;
}

/* ---- what is not inside a callback ---- */

/* Detach from libwebsockets, which may keep the socket until its buffer fails to drain. */
static void destroy(struct ws *w)
{
    struct lws *wsi = w->wsi;
    if (wsi) {
        lws_set_opaque_user_data(wsi, NULL);
        w->wsi = NULL;
        shutdown(lws_get_socket_fd(wsi), SHUT_RDWR);
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    }
    finish(w);
}

/* Everything before it is sent: now the Close frame. Not by returning -1 from a callback: Debian's
 * libwebsockets is built with _DEBUG, and on libuv then closes every such wsi twice as a self-test;
 * the second time is the impolite one. With a reason set, "kill" begins the handshake. */
static void send_close(struct ws *w)
{
    w->close_sent = 1;
    lws_close_reason(w->wsi, (enum lws_close_status)w->wanted_code, (unsigned char *)w->reason,
                     strlen(w->reason));
    lws_set_timeout(w->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

void ws__deferred(struct link *item)
{
    struct ws *w = link_of(item, struct ws, deferred);
    if (w->dead) destroy(w);
    else if (w->closing && w->queue_count == 0 && can_write(w)) send_close(w);
}

static void ping(struct ws *w)
{
    unsigned char *payload = w->server->scratch + LWS_PRE;
    if (!can_write(w) || w->queue_count || w->closing) return;
    memcpy(payload, "joblog", 6);
    write_frame(w, payload, 6, LWS_WRITE_PING);
    w->pinged = 1;
    account(w);
}

static int64_t check_deadline(struct ws *w, int64_t now)
{
    int64_t next;
    if (w->closing && now >= w->close_by_us && (w->close_sent || !ws_backlog(w))) {
        kill_later(w);
        return INT64_MAX;
    }
    if (ws_backlog(w) && now >= w->wrote_us + w->server->limits.write_us) {
        w->server->stats.timeouts_total++;
        kill_later(w);
        return INT64_MAX;
    }
    if (w->paused) w->heard_us = now; /* we do not listen: silence proves nothing */
    if (now >= w->heard_us + SILENCE_US) {
        w->server->stats.timeouts_total++;
        kill_later(w);
        return INT64_MAX;
    }
    if (!w->pinged && now >= w->heard_us + PING_US) ping(w);
    next = w->heard_us + (w->pinged || now >= w->heard_us + PING_US ? SILENCE_US : PING_US);
    if (ws_backlog(w) && w->wrote_us + w->server->limits.write_us < next)
        next = w->wrote_us + w->server->limits.write_us;
    if (w->closing && w->close_by_us < next) next = w->close_by_us > now ? w->close_by_us : now + TICK_US;
    return next;
}

void ws__deadlines(struct http_server *s, int64_t now_us, int64_t *earliest_us)
{
    for (struct link *i = s->sockets.next; i != &s->sockets; i = i->next) {
        struct ws *w = link_of(i, struct ws, link);
        int64_t next = w->dead ? INT64_MAX : check_deadline(w, now_us);
        if (next < *earliest_us) *earliest_us = next;
    }
}

void ws__close_all(struct http_server *s)
{
    while (s->sockets.next != &s->sockets) destroy(link_of(s->sockets.next, struct ws, link));
}

void *ws_user(const struct ws *w)
{
    return w->user;
}

const char *ws_peer(const struct ws *w)
{
    return w->peer;
}

void ws_pause_read(struct ws *w)
{
    if (w->paused || w->closing || w->dead) return;
    w->paused = 1;
    if (w->is_open) lws_rx_flow_control(w->wsi, 0);
}

void ws_resume_read(struct ws *w)
{
    if (!w->paused || w->dead) return;
    w->paused = 0;
    w->heard_us = clock_mono_us();
    if (w->is_open) lws_rx_flow_control(w->wsi, 1);
}

void ws_close(struct ws *w, int code, const char *reason)
{
    close_with(w, code, reason);
}

void ws_abort(struct ws *w)
{
    kill_later(w);
}

void ws_each(struct http_server *s, void (*visit)(struct ws *w, void *user), void *user)
{
    struct link *next;
    for (struct link *i = s->sockets.next; i != &s->sockets; i = next) {
        next = i->next;
        visit(link_of(i, struct ws, link), user);
    }
}

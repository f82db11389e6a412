/*
 * http/ws_lws.c -- WebSockets: the hand-over to libwebsockets' ws role, and messages both ways.
 *
 * Hand-over   The upgrade was read and validated by us (request.c) and authorised by a handler.
 *             In a deferred turn: dup(2) the descriptor, close the raw wsi (it does not shut the
 *             socket down), and adopt the duplicate with a request text written here, followed by
 *             what the client had already sent behind its head. libwebsockets' HTTP parser never
 *             sees a byte of the peer's. All its callbacks up to ESTABLISHED come inside the
 *             adoption call, so server->handing says whose they are.
 *             Under TLS the connection stays, and libwebsockets gets one end of a socketpair (tunnel.h).
 * Compression permessage-deflate is never offered to it: in 4.1.6 a peer can abort the process.
 * Sending     A message is a payload with LWS_PRE bytes before it, into which the frame header is
 *             written backwards: the same bytes for every connection, so one message serves all.
 *             Only while libwebsockets holds nothing is it given more, at most SLICE_BYTES at a
 *             time, and no more than the kernel has room for (it would keep a copy of the rest): longer
 *             messages leave as fragments (RFC 6455, 5.4). So a peer that reads slowly costs a
 *             reference to a message, not a message.
 * Closing     Ours: what is queued, then the Close frame, then up to CLOSE_WAIT_US for the peer's
 *             (send_close() for why it is not sent the documented way).
 *             A socket that must go at once is detached, shut down and killed: libwebsockets alone
 *             would wait for its buffer to drain.
 */
#include <libwebsockets.h>

#include <fcntl.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "http/conn_lws.h"
#include "http/ws_message_lws.h"

#define CLOSE_WAIT_US INT64_C(2000000)
#define PING_BYTES 6
#define REASON_BYTES_MAX 123
#define SUBPROTOCOL_BYTES_MAX 128
#define WIDE_MESSAGE_BYTES (64 * 1024) /* larger messages are read in larger pieces */
#define QUEUE_MIN 8
#define PIECE_BYTES_MIN 4096 /* a writable socket is given so much whatever its room is */
#define SEGMENT_COST_BYTES 2048 /* of room, beside the bytes of a write */
#define WS_CODE_NONE 1005
#define WS_CODE_BROKEN 1006
#define WS_CODE_PROTOCOL 1002
#define WS_CODE_NOT_UTF8 1007
#define WS_CODE_TOO_BIG 1009
#define WS_CODES_END 5000 /* none from here on is anybody's */

const char ws__vhost_name[] = "hall-ws", ws__wide_vhost_name[] = "hall-ws-wide";

struct ws {
    struct http_server *server;
    struct link link;     /* server->sockets */
    struct link deferred; /* server->deferred_sockets */
    struct lws *wsi;      /* NULL before the hand-over and after the end */
    const struct ws_handler *h;
    void *user;
    struct guest guest;
    struct ws_message **queue; /* ring; the first one is sent up to sent_bytes */
    size_t queue_at, queue_count, queue_cap;
    size_t sent_bytes;
    size_t queued_bytes; /* not yet given to libwebsockets */
    size_t in_lws;       /* last write that it may still hold */
    size_t room_bytes;   /* the kernel takes at least so much more */
    uint64_t given_bytes; /* frames given to libwebsockets, headers included */
    uint64_t taken_bytes; /* of them the peer's kernel had when the peer was last asked */
    size_t accounted;
    struct buf message; /* being received */
    size_t message_bytes_max;
    int64_t heard_us, wrote_us, close_by_us;
    int close_code; /* as on_close will be told */
    int wanted_code; /* that we shall send */
    char reason[REASON_BYTES_MAX + 1];
    unsigned is_open : 1, closing : 1, close_sent : 1, dead : 1, pinged : 1, paused : 1,
        want_drain : 1, is_counted : 1, is_full : 1 /* written to again when writable */,
        is_tunnelled : 1 /* its connection is counted, not it */;
    struct conn *carrier; /* under TLS: the connection at the near end of the tunnel, while it is there */
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
    w->is_full = 0;
    account(w);
}

/* Silence after which the peer is asked. */
static int64_t ping_us(const struct ws *w)
{
    return w->server->limits.ws_silence_us / 8 * 5;
}

static int can_write(const struct ws *w)
{
    return w->is_open && !w->dead && !w->close_sent && w->in_lws == 0 && !w->is_full;
}

/* Does the kernel take len bytes whole? Asked only when what it had room for is used up. */
static int has_room(struct ws *w, size_t len)
{
    uint32_t mem[SK_MEMINFO_VARS];
    socklen_t size = sizeof(mem);
    if (w->room_bytes >= len + SEGMENT_COST_BYTES || w->is_tunnelled) return 1;
    if (getsockopt(lws_get_socket_fd(w->wsi), SOL_SOCKET, SO_MEMINFO, mem, &size) != 0) return 1;
    w->room_bytes = mem[SK_MEMINFO_SNDBUF] - mem[SK_MEMINFO_WMEM_QUEUED];
    if (mem[SK_MEMINFO_SNDBUF] < mem[SK_MEMINFO_WMEM_QUEUED]) w->room_bytes = 0;
    return w->room_bytes >= len + SEGMENT_COST_BYTES;
}

/* Nothing more until the socket is writable. */
static void wait_for_room(struct ws *w)
{
    w->is_full = 1;
    w->wrote_us = clock_mono_us();
    server__wake_at(w->server, w->wrote_us + w->server->limits.write_us);
    lws_callback_on_writable(w->wsi);
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
    w->room_bytes -= len + SEGMENT_COST_BYTES < w->room_bytes ? len + SEGMENT_COST_BYTES : w->room_bytes;
    w->given_bytes += len + (len < 126 ? 2 : len < 65536 ? 4 : 10);
    w->wrote_us = clock_mono_us();
    if (lws_partial_buffered(w->wsi)) {
        w->in_lws = len ? len : 1;
        server__wake_at(w->server, w->wrote_us + w->server->limits.write_us);
    }
}

/* What may be written of a message of len bytes; 0: nothing before the socket is writable. */
static size_t piece_bytes(struct ws *w, size_t len, int is_writable)
{
    size_t n = len < SLICE_BYTES ? len : SLICE_BYTES;
    if (has_room(w, n)) return n;
    if (!is_writable) return 0;
    if (n > w->room_bytes / 2) n = w->room_bytes / 2;
    return n > PIECE_BYTES_MIN ? n : len < PIECE_BYTES_MIN ? len : PIECE_BYTES_MIN;
}

/* The next piece of the first message: the message itself, or a fragment copied out of it (a
 * header written into a shared payload would spoil it). */
static void write_next(struct ws *w, int is_writable)
{
    struct ws_message *m = w->queue[w->queue_at];
    size_t left = m->len - w->sent_bytes, n = piece_bytes(w, left, is_writable);
    int kind = m->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
    if (n == 0 && left) {
        wait_for_room(w);
        return;
    }
    if (n == m->len) {
        write_frame(w, m->bytes + LWS_PRE, m->len, kind);
    } else {
        unsigned char *piece = w->server->scratch + LWS_PRE;
        memcpy(piece, m->bytes + LWS_PRE + w->sent_bytes, n);
        if (w->sent_bytes) kind = LWS_WRITE_CONTINUATION;
        if (w->sent_bytes + n < m->len) kind |= LWS_WRITE_NO_FIN;
        write_frame(w, piece, n, kind);
    }
    w->sent_bytes += n;
    w->queued_bytes -= n;
    if (w->sent_bytes == m->len) dequeue(w);
}

static void flush(struct ws *w, int is_writable)
{
    for (; w->queue_count && can_write(w); is_writable = 0) write_next(w, is_writable);
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
    if (w->queue_count == 0 && m->len <= SLICE_BYTES && can_write(w) && has_room(w, m->len)) {
        write_frame(w, m->bytes + LWS_PRE, m->len, m->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
        account(w);
    } else {
        enqueue(w, ws_message_ref(m));
        flush(w, 0);
    }
    return backlog_after_send(w);
}

size_t ws_send_text(struct ws *w, const void *data, size_t len)
{
    if (w->closing || w->dead) return 0;
    if (w->queue_count == 0 && len <= SLICE_BYTES && can_write(w) && has_room(w, len)) {
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
        flush(w, 0);
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
    w->guest = x->guest;
    x->guest.who = NULL;
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
    if (w->guest.who) w->guest.release(w->guest.who);
    if (w->carrier) w->carrier->carried = NULL;
    link_del(&w->deferred);
    if (link_in(&w->link)) {
        link_del(&w->link);
        s->ws_count--;
        s->stats.ws_open--;
        if (!w->is_tunnelled) s->stats.connections_open--;
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

void ws__lost_carrier(struct ws *w)
{
    w->carrier = NULL;
}

void ws__hand_over(struct conn **cp)
{
    struct conn *c = *cp;
    struct http_server *s = c->server;
    struct ws *w = c->x->ws;
    struct buf request = BUF_INIT;
    int is_wide = w->message_bytes_max > WIDE_MESSAGE_BYTES;
    int fd = c->tls ? -1 : fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    struct lws *wsi = NULL;
    int err;
    if (c->tls && tunnel__open(c, &fd) == 0) w->is_tunnelled = 1;
    c->x->ws = NULL;
    link_add(&s->sockets, &w->link);
    s->ws_count++;
    s->stats.ws_open++;
    s->stats.ws_total++;
    if (!w->is_tunnelled) {
        s->stats.connections_open++;
        w->is_counted = c->is_counted;
        c->is_counted = 0;
    }
    err = buf_addf(&request,
                   "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                   is_wide ? ws__wide_vhost_name : ws__vhost_name, w->key);
    if (err == 0) err = buf_add(&request, c->in.data ? c->in.data : "", c->in.len);
    exchange__end(c, 1);
    if (w->is_tunnelled) {
        *cp = NULL;
        w->carrier = c;
        c->carried = w;
        exchange__tunnel(c);
    } else {
        conn__destroy(cp);
    }
    if (fd >= 0 && !w->dead && err == 0) {
        w->heard_us = w->wrote_us = clock_mono_us();
        s->handing = w;
        wsi = lws_adopt_socket_vhost_readbuf(is_wide ? s->ws_wide_vhost : s->ws_vhost, fd, request.data,
                                             request.len);
        s->handing = NULL;
    } else if (fd >= 0) {
        close(fd);
    }
    buf_release(&request);
    if (!w->is_open) { /* no descriptor, no memory, or the peer went before the 101 */
        if (wsi && w->wsi == NULL) lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        finish(w);
        return;
    }
    server__wake_at(s, w->heard_us + ping_us(w));
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
    flush(w, 0);
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
    if (w->message.len + len + lws_remaining_packet_payload(w->wsi) > w->message_bytes_max) { /* or going to be */
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

/* libwebsockets answers with what it was sent, and payload is its own copy: what may not be sent is made 1002 or 1007
 * there. -1: no answer can be made of it. RFC 6455, 5.5.1 and 7.4.2; it has looked at codes below 3000 itself. */
static int mend_close(unsigned char *payload, size_t len)
{
    int code = 0;

    if (len == 0) return 0;
    if (len == 1) return -1;
    if ((payload[0] << 8 | payload[1]) >= WS_CODES_END) code = WS_CODE_PROTOCOL;
    if (utf8_valid_prefix((const char *)payload + 2, len - 2) != len - 2) code = WS_CODE_NOT_UTF8;
    if (!code) return 0;
    payload[0] = (unsigned char)(code >> 8);
    payload[1] = (unsigned char)(code & 0xff);
    memset(payload + 2, '?', len - 2);
    return 0;
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

/* libwebsockets holds nothing any more: what was stuck went on, so the peer reads. */
static void on_writable(struct ws *w)
{
    if (w->in_lws || w->is_full) w->wrote_us = w->heard_us = clock_mono_us();
    w->in_lws = 0;
    w->is_full = 0;
    if (w->dead) return;
    flush(w, 1);
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
        flush(w, 0);
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
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        on_peer_close(w, in, len);
        return mend_close(in, len);
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

/* What the peer's kernel has taken so far. */
static uint64_t taken_bytes(const struct ws *w)
{
    int unsent = 0;
    uint64_t ours = w->in_lws;
    if (ioctl(lws_get_socket_fd(w->wsi), TIOCOUTQ, &unsent) == 0 && unsent > 0) ours += (uint64_t)unsent;
    if (w->carrier) ours += conn__unsent(w->carrier);
    return w->given_bytes > ours ? w->given_bytes - ours : 0;
}

/* Where something waits to be written, that is question enough. */
static void ping(struct ws *w)
{
    unsigned char *payload = w->server->scratch + LWS_PRE;
    w->pinged = 1;
    w->taken_bytes = taken_bytes(w);
    if (!can_write(w) || w->queue_count || w->closing) return;
    memcpy(payload, "joblog", PING_BYTES);
    write_frame(w, payload, PING_BYTES, LWS_WRITE_PING);
    w->taken_bytes += PING_BYTES + 2; /* its own bytes prove nothing */
    account(w);
}

/* A slow reader's pong waits behind what it has still to read: while it takes bytes it lives. */
static int is_taking(struct ws *w)
{
    return taken_bytes(w) > w->taken_bytes;
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
    if (now >= w->heard_us + w->server->limits.ws_silence_us && is_taking(w)) {
        w->heard_us = now;
        w->pinged = 0;
    }
    if (!w->closing && now >= w->heard_us + w->server->limits.ws_silence_us) {
        w->server->stats.timeouts_total++;
        kill_later(w);
        return INT64_MAX;
    }
    if (w->closing) return w->close_by_us > now ? w->close_by_us : now + TICK_US;
    if (!w->pinged && now >= w->heard_us + ping_us(w)) ping(w);
    next = w->heard_us + (w->pinged ? w->server->limits.ws_silence_us : ping_us(w));
    if (ws_backlog(w) && w->wrote_us + w->server->limits.write_us < next)
        next = w->wrote_us + w->server->limits.write_us;
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

void *ws_guest(const struct ws *w)
{
    return w->guest.who;
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

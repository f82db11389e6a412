/*
 * http/conn_lws.c -- one connection: bytes in, bytes out, through libwebsockets' raw-socket role.
 *
 * The listener's accepted descriptor is adopted into the "hall-raw" vhost; from then on
 * libwebsockets polls and reads it on our loop and gives us whatever came (RAW_RX), and we give
 * it slices to write (lws_write). What does not fit waits in our own queue, never in its:
 *
 *     response ──> send at once ──> lws_write(<= SLICE_BYTES) ──> kernel
 *                      │ did not fit                ^
 *                      v                            │ RAW_WRITEABLE
 *                   c->out (bounded by callers) ────┘
 *
 * A short write leaves the rest of one slice inside libwebsockets (c->in_lws). While it holds
 * something its raw role sees readable sockets and does not read them, so reading is switched off
 * until RAW_WRITEABLE comes, or the loop would spin.
 *
 * TLS sits between: what RAW_RX brings goes through tls_input() and comes out plain, what is to be
 * sent goes through tls_output() and into the same queue. libwebsockets moves bytes and knows of none
 * of it; everything above this file neither.
 */
#include <libwebsockets.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/conn_lws.h"

#define OUT_KEEP_BYTES (16 * 1024) /* a drained queue larger than this gives its memory back */

static void account(struct conn *c)
{
    size_t now = conn__backlog(c);
    c->server->stats.backlog_bytes += now;
    c->server->stats.backlog_bytes -= c->accounted;
    c->accounted = now;
}

size_t conn__backlog(const struct conn *c)
{
    return c->out_len + c->in_lws;
}

size_t conn__unsent(const struct conn *c)
{
    int held = 0;
    return conn__backlog(c) + (ioctl(c->fd, TIOCOUTQ, &held) == 0 && held > 0 ? (size_t)held : 0);
}

void conn__defer(struct conn *c)
{
    server__defer(c->server, &c->server->deferred_conns, &c->deferred);
}

void conn__kill(struct conn *c)
{
    c->dead = 1;
    conn__defer(c);
}

/* Hand one slice to libwebsockets, which holds nothing. */
static void write_slice(struct conn *c, const void *data, size_t len)
{
    CHECKF(c->in_lws == 0 && len <= SLICE_BYTES, "in_lws=%zu len=%zu", c->in_lws, len);
    if (lws_write(c->wsi, (unsigned char *)data, len, LWS_WRITE_RAW) < 0) {
        conn__kill(c);
        return;
    }
    c->server->stats.bytes_out_total += len;
    if (lws_partial_buffered(c->wsi)) c->in_lws = len;
}

static int queue(struct conn *c, const void *data, size_t len)
{
    if (len == 0) return 0;
    if (c->out_at + c->out_len + len > c->out_cap) {
        size_t cap = c->out_cap ? c->out_cap : 4096;
        if (c->out_at) memmove(c->out, c->out + c->out_at, c->out_len);
        c->out_at = 0;
        while (cap < c->out_len + len) cap *= 2;
        if (cap != c->out_cap) {
            char *grown = realloc(c->out, cap);
            if (!grown) return ERR_NOMEM;
            c->out = grown;
            c->out_cap = cap;
        }
    }
    memcpy(c->out + c->out_at + c->out_len, data, len);
    c->out_len += len;
    return 0;
}

void conn__flush(struct conn *c)
{
    size_t before = conn__backlog(c);
    while (!c->dead && c->out_len && c->in_lws == 0) {
        size_t n = c->out_len < SLICE_BYTES ? c->out_len : SLICE_BYTES;
        write_slice(c, c->out + c->out_at, n);
        c->out_at += n;
        c->out_len -= n;
    }
    if (c->out_len == 0) {
        c->out_at = 0;
        if (c->out_cap > OUT_KEEP_BYTES) {
            free(c->out);
            c->out = NULL;
            c->out_cap = 0;
        }
    }
    if (conn__backlog(c) < before) c->wrote_us = clock_mono_us();
    account(c);
}

/* Write what libwebsockets takes at once, straight from the caller's memory. Bytes of body written. */
static size_t send_at_once(struct conn *c, const void *head, size_t head_len, const char *body,
                           size_t body_len)
{
    size_t at = 0;
    if (head_len) { /* one packet with what fits beside it, not two */
        at = body_len < SLICE_BYTES - head_len ? body_len : SLICE_BYTES - head_len;
        memcpy(c->server->scratch, head, head_len);
        if (at) memcpy(c->server->scratch + head_len, body, at);
        write_slice(c, c->server->scratch, head_len + at);
    }
    while (at < body_len && !c->dead && c->in_lws == 0) {
        size_t n = body_len - at < SLICE_BYTES ? body_len - at : SLICE_BYTES;
        write_slice(c, body + at, n);
        at += n;
    }
    return at;
}

/* Send bytes as they go over the wire. */
static void send_wire(struct conn *c, const void *head, size_t head_len, const void *body, size_t body_len)
{
    size_t before = conn__backlog(c), sent = 0;
    if (c->dead) return;
    if (before == 0) {
        sent = send_at_once(c, head, head_len, body, body_len);
        head_len = 0;
    }
    if (!c->dead && (queue(c, head, head_len) < 0 || queue(c, (const char *)body + sent, body_len - sent) < 0))
        conn__kill(c);
    if (before == 0 && conn__backlog(c)) c->wrote_us = clock_mono_us();
    account(c);
    if (conn__backlog(c)) {
        conn__update_reading(c);
        exchange__rearm(c);
    }
}

static void encrypt(struct conn *c, const void *data, size_t len)
{
    if (!c->dead && len && tls_output(c->tls, data, len) < 0) conn__kill(c);
}

void conn__send(struct conn *c, const void *head, size_t head_len, const void *body, size_t body_len)
{
    size_t at = 0;
    CHECKF(head_len <= SLICE_BYTES, "head_len=%zu", head_len);
    if (!c->tls) {
        send_wire(c, head, head_len, body, body_len);
        return;
    }
    if (head_len) { /* one record with what fits beside it, not two */
        at = body_len < SLICE_BYTES - head_len ? body_len : SLICE_BYTES - head_len;
        memcpy(c->server->scratch, head, head_len);
        if (at) memcpy(c->server->scratch + head_len, body, at);
        encrypt(c, c->server->scratch, head_len + at);
    }
    while (at < body_len) {
        size_t n = body_len - at < SLICE_BYTES ? body_len - at : SLICE_BYTES;
        encrypt(c, (const char *)body + at, n);
        at += n;
    }
}

void conn__update_reading(struct conn *c)
{
    unsigned want = !c->dead && c->in_lws == 0 && c->in.len < SLICE_BYTES;
    switch (c->state) {
    case CONN_HEAD: break;
    case CONN_BODY: want = want && c->x && !c->x->paused && !c->x->done; break;
    case CONN_LINGER: break;
    case CONN_TUNNEL: want = want && tunnel__has_room(c); break;
    case CONN_REPLY:
    case CONN_HANDOVER:
    case CONN_FLUSH: want = 0; break;
    }
    if (!c->wsi || want == c->rx_on) return;
    c->rx_on = want & 1;
    if (lws_rx_flow_control(c->wsi, (int)want) < 0) conn__kill(c);
}

int conn__shutdown(struct conn *c)
{
    if (c->tls) tls_goodbye(c->tls);
    if (conn__backlog(c)) return 0;
    shutdown(c->fd, SHUT_WR);
    return 1;
}

int conn__peer_gone(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    if (poll(&p, 1, 0) <= 0) return 0;
    return p.revents & (POLLERR | POLLHUP | POLLNVAL) ? 2 : p.revents & POLLRDHUP ? 1 : 0;
}

/* Forget the connection; its wsi is gone or detached. */
static void release(struct conn *c)
{
    struct http_server *s = c->server;
    c->dead = 1; /* whatever on_close calls does nothing */
    if (c->x) exchange__end(c, 0);
    if (c->carried) ws__lost_carrier(c->carried);
    tunnel__close(c);
    tls_free(&c->tls);
    link_del(&c->link);
    link_del(&c->deferred);
    if (c->is_counted) server__peer_del(s, c->peer);
    s->conn_count--;
    s->stats.connections_open--;
    s->stats.backlog_bytes -= c->accounted;
    buf_release(&c->in);
    free(c->out);
    free(c);
}

void conn__destroy(struct conn **cp)
{
    struct conn *c = *cp;
    struct lws *wsi = c->wsi;
    *cp = NULL;
    if (wsi) { /* detach first: RAW_CLOSE then finds nothing */
        lws_set_opaque_user_data(wsi, NULL);
        c->wsi = NULL;
        /* The raw role closes without shutdown(2): a duplicate of the descriptor stays usable. */
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    }
    release(c);
}

/* ---- TLS ---- */

static void on_plain(void *user, const char *data, size_t len)
{
    struct conn *c = user;
    if (c->dead) return;
    if (c->tunnel) tunnel__input(c, data, len);
    else exchange__input(c, data, len);
}

static void on_cipher(void *user, const char *data, size_t len)
{
    send_wire(user, NULL, 0, data, len);
}

/* Plain HTTP on a TLS port deserves a word. */
static void answer_in_the_clear(struct conn *c)
{
    static const struct refusal refusal = {400, "tls_required", "this port speaks TLS: use https://"};
    c->is_tls = 0;
    response__refuse(c, &refusal);
    exchange__advance(c);
}

/* The peer will send no more, or what it sends cannot be read any more. */
static void on_tls_end(struct conn *c, int err)
{
    int is_waiting = c->state == CONN_HEAD || (c->state == CONN_BODY && !c->x->body_done);
    if (err == ERR_PROTOCOL && !c->tls_told) {
        c->tls_told = 1;
        c->server->stats.tls_failed_total++;
    }
    c->close_after = c->tls_ended = 1;
    if (c->state == CONN_TUNNEL) {
        if (err == ERR_CLOSED) tunnel__input_end(c);
        else conn__kill(c);
    } else if (c->x && (is_waiting || err == ERR_PROTOCOL)) {
        conn__kill(c);
    } else if (c->state == CONN_HEAD) { /* the alert goes out, then the end */
        exchange__close(c);
        exchange__advance(c);
    }
}

static void take_cipher(struct conn *c, const char *data, size_t len)
{
    static const struct tls_ops ops = {on_plain, on_cipher};
    int err;
    if (len == 0 || c->dead || c->state == CONN_FLUSH || c->state == CONN_LINGER) return;
    if (!c->tls && !tls_is_hello((unsigned char)data[0])) {
        answer_in_the_clear(c);
        return;
    }
    if (!c->tls) c->tls = tls_new(c->server->tls, &ops, c);
    if (!c->tls) {
        conn__kill(c);
        return;
    }
    err = tls_input(c->tls, data, len);
    if (!c->tls_told && tls_is_established(c->tls)) {
        c->tls_told = 1;
        c->server->stats.tls_handshakes_total++;
    }
    if (err < 0 && !c->dead) on_tls_end(c, err);
    if (c->dead) return;
    conn__update_reading(c);
    exchange__rearm(c);
}

int conn__raw_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t len)
{
    struct conn *c = lws_get_opaque_user_data(wsi);
    if (!c) return 0; /* not ours, not yet, or no longer */
    switch (reason) {
    case LWS_CALLBACK_RAW_RX:
        c->server->stats.bytes_in_total += len;
        if (c->is_tls) take_cipher(c, in, len);
        else exchange__input(c, in, len);
        return 0;
    case LWS_CALLBACK_RAW_WRITEABLE:
        if (c->in_lws) c->wrote_us = clock_mono_us();
        c->in_lws = 0;
        conn__flush(c);
        exchange__advance(c);
        return 0;
    case LWS_CALLBACK_RAW_CLOSE:
        lws_set_opaque_user_data(wsi, NULL);
        c->wsi = NULL;
        release(c);
        return 0;
    default: return 0;
    }
}

int conn__adopt(struct http_server *s, int fd, const char *peer, int is_loopback, int is_tls, int refuse)
{
    lws_sock_file_fd_type desc = {.sockfd = fd};
    struct conn *c = must_calloc(1, sizeof(*c));
    struct lws *wsi;
    c->server = s;
    c->fd = fd;
    c->rx_on = 1;
    c->deadline_us = INT64_MAX;
    c->is_loopback = is_loopback & 1;
    c->is_tls = is_tls & 1;
    memcpy(c->peer, peer, strnlen(peer, sizeof(c->peer) - 1));
    wsi = lws_adopt_descriptor_vhost(s->raw_vhost, LWS_ADOPT_SOCKET, desc, "raw", NULL);
    if (!wsi) { /* it has closed fd */
        free(c);
        return ERR_IO;
    }
    lws_set_opaque_user_data(wsi, c);
    c->wsi = wsi;
    link_add(&s->conns, &c->link);
    s->conn_count++;
    s->stats.connections_open++;
    buf_init(&c->in, s->limits.header_bytes_max + 4 * SLICE_BYTES);
    c->head_us = clock_mono_us() + s->limits.header_us;
    if (refuse) {
        static const struct refusal overload = {503, "overloaded", "too many connections; try again later"};
        response__refuse(c, &overload);
        exchange__advance(c);
    } else {
        c->is_counted = 1;
        exchange__rearm(c);
    }
    return 0;
}

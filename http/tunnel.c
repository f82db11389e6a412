/*
 * http/tunnel.c -- plain bytes of a WebSocket between a TLS connection and a socketpair.
 */
#include "http/tunnel.h"

#include "base/check.h"
#include "base/err.h"
#include "http/http_int.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct tunnel {
    uv_poll_t poll;
    struct conn *conn; /* NULL: closed */
    int fd;
    int events;     /* polled for */
    struct buf in;  /* from the peer, not taken by the pair yet */
    int in_ended, out_ended;
};

static void on_ready(uv_poll_t *poll, int status, int events);

/* Poll for what can go on. */
static void update(struct tunnel *u)
{
    int events = 0;

    if (u->in.len)
        events |= UV_WRITABLE;
    if (!u->out_ended && conn__backlog(u->conn) < TUNNEL_BYTES)
        events |= UV_READABLE;
    if (events == u->events)
        return;
    u->events = events;
    if (events)
        uv_poll_start(&u->poll, events, on_ready);
    else
        uv_poll_stop(&u->poll);
}

/* The far end is gone: what it sent has been passed on, the connection ends politely. */
static void end(struct tunnel *u)
{
    struct conn *c = u->conn;

    u->out_ended = 1;
    buf_release(&u->in);
    update(u);
    exchange__close(c);
    exchange__advance(c);
}

/* Put what waits into the pair. 0: the pair is broken. */
static int push(struct tunnel *u)
{
    while (u->in.len) {
        ssize_t n = send(u->fd, u->in.data, u->in.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        buf_consume(&u->in, (size_t)n);
    }
    buf_release(&u->in);
    if (u->in_ended)
        shutdown(u->fd, SHUT_WR);
    return 1;
}

/* Take what the far end sends. 0: it has ended. */
static int pull(struct tunnel *u)
{
    struct conn *c = u->conn;
    char *scratch = (char *)c->server->scratch;

    while (!c->dead && conn__backlog(c) < TUNNEL_BYTES) {
        ssize_t n = recv(u->fd, scratch, SLICE_BYTES, MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        if (n == 0)
            return 0;
        conn__send(c, NULL, 0, scratch, (size_t)n);
    }
    return 1;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct tunnel *u = poll->data;
    struct conn *c = u->conn;
    int alive = status >= 0;

    if (!c || c->dead)
        return;
    if (alive && (events & UV_WRITABLE))
        alive = push(u);
    if (alive && (events & (UV_READABLE | UV_DISCONNECT)))
        alive = pull(u);
    if (c->dead)
        return;
    if (!alive) {
        end(u);
        return;
    }
    update(u);
    conn__update_reading(c);
    exchange__rearm(c);
}

int tunnel__open(struct conn *c, int *ret_far)
{
    struct tunnel *u;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return ERR_IO;
    u = must_calloc(1, sizeof *u);
    u->conn = c;
    u->fd = pair[0];
    buf_init(&u->in, 0);
    if (uv_poll_init(c->server->loop, &u->poll, u->fd) < 0) {
        close(pair[0]);
        close(pair[1]);
        free(u);
        return ERR_IO;
    }
    u->poll.data = u;
    c->tunnel = u;
    update(u);
    *ret_far = pair[1];
    return 0;
}

void tunnel__input(struct conn *c, const char *data, size_t len)
{
    struct tunnel *u = c->tunnel;

    if (u->in_ended || u->out_ended)
        return;
    if (buf_add(&u->in, data, len) < 0) {
        conn__kill(c);
        return;
    }
    if (!push(u))
        end(u);
    else
        update(u);
}

void tunnel__input_end(struct conn *c)
{
    struct tunnel *u = c->tunnel;

    u->in_ended = 1;
    if (!u->in.len)
        shutdown(u->fd, SHUT_WR);
}

int tunnel__has_room(const struct conn *c)
{
    return c->tunnel->in.len < TUNNEL_BYTES && !c->tunnel->in_ended;
}

void tunnel__advance(struct conn *c)
{
    update(c->tunnel);
}

static void on_closed(uv_handle_t *h)
{
    struct tunnel *u = h->data;

    close(u->fd);
    free(u);
}

void tunnel__close(struct conn *c)
{
    struct tunnel *u = c->tunnel;

    c->tunnel = NULL;
    if (!u)
        return;
    u->conn = NULL;
    buf_release(&u->in);
    shutdown(u->fd, SHUT_RDWR);
    uv_poll_stop(&u->poll);
    uv_close((uv_handle_t *)&u->poll, on_closed);
}

/*
 * stream/conn_link.c -- one socket to one address: resolve, connect, write requests, read replies, let go.
 *
 * A link outlives its owner's interest in it until its handle is closed: conn_link_drop() detaches, and no callback comes after.
 */
#include "base/check.h"
#include "base/clock.h"
#include "stream/conn_int.h"

#include <stdio.h>
#include <stdlib.h>

struct conn_link {
    const struct conn_link_ops *ops; /* NULL: dropped */
    void *user;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    int resolving;
    int64_t heard_us;
    struct reply_reader *reader;
    char in[65536];
};

static void on_closed(uv_handle_t *handle)
{
    struct conn_link *l = handle->data;

    reply_reader_free(&l->reader);
    free(l);
}

void conn_link_drop(struct conn_link **link)
{
    struct conn_link *l = *link;

    *link = NULL;
    if (!l)
        return;
    l->ops = NULL;
    if (l->resolving) /* on_resolved frees it */
        uv_cancel((uv_req_t *)&l->resolve);
    else
        uv_close(&l->u.handle, on_closed);
}

int64_t conn_link_heard_us(const struct conn_link *l)
{
    return l->heard_us;
}

static void lost(struct conn_link *l, const char *why)
{
    if (l->ops)
        l->ops->lost(l->user, why);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn_link *l = handle->data;

    *buf = uv_buf_init(l->in, sizeof l->in);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct conn_link *l = stream->data;
    struct reply_tree *tree;
    int got;

    if (!l->ops || nread == 0)
        return;
    if (nread < 0) {
        lost(l, nread == UV_EOF ? "Redis closed the connection" : uv_strerror((int)nread));
        return;
    }
    l->heard_us = clock_mono_us();
    if (reply_reader_feed(l->reader, buf->base, (size_t)nread) < 0) {
        lost(l, "no memory for Redis' reply");
        return;
    }
    while (l->ops && (got = reply_reader_next(l->reader, &tree)) != 0) {
        if (got < 0) {
            lost(l, "Redis' reply is not RESP");
            return;
        }
        l->ops->reply(l->user, &tree);
    }
}

/* ---- connecting ---- */

static void on_connected(uv_connect_t *req, int status)
{
    struct conn_link *l = req->data;

    if (!l->ops)
        return;
    if (status == 0)
        status = uv_read_start(&l->u.stream, on_alloc, on_read);
    if (status < 0) {
        lost(l, uv_strerror(status));
        return;
    }
    l->heard_us = clock_mono_us();
    l->ops->connected(l->user);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct conn_link *l = req->data;
    int err = status;

    l->resolving = 0;
    if (l->ops && err == 0)
        err = uv_tcp_connect(&l->connect, &l->u.tcp, found->ai_addr, on_connected);
    uv_freeaddrinfo(found);
    if (!l->ops)
        uv_close(&l->u.handle, on_closed);
    else if (err < 0)
        lost(l, uv_strerror(err));
}

static struct conn_link *link_new(const struct conn_link_ops *ops, void *user)
{
    struct conn_link *l = must_calloc(1, sizeof *l);

    l->ops = ops;
    l->user = user;
    l->reader = reply_reader_new();
    l->connect.data = l;
    l->resolve.data = l;
    return l;
}

struct conn_link *conn_link_open_unix(uv_loop_t *loop, const char *path, const struct conn_link_ops *ops, void *user)
{
    struct conn_link *l = link_new(ops, user);

    uv_pipe_init(loop, &l->u.pipe, 0);
    l->u.handle.data = l;
    uv_pipe_connect(&l->connect, &l->u.pipe, path, on_connected);
    return l;
}

int conn_link_open(uv_loop_t *loop, const struct conn_endpoint *to, const struct conn_link_ops *ops, void *user,
                   struct conn_link **ret_link)
{
    struct conn_link *l = link_new(ops, user);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[12];
    int err;

    uv_tcp_init(loop, &l->u.tcp);
    uv_tcp_nodelay(&l->u.tcp, 1);
    l->u.handle.data = l;
    snprintf(port, sizeof port, "%d", to->port);
    err = uv_getaddrinfo(loop, &l->resolve, on_resolved, to->host, port, &hints);
    if (err < 0) {
        conn_link_drop(&l);
        return err;
    }
    l->resolving = 1;
    *ret_link = l;
    return 0;
}

/* ---- writing ---- */

struct link_write {
    uv_write_t req;
    struct conn_link *link;
    uint32_t count;
    struct conn_request *batch[CONN_WRITE_BATCH];
};

static void on_written(uv_write_t *req, int status)
{
    struct link_write *w = req->data;

    for (uint32_t i = 0; i < w->count; i++)
        conn_request_unref(&w->batch[i]);
    if (status < 0)
        lost(w->link, uv_strerror(status));
    free(w);
}

int conn_link_write(struct conn_link *l, struct conn_request *const *batch, uint32_t count)
{
    struct link_write *w;
    uv_buf_t bufs[CONN_WRITE_BATCH];
    int err;

    CHECK(l && l->ops && count > 0 && count <= CONN_WRITE_BATCH);
    for (uint32_t i = 0; i < count; i++)
        if (batch[i]->build_err < 0) /* Redis would take what follows for its missing bytes */
            return UV_ENOMEM;
    w = must_calloc(1, sizeof *w);
    w->req.data = w;
    w->link = l;
    w->count = count;
    for (uint32_t i = 0; i < count; i++) {
        w->batch[i] = batch[i];
        conn_request_ref(batch[i]);
        bufs[i] = uv_buf_init(batch[i]->wire.data, (unsigned)batch[i]->wire.len);
    }
    err = uv_write(&w->req, &l->u.stream, bufs, count, on_written);
    if (err < 0) {
        for (uint32_t i = 0; i < count; i++)
            conn_request_unref(&w->batch[i]);
        free(w);
    }
    return err;
}

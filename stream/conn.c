/*
 * stream/conn.c -- the connection's life: connect, greet, write, read, lose, come back.
 *
 *     WAITING -> CONNECTING -> GREETING -> OPEN <-> PARKED -> GREETING …
 *        ^___________|____________|_________|_________|   lost: a pause with jitter, then again
 *
 * Requests are moved between queues in conn_queue.c.
 */
#include "stream/conn.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/conn_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 50
#define RETRY_FIRST_MS 20
#define RETRY_MAX_MS 1000

static void start_connect(struct conn *c);

static void set_state(struct conn *c, enum conn_state to)
{
    c->state = to;
    c->state_since_us = clock_mono_us();
}

/* xorshift: jitter only. */
static uint64_t jitter(struct conn *c)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

/* ---- the link ---- */

static void on_link_closed(uv_handle_t *handle)
{
    struct conn_link *l = handle->data;

    reply_reader_free(&l->reader);
    free(l);
}

static void link_drop(struct conn *c)
{
    struct conn_link *l = c->link;

    if (!l)
        return;
    c->link = NULL;
    l->conn = NULL;
    if (l->resolving) /* on_resolved frees it */
        uv_cancel((uv_req_t *)&l->resolve);
    else
        uv_close(&l->u.handle, on_link_closed);
}

static void on_retry(uv_timer_t *timer)
{
    struct conn *c = timer->data;

    if (c->state == CONN_WAITING)
        start_connect(c);
    else if (c->state == CONN_GREETING)
        conn__greet(c);
}

void conn__lost(struct conn *c, const char *why)
{
    uint64_t base;
    int was_open = c->state == CONN_OPEN || c->state == CONN_PARKED;

    if (c->state == CONN_WAITING || c->state == CONN_CLOSED)
        return;
    snprintf(c->why, sizeof c->why, "%s", why);
    link_drop(c);
    set_state(c, CONN_WAITING);
    if (!c->down_since_us)
        c->down_since_us = clock_mono_us();
    if (was_open) {
        c->stats.reconnects++;
        c->attempt = 0;
    }
    base = RETRY_FIRST_MS << (c->attempt < 6 ? c->attempt : 6);
    if (base > RETRY_MAX_MS)
        base = RETRY_MAX_MS;
    c->attempt++;
    uv_timer_start(&c->retry, on_retry, base / 2 + jitter(c) % base, 0);
    conn__requeue_lost(c);
    if (c->on_lost)
        c->on_lost(c->user, c->why);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn_link *l = handle->data;

    *buf = uv_buf_init(l->in, sizeof l->in);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct conn_link *l = stream->data;
    struct conn *c = l->conn;
    struct reply_tree *tree;
    int got;

    if (!c || nread == 0)
        return;
    if (nread < 0) {
        conn__lost(c, nread == UV_EOF ? "Redis closed the connection" : uv_strerror((int)nread));
        return;
    }
    c->last_rx_us = clock_mono_us();
    if (reply_reader_feed(l->reader, buf->base, (size_t)nread) < 0) {
        conn__lost(c, "no memory for Redis' reply");
        return;
    }
    while (l->conn && (got = reply_reader_next(l->reader, &tree)) != 0) {
        if (got < 0) {
            conn__lost(c, "Redis' reply is not RESP");
            return;
        }
        conn__on_reply(c, &tree);
    }
}

static void on_connected(uv_connect_t *req, int status)
{
    struct conn_link *l = req->data;
    struct conn *c = l->conn;

    if (!c)
        return;
    if (status == 0)
        status = uv_read_start(&l->u.stream, on_alloc, on_read);
    if (status < 0) {
        conn__lost(c, uv_strerror(status));
        return;
    }
    c->last_rx_us = clock_mono_us();
    set_state(c, CONN_GREETING);
    conn__greet(c);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct conn_link *l = req->data;
    struct conn *c = l->conn;
    int err = status;

    l->resolving = 0;
    if (c && err == 0)
        err = uv_tcp_connect(&l->connect, &l->u.tcp, found->ai_addr, on_connected);
    uv_freeaddrinfo(found);
    if (c && err < 0)
        conn__lost(c, uv_strerror(err));
    else if (!c)
        uv_close(&l->u.handle, on_link_closed);
}

static void start_connect(struct conn *c)
{
    struct conn_link *l = must_calloc(1, sizeof *l);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[12];
    int err;

    l->conn = c;
    l->reader = reply_reader_new();
    l->connect.data = l;
    l->resolve.data = l;
    c->link = l;
    set_state(c, CONN_CONNECTING);
    if (c->addr.is_unix) {
        uv_pipe_init(c->loop, &l->u.pipe, 0);
        l->u.handle.data = l;
        uv_pipe_connect(&l->connect, &l->u.pipe, c->addr.path, on_connected);
        return;
    }
    uv_tcp_init(c->loop, &l->u.tcp);
    uv_tcp_nodelay(&l->u.tcp, 1);
    l->u.handle.data = l;
    snprintf(port, sizeof port, "%d", c->addr.port);
    err = uv_getaddrinfo(c->loop, &l->resolve, on_resolved, c->addr.host, port, &hints);
    if (err < 0)
        conn__lost(c, uv_strerror(err));
    else
        l->resolving = 1;
}

/* ---- writing ---- */

struct conn_write {
    uv_write_t req;
    struct conn_link *link;
    uint32_t count;
    struct conn_request *batch[CONN_WRITE_BATCH];
};

static void on_written(uv_write_t *req, int status)
{
    struct conn_write *w = req->data;

    for (uint32_t i = 0; i < w->count; i++)
        conn_request_unref(&w->batch[i]);
    if (status < 0 && w->link->conn)
        conn__lost(w->link->conn, uv_strerror(status));
    free(w);
}

int conn__write(struct conn *c, struct conn_request **batch, uint32_t count)
{
    struct conn_write *w;
    uv_buf_t bufs[CONN_WRITE_BATCH];
    int err;

    CHECK(c->link && count > 0 && count <= CONN_WRITE_BATCH);
    for (uint32_t i = 0; i < count; i++)
        if (batch[i]->build_err < 0) /* Redis would take what follows for its missing bytes */
            return UV_ENOMEM;
    w = must_calloc(1, sizeof *w);
    w->req.data = w;
    w->link = c->link;
    w->count = count;
    for (uint32_t i = 0; i < count; i++) {
        w->batch[i] = batch[i];
        conn_request_ref(batch[i]);
        bufs[i] = uv_buf_init(batch[i]->wire.data, (unsigned)batch[i]->wire.len);
    }
    err = uv_write(&w->req, &c->link->u.stream, bufs, count, on_written);
    if (err < 0) {
        for (uint32_t i = 0; i < count; i++)
            conn_request_unref(&w->batch[i]);
        free(w);
    }
    return err;
}

/* ---- the gate ---- */

void conn__opened(struct conn *c)
{
    set_state(c, CONN_OPEN);
    c->attempt = 0;
    c->loading = 0;
    c->ping_sent_us = 0;
    c->down_since_us = 0;
    c->why[0] = '\0';
    conn__resubscribe(c);
    if (c->on_open)
        c->on_open(c->user);
}

void conn__pause_greeting(struct conn *c, int64_t pause_us)
{
    CHECK(c->link);
    set_state(c, CONN_GREETING);
    if (!c->down_since_us)
        c->down_since_us = clock_mono_us();
    uv_timer_start(&c->retry, on_retry, (uint64_t)pause_us / 1000, 0);
}

/* ---- time ---- */

static void check_silence(struct conn *c, int64_t now)
{
    const struct conn_request *oldest = TAILQ_FIRST(&c->sent);
    int64_t due_since = oldest ? oldest->sent_us : c->ping_sent_us;

    if (c->state == CONN_CONNECTING && now - c->state_since_us > CONN_CONNECT_US_MAX) {
        conn__lost(c, "connecting to Redis took too long");
        return;
    }
    if (c->state < CONN_GREETING)
        return;
    if (due_since) {
        if (c->last_rx_us > due_since)
            due_since = c->last_rx_us;
        if (now - due_since > CONN_SILENT_US_MAX)
            conn__lost(c, "Redis does not answer");
        return;
    }
    if (c->state == CONN_OPEN && now - c->last_rx_us > CONN_PING_US)
        conn__ping(c);
}

static void on_tick(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    int64_t now = clock_mono_us();

    check_silence(c, now);
    conn__expire(c, now);
}

static void on_flush(uv_prepare_t *prepare)
{
    conn__flush_queue(prepare->data);
}

/* ---- life ---- */

int conn_open(const struct conn_options *opts, char *why, size_t why_size, struct conn **ret_conn)
{
    struct conn *c = must_calloc(1, sizeof *c);
    int err = conn_address_parse(opts->url, &c->addr, why, why_size);

    if (err < 0) {
        free(c);
        return err;
    }
    /* Neither libuv's writev nor a child's pipe may end the process. */
    signal(SIGPIPE, SIG_IGN);
    c->loop = opts->loop;
    c->subscriber = opts->subscriber;
    c->inflight_bytes_max = opts->inflight_bytes_max;
    c->on_open = opts->on_open;
    c->on_lost = opts->on_lost;
    c->user = opts->user;
    c->random = (uint64_t)clock_wall_us() ^ (uint64_t)(uintptr_t)c;
    if (opts->script) {
        c->script = must_strdup(opts->script);
        conn__hash_script(c->script, c->sha);
    }
    snprintf(c->why, sizeof c->why, "connecting to Redis");
    TAILQ_INIT(&c->waiting);
    TAILQ_INIT(&c->sent);
    TAILQ_INIT(&c->parked);
    TAILQ_INIT(&c->failed);
    c->channels = map_new();
    uv_timer_init(c->loop, &c->tick);
    uv_timer_init(c->loop, &c->retry);
    uv_timer_init(c->loop, &c->later);
    uv_prepare_init(c->loop, &c->flush);
    c->tick.data = c->retry.data = c->later.data = c->flush.data = c;
    uv_timer_start(&c->tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&c->retry, on_retry, 0, 0);
    uv_prepare_start(&c->flush, on_flush);
    set_state(c, CONN_WAITING);
    c->down_since_us = c->state_since_us;
    *ret_conn = c;
    return 0;
}

void conn_kick(struct conn *c)
{
    c->attempt = 0;
    if (c->state == CONN_WAITING)
        uv_timer_start(&c->retry, on_retry, 0, 0);
}

int64_t conn_heard_us(const struct conn *c)
{
    return c->heard_us;
}

int conn_is_open(const struct conn *c)
{
    return c->state == CONN_OPEN;
}

const char *conn_why(const struct conn *c)
{
    return c->why;
}

const char *conn_script_sha(const struct conn *c)
{
    return c->sha;
}

void conn_stats(const struct conn *c, struct conn_stats *ret)
{
    *ret = c->stats;
    ret->inflight_bytes = c->inflight_bytes;
    ret->inflight_calls = c->inflight_calls;
    ret->open = c->state == CONN_OPEN;
    ret->loading = c->loading;
}

static void on_part_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    void (*done)(void *user) = c->closed;
    void *user = c->closed_user;

    if (--c->handles > 0)
        return;
    conn__channels_free(c);
    free(c->script);
    free(c);
    if (done)
        done(user);
}

void conn_close(struct conn **conn, void (*done)(void *user), void *user)
{
    struct conn *c = *conn;

    *conn = NULL;
    if (!c)
        return;
    c->closed = done;
    c->closed_user = user;
    link_drop(c);
    set_state(c, CONN_CLOSED);
    conn__cancel_all(c);
    c->handles = 4;
    uv_close((uv_handle_t *)&c->tick, on_part_closed);
    uv_close((uv_handle_t *)&c->retry, on_part_closed);
    uv_close((uv_handle_t *)&c->later, on_part_closed);
    uv_close((uv_handle_t *)&c->flush, on_part_closed);
}

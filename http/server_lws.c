/*
 * http/server_lws.c -- the hall itself: the libwebsockets context, the loop's handles, open and close.
 *
 * libwebsockets runs on our libuv loop as on a foreign one. Its vhosts listen on nothing: "hall-raw"
 * takes the connections that listen.c accepts, "hall-ws" and "hall-ws-wide" the WebSockets that
 * were handed over (they differ in how much is read at a time). Protocol 0 of a WebSocket vhost is
 * named "" so that it is chosen whatever the text says.
 *
 * Closing     Found in the source of 4.1.6 and kept by a test. lws_context_destroy() on a foreign
 *             loop only begins: it closes its handles, which end in later turns of the loop, and
 *             then waits to be called again. So:
 *             1. every connection and WebSocket is detached and killed, on_close is called;
 *             2. lws_context_destroy(), first time: the wsis' handles start to close;
 *             3. our own idle handle keeps the loop turning for CLOSE_TURNS (three are needed: the
 *                last wsi's end closes the context's timer and idle handle, which end one later);
 *             4. lws_context_destroy(), second time: frees the context;
 *             5. our handles close, and their last callback frees the server.
 *             The caller runs the loop on until it has nothing left (uv_run returns 0).
 */
#include <libwebsockets.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/conn_lws.h"

#define SERVICE_BYTES (64 * 1024)  /* most that is read from a raw socket at a time */
#define NARROW_READ_BYTES 1024     /* per WebSocket that only listens: allocated for each */
#define WIDE_READ_BYTES (32 * 1024)
#define HANDSHAKE_BYTES_MAX 2048   /* of the request text that we write ourselves */
#define CLOSE_TURNS 8

void http_limits_default(struct http_limits *l)
{
    *l = (struct http_limits){
        .connections_max = 20000,
        .connections_per_ip_max = 0,
        .header_bytes_max = 16384,
        .target_bytes_max = 8192,
        .body_bytes_max = 64u << 20,
        .header_us = 10 * 1000000,
        .body_us = 60 * 1000000,
        .keepalive_us = 75 * 1000000,
        .write_us = 60 * 1000000,
        .ws_silence_us = 40 * 1000000,
    };
}

/* ---- deferred work ---- */

static void run_conn(struct conn *c)
{
    if (c->dead) conn__destroy(&c);
    else if (c->state == CONN_HANDOVER) ws__hand_over(&c);
    else exchange__advance(c);
}

static void on_idle(uv_idle_t *handle)
{
    struct http_server *s = handle->data;
    struct link conns, sockets;
    /* What is queued from here on waits for the next turn. */
    link_head(&conns);
    link_head(&sockets);
    while (s->deferred_conns.next != &s->deferred_conns) {
        struct link *i = s->deferred_conns.next;
        link_del(i);
        link_add(&conns, i);
    }
    while (s->deferred_sockets.next != &s->deferred_sockets) {
        struct link *i = s->deferred_sockets.next;
        link_del(i);
        link_add(&sockets, i);
    }
    while (conns.next != &conns) {
        struct conn *c = link_of(conns.next, struct conn, deferred);
        link_del(&c->deferred);
        run_conn(c);
    }
    while (sockets.next != &sockets) {
        struct link *i = sockets.next;
        link_del(i);
        ws__deferred(i);
    }
    if (!s->closing && s->deferred_conns.next == &s->deferred_conns &&
        s->deferred_sockets.next == &s->deferred_sockets)
        uv_idle_stop(&s->idle);
}

void server__defer(struct http_server *s, struct link *list, struct link *item)
{
    if (link_in(item)) return;
    link_add(list, item);
    if (!s->closing) uv_idle_start(&s->idle, on_idle);
}

/* ---- deadlines ---- */

static void on_timer(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    int64_t now = clock_mono_us(), earliest = INT64_MAX;
    struct link *next;
    s->timer_us = INT64_MAX;
    for (struct link *i = s->conns.next; i != &s->conns; i = next) {
        struct conn *c = link_of(i, struct conn, link);
        next = i->next; /* connections end in deferred turns only, so next stays */
        if (c->deadline_us <= now) exchange__deadline(c, now);
        if (!c->dead && c->deadline_us < earliest) earliest = c->deadline_us;
    }
    ws__deadlines(s, now, &earliest);
    server__wake_at(s, earliest);
}

void server__wake_at(struct http_server *s, int64_t mono_us)
{
    int64_t wait;
    if (mono_us >= s->timer_us || s->closing) return;
    s->timer_us = mono_us;
    wait = mono_us - clock_mono_us();
    if (wait < TICK_US) wait = TICK_US;
    uv_timer_start(&s->timer, on_timer, (uint64_t)(wait + 999) / 1000, 0);
}

const char *server__date(struct http_server *s)
{
    int64_t now_s = clock_wall_us() / 1000000;
    if (now_s != s->date_s) {
        time_t t = (time_t)now_s;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        s->date_s = now_s;
    }
    return s->date;
}

/* ---- connections per address ---- */

int server__peer_add(struct http_server *s, const char *peer)
{
    size_t *count;
    if (!s->peers) return 0;
    count = map_get(s->peers, peer, strlen(peer));
    if (count && *count >= s->limits.connections_per_ip_max) return ERR_LIMIT;
    if (!count) {
        count = must_calloc(1, sizeof(*count));
        map_put(s->peers, peer, strlen(peer), count);
    }
    ++*count;
    return 0;
}

void server__peer_del(struct http_server *s, const char *peer)
{
    size_t *count;
    if (!s->peers) return;
    count = map_get(s->peers, peer, strlen(peer));
    CHECKF(count && *count > 0, "peer=%s", peer);
    if (--*count == 0) free(map_del(s->peers, peer, strlen(peer)));
}

/* ---- opening ---- */

/* libwebsockets' own log lines. It calls every hand-over an error ("calling service"). */
static void emit_log(int level, const char *line)
{
    int len = (int)strcspn(line, "\n");
    if (strstr(line, "calling service")) return;
    log_debug("http", "libwebsockets", "level=%d line=\"%.*s\"", level, len, line);
}

/* libwebsockets 4.1.6 does not survive want of memory: without the few bytes of a socket's watcher it keeps the socket for
 * ever, and its closing runs into code that is unloaded (docs/reliability.md). What it asks for is small and bounded by what
 * it is told here and by SLICE_BYTES, so the process ends as by must_malloc(). */
static void *take(void *p, size_t bytes, const char *reason)
{
    (void)reason;
    if (bytes) return must_realloc(p, bytes);
    free(p);
    return NULL;
}

static struct lws_context *create_context(struct http_server *s)
{
    struct lws_context_creation_info info;
    void *loops[1] = {s->loop};
    memset(&info, 0, sizeof(info));
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBUV;
    info.foreign_loops = loops;
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.pt_serv_buf_size = SERVICE_BYTES;
    info.max_http_header_data = HANDSHAKE_BYTES_MAX;
    info.user = s;
    lws_set_allocator(take);
    lws_set_log_level(LLL_ERR | LLL_WARN, emit_log);
    return lws_create_context(&info);
}

static struct lws_vhost *create_vhost(struct http_server *s, const char *name, const struct lws_protocols *p)
{
    static const lws_retry_bo_t no_pings_of_its_own = {0};
    struct lws_context_creation_info info;
    memset(&info, 0, sizeof(info));
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.vhost_name = name;
    info.protocols = p;
    info.retry_and_idle_policy = &no_pings_of_its_own;
    info.alpn = "http/1.1";
    return lws_create_vhost(s->context, &info);
}

static int create_vhosts(struct http_server *s)
{
    static const struct lws_protocols raw[] = {
        {.name = "raw", .callback = conn__raw_callback, .tx_packet_size = SLICE_BYTES},
        {0},
    };
    static const struct lws_protocols ws[] = {
        {.name = "", .callback = ws__callback, .rx_buffer_size = NARROW_READ_BYTES, .tx_packet_size = SLICE_BYTES},
        {0},
    };
    static const struct lws_protocols ws_wide[] = {
        {.name = "", .callback = ws__callback, .rx_buffer_size = WIDE_READ_BYTES, .tx_packet_size = SLICE_BYTES},
        {0},
    };
    s->raw_vhost = create_vhost(s, "hall-raw", raw);
    s->ws_vhost = create_vhost(s, ws__vhost_name, ws);
    s->ws_wide_vhost = create_vhost(s, ws__wide_vhost_name, ws_wide);
    return s->raw_vhost && s->ws_vhost && s->ws_wide_vhost ? 0 : ERR_IO;
}

int http_server_open(uv_loop_t *loop, const struct http_limits *limits, const struct http_handler *root,
                     void *root_user, struct http_server **ret_server)
{
    struct http_server *s = must_calloc(1, sizeof(*s));
    CHECK(root && root->on_request);
    if (limits) s->limits = *limits;
    else http_limits_default(&s->limits);
    s->loop = loop;
    s->root = root;
    s->root_user = root_user;
    s->timer_us = INT64_MAX;
    s->date_s = -1;
    link_head(&s->listeners);
    link_head(&s->conns);
    link_head(&s->sockets);
    link_head(&s->deferred_conns);
    link_head(&s->deferred_sockets);
    uv_idle_init(loop, &s->idle);
    uv_timer_init(loop, &s->timer);
    uv_timer_init(loop, &s->accept_timer);
    s->idle.data = s->timer.data = s->accept_timer.data = s;
    s->handles_open = 3;
    s->scratch = must_malloc(LWS_PRE + SLICE_BYTES);
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (s->limits.connections_per_ip_max) s->peers = map_new();
    s->context = create_context(s);
    if (!s->context || create_vhosts(s) < 0) {
        log_error("http", "libwebsockets has no context", "hint=\"is libwebsockets-evlib-uv installed?\"");
        http_server_close(&s);
        return ERR_IO;
    }
    *ret_server = s;
    return 0;
}

/* ---- closing ---- */

void http_server_drain(struct http_server *s)
{
    s->draining = 1;
    listen__close_all(s);
    for (struct link *i = s->conns.next; i != &s->conns; i = i->next) {
        struct conn *c = link_of(i, struct conn, link);
        if (c->state == CONN_HEAD && c->in.len == 0) conn__kill(c);
    }
}

int http_server_idle(const struct http_server *s)
{
    return s->conn_count == 0 && s->ws_count == 0;
}

static void free_server(struct http_server *s)
{
    buf_release(&s->head);
    map_free(&s->peers);
    free(s->scratch);
    free(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;
    if (--s->handles_open == 0) free_server(s);
}

static void on_closing_turn(uv_idle_t *handle)
{
    struct http_server *s = handle->data;
    if (++s->closing <= CLOSE_TURNS) return;
    if (s->context) lws_context_destroy(s->context);
    s->context = NULL;
    uv_close((uv_handle_t *)&s->idle, on_handle_closed);
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
    uv_close((uv_handle_t *)&s->accept_timer, on_handle_closed);
}

void http_server_close(struct http_server **sp)
{
    struct http_server *s = *sp;
    *sp = NULL;
    if (!s) return;
    listen__close_all(s);
    s->draining = 1;
    while (s->conns.next != &s->conns) {
        struct conn *c = link_of(s->conns.next, struct conn, link);
        conn__destroy(&c);
    }
    ws__close_all(s);
    tls_server_close(&s->tls);
    s->closing = 1;
    uv_timer_stop(&s->timer);
    if (s->spare_fd >= 0) close(s->spare_fd);
    s->spare_fd = -1;
    if (s->context) lws_context_destroy(s->context);
    uv_idle_stop(&s->idle);
    uv_idle_start(&s->idle, on_closing_turn);
}

int http_tls_open(struct http_server *s, const struct tls_options *o, char *why, size_t why_size)
{
    CHECK(!s->tls);
    return tls_server_open(o, why, why_size, &s->tls);
}

int http_tls_reload(struct http_server *s, char *why, size_t why_size)
{
    return s->tls ? tls_server_reload(s->tls, why, why_size) : 0;
}

void http_server_stats(const struct http_server *s, struct http_stats *ret)
{
    *ret = s->stats;
    ret->tls_not_after_s = s->tls ? tls_server_not_after(s->tls) : 0;
}

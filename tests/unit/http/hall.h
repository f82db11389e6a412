/*
 * tests/unit/http/hall.h -- a small server on the hall, in a child process.
 *
 *     GET  /healthz                  "ok"
 *     GET  /late?ms=                 answered by a timer
 *     GET  /whole?bytes=             one reply, all at once
 *     GET  /stream?bytes=&chunked=   written as the backlog allows
 *     GET  /forever                  a chunked stream with nothing in it
 *     GET  /echo-target              path, arguments and X-Test as lines
 *     POST /echo, /echo-late         the body back; late: the reply comes from a timer
 *     POST /count?pause=             the number of body bytes; pause: read in steps, by timer
 *     POST /refuse                   401 before the body
 *     POST /v1/jobs/J/logs           keeps the lines of job J; GET gives them back as NDJSON
 *     GET  /ws/echo, /ws/room, /ws/flood?bytes=   WebSockets; a message to the room goes to all
 *     GET  /stats                    the counters
 *
 * With HALL_TLS=DIR in the environment it speaks TLS only, with DIR/cert.pem and DIR/key.pem.
 * SIGTERM drains, closes and runs the loop to its end: exit 0 means that nothing was left over
 * (with a sanitizer: nothing leaked).
 */
#ifndef TESTS_UNIT_HTTP_HALL_H
#define TESTS_UNIT_HTTP_HALL_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "http/tls.h"
#include "http/ws.h"

#define HALL_MESSAGE_MAX (16u << 20)

struct call { /* one exchange in the handlers below */
    struct http *x;
    struct buf body;
    uint64_t left, taken;
    uv_timer_t timer;
    int gone, timer_open, late, room;
};

struct job {
    char id[64];
    struct buf lines;
    struct job *next;
};

static struct hall {
    uv_loop_t loop;
    struct http_server *server;
    uv_signal_t term;
    uv_timer_t quit;
    struct job *jobs;
    int quitting;
    char fill[65536];
} hall;

static void call_free(struct call *k)
{
    buf_release(&k->body);
    free(k);
}

static void on_call_timer_closed(uv_handle_t *h)
{
    call_free(h->data);
}

static void on_call_close(struct http *x, int clean)
{
    struct call *k = http_user(x);
    (void)clean;
    k->gone = 1;
    if (k->timer_open) uv_close((uv_handle_t *)&k->timer, on_call_timer_closed);
    else call_free(k);
}

static void after_ms(struct call *k, uint64_t ms, uv_timer_cb cb)
{
    if (!k->timer_open) uv_timer_init(&hall.loop, &k->timer);
    k->timer_open = 1;
    k->timer.data = k;
    uv_timer_start(&k->timer, cb, ms, 0);
}

static void on_late(uv_timer_t *t)
{
    struct call *k = t->data;
    http_reply(k->x, 200, "text/plain", k->body.data ? k->body.data : "late", k->body.data ? k->body.len : 4);
}

static void on_keep(struct http *x, const char *data, size_t len)
{
    struct call *k = http_user(x);
    must_have(buf_add(&k->body, data, len));
}

static void on_echo_end(struct http *x)
{
    struct call *k = http_user(x);
    if (k->late) after_ms(k, 20, on_late);
    else http_reply(x, 200, "text/plain", k->body.data, k->body.len);
}

static void on_resume(uv_timer_t *t)
{
    http_resume_body(((struct call *)t->data)->x);
}

static void on_count(struct http *x, const char *data, size_t len)
{
    struct call *k = http_user(x);
    (void)data;
    k->taken += len;
    if (http_arg(x, "pause")) {
        http_pause_body(x);
        after_ms(k, 1, on_resume);
    }
}

static void on_count_end(struct http *x)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)((struct call *)http_user(x))->taken);
    http_reply(x, 200, "text/plain", text, (size_t)n);
}

static void pour(struct call *k)
{
    while (k->left) {
        size_t n = k->left < sizeof(hall.fill) ? (size_t)k->left : sizeof(hall.fill);
        k->left -= n;
        if (http_write(k->x, hall.fill, n) > HTTP_BACKLOG_HIGH_BYTES) return;
    }
    http_finish(k->x);
}

static void on_pour_drain(struct http *x)
{
    struct call *k = http_user(x);
    if (k->left) pour(k);
    else if (k->taken == 0) {
        k->taken = 1;
        http_finish(x);
    }
}

static struct job *job_named(const char *id, size_t len)
{
    struct job *j;
    for (j = hall.jobs; j; j = j->next)
        if (strlen(j->id) == len && memcmp(j->id, id, len) == 0) return j;
    CHECK(len < sizeof(j->id));
    j = must_calloc(1, sizeof(*j));
    memcpy(j->id, id, len);
    j->next = hall.jobs;
    hall.jobs = j;
    return j;
}

static void on_logs_end(struct http *x)
{
    struct call *k = http_user(x);
    const char *id = http_path(x) + strlen("/v1/jobs/");
    struct job *j = job_named(id, strcspn(id, "/"));
    char *at = k->body.len ? k->body.data : (char *)"";
    while (*at) {
        size_t n = strcspn(at, "\n");
        must_have(buf_addf(&j->lines, "{\"msg\":\"%.*s\"}\n", (int)n, at));
        at += n + (at[n] == '\n');
    }
    http_reply(x, 200, "application/json", "{\"durability\":\"none\"}", 21);
}

static const struct http_handler echo_handler = {.on_body = on_keep, .on_body_end = on_echo_end, .on_close = on_call_close};
static const struct http_handler count_handler = {.on_body = on_count, .on_body_end = on_count_end, .on_close = on_call_close};
static const struct http_handler pour_handler = {.on_drain = on_pour_drain, .on_close = on_call_close};
static const struct http_handler logs_handler = {.on_body = on_keep, .on_body_end = on_logs_end, .on_close = on_call_close};

/* ---- WebSockets ---- */
struct room_call {
    struct ws_message *m;
};

static void send_to_one(struct ws *w, void *user)
{
    if (((struct call *)ws_user(w))->room) ws_send_message(w, user);
}

static void on_ws_message(struct ws *w, const char *data, size_t len, int is_binary)
{
    struct call *k = ws_user(w);
    struct ws_message *m = ws_message_new(data, len, is_binary);
    CHECK(must_have(m ? 0 : ERR_NOMEM) == 0);
    if (len == 5 && memcmp(data, "close", 5) == 0) ws_close(w, 4001, "as asked");
    else if (len == 5 && memcmp(data, "abort", 5) == 0) ws_abort(w);
    else if (k->room) ws_each(hall.server, send_to_one, m);
    else ws_send_message(w, m);
    ws_message_unref(&m);
}

static void on_ws_open(struct ws *w)
{
    struct call *k = ws_user(w);
    while (k->left) { /* a flood: until the backlog says stop */
        size_t n = k->left < sizeof(hall.fill) ? (size_t)k->left : sizeof(hall.fill);
        k->left -= n;
        if (ws_send_text(w, hall.fill, n) > WS_BACKLOG_HIGH_BYTES) return;
    }
}

static void on_ws_close(struct ws *w, int code)
{
    (void)code;
    call_free(ws_user(w));
}

static const struct ws_handler ws_handler = {
    .on_open = on_ws_open, .on_message = on_ws_message, .on_drain = on_ws_open, .on_close = on_ws_close};

static void accept_ws(struct http *x, const char *path)
{
    struct call *k = must_calloc(1, sizeof(*k));
    k->room = strcmp(path, "/ws/room") == 0;
    k->left = http_arg(x, "bytes") ? strtoull(http_arg(x, "bytes"), NULL, 10) : 0;
    if (ws_accept(x, http_offers_subprotocol(x, "joblog.test.v1") ? "joblog.test.v1" : NULL,
                  http_arg(x, "small") ? 1000 : HALL_MESSAGE_MAX, &ws_handler, k) < 0)
        call_free(k);
}

/* ---- routes ---- */

static void reply_stats(struct http *x)
{
    struct http_stats st;
    char text[600];
    int n;
    http_server_stats(hall.server, &st);
    n = snprintf(text, sizeof(text),
                 "{\"connections_open\":%llu,\"requests\":%llu,\"refused\":%llu,\"timeouts\":%llu,"
                 "\"backlog\":%llu,\"ws_open\":%llu,\"ws_total\":%llu,\"overload\":%llu}",
                 (unsigned long long)st.connections_open, (unsigned long long)st.requests_total,
                 (unsigned long long)st.refused_total, (unsigned long long)st.timeouts_total,
                 (unsigned long long)st.backlog_bytes, (unsigned long long)st.ws_open,
                 (unsigned long long)st.ws_total, (unsigned long long)st.overload_total);
    http_reply(x, 200, "application/json", text, (size_t)n);
}

static void reply_target(struct http *x)
{
    struct buf b = BUF_INIT;
    const char *name, *value;
    buf_addf(&b, "%s %s\n", http_method(x), http_path(x));
    for (unsigned i = 0; http_arg_at(x, i, &name, &value); i++) buf_addf(&b, "%s=%s\n", name, value);
    if (http_header(x, "x-test")) buf_addf(&b, "X-Test: %s\n", http_header(x, "x-test"));
    http_set_header(x, "X-Extra", "yes");
    http_reply(x, 200, "text/plain", b.data, b.len);
    buf_release(&b);
}

static struct call *handle(struct http *x, const struct http_handler *h)
{
    struct call *k = must_calloc(1, sizeof(*k));
    k->x = x;
    http_handle(x, h, k);
    return k;
}

static void start_stream(struct http *x, struct call *k)
{
    k->left = strtoull(http_arg(x, "bytes"), NULL, 10);
    http_start(x, 200, "text/plain", http_arg(x, "chunked") ? -1 : (int64_t)k->left);
    pour(k);
}

static void on_request(struct http *x)
{
    const char *path = http_path(x);
    int is_post = strcmp(http_method(x), "POST") == 0;
    struct call *k;
    if (strncmp(path, "/ws/", 4) == 0 && http_is_upgrade(x)) accept_ws(x, path);
    else if (strcmp(http_method(x), "OPTIONS") == 0) {
        http_set_header(x, "Allow", "GET, POST");
        http_reply(x, 204, NULL, NULL, 0);
    } else if (strcmp(path, "/healthz") == 0) http_reply(x, 200, "text/plain", "ok", 2);
    else if (strcmp(path, "/stats") == 0) reply_stats(x);
    else if (strcmp(path, "/echo-target") == 0) reply_target(x);
    else if (strcmp(path, "/late") == 0) after_ms(handle(x, &pour_handler), strtoull(http_arg(x, "ms"), NULL, 10), on_late);
    else if (strcmp(path, "/whole") == 0) {
        size_t n = strtoull(http_arg(x, "bytes"), NULL, 10);
        char *bytes = must_malloc(n + 1);
        memset(bytes, 'w', n);
        http_reply(x, 200, "text/plain", bytes, n);
        free(bytes);
    } else if (strcmp(path, "/stream") == 0) start_stream(x, handle(x, &pour_handler));
    else if (strcmp(path, "/forever") == 0) {
        k = handle(x, &pour_handler);
        http_start(x, 200, "text/plain", -1);
        http_write(x, "first\n", 6);
        k->taken = 1;
    } else if (is_post && (strcmp(path, "/echo") == 0 || strcmp(path, "/echo-late") == 0))
        handle(x, &echo_handler)->late = path[5] != '\0';
    else if (is_post && strcmp(path, "/count") == 0) handle(x, &count_handler);
    else if (is_post && strncmp(path, "/v1/jobs/", 9) == 0) handle(x, &logs_handler);
    else if (strncmp(path, "/v1/jobs/", 9) == 0) {
        struct job *j = job_named(path + 9, strcspn(path + 9, "/"));
        http_reply(x, 200, "application/x-ndjson", j->lines.data, j->lines.len);
    } else if (strcmp(path, "/refuse") == 0) http_reply_error(x, 401, "unauthorized", "no token");
    else http_reply_error(x, 404, "not_found", "no such path: %s", path);
}

static const struct http_handler root_handler = {.on_request = on_request};

/* ---- life ---- */

static void on_quit(uv_timer_t *t)
{
    if (!http_server_idle(hall.server) && t->repeat) {
        t->data = (char *)t->data + 1;
        if ((uintptr_t)t->data < 50) return; /* half a second of grace */
    }
    uv_timer_stop(t);
    uv_close((uv_handle_t *)t, NULL);
    uv_close((uv_handle_t *)&hall.term, NULL);
    http_server_close(&hall.server);
}

static void close_one(struct ws *w, void *user)
{
    (void)user;
    ws_close(w, 1012, "restart");
}

static void on_term(uv_signal_t *s, int signum)
{
    (void)signum;
    (void)s;
    if (hall.quitting) return;
    hall.quitting = 1;
    http_server_drain(hall.server);
    ws_each(hall.server, close_one, NULL);
    uv_timer_init(&hall.loop, &hall.quit);
    hall.quit.data = NULL;
    uv_timer_start(&hall.quit, on_quit, 0, 10);
}

static int hall_listen(const char *address, char *why, size_t why_size)
{
    const char *dir = getenv("HALL_TLS");
    char cert[256], key[256];
    struct tls_options o = {.cert_file = cert, .key_file = key};
    int err;
    if (!dir) return http_listen(hall.server, address, why, why_size);
    snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    err = http_tls_open(hall.server, &o, why, why_size);
    return err < 0 ? err : http_listen_tls(hall.server, address, why, why_size);
}

/* Serve until SIGTERM. The port is written to ready_fd as a line. */
static int hall_serve(const struct http_limits *limits, const char *address, int ready_fd)
{
    char why[200], line[100];
    int n;
    log_setup(LOG_INFO, LOG_FORMAT_JSON);
    memset(hall.fill, 'f', sizeof(hall.fill));
    if (uv_loop_init(&hall.loop) != 0) return 3;
    if (http_server_open(&hall.loop, limits, &root_handler, NULL, &hall.server) < 0) return 3;
#ifdef HALL_IS_OPEN
    HALL_IS_OPEN();
#endif
    if (hall_listen(address, why, sizeof(why)) < 0) {
        fprintf(stderr, "%s\n", why);
        return 4;
    }
    if (uv_signal_init(&hall.loop, &hall.term) != 0 || uv_signal_start(&hall.term, on_term, SIGTERM) != 0) return 7;
    n = snprintf(line, sizeof(line), "%d\n", getenv("HALL_TLS") ? http_tls_port(hall.server) : http_port(hall.server));
    if (write(ready_fd, line, (size_t)n) != n) return 5;
    uv_run(&hall.loop, UV_RUN_DEFAULT);
    while (hall.jobs) {
        struct job *j = hall.jobs;
        hall.jobs = j->next;
        buf_release(&j->lines);
        free(j);
    }
    return uv_loop_close(&hall.loop) == 0 ? 0 : 6;
}

#endif

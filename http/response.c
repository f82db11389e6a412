/*
 * http/response.c -- what goes back: status line, headers, body, chunks.
 *
 * A response is either whole (http_reply) or streamed (http_start, http_write, http_finish). Bytes
 * go to the socket at once while it takes them; the rest is the connection's queue, which the
 * handler bounds by looking at the backlog. The connection is kept when the request was read to
 * its end and both sides want it.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "http/http_int.h"

#define HEADERS_BYTES_MAX (32 * 1024) /* of one response; more is our bug */
#define MESSAGE_BYTES_MAX 1024        /* of an error's sentence; cut there */

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } table[] = {
        {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"},
        {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"},
        {307, "Temporary Redirect"}, {308, "Permanent Redirect"}, {400, "Bad Request"},
        {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
        {406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"},
        {411, "Length Required"}, {412, "Precondition Failed"}, {413, "Content Too Large"},
        {414, "URI Too Long"}, {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"}, {422, "Unprocessable Content"}, {426, "Upgrade Required"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
        {503, "Service Unavailable"}, {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].status == status) return table[i].phrase;
    return "Status";
}

static void add_field(struct buf *out, const char *name, const char *value)
{
    /* Ours: bounded by HEADERS_BYTES_MAX, so only memory can fail; a cut head is never sent. */
    CHECK(must_have(buf_addf(out, "%s: %s\r\n", name, value)) == 0);
}

static void add_common(struct buf *out, struct http_server *s, int status)
{
    CHECK(must_have(buf_addf(out, "HTTP/1.1 %d %s\r\n", status, reason_phrase(status))) == 0);
    add_field(out, "Date", server__date(s));
}

/* The head of x's response. length: of the body, -1 streamed without one. */
static void build_head(struct http *x, struct buf *out, int status, const char *content_type,
                       int64_t length)
{
    struct conn *c = x->conn;
    x->bodyless = x->head.is_head || status == 204 || status == 304;
    x->chunked_out = length < 0 && x->head.minor == 1 && status != 204 && status != 304;
    if (!x->head.keep_alive || !x->body_done || c->server->draining) c->close_after = 1;
    if (length < 0 && !x->chunked_out && !x->bodyless) c->close_after = 1;
    buf_clear(out);
    add_common(out, c->server, status);
    if (content_type) add_field(out, "Content-Type", content_type);
    if (x->headers.len) must_have(buf_add(out, x->headers.data, x->headers.len));
    buf_clear(&x->headers);
    if (x->chunked_out) add_field(out, "Transfer-Encoding", "chunked");
    else if (length >= 0 && status != 204 && status != 304)
        must_have(buf_addf(out, "Content-Length: %lld\r\n", (long long)length));
    if (c->close_after) add_field(out, "Connection", "close");
    else if (x->head.minor == 0) add_field(out, "Connection", "keep-alive");
    CHECK(must_have(buf_add(out, "\r\n", 2)) == 0);
}

/* Is there still somebody to answer? A second answer is our bug, unless the first was the hall's. */
static int may_start(struct http *x)
{
    if (x->by_hall || x->aborted || x->conn->dead) return 0;
    CHECKF(!x->started && !x->ws, "id=%llu %s %s", (unsigned long long)x->id, x->head.method,
           x->head.path);
    x->started = 1;
    return 1;
}

static void mark_done(struct http *x)
{
    x->done = 1;
    if (!x->conn->busy) conn__defer(x->conn); /* else its own turn goes on with it */
}

void http_set_header(struct http *x, const char *name, const char *value)
{
    CHECKF(!strpbrk(name, "\r\n: ") && !strpbrk(value, "\r\n"), "%s: %s", name, value);
    if (x->started) return;
    x->headers.bytes_max = HEADERS_BYTES_MAX;
    add_field(&x->headers, name, value);
}

void http_reply(struct http *x, int status, const char *content_type, const void *body, size_t len)
{
    struct buf *head = &x->conn->server->head;
    CHECKF(status >= 200 && status <= 599, "status=%d", status);
    if (!may_start(x)) return;
    build_head(x, head, status, content_type, (int64_t)len);
    conn__send(x->conn, head->data, head->len, body, x->bodyless ? 0 : len);
    mark_done(x);
}

static void error_body(struct buf *out, const char *code, const char *message)
{
    struct json j;
    json_init(&j, out);
    json_obj(&j);
    json_kstr(&j, "code", code);
    json_kstr(&j, "message", message);
    json_end(&j);
    must_have(buf_addc(out, '\n'));
}

void http_reply_error(struct http *x, int status, const char *code, const char *fmt, ...)
{
    char message[MESSAGE_BYTES_MAX];
    struct buf body = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    utf8_mend(message); /* what it quotes may be cut within a character */
    if (status == 426) http_set_header(x, "Sec-WebSocket-Version", "13");
    error_body(&body, code, message);
    http_reply(x, status, "application/json", body.data, body.len);
    buf_release(&body);
}

void response__refuse(struct conn *c, const struct refusal *r)
{
    struct buf head = BUF_INIT, body = BUF_INIT;
    if (r->status == 503) c->server->stats.overload_total++;
    else c->server->stats.refused_total++;
    error_body(&body, r->code, r->message);
    add_common(&head, c->server, r->status);
    add_field(&head, "Content-Type", "application/json");
    if (r->status == 426) add_field(&head, "Sec-WebSocket-Version", "13");
    if (r->status == 503) add_field(&head, "Retry-After", "1");
    must_have(buf_addf(&head, "Content-Length: %zu\r\nConnection: close\r\n\r\n", body.len));
    exchange__close(c);
    conn__send(c, head.data, head.len, body.data, body.len);
    buf_release(&head);
    buf_release(&body);
}

void http_start(struct http *x, int status, const char *content_type, int64_t length)
{
    struct buf *head = &x->conn->server->head;
    CHECKF(status >= 200 && status <= 599, "status=%d", status);
    if (!may_start(x)) return;
    build_head(x, head, status, content_type, length);
    x->out_left = length < 0 ? -1 : length;
    conn__send(x->conn, head->data, head->len, NULL, 0);
    exchange__rearm(x->conn);
}

/* The chunk around data, in one piece so that it leaves in one packet when small. */
static void send_chunk(struct http *x, const void *data, size_t len)
{
    char size[24];
    int n = snprintf(size, sizeof(size), "%zx\r\n", len);
    struct buf chunk = BUF_INIT;
    if (buf_reserve(&chunk, (size_t)n + len + 2) < 0) {
        http_abort(x);
        return;
    }
    buf_add(&chunk, size, (size_t)n);
    buf_add(&chunk, data, len);
    buf_add(&chunk, "\r\n", 2);
    conn__send(x->conn, NULL, 0, chunk.data, chunk.len);
    buf_release(&chunk);
}

size_t http_write(struct http *x, const void *data, size_t len)
{
    struct conn *c = x->conn;
    if (x->by_hall || x->aborted || c->dead) return 0;
    CHECKF(x->started && !x->done, "id=%llu started=%d", (unsigned long long)x->id, x->started);
    if (len == 0) return conn__backlog(c);
    if (x->out_left >= 0 && (uint64_t)x->out_left < len) { /* more than was declared */
        http_abort(x);
        return 0;
    }
    if (x->out_left >= 0) x->out_left -= (int64_t)len;
    if (x->bodyless) return 0;
    if (x->chunked_out) send_chunk(x, data, len);
    else conn__send(c, NULL, 0, data, len);
    if (c->dead || x->aborted) return 0;
    if (conn__backlog(c) >= HTTP_BACKLOG_LOW_BYTES) x->want_drain = 1;
    return conn__backlog(c);
}

size_t http_backlog(const struct http *x)
{
    return x->conn->dead ? 0 : conn__backlog(x->conn);
}

void http_finish(struct http *x)
{
    if (x->by_hall || x->aborted || x->conn->dead) return;
    CHECKF(x->started && !x->done, "id=%llu started=%d", (unsigned long long)x->id, x->started);
    if (x->out_left > 0 && !x->bodyless) { /* fewer than were declared */
        http_abort(x);
        return;
    }
    if (x->chunked_out && !x->bodyless) conn__send(x->conn, NULL, 0, "0\r\n\r\n", 5);
    mark_done(x);
}

void http_abort(struct http *x)
{
    x->aborted = 1;
    conn__defer(x->conn);
}

int http_started(const struct http *x)
{
    return x->started;
}

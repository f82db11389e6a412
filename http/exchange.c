/*
 * http/exchange.c -- the state machine of a connection: head, body, reply, next or close.
 *
 *     HEAD ──head whole──> BODY ──body whole──> REPLY ──response sent──> HEAD
 *       │                   │ early reply          │ Connection: close
 *       └──refused──────────┴──────────────────────┴──> FLUSH ──sent──> LINGER ──EOF or 1 s──> gone
 *     REPLY ──ws_accept──> HANDOVER ──under TLS──> TUNNEL ──either end──> FLUSH
 *
 * Requests of one connection are served strictly in order: the next head is not looked at before
 * the last byte of the previous response is with the kernel. Bytes that come meanwhile wait in
 * c->in, and reading is switched off, so a pipelining client is held back by TCP.
 *
 * A peer that closes its sending half early still gets its answer. While a response is only
 * waiting (a live tail), a closed half is taken as "gone" within WATCH_US.
 */
#include "http/http_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

const char *conn_state_name(enum conn_state state)
{
    static const char *const names[] = {
#define X(name) #name,
        CONN_STATES(X)
#undef X
    };
    return names[state];
}

static int move_is_legal(enum conn_state from, enum conn_state to)
{
    switch (to) {
    case CONN_HEAD: return from == CONN_BODY || from == CONN_REPLY;
    case CONN_BODY: return from == CONN_HEAD;
    case CONN_REPLY: return from == CONN_BODY;
    case CONN_HANDOVER: return from == CONN_BODY || from == CONN_REPLY;
    case CONN_TUNNEL: return from == CONN_HANDOVER;
    case CONN_FLUSH: return from != CONN_LINGER && from != CONN_HANDOVER;
    case CONN_LINGER: return from == CONN_FLUSH;
    }
    return 0;
}

static void set_state(struct conn *c, enum conn_state to)
{
    CHECKF(move_is_legal(c->state, to), "%s -> %s", conn_state_name(c->state), conn_state_name(to));
    c->state = to;
}

void exchange__end(struct conn *c, int clean)
{
    struct http *x = c->x;
    c->x = NULL;
    if (x->h && x->h->on_close) x->h->on_close(x, clean);
    if (x->ws) ws__orphan(&x->ws);
    if (x->guest.who) x->guest.release(x->guest.who);
    head__release(&x->head);
    buf_release(&x->headers);
    free(x);
}

/* A request of the hall's own refusing: counted, answered when that is still possible. */
static void refuse_exchange(struct conn *c, int status, const char *code, const char *message)
{
    struct http *x = c->x;
    c->server->stats.refused_total++;
    if (x->started) {
        http_abort(x);
        return;
    }
    x->paused = 0;
    http_reply_error(x, status, code, "%s", message);
    x->by_hall = 1;
}

static void open_window(struct conn *c)
{
    c->window_us = clock_mono_us() + c->server->limits.body_us;
    c->window_bytes = 0;
}

/* ---- taking bytes ---- */

static struct http *begin(struct conn *c, const char *data, size_t len)
{
    struct http_server *s = c->server;
    struct refusal refusal = {0};
    struct http *x = malloc(sizeof(*x));
    int err = ERR_NOMEM;
    if (x) {
        memset(x, 0, offsetof(struct http, head));
        memset(&x->body, 0, sizeof(*x) - offsetof(struct http, body));
        err = head__parse(&x->head, data, len, &s->limits, &refusal);
    }
    if (err < 0) {
        if (!refusal.status)
            refusal = (struct refusal){503, "no_memory", "memory is exhausted"};
        free(x);
        response__refuse(c, &refusal);
        return NULL;
    }
    x->conn = c;
    x->id = ++s->next_id;
    x->out_left = -1;
    body__init(&x->body, x->head.length, s->limits.body_bytes_max);
    x->body_done = x->body.kind == BODY_NONE;
    c->x = x;
    c->requests++;
    s->stats.requests_total++;
    set_state(c, CONN_BODY);
    open_window(c);
    return x;
}

/* A head is wanted. Bytes taken; *ret_more: go on. */
static size_t take_head(struct conn *c, const char *data, size_t len, int *ret_more)
{
    struct refusal refusal;
    struct http *x;
    int n;
    *ret_more = 0;
    if (len == 0) return 0;
    if (c->turn_count == SERVED_PER_TURN_MAX) { /* others first */
        conn__defer(c);
        return 0;
    }
    if (c->scanned == 0 && c->requests)
        c->head_us = clock_mono_us() + c->server->limits.header_us;
    n = head__find(data, len, &c->scanned, &c->server->limits, &refusal);
    if (n < 0) {
        response__refuse(c, &refusal);
        *ret_more = 1;
        return 0;
    }
    if (n == 0) return 0;
    c->scanned = 0;
    c->turn_count++;
    *ret_more = 1;
    x = begin(c, data, (size_t)n);
    if (!x) return (size_t)n;
    x->h = c->server->root;
    c->server->root->on_request(x);
    if (x->head.expects_continue && !x->started && !x->aborted && len == (size_t)n)
        conn__send(c, continue_line, sizeof(continue_line) - 1, NULL, 0);
    return (size_t)n;
}

static void body_is_whole(struct conn *c)
{
    struct http *x = c->x;
    x->body_done = 1;
    set_state(c, CONN_REPLY);
    if (!x->done && !x->aborted && !x->ws && !x->end_told && x->h && x->h->on_body_end) {
        x->end_told = 1;
        x->h->on_body_end(x);
    }
}

/* The body is coming. Bytes taken; *ret_more: go on. */
static size_t take_body(struct conn *c, const char *data, size_t len, int *ret_more)
{
    struct http *x = c->x;
    const char *run;
    size_t used, run_len;
    int r;
    *ret_more = 0;
    if (x->done || x->aborted || x->paused) return 0;
    if (x->body_done) {
        body_is_whole(c);
        *ret_more = 1;
        return 0;
    }
    if (len == 0) return 0;
    r = body__feed(&x->body, data, len, &used, &run, &run_len);
    c->window_bytes += used;
    *ret_more = 1;
    if (r == ERR_TOO_BIG) {
        refuse_exchange(c, 413, "too_large", "the request body is larger than is taken here");
    } else if (r < 0) {
        refuse_exchange(c, 400, "bad_request", "the chunked body cannot be read");
    } else {
        x->body_done = r == 1;
        if (run_len && x->h && x->h->on_body) x->h->on_body(x, run, run_len);
    }
    return used;
}

void exchange__close(struct conn *c)
{
    set_state(c, CONN_FLUSH);
    buf_release(&c->in);
    c->in.bytes_max = c->server->limits.header_bytes_max + 4 * SLICE_BYTES;
}

/* The response is with the kernel: on to the next request or to the end. */
static void finish(struct conn *c)
{
    int close_after = c->close_after || c->server->draining;
    CHECKF(close_after || c->x->body_done, "id=%llu", (unsigned long long)c->x->id);
    exchange__end(c, 1);
    if (close_after) {
        exchange__close(c);
        return;
    }
    set_state(c, CONN_HEAD);
    c->head_us = clock_mono_us() + c->server->limits.keepalive_us;
}

/* Settle what needs no input. 1: something moved. */
static int settle(struct conn *c)
{
    struct http *x = c->x;
    if (c->dead) return 0;
    if (x && x->aborted) {
        conn__kill(c);
        return 0;
    }
    if (x && x->ws && c->state != CONN_HANDOVER) {
        set_state(c, CONN_HANDOVER);
        conn__defer(c);
        return 0;
    }
    if (x && x->done && conn__backlog(c) == 0) {
        finish(c);
        return 1;
    }
    if (c->state == CONN_FLUSH && conn__backlog(c) == 0 && conn__shutdown(c)) {
        set_state(c, CONN_LINGER);
        c->linger_us = clock_mono_us() + LINGER_US;
        return 1;
    }
    return 0;
}

/* Take what can be taken of data. Bytes taken. */
static size_t consume(struct conn *c, const char *data, size_t len)
{
    size_t at = 0;
    int more = 1;
    c->turn_count = 0;
    c->busy = 1;
    while (more && !c->dead) {
        if (settle(c)) continue;
        more = 0;
        if (c->dead) break;
        if (c->state == CONN_HEAD) at += take_head(c, data + at, len - at, &more);
        else if (c->state == CONN_BODY) at += take_body(c, data + at, len - at, &more);
        else if (c->state == CONN_FLUSH || c->state == CONN_LINGER) at = len;
    }
    c->busy = 0;
    return c->dead ? len : at;
}

static void tell_drained(struct conn *c)
{
    struct http *x = c->x;
    if (!x || !x->want_drain || x->done || x->aborted || conn__backlog(c) >= HTTP_BACKLOG_LOW_BYTES)
        return;
    x->want_drain = 0;
    if (x->h && x->h->on_drain) x->h->on_drain(x);
}

void exchange__advance(struct conn *c)
{
    size_t used;
    tell_drained(c);
    used = consume(c, c->in.data, c->in.len);
    if (used && c->in.len) { /* exchange__close may have emptied it */
        buf_consume(&c->in, used < c->in.len ? used : c->in.len);
        if (c->in.len == 0) buf_release(&c->in);
    }
    if (c->state == CONN_TUNNEL) tunnel__advance(c);
    conn__update_reading(c);
    exchange__rearm(c);
}

void exchange__tunnel(struct conn *c)
{
    set_state(c, CONN_TUNNEL);
    buf_release(&c->in);
    if (c->tls_ended) tunnel__input_end(c);
    exchange__advance(c);
}

void exchange__input(struct conn *c, const char *data, size_t len)
{
    size_t used = 0;
    if (c->in.len == 0 && !link_in(&c->deferred)) {
        used = consume(c, data, len);
        data += used;
        len -= used;
    }
    if (len && buf_add(&c->in, data, len) < 0) conn__kill(c);
    if (used == 0 && c->in.len && !c->dead && !link_in(&c->deferred)) {
        exchange__advance(c);
        return;
    }
    conn__update_reading(c);
    exchange__rearm(c);
}

/* ---- deadlines ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void exchange__rearm(struct conn *c)
{
    int64_t when = INT64_MAX;
    if (conn__backlog(c)) when = c->wrote_us + c->server->limits.write_us;
    switch (c->state) {
    case CONN_HEAD: when = earlier(when, c->head_us); break;
    case CONN_BODY:
        if (c->x && !c->x->paused && !c->x->done) when = earlier(when, c->window_us);
        else when = earlier(when, clock_mono_us() + WATCH_US);
        break;
    case CONN_REPLY: when = earlier(when, clock_mono_us() + WATCH_US); break;
    case CONN_LINGER: when = earlier(when, c->linger_us); break;
    case CONN_TUNNEL:
    case CONN_HANDOVER:
    case CONN_FLUSH: break;
    }
    c->deadline_us = when;
    server__wake_at(c->server, when);
}

static void on_head_deadline(struct conn *c)
{
    static const struct refusal late = {408, "timeout", "the request head took too long"};
    if (c->in.len == 0) { /* nothing was asked */
        conn__kill(c);
        return;
    }
    c->server->stats.timeouts_total++;
    response__refuse(c, &late);
}

static void on_body_deadline(struct conn *c)
{
    int64_t wanted = c->server->limits.body_us * BODY_BYTES_PER_S / 1000000;
    if (c->window_bytes > 0 && c->window_bytes >= (uint64_t)wanted) {
        open_window(c);
        return;
    }
    c->server->stats.timeouts_total++;
    refuse_exchange(c, 408, "timeout", "the request body came too slowly");
}

void exchange__deadline(struct conn *c, int64_t now)
{
    int gone;
    if (c->dead) return;
    if (conn__backlog(c) && now >= c->wrote_us + c->server->limits.write_us) {
        c->server->stats.timeouts_total++;
        conn__kill(c);
        return;
    }
    switch (c->state) {
    case CONN_HEAD:
        if (now >= c->head_us) on_head_deadline(c);
        break;
    case CONN_BODY:
        if (!c->x->paused && !c->x->done) {
            if (now >= c->window_us) on_body_deadline(c);
            break;
        }
        /* fall through */
    case CONN_REPLY:
        gone = conn__peer_gone(c);
        if (gone == 2 || (gone == 1 && c->x->started && !c->x->done && conn__backlog(c) == 0))
            conn__kill(c);
        break;
    case CONN_LINGER:
        if (now >= c->linger_us) conn__kill(c);
        break;
    case CONN_TUNNEL:
    case CONN_HANDOVER:
    case CONN_FLUSH: break;
    }
    if (!c->dead) exchange__advance(c);
}

/* ---- the request, for handlers ---- */

const char *http_method(const struct http *x)
{
    return x->head.method;
}

const char *http_path(const struct http *x)
{
    return x->head.path;
}

const char *http_arg(const struct http *x, const char *name)
{
    for (unsigned i = 0; i < x->head.arg_count; i++)
        if (strcmp(x->head.args[i].name, name) == 0) return x->head.args[i].value;
    return NULL;
}

int http_arg_at(const struct http *x, unsigned i, const char **ret_name, const char **ret_value)
{
    if (i >= x->head.arg_count) return 0;
    *ret_name = x->head.args[i].name;
    *ret_value = x->head.args[i].value;
    return 1;
}

const char *http_raw_query(const struct http *x)
{
    return x->head.raw_query;
}

int64_t http_body_length(const struct http *x)
{
    return x->head.length;
}

const char *http_peer(const struct http *x)
{
    return x->conn->peer;
}

int http_peer_is_loopback(const struct http *x)
{
    return x->conn->is_loopback;
}

uint64_t http_id(const struct http *x)
{
    return x->id;
}

void http_hide_arg(struct http *x, const char *name)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < x->head.arg_count; i++)
        if (strcmp(x->head.args[i].name, name) != 0) x->head.args[kept++] = x->head.args[i];
    x->head.arg_count = kept;
}

void http_set_guest(struct http *x, void *guest, void (*release)(void *guest))
{
    CHECKF(!x->guest.who && guest && release, "id=%llu", (unsigned long long)x->id);
    x->guest = (struct guest){guest, release};
}

void *http_guest(const struct http *x)
{
    return x->guest.who;
}

void http_each(struct http_server *s, void (*visit)(struct http *x, void *user), void *user)
{
    for (struct link *i = s->conns.next; i != &s->conns; i = i->next) {
        struct conn *c = link_of(i, struct conn, link);
        if (c->x && !c->dead) visit(c->x, user); /* connections end in deferred turns only */
    }
}

struct http_server *http_server_of(const struct http *x)
{
    return x->conn->server;
}

void *http_root_user(const struct http *x)
{
    return x->conn->server->root_user;
}

void http_handle(struct http *x, const struct http_handler *h, void *user)
{
    x->h = h;
    x->user = user;
}

void *http_user(const struct http *x)
{
    return x->user;
}

int http_body_max(struct http *x, uint64_t bytes)
{
    if (bytes < x->body.bytes_max) x->body.bytes_max = bytes;
    if (x->body.kind != BODY_LENGTH || (uint64_t)x->head.length <= bytes) return 0;
    if (!x->started) refuse_exchange(x->conn, 413, "too_large", "the request body is larger than is taken here");
    return ERR_TOO_BIG;
}

void http_pause_body(struct http *x)
{
    x->paused = 1;
    conn__update_reading(x->conn);
}

void http_resume_body(struct http *x)
{
    if (!x->paused) return;
    x->paused = 0;
    open_window(x->conn);
    conn__defer(x->conn);
}

int http_is_upgrade(const struct http *x)
{
    return x->head.is_upgrade;
}

const char *http_header(const struct http *x, const char *name)
{
    return head__field(&x->head, name);
}

int http_offers_subprotocol(const struct http *x, const char *name)
{
    const char *at = head__field(&x->head, "Sec-WebSocket-Protocol");
    size_t name_len = strlen(name);
    while (at && *at) {
        size_t n;
        at += strspn(at, ", \t");
        n = strcspn(at, ", \t");
        if (n == name_len && memcmp(at, name, n) == 0) return 1;
        at += n;
    }
    return 0;
}

/*
 * stream/conn.c -- the connection's life: connect, greet, write, read, lose, come back.
 *
 *     WAITING -> [LOOKING ->] CONNECTING -> GREETING -> OPEN <-> PARKED -> GREETING …
 *        ^___________|____________|____________|_________|_________|   lost: a pause with jitter, then again
 *
 * LOOKING: the sentinels are asked where the master is (conn_sentinel.c), and while a link is up whether it still is the one.
 * The socket is conn_link.c's; requests are moved between queues in conn_queue.c.
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

/* ---- lost and back ---- */

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
    conn_link_drop(&c->link);
    c->demoted = 0;
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

static void on_connected(void *user)
{
    struct conn *c = user;

    set_state(c, CONN_GREETING);
    conn__greet(c);
}

static void on_reply(void *user, struct reply_tree **tree)
{
    conn__on_reply(user, tree);
}

static void on_link_lost(void *user, const char *why)
{
    conn__lost(user, why);
}

static const struct conn_link_ops link_ops = {on_connected, on_reply, on_link_lost};

static void connect_to(struct conn *c, const struct conn_endpoint *at)
{
    int err;

    set_state(c, CONN_CONNECTING);
    err = conn_link_open(c->loop, at, &link_ops, c, &c->link);
    if (err < 0)
        conn__lost(c, uv_strerror(err));
}

static void start_connect(struct conn *c)
{
    if (c->addr.sentinel_count) {
        set_state(c, CONN_LOOKING);
        conn__ask_sentinels(c);
    } else if (c->addr.is_unix) {
        set_state(c, CONN_CONNECTING);
        c->link = conn_link_open_unix(c->loop, c->addr.path, &link_ops, c);
    } else {
        connect_to(c, &c->addr.at);
    }
}

/* ---- what the sentinels say ---- */

static int is_same(const struct conn_endpoint *a, const struct conn_endpoint *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

void conn__told_master(struct conn *c, const struct conn_endpoint *at)
{
    char why[2 * CONN_HOST_BYTES];

    if (c->state == CONN_LOOKING) {
        c->addr.at = *at;
        connect_to(c, at);
    } else if (c->link && !is_same(&c->addr.at, at)) {
        snprintf(why, sizeof why, "the sentinels name another master: %s:%d", at->host, at->port);
        conn__lost(c, why);
    }
}

void conn__told_nothing(struct conn *c, const char *why)
{
    if (c->state == CONN_LOOKING)
        conn__lost(c, why);
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
    int64_t due_since = oldest ? oldest->sent_us : c->ping_sent_us, heard_us;

    if (c->state == CONN_CONNECTING && now - c->state_since_us > CONN_CONNECT_US_MAX) {
        conn__lost(c, "connecting to Redis took too long");
        return;
    }
    if (c->state < CONN_GREETING)
        return;
    heard_us = conn_link_heard_us(c->link);
    if (due_since) {
        if (heard_us > due_since)
            due_since = heard_us;
        if (now - due_since > CONN_SILENT_US_MAX)
            conn__lost(c, "Redis does not answer");
        return;
    }
    if (c->state == CONN_OPEN && now - heard_us > CONN_PING_US)
        conn__ping(c);
}

/* Is it still the master? A link that is good does not tell: the old one may be cut off from everybody else. */
static void watch_master(struct conn *c, int64_t now)
{
    if (c->addr.sentinel_count && c->link && now - c->sentinels.asked_us > CONN_SENTINEL_WATCH_US)
        conn__ask_sentinels(c);
}

static void on_tick(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    int64_t now = clock_mono_us();

    check_silence(c, now);
    watch_master(c, now);
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
    conn__sentinels_open(c);
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

const char *conn_history(const struct conn *c)
{
    return c->history;
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
    conn_link_drop(&c->link);
    set_state(c, CONN_CLOSED);
    conn__sentinels_close(c);
    conn__cancel_all(c);
    c->handles = 5;
    uv_close((uv_handle_t *)&c->tick, on_part_closed);
    uv_close((uv_handle_t *)&c->retry, on_part_closed);
    uv_close((uv_handle_t *)&c->later, on_part_closed);
    uv_close((uv_handle_t *)&c->flush, on_part_closed);
    uv_close((uv_handle_t *)&c->sentinels.timer, on_part_closed);
}

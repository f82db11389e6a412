/*
 * stream/conn_sentinel.c -- the sentinels are asked where the master is, in turn, until one knows.
 *
 *     the one that answered last -> the next -> … -> all were asked: nobody knows
 *             | answer, epoch not below the highest told          '-> or most of them are behind: the newest of their answers
 *             '-> told
 *
 * A sentinel that was cut off from the others goes on naming the old master. The configuration epoch of its answer tells: it
 * rises with each failover. An answer with less than was heard before is taken only when more than half of the sentinels have no
 * more (they were set up anew). They are asked on a link of its own, which is kept: the next question costs no connecting.
 * Not here    What is done with the answer: conn.c. Whether it is true: conn_greet.c asks the server itself.
 */
#include "base/check.h"
#include "base/clock.h"
#include "stream/conn_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void ask_one(struct conn_sentinels *s);

__attribute__((format(printf, 2, 3))) static void set_why(struct conn_sentinels *s, const char *sentence, ...)
{
    const struct conn_endpoint *at = &s->conn->addr.sentinels[s->at];
    va_list ap;
    int n = snprintf(s->why, sizeof s->why, "sentinel %.100s:%d ", at->host, at->port);

    va_start(ap, sentence);
    vsnprintf(s->why + n, sizeof s->why - (size_t)n, sentence, ap);
    va_end(ap);
}

/* ---- the end of a round ---- */

static void tell(struct conn_sentinels *s, const struct conn_endpoint *master)
{
    s->asking = 0;
    uv_timer_stop(&s->timer);
    conn__told_master(s->conn, master);
}

static void end_round(struct conn_sentinels *s)
{
    if (s->behind * 2 > s->conn->addr.sentinel_count) {
        s->epoch = s->best_epoch;
        tell(s, &s->best);
        return;
    }
    s->asking = 0;
    uv_timer_stop(&s->timer);
    conn__told_nothing(s->conn, s->why);
}

/* The one asked was of no use. */
static void ask_next(struct conn_sentinels *s)
{
    conn_link_drop(&s->link);
    s->at = (s->at + 1) % s->conn->addr.sentinel_count;
    if (++s->tried < s->conn->addr.sentinel_count)
        ask_one(s);
    else
        end_round(s);
}

static void on_late(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    struct conn_sentinels *s = &c->sentinels;

    set_why(s, "does not answer");
    ask_next(s);
}

/* ---- answers ---- */

static void take_address(struct conn_sentinels *s, const struct reply *address)
{
    const struct reply *host = reply_at(address, 0);
    uint64_t port = reply_u64(reply_at(address, 1));
    struct conn_endpoint at = {.port = (int)port};

    if (host->kind != REPLY_STR || !host->len || host->len >= sizeof at.host || !port || port > 65535) {
        set_why(s, "knows no master named \"%s\"", s->conn->addr.master);
        ask_next(s);
        return;
    }
    memcpy(at.host, host->str, host->len);
    if (s->told_epoch < s->epoch) {
        s->behind++;
        set_why(s, "names a master that was replaced since");
        if (!s->best.port || s->told_epoch > s->best_epoch) {
            s->best = at;
            s->best_epoch = s->told_epoch;
        }
        ask_next(s);
        return;
    }
    s->epoch = s->told_epoch;
    tell(s, &at);
}

static void on_reply(void *user, struct reply_tree **tree)
{
    struct conn_sentinels *s = user;
    const struct reply *r = &(*tree)->root;

    if (!s->asking || !s->replies) {
        conn_link_drop(&s->link); /* a late or uncalled-for answer: the next question on a new link */
    } else if (--s->replies == 0) {
        if (r->kind == REPLY_ERROR) {
            set_why(s, "answers: %.*s", (int)r->len, r->str);
            ask_next(s);
        } else {
            take_address(s, r);
        }
    } else if (s->replies == 1) { /* who may not ask for it does without */
        s->told_epoch = r->kind == REPLY_ARRAY ? reply_u64(reply_field(r, "config-epoch")) : s->epoch;
    } else if (r->kind == REPLY_ERROR) { /* AUTH */
        set_why(s, "answers: %.*s", (int)r->len, r->str);
        ask_next(s);
    }
    reply_tree_free(tree);
}

/* ---- questions ---- */

/* The epoch before the address: an address may then be newer than its epoch, never older. */
static void send_question(struct conn_sentinels *s, int is_new)
{
    const struct conn_address *a = &s->conn->addr;
    struct conn_request *r = conn_request_new(0);
    int err;

    s->replies = 2;
    if (is_new)
        s->replies += (uint32_t)conn__add_auth(r, a->sentinel_user, a->sentinel_pass);
    conn_request_begin(r, 3);
    conn_request_str(r, "SENTINEL");
    conn_request_str(r, "MASTER");
    conn_request_str(r, a->master);
    conn_request_begin(r, 3);
    conn_request_str(r, "SENTINEL");
    conn_request_str(r, "GET-MASTER-ADDR-BY-NAME");
    conn_request_str(r, a->master);
    err = conn_link_write(s->link, &r, 1);
    conn_request_unref(&r);
    if (err < 0) {
        set_why(s, "cannot be written to: %s", uv_strerror(err));
        ask_next(s);
    }
}

static void on_connected(void *user)
{
    send_question(user, 1);
}

static void on_lost(void *user, const char *why)
{
    struct conn_sentinels *s = user;

    if (!s->asking) {
        conn_link_drop(&s->link);
        return;
    }
    set_why(s, "cannot be asked: %s", why);
    ask_next(s);
}

static const struct conn_link_ops link_ops = {on_connected, on_reply, on_lost};

static void ask_one(struct conn_sentinels *s)
{
    int err;

    uv_timer_start(&s->timer, on_late, CONN_SENTINEL_US_MAX / 1000, 0);
    if (s->link) {
        send_question(s, 0);
        return;
    }
    err = conn_link_open(s->conn->loop, &s->conn->addr.sentinels[s->at], &link_ops, s, &s->link);
    if (err < 0) {
        set_why(s, "cannot be asked: %s", uv_strerror(err));
        ask_next(s);
    }
}

void conn__ask_sentinels(struct conn *c)
{
    struct conn_sentinels *s = &c->sentinels;

    if (s->asking)
        return;
    s->asking = 1;
    s->tried = 0;
    s->best.port = 0;
    s->behind = 0;
    s->asked_us = clock_mono_us();
    ask_one(s);
}

void conn__sentinels_open(struct conn *c)
{
    c->sentinels.conn = c;
    uv_timer_init(c->loop, &c->sentinels.timer);
    c->sentinels.timer.data = c;
}

void conn__sentinels_close(struct conn *c)
{
    c->sentinels.asking = 0;
    uv_timer_stop(&c->sentinels.timer);
    conn_link_drop(&c->sentinels.link);
}

/*
 * stream/conn_greet.c -- what is said before the gate opens: who we are, which database, the script.
 *
 * SCRIPT LOAD doubles as the question whether Redis takes commands at all: it is refused while Redis
 * is LOADING or BUSY, and then asked again on the same connection.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/conn_int.h"

#include <stdio.h>
#include <string.h>

#define GREET_AGAIN_US 50000

static void add_words(struct conn_request *r, const char *a, const char *b, const char *c)
{
    conn_request_begin(r, c ? 3 : b ? 2 : 1);
    conn_request_str(r, a);
    if (b)
        conn_request_str(r, b);
    if (c)
        conn_request_str(r, c);
}

static void on_greeted(void *user, int err, const struct reply *reply)
{
    struct conn *c = user;
    enum reply_fault fault = FAULT_NONE;
    const struct reply *bad = NULL;

    for (uint32_t i = 0; i < reply->count && !bad; i++)
        if (reply->items[i].kind == REPLY_ERROR)
            bad = &reply->items[i];
    if (!bad) {
        conn__opened(c);
        return;
    }
    reply_fault(bad->str, bad->len, &fault);
    c->loading = fault == FAULT_LOADING;
    snprintf(c->why, sizeof c->why, "%.*s", (int)sizeof c->why - 1, bad->str);
    if (fault == FAULT_LOADING)
        c->stats.errors_loading++;
    if (fault == FAULT_LOADING || fault == FAULT_BUSY) {
        conn__pause_greeting(c, GREET_AGAIN_US);
        return;
    }
    c->stats.errors_other++;
    conn__lost(c, bad->str);
}

void conn__greet(struct conn *c)
{
    struct conn_request *r = conn_request_new(0);
    char db[12];

    if (c->addr.pass[0] && c->addr.user[0])
        add_words(r, "AUTH", c->addr.user, c->addr.pass);
    else if (c->addr.pass[0])
        add_words(r, "AUTH", c->addr.pass, NULL);
    if (c->addr.db) {
        snprintf(db, sizeof db, "%d", c->addr.db);
        add_words(r, "SELECT", db, NULL);
    }
    add_words(r, "CLIENT", "SETNAME", c->subscriber ? "joblog-bell" : "joblog");
    if (c->script)
        add_words(r, "SCRIPT", "LOAD", c->script);
    else
        add_words(r, "CLIENT", "GETNAME", NULL); /* so that there are always two replies: an array */
    conn__send_internal(c, &r, on_greeted);
}

static void on_pong(void *user, int err, const struct reply *reply)
{
    struct conn *c = user;

    c->ping_sent_us = 0;
}

void conn__ping(struct conn *c)
{
    struct conn_request *r = conn_request_new(0);

    add_words(r, "PING", NULL, NULL);
    c->ping_sent_us = clock_mono_us();
    if (c->subscriber) { /* the pong comes as a push, see conn__on_push() */
        int err = conn__write(c, &r, 1);

        conn_request_unref(&r);
        if (err < 0)
            conn__lost(c, uv_strerror(err));
        return;
    }
    conn__send_internal(c, &r, on_pong);
}

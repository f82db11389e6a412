/*
 * stream/conn_greet.c -- what is said before the gate opens: who we are, which database, the script; and who it is.
 *
 * INFO replication tells its history (conn_history()) and, where sentinels sent us, whether it is a master: both in one answer;
 * ROLE would tell only the second.
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

int conn__add_auth(struct conn_request *r, const char *user, const char *pass)
{
    if (!pass[0])
        return 0;
    if (user[0])
        add_words(r, "AUTH", user, pass);
    else
        add_words(r, "AUTH", pass, NULL);
    return 1;
}

/* 0 when what was greeted may be used. */
static int read_info(struct conn *c, const struct reply *info)
{
    size_t role_len, id_len;
    const char *role = reply_info(info, "role", &role_len), *id = reply_info(info, "master_replid", &id_len);
    char why[CONN_HOST_BYTES + 100];

    if (c->addr.sentinel_count && (role_len != 6 || memcmp(role, "master", 6) != 0)) {
        snprintf(why, sizeof why, "%s:%d is no master, though the sentinels name it (role \"%.*s\")", c->addr.at.host,
                 c->addr.at.port, role_len < 15 ? (int)role_len : 15, role);
        conn__lost(c, why);
        return -1;
    }
    snprintf(c->history, sizeof c->history, "%.*s", (int)id_len, id);
    return 0;
}

static void on_greeted(void *user, int err, const struct reply *reply)
{
    struct conn *c = user;
    enum reply_fault fault = FAULT_NONE;
    const struct reply *bad = NULL, *info = reply_at(reply, reply->count - (c->script ? 2 : 1));

    for (uint32_t i = 0; i < reply->count && !bad; i++)
        if (reply->items[i].kind == REPLY_ERROR && (&reply->items[i] != info || c->addr.sentinel_count))
            bad = &reply->items[i];
    if (!bad) {
        if (read_info(c, info) == 0)
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

    conn__add_auth(r, c->addr.user, c->addr.pass);
    if (c->addr.db) {
        snprintf(db, sizeof db, "%d", c->addr.db);
        add_words(r, "SELECT", db, NULL);
    }
    add_words(r, "CLIENT", "SETNAME", c->subscriber ? "joblog-bell" : "joblog");
    add_words(r, "INFO", "replication", NULL);
    if (c->script)
        add_words(r, "SCRIPT", "LOAD", c->script);
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
        int err = conn_link_write(c->link, &r, 1);

        conn_request_unref(&r);
        if (err < 0)
            conn__lost(c, uv_strerror(err));
        return;
    }
    conn__send_internal(c, &r, on_pong);
}

/*
 * stream/conn_channel.c -- the channels of a subscriber connection.
 */
#include "base/check.h"
#include "base/err.h"
#include "stream/conn_int.h"

#include <stdlib.h>
#include <string.h>

struct channel {
    const struct conn_channel_ops *ops;
    void *user;
};

static void say(struct conn *c, const char *verb, const char *channel, size_t len)
{
    struct conn_request *r = conn_request_new(0);
    int err;

    conn_request_begin(r, 2);
    conn_request_str(r, verb);
    conn_request_arg(r, channel, len);
    CHECK(must_have(r->build_err) == 0); /* nobody would notice that a bell is missing */
    err = conn_link_write(c->link, &r, 1);
    conn_request_unref(&r);
    /* A broken link is noticed by its reader too; closing it here could call back into our caller. */
    (void)err;
}

void conn_subscribe(struct conn *c, const char *channel, const struct conn_channel_ops *ops, void *user)
{
    struct channel *ch = must_calloc(1, sizeof *ch);
    size_t len = strlen(channel);

    CHECK(c->subscriber && len < CONN_CHANNEL_BYTES_MAX);
    ch->ops = ops;
    ch->user = user;
    CHECKF(!map_put(c->channels, channel, len, ch), "channel=%s", channel);
    if (c->state == CONN_OPEN)
        say(c, "SUBSCRIBE", channel, len);
}

void conn_unsubscribe(struct conn *c, const char *channel)
{
    struct channel *ch = map_del(c->channels, channel, strlen(channel));

    if (!ch)
        return;
    free(ch);
    if (c->state == CONN_OPEN)
        say(c, "UNSUBSCRIBE", channel, strlen(channel));
}

void conn__resubscribe(struct conn *c)
{
    const char *name;
    size_t pos = 0, len;

    while (map_next(c->channels, &pos, &name, &len))
        say(c, "SUBSCRIBE", name, len);
}

void conn__on_push(struct conn *c, const struct reply *r)
{
    const struct reply *kind = reply_at(r, 0), *name = reply_at(r, 1), *text = reply_at(r, 2);
    struct channel *ch;

    c->ping_sent_us = 0;
    if (kind->kind != REPLY_STR || name->kind != REPLY_STR)
        return;
    ch = map_get(c->channels, name->str, name->len);
    if (!ch)
        return;
    if (strcmp(kind->str, "message") == 0 && text->kind == REPLY_STR)
        ch->ops->message(ch->user, text->str, text->len);
    else if (strcmp(kind->str, "subscribe") == 0 && ch->ops->subscribed)
        ch->ops->subscribed(ch->user);
}

void conn__channels_free(struct conn *c)
{
    struct channel *ch;
    size_t pos = 0;

    while ((ch = map_next(c->channels, &pos, NULL, NULL)) != NULL)
        free(ch);
    map_free(&c->channels);
}

/*
 * stream/stops.c -- the channel of stopped jobs.
 */
#include "stream/stops.h"

#include "stream/stream_int.h"

static void on_message(void *user, const char *text, size_t len)
{
    struct stream *st = user;
    struct job_key key;

    if (st->stopped && job_key_parse(&key, text, len) == 0)
        st->stopped(st->stopped_user, &key);
}

static void on_subscribed(void *user)
{
    struct stream *st = user;

    if (st->stopped)
        st->stopped(st->stopped_user, NULL);
}

void stream_watch_stops(struct stream *st, stream_stopped_fn *fn, void *user)
{
    static const struct conn_channel_ops ops = {on_message, on_subscribed};

    if (st->stopped && !fn)
        conn_unsubscribe(st->bell, STREAM_CHANNEL_STOPS);
    if (!st->stopped && fn)
        conn_subscribe(st->bell, STREAM_CHANNEL_STOPS, &ops, st);
    st->stopped = fn;
    st->stopped_user = user;
}

/*
 * stream/place.c -- asking the script where a time or a record lies.
 */
#include "stream/place.h"

#include "base/check.h"
#include "base/err.h"
#include "stream/recover.h"
#include "stream/stream_int.h"

#include <stdlib.h>
#include <string.h>

struct places_call {
    struct stream *st;
    struct job_key key;
    int close_ms, asked_past;
    struct stream_place_ask asks[STREAM_PLACES_MAX];
    uint32_t count;
    stream_places_fn *done;
    void *user;
};

static void send_places(struct places_call *c);

static void end_places(struct places_call *c, int err, const struct stream_places *p)
{
    struct stream *st = c->st;

    c->done(c->user, err, err < 0 ? NULL : p);
    free(c);
    stream__call_end(st);
}

static void on_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    if (err < 0)
        end_places(user, err, NULL);
    else
        send_places(user);
}

static void on_places(void *user, int err, const struct reply *r)
{
    struct places_call *c = user;
    struct stream_places p = {0};

    if (err == 0 && strcmp(reply_at(r, 0)->str, "OK") != 0)
        err = strcmp(reply_at(r, 0)->str, "GONE") == 0 ? ERR_NOT_FOUND : ERR_PROTOCOL;
    if (err == 0) {
        p.epoch = reply_u64(reply_at(r, 1));
        p.seq = reply_u64(reply_at(r, 2));
        p.first_held = reply_u64(reply_at(r, 3));
        for (uint32_t i = 0; i < c->count; i++) {
            const struct reply *at = reply_at(r, 4 + i);

            p.at[i] = (struct stream_place){reply_u64(reply_at(at, 0)), (uint32_t)reply_u64(reply_at(at, 1)),
                                            reply_i64(reply_at(at, 2))};
        }
    }
    if (err == ERR_NOT_FOUND && !c->asked_past && !stream_is_whole(c->st)) {
        c->asked_past = 1;
        recover__start(c->st, &c->key, 0, on_recovered, c);
        return;
    }
    end_places(c, err, &p);
}

static void send_places(struct places_call *c)
{
    struct conn_request *r = conn_request_new(0);

    stream__script_begin(c->st, r, &c->key, "place", 1 + 2 * c->count);
    conn_request_str(r, c->close_ms ? "1" : "0");
    for (uint32_t i = 0; i < c->count; i++) {
        conn_request_str(r, c->asks[i].seq ? "s" : "t");
        if (c->asks[i].seq)
            conn_request_u64(r, c->asks[i].seq);
        else
            conn_request_i64(r, c->asks[i].us);
    }
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_places, c);
}

void stream_find_places(struct stream *st, const struct job_key *key, int close_ms,
                        const struct stream_place_ask *asks, uint32_t count, stream_places_fn *done, void *user)
{
    struct places_call *c = must_calloc(1, sizeof *c);

    CHECK(count <= STREAM_PLACES_MAX);
    *c = (struct places_call){.st = st, .key = *key, .close_ms = close_ms, .count = count, .done = done, .user = user};
    if (count)
        memcpy(c->asks, asks, count * sizeof *asks);
    stream__call_begin(st);
    send_places(c);
}

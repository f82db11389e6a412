/*
 * stream/tokens.c -- tokens and tickets in Redis.
 *
 *     jl:tokens          hash: id -> line, "version" -> counter
 *     jl:tokens:bell     channel: each line that was put
 *     jl:ticket:<hash>   string: id of its token, with a time to live
 */
#include "stream/tokens.h"

#include "base/check.h"
#include "base/err.h"
#include "stream/stream_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TOKENS "jl:tokens"
#define KEY_TOKENS_BELL "jl:tokens:bell"
#define FIELD_VERSION "version"
#define TICKET_KEY_BYTES 96

/* A call under way; one of the three is set. */
struct tokens_call {
    struct stream *st;
    stream_tokens_fn *loaded;
    void (*done)(void *user, int err);
    void (*taken)(void *user, int err, const char *value);
    void *user;
};

static struct tokens_call *call_new(struct stream *st, void *user)
{
    struct tokens_call *c = must_calloc(1, sizeof *c);

    c->st = st;
    c->user = user;
    stream__call_begin(st);
    return c;
}

static void call_end(struct tokens_call *c)
{
    struct stream *st = c->st;

    free(c);
    stream__call_end(st);
}

/* ---- reading ---- */

static void on_loaded(void *user, int err, const struct reply *reply)
{
    struct tokens_call *c = user;
    struct stream_token *tokens = NULL;
    uint64_t version = 0;
    uint32_t count = 0;

    if (err == 0 && reply->count)
        tokens = must_calloc(reply->count / 2 + 1, sizeof *tokens);
    for (uint32_t i = 0; err == 0 && i + 1 < reply->count; i += 2) {
        const struct reply *id = reply_at(reply, i), *line = reply_at(reply, i + 1);

        if (strcmp(id->str, FIELD_VERSION) == 0)
            version = reply_u64(line);
        else
            tokens[count++] = (struct stream_token){id->str, line->str, line->len};
    }
    c->loaded(c->user, err, version, tokens, count);
    free(tokens);
    call_end(c);
}

void stream_tokens_load(struct stream *st, stream_tokens_fn *done, void *user)
{
    struct tokens_call *c = call_new(st, user);

    c->loaded = done;
    conn_words(st->cmd, CONN_IDEMPOTENT, on_loaded, c, "HGETALL", KEY_TOKENS, NULL);
}

static void on_version(void *user, int err, const struct reply *reply)
{
    struct tokens_call *c = user;

    c->loaded(c->user, err, err == 0 ? reply_u64(reply) : 0, NULL, 0);
    call_end(c);
}

void stream_tokens_version(struct stream *st, stream_tokens_fn *done, void *user)
{
    struct tokens_call *c = call_new(st, user);

    c->loaded = done;
    conn_words(st->cmd, CONN_IDEMPOTENT, on_version, c, "HGET", KEY_TOKENS, FIELD_VERSION, NULL);
}

/* ---- writing ---- */

static void on_done(void *user, int err, const struct reply *reply)
{
    struct tokens_call *c = user;

    c->done(c->user, err);
    call_end(c);
}

/* All or nothing: what Redis has no room for must not be told to the other nodes. */
void stream_tokens_put(struct stream *st, const char *id, const char *line, size_t len,
                       void (*done)(void *user, int err), void *user)
{
    struct conn_request *r = conn_request_new(len + 256);
    struct tokens_call *c = call_new(st, user);

    CHECKF(strcmp(id, FIELD_VERSION) != 0, "id=%s", id);
    c->done = done;
    conn_request_begin(r, 1);
    conn_request_str(r, "MULTI");
    conn_request_begin(r, 4);
    conn_request_str(r, "HSET");
    conn_request_str(r, KEY_TOKENS);
    conn_request_str(r, id);
    conn_request_arg(r, line, len);
    conn_request_begin(r, 4);
    conn_request_str(r, "HINCRBY");
    conn_request_str(r, KEY_TOKENS);
    conn_request_str(r, FIELD_VERSION);
    conn_request_str(r, "1");
    conn_request_begin(r, 3);
    conn_request_str(r, "PUBLISH");
    conn_request_str(r, KEY_TOKENS_BELL);
    conn_request_arg(r, line, len);
    conn_request_begin(r, 1);
    conn_request_str(r, "EXEC");
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_done, c);
}

void stream_tokens_drop(struct stream *st, const char *id)
{
    conn_words(st->cmd, CONN_IDEMPOTENT, NULL, NULL, "HDEL", KEY_TOKENS, id, NULL);
}

/* ---- watching ---- */

static void on_message(void *user, const char *text, size_t len)
{
    struct stream *st = user;

    st->tokens_ops->changed(st->tokens_user, text, len);
}

static void on_subscribed(void *user)
{
    struct stream *st = user;

    st->tokens_ops->listening(st->tokens_user);
}

void stream_tokens_watch(struct stream *st, const struct stream_tokens_ops *ops, void *user)
{
    static const struct conn_channel_ops bell = {on_message, on_subscribed};

    st->tokens_ops = ops;
    st->tokens_user = user;
    conn_subscribe(st->bell, KEY_TOKENS_BELL, &bell, st);
}

/* ---- tickets ---- */

static const char *ticket_key(char out[TICKET_KEY_BYTES], const char *hash)
{
    CHECK(snprintf(out, TICKET_KEY_BYTES, "jl:ticket:%s", hash) < TICKET_KEY_BYTES);
    return out;
}

void stream_ticket_put(struct stream *st, const char *hash, const char *value, unsigned ttl_s,
                       void (*done)(void *user, int err), void *user)
{
    struct tokens_call *c = call_new(st, user);
    char key[TICKET_KEY_BYTES], seconds[16];

    c->done = done;
    snprintf(seconds, sizeof seconds, "%u", ttl_s);
    conn_words(st->cmd, CONN_IDEMPOTENT, on_done, c, "SET", ticket_key(key, hash), value, "EX", seconds,
               NULL);
}

static void on_taken(void *user, int err, const struct reply *reply)
{
    struct tokens_call *c = user;

    if (err == 0 && reply->kind != REPLY_STR)
        err = ERR_NOT_FOUND;
    c->taken(c->user, err, err == 0 ? reply->str : NULL);
    call_end(c);
}

/* Not idempotent: taken twice is taken once, the answer of the first may be lost with its connection. */
void stream_ticket_take(struct stream *st, const char *hash,
                        void (*done)(void *user, int err, const char *value), void *user)
{
    struct tokens_call *c = call_new(st, user);
    char key[TICKET_KEY_BYTES];

    c->taken = done;
    conn_words(st->cmd, 0, on_taken, c, "GETDEL", ticket_key(key, hash), NULL);
}

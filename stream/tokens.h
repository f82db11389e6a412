/*
 * stream/tokens.h -- what all nodes share of tokens and tickets, in Redis.
 *
 * To this room a token is an id and a line of text (auth/token.h writes it), a ticket the hash of one and
 * the id of its token. Keys in docs/format-redis.md.
 *
 * Promises   As in stream/stream.h: each callback once, never from inside the call; success means that
 *            Redis said so. Arguments are copied.
 */
#ifndef STREAM_TOKENS_H
#define STREAM_TOKENS_H

#include <stddef.h>
#include <stdint.h>

struct stream;

struct stream_token {
    const char *id, *line;
    size_t line_len;
};
/* version: grows with every change; what follows is at least as new. Lines are borrowed. */
typedef void stream_tokens_fn(void *user, int err, uint64_t version, const struct stream_token *tokens,
                              uint32_t count);
void stream_tokens_load(struct stream *st, stream_tokens_fn *done, void *user);
/* Only the version: tokens NULL, count 0. */
void stream_tokens_version(struct stream *st, stream_tokens_fn *done, void *user);
/* Write one, or replace it, and tell all nodes. */
void stream_tokens_put(struct stream *st, const char *id, const char *line, size_t len,
                       void (*done)(void *user, int err), void *user);
/* Drop one. Nobody is told: only what is of no use any more is dropped. */
void stream_tokens_drop(struct stream *st, const char *id);

struct stream_tokens_ops {
    void (*changed)(void *user, const char *line, size_t len); /* one was put, by any node */
    void (*listening)(void *user); /* the first time and after every reconnect: load them all */
};
/* At most one watcher. ops and user stay valid until stream_close(). */
void stream_tokens_watch(struct stream *st, const struct stream_tokens_ops *ops, void *user);

/* Keep a ticket for ttl_s seconds. hash: 64 hex digits. */
void stream_ticket_put(struct stream *st, const char *hash, const char *value, unsigned ttl_s,
                       void (*done)(void *user, int err), void *user);
/* Take it, once for all nodes. ERR_NOT_FOUND; value is borrowed. */
void stream_ticket_take(struct stream *st, const char *hash,
                        void (*done)(void *user, int err, const char *value), void *user);

#endif

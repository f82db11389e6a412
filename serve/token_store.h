/*
 * serve/token_store.h -- the tokens of this node: kept in step with Redis, with a file, with the other nodes.
 *
 *     DATA/tokens.jsonl ──start──> tokens (auth/tokens.h) <──bell, poll, reconnect── Redis <── other nodes
 *            ^────── every change ───┘        └──────── what Redis lacks ────────────^
 *
 * All copies are merged, none is the master: a token lost by Redis comes back from the file of any node, a
 * revocation wins everywhere (auth/tokens.h). So a node knows its tokens before Redis answers, and while
 * it is away.
 *
 * Promises   A change is told as done when Redis holds it (fsynced, in class durable) and the file was
 *            written; a revocation holds on this node at once, whatever else fails.
 * Threads    The loop thread; the file is written by a worker.
 */
#ifndef SERVE_TOKEN_STORE_H
#define SERVE_TOKEN_STORE_H

#include "auth/tokens.h"

#include <uv.h>

#define TOKEN_STORE_POLL_MS 20000 /* a bell that was missed is noticed so much later */
#define TOKEN_STORE_FILE "tokens.jsonl"

struct stream;
struct token_store;

struct token_store_options {
    uv_loop_t *loop;
    const char *data_dir;
    const char *master_file; /* NULL or "": none */
    unsigned poll_ms;        /* 0: TOKEN_STORE_POLL_MS */
    void (*changed)(void *user); /* tokens came, were revoked, or were heard of for the first time */
    void *user;
};
/* Reads the files; no Redis yet. ERR_* with why: a file is there but cannot be used. */
int token_store_open(const struct token_store_options *o, char *why, size_t why_size,
                     struct token_store **ret_store);
/* Begin to listen to Redis. */
void token_store_start(struct token_store *s, struct stream *st);
/* Before the stream is closed: ask Redis nothing more. */
void token_store_stop(struct token_store *s);
/* After the stream is closed: no callback of it may come any more. done(user) when the last change is in the
 * file and the handles are closed. Takes and NULLs. */
void token_store_close(struct token_store **s, void (*done)(void *user), void *user);

struct tokens *token_store_tokens(const struct token_store *s);
/* Has Redis told what it holds? Before, that there are no tokens proves nothing. */
int token_store_is_loaded(const struct token_store *s);
/* Read the master's file again. On ERR_* (why) the old one stays. */
int token_store_reload(struct token_store *s, char *why, size_t why_size);

typedef void token_store_fn(void *user, int err);
/* Add a token (copied). ERR_LIMIT, ERR_EXISTS, or what the stream says: then it is not there. */
void token_store_add(struct token_store *s, const struct token *t, token_store_fn *done, void *user);
/* Revoke. ERR_NOT_FOUND; any other error: it is revoked here, and the others learn it later. */
void token_store_revoke(struct token_store *s, const char *id, token_store_fn *done, void *user);

#endif

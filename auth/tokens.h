/*
 * auth/tokens.h -- all tokens this node knows: found by their secret or id, merged from anywhere.
 *
 * Copies of the tokens lie in Redis (for all nodes) and in a file (for the day Redis is lost); every
 * copy may be older than another. Merging takes a token that is not known, and a revocation that is
 * not known; nothing is ever taken back. So any order of merges ends the same, and a revoked token
 * never returns. Tokens that expired TOKENS_KEEP_US ago are forgotten: an old copy of one is as
 * expired as it was.
 *
 * Memory     At most TOKENS_MAX, about 500 bytes each.
 * Threads    The loop thread.
 */
#ifndef AUTH_TOKENS_H
#define AUTH_TOKENS_H

#include "auth/token.h"

#define TOKENS_MAX 10000 /* revoked ones that never expire count too */
#define TOKENS_KEEP_US (INT64_C(7) * 86400 * 1000000)
#define TOKENS_MASTER_BYTES_MIN 32 /* of the secret in a file */
#define TOKENS_MASTER_BYTES_MAX 256

struct tokens;

struct tokens *tokens_new(void);
void tokens_free(struct tokens **t);

/* The token with this secret, dead ones too; NULL. Borrowed. */
struct token *tokens_find(const struct tokens *t, const char *secret, size_t len);
struct token *tokens_by_hash(const struct tokens *t, const unsigned char hash[HASH_BYTES]);
struct token *tokens_by_id(const struct tokens *t, const char *id);
/* Is there any at all, dead ones too? Then everybody needs one. */
int tokens_exist(const struct tokens *t);
size_t tokens_count(const struct tokens *t);
/* Live admins of all projects that are stored (not the master). */
size_t tokens_admins(const struct tokens *t, int64_t now_us);
/* Start with *pos = 0; NULL at the end. The master is not among them. */
struct token *tokens_next(const struct tokens *t, size_t *pos);

/* Grows with every token that came or was revoked. */
uint64_t tokens_generation(const struct tokens *t);
/* When the next live token expires; 0: none does. */
int64_t tokens_next_expiry(const struct tokens *t, int64_t now_us);

enum tokens_merged {
    TOKENS_SAME,
    TOKENS_TAKEN, /* it was not known, or not as revoked */
    TOKENS_OLDER, /* it is revoked here: who gave it must be told */
};
/* other is copied. ERR_LIMIT: TOKENS_MAX; ERR_EXISTS: another token has its id or hash. */
int tokens_merge(struct tokens *t, const struct token *other);
/* Revoke by id; ERR_NOT_FOUND. Again: 0. */
int tokens_revoke(struct tokens *t, const char *id, int64_t now_us);
/* May it be forgotten? */
int tokens_is_stale(const struct token *token, int64_t now_us);
/* Forget the stale ones, but never the last token of all: a service that once had tokens stays closed.
 * How many; gone (may be NULL) is told each id. */
size_t tokens_forget(struct tokens *t, int64_t now_us, void (*gone)(void *user, const char *id), void *user);

/* The master: an admin of all projects whose secret an operator gave in a file. It is not stored, listed
 * or revoked. secret NULL: none (any more). ERR_INVALID: too short or long, not visible ASCII; ERR_CORRUPT: it
 * looks like a token but its checksum is wrong. The old one stays on errors. */
int tokens_set_master(struct tokens *t, const char *secret, size_t len, int64_t now_us);
int tokens_has_master(const struct tokens *t);

#endif

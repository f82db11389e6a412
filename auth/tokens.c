/*
 * auth/tokens.c -- all tokens this node knows.
 */
#include "auth/tokens.h"

#include "auth/secret.h"
#include "base/check.h"
#include "base/err.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

struct tokens {
    struct map *by_hash; /* owns */
    struct map *by_id;
    struct token *master; /* NULL: none */
    uint64_t generation;
};

struct tokens *tokens_new(void)
{
    struct tokens *t = must_calloc(1, sizeof *t);

    t->by_hash = map_new();
    t->by_id = map_new();
    return t;
}

void tokens_free(struct tokens **tp)
{
    struct tokens *t = *tp;
    struct token *token;
    size_t pos = 0;

    *tp = NULL;
    if (!t)
        return;
    while ((token = map_next(t->by_hash, &pos, NULL, NULL)))
        token_unref(&token);
    map_free(&t->by_hash);
    map_free(&t->by_id);
    token_unref(&t->master);
    free(t);
}

/* The map compares hashes of secrets, not secrets: what its timing tells of a stored hash helps nobody
 * to find a secret with that hash. The last word is constant in time all the same. */
struct token *tokens_by_hash(const struct tokens *t, const unsigned char hash[HASH_BYTES])
{
    struct token *found;

    if (t->master && hash_equal(t->master->hash, hash))
        return t->master;
    found = map_get(t->by_hash, (const char *)hash, HASH_BYTES);
    return found && hash_equal(found->hash, hash) ? found : NULL;
}

struct token *tokens_find(const struct tokens *t, const char *secret, size_t len)
{
    unsigned char hash[HASH_BYTES];

    hash_sha256(secret, len, hash);
    return tokens_by_hash(t, hash);
}

struct token *tokens_by_id(const struct tokens *t, const char *id)
{
    return map_get(t->by_id, id, strlen(id));
}

int tokens_exist(const struct tokens *t)
{
    return t->master || map_count(t->by_id) > 0;
}

size_t tokens_count(const struct tokens *t)
{
    return map_count(t->by_id);
}

struct token *tokens_next(const struct tokens *t, size_t *pos)
{
    return map_next(t->by_id, pos, NULL, NULL);
}

size_t tokens_admins(const struct tokens *t, int64_t now_us)
{
    struct token *token;
    size_t pos = 0, count = 0;

    while ((token = tokens_next(t, &pos)))
        count += !*token->project && (token->scopes & SCOPE_ADMIN) &&
                 token_state(token, now_us) == TOKEN_LIVE;
    return count;
}

uint64_t tokens_generation(const struct tokens *t)
{
    return t->generation;
}

int64_t tokens_next_expiry(const struct tokens *t, int64_t now_us)
{
    struct token *token;
    int64_t next_us = 0;
    size_t pos = 0;

    while ((token = tokens_next(t, &pos)))
        if (token->expires_us && token_state(token, now_us) == TOKEN_LIVE &&
            (!next_us || token->expires_us < next_us))
            next_us = token->expires_us;
    return next_us;
}

/* ---- change ---- */

static int add(struct tokens *t, const struct token *other)
{
    struct token *mine;

    if (map_count(t->by_id) >= TOKENS_MAX)
        return ERR_LIMIT;
    if (map_get(t->by_hash, (const char *)other->hash, HASH_BYTES))
        return ERR_EXISTS;
    mine = must_malloc(sizeof *mine);
    *mine = *other;
    mine->refs = 1;
    map_put(t->by_hash, (const char *)mine->hash, HASH_BYTES, mine);
    map_put(t->by_id, mine->id, strlen(mine->id), mine);
    t->generation++;
    return TOKENS_TAKEN;
}

int tokens_merge(struct tokens *t, const struct token *other)
{
    struct token *mine = tokens_by_id(t, other->id);

    if (!mine)
        return add(t, other);
    if (!hash_equal(mine->hash, other->hash))
        return ERR_EXISTS;
    if (mine->revoked_us && !other->revoked_us)
        return TOKENS_OLDER;
    if (mine->revoked_us || !other->revoked_us)
        return TOKENS_SAME;
    mine->revoked_us = other->revoked_us;
    t->generation++;
    return TOKENS_TAKEN;
}

int tokens_revoke(struct tokens *t, const char *id, int64_t now_us)
{
    struct token *mine = tokens_by_id(t, id);

    if (!mine)
        return ERR_NOT_FOUND;
    if (mine->revoked_us)
        return 0;
    mine->revoked_us = now_us;
    t->generation++;
    return 0;
}

int tokens_is_stale(const struct token *token, int64_t now_us)
{
    return token->expires_us && token->expires_us + TOKENS_KEEP_US <= now_us;
}

/* The one that is kept when all are stale: the same on every node. */
static const struct token *last_stale(const struct tokens *t, int64_t now_us)
{
    const struct token *token, *last = NULL;
    size_t pos = 0;

    while ((token = tokens_next(t, &pos))) {
        if (!tokens_is_stale(token, now_us))
            return NULL;
        if (!last || token->expires_us > last->expires_us ||
            (token->expires_us == last->expires_us && strcmp(token->id, last->id) > 0))
            last = token;
    }
    return last;
}

size_t tokens_forget(struct tokens *t, int64_t now_us, void (*gone)(void *user, const char *id), void *user)
{
    const struct token *last = last_stale(t, now_us);
    struct token *token;
    size_t pos = 0, count = 0;

    while ((token = map_next(t->by_id, &pos, NULL, NULL))) {
        if (token == last || !tokens_is_stale(token, now_us))
            continue;
        if (gone)
            gone(user, token->id);
        map_del(t->by_id, token->id, strlen(token->id));
        map_del(t->by_hash, (const char *)token->hash, HASH_BYTES);
        token_unref(&token);
        count++;
    }
    return count;
}

/* ---- the master ---- */

static int is_good_master(const char *secret, size_t len)
{
    if (len < TOKENS_MASTER_BYTES_MIN || len > TOKENS_MASTER_BYTES_MAX)
        return ERR_INVALID;
    for (size_t i = 0; i < len; i++)
        if (secret[i] <= ' ' || secret[i] > '~')
            return ERR_INVALID;
    if (strncmp(secret, SECRET_TOKEN, SECRET_PREFIX_BYTES) == 0)
        return secret_check(SECRET_TOKEN, secret, len);
    return 0;
}

int tokens_set_master(struct tokens *t, const char *secret, size_t len, int64_t now_us)
{
    unsigned char hash[HASH_BYTES];
    int err = secret ? is_good_master(secret, len) : 0;

    if (err < 0)
        return err;
    if (secret) {
        hash_sha256(secret, len, hash);
        if (t->master && hash_equal(t->master->hash, hash))
            return 0;
    }
    if (t->master)
        t->master->revoked_us = now_us; /* for those who came in with it */
    token_unref(&t->master);
    t->generation++;
    if (!secret)
        return 0;
    t->master = token_new();
    memcpy(t->master->hash, hash, sizeof hash);
    strcpy(t->master->name, "admin-token-file");
    t->master->scopes = SCOPE_ALL;
    t->master->created_us = now_us;
    return 0;
}

int tokens_has_master(const struct tokens *t)
{
    return t->master != NULL;
}

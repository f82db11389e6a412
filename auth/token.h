/*
 * auth/token.h -- one token: whom it stands for, what it may do, for how long.
 *
 * The secret itself is never kept, only its SHA-256. A token never changes but for one thing: it can
 * be revoked. So two copies of one token are merged by taking the revoked one, wherever they come
 * from (auth/tokens.h).
 *
 * As a line of JSON (Redis, DATA/tokens.json):
 *     {"id":"7h2k…","sha256":"<64 hex>","name":"ci","project":"vision"|null,"scopes":["ingest"],
 *      "created_at":"<RFC 3339>","expires_at":…|null,"revoked_at":…|null,"quotas":{…}}
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "auth/hash.h"
#include "auth/quota.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "job/id.h"

#include <stdint.h>

#define TOKEN_ID_BYTES 12
#define TOKEN_NAME_BYTES_MAX 64
#define TOKEN_LINE_BYTES_MAX 4096 /* of its JSON */
#define TOKEN_SCOPES_BYTES 20     /* "read,ingest,admin" with NUL */

/* X(name, bit): admin includes the others. */
#define SCOPE_TABLE(X)                                                                             \
    X(READ, read, 1)                                                                               \
    X(INGEST, ingest, 2)                                                                           \
    X(ADMIN, admin, 4)
enum scope {
#define X(name, word, bit) SCOPE_##name = bit,
    SCOPE_TABLE(X)
#undef X
};
#define SCOPE_ALL (SCOPE_READ | SCOPE_INGEST | SCOPE_ADMIN)

enum token_state { TOKEN_LIVE, TOKEN_EXPIRED, TOKEN_REVOKED };

struct token {
    int refs;
    char id[TOKEN_ID_BYTES + 1];
    char name[TOKEN_NAME_BYTES_MAX + 1];
    char project[ID_BYTES_MAX + 1]; /* "": all */
    unsigned char hash[HASH_BYTES];
    unsigned scopes;
    int64_t created_us, expires_us /* 0: never */, revoked_us /* 0: not */;
    struct quotas quotas;
    struct quota_use use; /* by this node */
};

/* Zeroed, with a fresh id and one reference. */
struct token *token_new(void);
struct token *token_ref(struct token *t);
void token_unref(struct token **t);

enum token_state token_state(const struct token *t, int64_t now_us);
/* "read,ingest" or "read ingest", each known, at least one; what admin includes is added. ERR_INVALID. */
int scopes_parse(const char *text, unsigned *ret);
/* "read,ingest". Returns out. */
const char *scopes_text(unsigned scopes, char out[TOKEN_SCOPES_BYTES]);
/* ["read","ingest"] */
void scopes_json(struct json *j, unsigned scopes);
/* 1 to TOKEN_NAME_BYTES_MAX bytes of UTF-8 without control characters. */
int token_name_valid(const char *name);

/* The line of JSON. */
void token_write(struct json *j, const struct token *t);
/* The members that anybody may see: all but the hash. Inside an object. */
void token_write_members(struct json *j, const struct token *t);
/* ERR_INVALID for what is no token. */
int token_read(const struct json_tree *v, struct token **ret_token);
int token_parse(const char *text, size_t len, struct token **ret_token);

#endif

/*
 * serve/api_tokens.c -- tokens and tickets over HTTP.
 */
#include "serve/api_tokens.h"

#include "auth/secret.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "serve/auth.h"
#include "serve/json_body.h"
#include "stream/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(name, word, text) " " #word
static const char quota_words[] = QUOTA_TABLE(X);
#undef X
#define TOKENS_PATH "/v1/tokens/"

/* A request that waits for Redis. */
struct tokens_call {
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the client has gone */
    struct token *token;            /* being made or revoked */
    char secret[SECRET_BYTES + 1];  /* to be told once */
    int64_t until_us;               /* of a ticket */
};

static void on_call_close(struct http *x, int clean)
{
    struct tokens_call *c = http_user(x);

    c->x = NULL;
}

static const struct http_handler call_handler = {.on_close = on_call_close};

static struct tokens_call *call_new(struct serve_ctx *ctx, struct http *x)
{
    struct tokens_call *c = must_calloc(1, sizeof *c);

    c->ctx = ctx;
    c->x = x;
    http_handle(x, &call_handler, c);
    return c;
}

static void call_free(struct tokens_call *c)
{
    token_unref(&c->token);
    hash_wipe(c->secret, sizeof c->secret);
    free(c);
}

/* The exchange back, or NULL. */
static struct http *call_end(struct tokens_call *c)
{
    if (c->x)
        http_handle(c->x, NULL, NULL);
    return c->x;
}

static void reply_json(struct http *x, int status, struct buf *body)
{
    buf_addc(body, '\n');
    http_set_header(x, "Cache-Control", "no-store");
    http_reply(x, status, "application/json", body->data, body->len);
    hash_wipe(body->data, body->len);
    buf_release(body);
}

static void reply_unavailable(struct http *x, int err, const char *message)
{
    http_set_header(x, "Retry-After", "1");
    http_reply_error(x, 503, err_code(err), "%s", message);
}

/* ---- whoami ---- */

void api_whoami(struct serve_ctx *ctx, struct http *x)
{
    const struct caller *caller = auth_caller(x);
    const struct token *t = caller ? caller->token : NULL;
    static const struct quotas none = {{0}};
    char time[CLOCK_RFC3339_BYTES + 1];
    struct buf body = BUF_INIT;
    struct json j;

    json_init(&j, &body);
    json_obj(&j);
    json_kstr(&j, "auth", t ? "token" : "none");
    json_kstr(&j, "token", t ? t->name : NULL);
    json_kstr(&j, "id", t ? t->id : NULL);
    json_kstr(&j, "project", caller_project(caller));
    json_key(&j, "scopes");
    scopes_json(&j, t ? t->scopes : SCOPE_ALL);
    json_kstr(&j, "expires_at", t && t->expires_us ? clock_rfc3339(t->expires_us, time) : NULL);
    json_key(&j, "quotas");
    quotas_write(&j, t ? &t->quotas : &none);
    json_end(&j);
    reply_json(x, 200, &body);
}

/* ---- tickets ---- */

static void reply_ticket(struct http *x, const char *ticket, int64_t until_us)
{
    char time[CLOCK_RFC3339_BYTES + 1];
    struct buf body = BUF_INIT;
    struct json j;

    json_init(&j, &body);
    json_obj(&j);
    json_kstr(&j, "ticket", ticket);
    json_kstr(&j, "expires_at", clock_rfc3339(until_us, time));
    json_end(&j);
    reply_json(x, 200, &body);
}

static void on_ticket_kept(void *user, int err)
{
    struct tokens_call *c = user;
    struct http *x = call_end(c);

    if (x && err)
        reply_unavailable(x, err, err_text(err));
    else if (x)
        reply_ticket(x, c->secret, c->until_us);
    call_free(c);
}

void api_tickets_create(struct serve_ctx *ctx, struct http *x)
{
    const struct caller *caller = auth_caller(x);
    int64_t until_us = clock_wall_us() + AUTH_TICKET_S * INT64_C(1000000);
    unsigned char hash[HASH_BYTES];
    char ticket[SECRET_BYTES + 1], key[HASH_HEX_BYTES + 1], value[HASH_HEX_BYTES + 1];
    struct tokens_call *c;

    secret_make(SECRET_TICKET, ticket);
    if (!caller || !caller->token) { /* nobody will ask for it, but a page need not know */
        reply_ticket(x, ticket, until_us);
        return;
    }
    auth_count_ticket(ctx->auth);
    hash_sha256(ticket, SECRET_BYTES, hash);
    c = call_new(ctx, x);
    memcpy(c->secret, ticket, sizeof ticket);
    c->until_us = until_us;
    stream_ticket_put(ctx->stream, hash_hex(hash, key), hash_hex(caller->token->hash, value), AUTH_TICKET_S,
                      on_ticket_kept, c);
    hash_wipe(ticket, sizeof ticket);
}

/* ---- list ---- */

static const char *state_word(const struct token *t)
{
    switch (token_state(t, clock_wall_us())) {
    case TOKEN_LIVE:
        return "live";
    case TOKEN_EXPIRED:
        return "expired";
    case TOKEN_REVOKED:
        return "revoked";
    }
    return "";
}

static int newest_first(const void *a, const void *b)
{
    const struct token *s = *(struct token *const *)a, *t = *(struct token *const *)b;

    if (s->created_us != t->created_us)
        return s->created_us < t->created_us ? 1 : -1;
    return strcmp(s->id, t->id);
}

void api_tokens_list(struct serve_ctx *ctx, struct http *x)
{
    const struct caller *caller = auth_caller(x);
    const struct tokens *tokens = token_store_tokens(auth_store(ctx->auth));
    struct token **all = must_calloc(tokens_count(tokens) + 1, sizeof(struct token *)), *t;
    size_t pos = 0, count = 0;
    struct buf body = BUF_INIT;
    struct json j;

    while ((t = tokens_next(tokens, &pos)))
        if (caller_may_see(caller, t->project))
            all[count++] = t;
    qsort(all, count, sizeof *all, newest_first);
    json_init_may_fail(&j, &body);
    json_obj(&j);
    json_key(&j, "tokens");
    json_arr(&j);
    for (size_t i = 0; i < count; i++) {
        json_obj(&j);
        token_write_members(&j, all[i]);
        json_kstr(&j, "state", state_word(all[i]));
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    free(all);
    if (json_err(&j)) {
        http_reply_error(x, 500, "no_memory", "%s", err_text(ERR_NOMEM));
        buf_release(&body);
        return;
    }
    reply_json(x, 200, &body);
}

/* ---- create ---- */

/* "scopes": "read,ingest" or ["read","ingest"]. */
static int read_scopes(const struct json_tree *v, unsigned *ret)
{
    struct buf words = BUF_INIT;
    int err = 0;

    if (json_tree_is_str(v))
        return scopes_parse(json_tree_str(v), ret);
    if (!json_tree_is_arr(v))
        return ERR_INVALID;
    for (const struct json_tree *i = json_tree_first(v); i && err == 0; i = json_tree_next(i))
        err = json_tree_is_str(i) ? buf_addf(&words, "%s ", json_tree_str(i)) : ERR_INVALID;
    if (err == 0)
        err = scopes_parse(buf_cstr(&words), ret);
    buf_release(&words);
    return err;
}

static const char lifetime_wanted[] =
    "expires_at: an RFC 3339 time in the future, or expires_in: a duration like 30d, or seconds; at most ten years";

static int read_lifetime(const struct json_tree *root, struct token *t)
{
    const struct json_tree *in = json_tree_get(root, "expires_in");
    const char *at = NULL;
    int64_t life = 0;
    int err = json_tree_get_str(root, "expires_at", &at);

    if (err < 0)
        return err;
    if (in && !json_tree_is_null(in)) {
        const char *text = json_tree_str(in);

        if (at)
            return ERR_INVALID; /* one of the two */
        if (json_tree_is_num(in))
            err = json_tree_i64(in, &life) < 0 || life > API_TOKENS_LIFE_US_MAX / 1000000 ? ERR_INVALID
                                                                                         : (life *= 1000000, 0);
        else
            err = text ? clock_parse_duration(text, strlen(text), &life) : ERR_INVALID;
    } else if (at) {
        err = clock_parse_rfc3339(at, strlen(at), &life);
        life -= t->created_us;
    } else {
        return 0;
    }
    if (err < 0 || life <= 0 || life > API_TOKENS_LIFE_US_MAX)
        return ERR_INVALID;
    t->expires_us = t->created_us + life;
    return 0;
}

static int refuse(struct http *x, const char *message)
{
    http_reply_error(x, 400, "bad_request", "%s", message);
    return ERR_INVALID;
}

/* What the body asks for, into t; ERR_* after an answered error. */
static int read_token(struct http *x, const struct json_tree *root, struct token *t)
{
    static const char *const known[] = {"name", "project", "scopes", "expires_at", "expires_in", "quotas"};
    const struct json_tree *quotas = json_tree_get(root, "quotas");
    const char *name = NULL, *project = NULL, *bad = NULL;

    for (const struct json_tree *v = json_tree_first(root); v; v = json_tree_next(v)) {
        size_t i = 0;

        while (i < sizeof known / sizeof *known && strcmp(known[i], json_tree_key(v)) != 0)
            i++;
        if (i == sizeof known / sizeof *known) { /* a limit that is mistyped must not be none */
            http_reply_error(x, 400, "bad_request", "%.100s is not known here", json_tree_key(v));
            return ERR_INVALID;
        }
    }
    if (json_tree_get_str(root, "name", &name) < 0 || (name && !token_name_valid(name)))
        return refuse(x, "name: 1 to 64 bytes without control characters");
    if (json_tree_get_str(root, "project", &project) < 0 || (project && !id_valid(project, strlen(project))))
        return refuse(x, "project: an id, [A-Za-z0-9][A-Za-z0-9._-]{0,127}, or null for all");
    if (read_scopes(json_tree_get(root, "scopes"), &t->scopes) < 0)
        return refuse(x, "scopes: some of read, ingest, admin");
    if (!project)
        project = caller_project(auth_caller(x));
    if (read_lifetime(root, t) < 0)
        return refuse(x, lifetime_wanted);
    if (quotas && !json_tree_is_null(quotas) && quotas_read(&t->quotas, quotas, &bad) < 0) {
        http_reply_error(x, 400, "bad_request", "%.100s: an object of whole numbers above 0 is wanted:%s", bad, quota_words);
        return ERR_INVALID;
    }
    if (project && !caller_may_see(auth_caller(x), project)) {
        http_reply_error(x, 404, "not_found", "there is no project %s", project);
        return ERR_NOT_FOUND;
    }
    snprintf(t->name, sizeof t->name, "%s", name ? name : t->id);
    snprintf(t->project, sizeof t->project, "%s", project ? project : "");
    return 0;
}

/* An open service is closed by its first token: not by a stranger, and not so that nobody can open it. */
static int may_be_first(struct serve_ctx *ctx, struct http *x, const struct token *t)
{
    if (!auth_is_open(ctx->auth))
        return 1;
    if (!http_peer_is_loopback(x)) {
        auth_forbid(x, "the first token is made on the machine that joblogd runs on, or by --admin-token-file");
        return 0;
    }
    if ((t->scopes & SCOPE_ADMIN) && !*t->project)
        return 1;
    http_reply_error(x, 409, "first_token",
                     "the first token must have scope admin on all projects: from then on every request needs a token, "
                     "and only such a one makes others");
    return 0;
}

static void reply_made(struct http *x, const struct token *t, const char *secret)
{
    struct buf body = BUF_INIT;
    struct json j;

    json_init(&j, &body);
    json_obj(&j);
    json_kstr(&j, "token", secret);
    token_write_members(&j, t);
    json_end(&j);
    reply_json(x, 201, &body);
}

static void on_made(void *user, int err)
{
    struct tokens_call *c = user;
    struct http *x = call_end(c);

    if (err == 0)
        log_info("serve", "a token was made", "id=%s name=" LOG_Q("%s") " project=%s", c->token->id, c->token->name,
                 *c->token->project ? c->token->project : "*");
    if (x && err == ERR_LIMIT)
        http_reply_error(x, 409, "too_many_tokens", "there are %d tokens; those that expire make room", TOKENS_MAX);
    else if (x && err)
        reply_unavailable(x, err, err_text(err));
    else if (x)
        reply_made(x, c->token, c->secret);
    call_free(c);
}

static void create(struct serve_ctx *ctx, struct http *x, const struct json_tree *root)
{
    struct token *t = token_new();
    struct tokens_call *c;

    t->created_us = clock_wall_us();
    if (read_token(x, root, t) < 0 || !may_be_first(ctx, x, t)) {
        token_unref(&t);
        return;
    }
    c = call_new(ctx, x);
    auth_keep(x);
    secret_make(SECRET_TOKEN, c->secret);
    hash_sha256(c->secret, SECRET_BYTES, t->hash);
    c->token = t;
    token_store_add(auth_store(ctx->auth), t, on_made, c);
}

void api_tokens_create(struct serve_ctx *ctx, struct http *x)
{
    json_body_read(ctx, x, API_TOKENS_BODY_BYTES_MAX, create);
}

/* ---- revoke ---- */

static void on_revoked(void *user, int err)
{
    struct tokens_call *c = user;
    struct http *x = call_end(c);

    log_info("serve", "a token was revoked", "id=%s name=" LOG_Q("%s"), c->token->id, c->token->name);
    if (x && err)
        reply_unavailable(x, err, "it is revoked on this node; the others learn it when Redis is back");
    else if (x)
        http_reply(x, 204, NULL, NULL, 0);
    call_free(c);
}

void api_tokens_revoke(struct serve_ctx *ctx, struct http *x)
{
    const char *id = http_path(x) + strlen(TOKENS_PATH);
    const struct tokens *tokens = token_store_tokens(auth_store(ctx->auth));
    struct token *t = tokens_by_id(tokens, id);
    int64_t now = clock_wall_us();
    struct tokens_call *c;

    if (!t || !caller_may_see(auth_caller(x), t->project)) {
        http_reply_error(x, 404, "not_found", "there is no token %s", id);
        return;
    }
    if (token_state(t, now) == TOKEN_LIVE && (t->scopes & SCOPE_ADMIN) && !*t->project &&
        tokens_admins(tokens, now) == 1 && !tokens_has_master(tokens)) {
        http_reply_error(x, 409, "last_admin",
                         "this is the last admin of all projects: make another one first, or give --admin-token-file");
        return;
    }
    c = call_new(ctx, x);
    auth_keep(x);
    c->token = token_ref(t);
    token_store_revoke(auth_store(ctx->auth), id, on_revoked, c);
}

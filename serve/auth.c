/*
 * serve/auth.c -- who may come in.
 *
 * A request waits in here for two reasons: a ticket is being taken out of Redis, or Redis has not told yet
 * which tokens there are. It then holds a `waiting`, and its body is paused; when the client leaves
 * first, on_close detaches it.
 */
#include "serve/auth.h"

#include "auth/secret.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "serve/ctx.h"
#include "serve/origin.h"
#include "serve/quotas.h"
#include "stream/tokens.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#define CREDENTIAL_BYTES_MAX 256
#define TICKET_ARG "ticket"

struct waiting {
    TAILQ_ENTRY(waiting) link; /* in auth.unloaded */
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the client has gone */
    enum auth_need need;
    auth_then *then;
    const void *arg;
    int64_t until_us; /* 0: not in auth.unloaded */
};
TAILQ_HEAD(waitings, waiting);

struct auth {
    struct serve_ctx *ctx;
    struct token_store *store;
    int is_open;
    char *const *origins;
    void (*loaded)(void *user);
    void *user;
    uv_timer_t timer;
    struct waitings unloaded; /* oldest first */
    int was_loaded, must_sweep;
    int64_t expiry_us; /* when the next token expires; 0: none */
    struct auth_stats stats;
    void (*close_done)(void *user);
    void *close_user;
};

const struct caller *auth_caller(const struct http *x)
{
    return http_guest(x);
}

int auth_reload(struct auth *a, char *why, size_t why_size)
{
    int err = token_store_reload(a->store, why, why_size);

    a->must_sweep = 1;
    return err;
}

struct token_store *auth_store(const struct auth *a)
{
    return a->store;
}

int auth_is_open(const struct auth *a)
{
    return !tokens_exist(token_store_tokens(a->store));
}

void auth_count_ticket(struct auth *a)
{
    a->stats.tickets++;
}

void auth_stats(const struct auth *a, struct auth_stats *ret)
{
    *ret = a->stats;
}

/* ---- answers ---- */

static void challenge(struct http *x, int had_one, const char *message)
{
    http_set_header(x, "WWW-Authenticate",
                    had_one ? "Bearer realm=\"joblog\", error=\"invalid_token\"" : "Bearer realm=\"joblog\"");
    http_reply_error(x, 401, "unauthorized", "%s", message);
}

void auth_forbid(struct http *x, const char *what)
{
    http_reply_error(x, 403, "forbidden", "%s", what);
}

static void refuse_missing(struct auth *a, struct http *x)
{
    a->stats.missing++;
    challenge(x, 0, "a token is needed: Authorization: Bearer TOKEN");
}

static void refuse_unknown(struct auth *a, struct http *x, const char *message)
{
    a->stats.unknown++;
    log_debug("serve", "an unknown token was refused", "peer=%s", http_peer(x));
    challenge(x, 1, message);
}

static void refuse_dead(struct auth *a, struct http *x, enum token_state state)
{
    if (state == TOKEN_EXPIRED) {
        a->stats.expired++;
        challenge(x, 1, "this token has expired");
    } else {
        a->stats.revoked++;
        challenge(x, 1, "this token was revoked");
    }
}

/* ---- what a token may ---- */

static const char *lacks(const struct token *t, enum auth_need need)
{
    switch (need) {
    case AUTH_NOTHING:
    case AUTH_TOKEN:
        return NULL;
    case AUTH_READ:
        return t->scopes & SCOPE_READ ? NULL : "this needs a token with scope read";
    case AUTH_READ_ALL:
        return t->scopes & SCOPE_READ && !*t->project ? NULL
                                                      : "this needs a token with scope read on all projects";
    case AUTH_INGEST:
        return t->scopes & SCOPE_INGEST ? NULL : "this needs a token with scope ingest";
    case AUTH_STOP:
        return t->scopes & SCOPE_READ && t->scopes & SCOPE_INGEST ? NULL : "this needs a token with scopes read and ingest";
    case AUTH_ADMIN:
        return t->scopes & SCOPE_ADMIN ? NULL : "this needs a token with scope admin";
    }
    CHECKF(0, "need=%d", (int)need);
    return NULL;
}

/* t (NULL: not known) is who asks: in, or answered. 1: in. */
static int admit(struct auth *a, struct http *x, struct token *t, enum auth_need need, const char *unknown)
{
    enum token_state state = t ? token_state(t, clock_wall_us()) : TOKEN_LIVE;
    const char *lack;

    if (!t) {
        refuse_unknown(a, x, unknown);
        return 0;
    }
    if (state != TOKEN_LIVE) {
        refuse_dead(a, x, state);
        return 0;
    }
    lack = lacks(t, need);
    if (lack) {
        a->stats.scope++;
        auth_forbid(x, lack);
        return 0;
    }
    http_set_guest(x, caller_new(t), caller_free);
    return 1;
}

/* ---- waiting ---- */

static void on_waiting_close(struct http *x, int clean)
{
    struct waiting *w = http_user(x);

    w->x = NULL;
    if (!w->until_us)
        return; /* the ticket's answer frees it */
    TAILQ_REMOVE(&w->ctx->auth->unloaded, w, link);
    free(w);
}

static const struct http_handler waiting_handler = {.on_close = on_waiting_close};

static struct waiting *wait_in(struct serve_ctx *ctx, struct http *x, enum auth_need need, auth_then *then,
                               const void *arg)
{
    struct waiting *w = must_calloc(1, sizeof *w);

    *w = (struct waiting){.ctx = ctx, .x = x, .need = need, .then = then, .arg = arg};
    http_handle(x, &waiting_handler, w);
    http_pause_body(x);
    return w;
}

/* The exchange back from waiting. */
static void go_on(struct http *x)
{
    http_handle(x, NULL, NULL);
    http_resume_body(x);
}

/* ---- tickets ---- */

static void on_ticket(void *user, int err, const char *value)
{
    struct waiting *w = user;
    struct auth *a = w->ctx->auth;
    struct http *x = w->x;
    unsigned char hash[HASH_BYTES];
    struct token *t = NULL;

    if (!x)
        goto out;
    go_on(x);
    if (err < 0 && err != ERR_NOT_FOUND) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "unavailable", "%s", err_text(err));
        goto out;
    }
    if (err == 0 && hash_parse(value, hash) == 0)
        t = tokens_by_hash(token_store_tokens(a->store), hash);
    if (admit(a, x, t, w->need, "this ticket is not known: one is good once, and for 30 seconds"))
        w->then(w->ctx, x, w->arg);
out:
    free(w);
}

static void enter_by_ticket(struct serve_ctx *ctx, struct http *x, const char *ticket, enum auth_need need,
                            auth_then *then, const void *arg)
{
    unsigned char hash[HASH_BYTES];
    char hex[HASH_HEX_BYTES + 1];
    size_t len = strlen(ticket);

    if (secret_check(SECRET_TICKET, ticket, len) < 0) {
        refuse_unknown(ctx->auth, x, "this is no ticket");
        return;
    }
    if (strcmp(http_method(x), "GET") != 0 && strcmp(http_method(x), "HEAD") != 0) {
        refuse_unknown(ctx->auth, x, "tickets are for GET; other requests send Authorization");
        return;
    }
    hash_sha256(ticket, len, hash);
    http_hide_arg(x, TICKET_ARG);
    stream_ticket_take(ctx->stream, hash_hex(hash, hex), on_ticket, wait_in(ctx, x, need, then, arg));
}

/* ---- the header ---- */

/* The credential of "Bearer X" or "Api-Key X"; NULL when it is written otherwise. */
static const char *credential(const char *header, size_t *ret_len)
{
    static const char *const schemes[] = {"Bearer", "Api-Key"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i]);

        if (strncasecmp(header, schemes[i], n) != 0 || header[n] != ' ')
            continue;
        header += n + strspn(header + n, " ");
        *ret_len = strlen(header);
        return *ret_len && *ret_len <= CREDENTIAL_BYTES_MAX && !strpbrk(header, " \t,") ? header : NULL;
    }
    return NULL;
}

static int enter_by_header(struct auth *a, struct http *x, const char *header, enum auth_need need)
{
    size_t len = 0;
    const char *secret = credential(header, &len);
    struct token *t;

    if (!secret) {
        refuse_unknown(a, x, "Authorization must be: Bearer TOKEN, or Api-Key TOKEN");
        return 0;
    }
    t = tokens_find(token_store_tokens(a->store), secret, len);
    return admit(a, x, t, need,
                 secret_check(SECRET_TOKEN, secret, len) == ERR_CORRUPT
                     ? "this token is mistyped or cut short: its checksum does not match"
                     : "this token is not known");
}

/* ---- no tokens ---- */

static int is_safe(const struct http *x)
{
    const char *m = http_method(x);

    return (strcmp(m, "GET") == 0 || strcmp(m, "HEAD") == 0) && !http_is_upgrade(x);
}

/* Everybody on this machine, but no page that strays in through somebody's browser. */
static int enter_open(struct auth *a, struct http *x)
{
    if (!a->is_open && !http_peer_is_loopback(x)) {
        refuse_missing(a, x);
        return 0;
    }
    if (!a->is_open && strcmp(http_peer(x), "unix") != 0 && !origin_host_is_local(x)) {
        a->stats.origin++;
        http_reply_error(x, 403, "bad_host",
                         "without tokens only localhost and addresses are served, not this Host: make a token "
                         "(joblog token create), or start joblogd with --open");
        return 0;
    }
    if (!is_safe(x) && !origin_allowed(x, a->origins)) {
        a->stats.origin++;
        http_reply_error(x, 403, "bad_origin", "a page of another origin may not do this here");
        return 0;
    }
    http_set_guest(x, caller_new(NULL), caller_free);
    return 1;
}

/* ---- the door ---- */

void auth_greet(struct serve_ctx *ctx, struct http *x)
{
    origin_set_headers(x, ctx->auth->origins);
}

void auth_enter(struct serve_ctx *ctx, struct http *x, enum auth_need need, auth_then *then, const void *arg)
{
    struct auth *a = ctx->auth;
    const char *header, *ticket;

    if (need == AUTH_NOTHING) {
        then(ctx, x, arg);
        return;
    }
    ticket = http_arg(x, TICKET_ARG);
    if (auth_is_open(a)) {
        if (!token_store_is_loaded(a->store)) {
            struct waiting *w = wait_in(ctx, x, need, then, arg);

            w->until_us = clock_mono_us() + AUTH_PATIENCE_US;
            TAILQ_INSERT_TAIL(&a->unloaded, w, link);
            return;
        }
        http_hide_arg(x, TICKET_ARG);
        if (enter_open(a, x))
            then(ctx, x, arg);
        return;
    }
    if (http_is_upgrade(x) && !origin_allowed(x, a->origins)) {
        a->stats.origin++;
        http_reply_error(x, 403, "bad_origin", "a page of another origin may not do this here");
        return;
    }
    header = http_header(x, "Authorization");
    if (header) {
        http_hide_arg(x, TICKET_ARG);
        if (enter_by_header(a, x, header, need))
            then(ctx, x, arg);
    } else if (ticket) {
        enter_by_ticket(ctx, x, ticket, need, then, arg);
    } else {
        refuse_missing(a, x);
    }
}

/* Those who waited for the tokens to be told. late: only those whose patience is over. */
static void release_waiting(struct auth *a, int late)
{
    int64_t now = clock_mono_us();
    struct waiting *w;

    while ((w = TAILQ_FIRST(&a->unloaded)) && (!late || w->until_us <= now)) {
        struct waiting was = *w;

        TAILQ_REMOVE(&a->unloaded, w, link);
        free(w);
        go_on(was.x);
        if (!late) {
            auth_enter(was.ctx, was.x, was.need, was.then, was.arg);
            continue;
        }
        http_set_header(was.x, "Retry-After", "1");
        http_reply_error(was.x, 503, "unavailable", "Redis has not told yet which tokens there are");
    }
}

/* ---- sending away ---- */

void auth_keep(struct http *x)
{
    struct caller *c = http_guest(x);

    if (c)
        c->is_kept = 1;
}

/* Why c must go; NULL: it may stay, or was told already. */
static const char *gone_word(const struct auth *a, const struct caller *c)
{
    if (!c || c->is_sent_away || c->is_kept)
        return NULL;
    if (!c->token)
        return auth_is_open(a) ? NULL : "a token is needed now";
    switch (token_state(c->token, clock_wall_us())) {
    case TOKEN_LIVE:
        return NULL;
    case TOKEN_EXPIRED:
        return "token expired";
    case TOKEN_REVOKED:
        return "token revoked";
    }
    return NULL;
}

static void look_at_exchange(struct http *x, void *user)
{
    struct auth *a = user;
    struct caller *c = http_guest(x);

    if (!gone_word(a, c))
        return;
    c->is_sent_away = 1;
    a->stats.sent_away++;
    http_abort(x);
}

static void look_at_socket(struct ws *w, void *user)
{
    struct auth *a = user;
    struct caller *c = ws_guest(w);
    const char *why = gone_word(a, c);

    if (!why)
        return;
    c->is_sent_away = 1;
    a->stats.sent_away++;
    ws_close(w, AUTH_CLOSE_CODE, why);
}

static void sweep(struct auth *a)
{
    int64_t now = clock_wall_us();

    a->must_sweep = 0;
    a->expiry_us = tokens_next_expiry(token_store_tokens(a->store), now);
    if (!a->ctx->http)
        return;
    http_each(a->ctx->http, look_at_exchange, a);
    ws_each(a->ctx->http, look_at_socket, a);
}

static void on_timer(uv_timer_t *timer)
{
    struct auth *a = timer->data;

    release_waiting(a, 1);
    quotas_tick(a->ctx);
    if (a->must_sweep || (a->expiry_us && a->expiry_us <= clock_wall_us()))
        sweep(a);
}

static void on_changed(void *user)
{
    struct auth *a = user;

    a->must_sweep = 1;
    if (!token_store_is_loaded(a->store))
        return;
    if (!a->was_loaded) {
        a->was_loaded = 1;
        if (a->loaded)
            a->loaded(a->user);
    }
    release_waiting(a, 0);
}

/* ---- life ---- */

int auth_open(const struct auth_options *o, char *why, size_t why_size, struct auth **ret_auth)
{
    struct auth *a = must_calloc(1, sizeof *a);
    struct token_store_options so = {.loop = o->ctx->loop,
                                     .data_dir = o->data_dir,
                                     .master_file = o->master_file,
                                     .changed = on_changed,
                                     .user = a};
    int err = token_store_open(&so, why, why_size, &a->store);

    if (err < 0) {
        free(a);
        return err;
    }
    a->ctx = o->ctx;
    a->is_open = o->is_open;
    a->origins = o->origins;
    a->loaded = o->loaded;
    a->user = o->user;
    a->must_sweep = 1;
    TAILQ_INIT(&a->unloaded);
    CHECK(uv_timer_init(o->ctx->loop, &a->timer) == 0);
    a->timer.data = a;
    *ret_auth = a;
    return 0;
}

void auth_start(struct auth *a)
{
    token_store_start(a->store, a->ctx->stream);
    uv_timer_start(&a->timer, on_timer, AUTH_SWEEP_MS, AUTH_SWEEP_MS);
    uv_unref((uv_handle_t *)&a->timer);
}

static void on_store_closed(void *user)
{
    struct auth *a = user;
    void (*done)(void *user) = a->close_done;
    void *done_user = a->close_user;

    free(a);
    done(done_user);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct auth *a = h->data;

    token_store_close(&a->store, on_store_closed, a);
}

void auth_stop(struct auth *a)
{
    if (!a)
        return;
    uv_timer_stop(&a->timer);
    token_store_stop(a->store);
}

void auth_close(struct auth **ap, void (*done)(void *user), void *user)
{
    struct auth *a = *ap;

    *ap = NULL;
    CHECK(TAILQ_EMPTY(&a->unloaded)); /* every exchange is over */
    a->close_done = done;
    a->close_user = user;
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

/*
 * serve/auth.h -- who may come in: a request's token or ticket, what its route needs, who is sent away again.
 *
 *     Host, Origin ─> public route? ─> Authorization: Bearer|Api-Key, or ?ticket= ─> scope ─> guest of the
 *                                      exchange (auth/caller.h) ─> handler
 *
 * Without any token the service is open to this machine (with --open: to everybody who reaches it). Pages
 * of other sites are kept out of an open service by Host and Origin: a browser sends both, and no page can
 * change them. As soon as one token exists, everybody needs one, and stays in need: revoked and
 * expired tokens count.
 *
 * Promises   Decided before any byte of the body is taken. A revoked or expired token, and its open
 *            tails, agents and downloads, are out within AUTH_SWEEP_MS of this node's knowing.
 *            Secrets and tickets are never logged, counted by name or answered back.
 * Not here   Which job a caller may see: serve/resolve.h. Quotas: auth/quota.h.
 */
#ifndef SERVE_AUTH_H
#define SERVE_AUTH_H

#include "auth/caller.h"
#include "http/http.h"
#include "http/ws.h"
#include "serve/token_store.h"

#define AUTH_SWEEP_MS 1000
#define AUTH_TICKET_S 30         /* a ticket is good for so long, and once */
#define AUTH_PATIENCE_US 5000000 /* so long a request waits for Redis to tell the tokens */
#define AUTH_CLOSE_CODE 4401     /* of WebSockets whose token was revoked or has expired */

struct serve_ctx;
struct auth;

/* Each route of serve/router.c names one; 0 is none of them, so that none can be left out. */
enum auth_need {
    AUTH_NOTHING = 1, /* public: health, the contract, the static page */
    AUTH_TOKEN,       /* any token */
    AUTH_READ,        /* scope read */
    AUTH_READ_ALL,    /* scope read on all projects: what tells of everybody */
    AUTH_INGEST,      /* scope ingest */
    AUTH_STOP,        /* scopes read and ingest: a person's token, not a job's */
    AUTH_ADMIN,       /* scope admin */
};

struct auth_stats {
    uint64_t missing, unknown, expired, revoked, scope, origin, tickets, sent_away;
};

struct auth_options {
    struct serve_ctx *ctx;   /* loop and stream are set; http when it is open */
    const char *data_dir;
    const char *master_file; /* NULL or "": none */
    int is_open;             /* --open */
    char *const *origins;    /* NULL-terminated, borrowed: pages of these may ask from browsers */
    void (*loaded)(void *user); /* Redis has told its tokens for the first time; may be NULL */
    void *user;
};
int auth_open(const struct auth_options *o, char *why, size_t why_size, struct auth **ret_auth);
/* Listen to Redis from here on. */
void auth_start(struct auth *a);
/* When the last exchange is over, before the stream is closed: ask Redis nothing more. NULL is fine. */
void auth_stop(struct auth *a);
/* After the stream is closed; done(user) when all is over. Takes and NULLs. */
void auth_close(struct auth **a, void (*done)(void *user), void *user);
/* SIGHUP: read the admin's token file again. On ERR_* (why) the old one stays. */
int auth_reload(struct auth *a, char *why, size_t why_size);
void auth_stats(const struct auth *a, struct auth_stats *ret);
void auth_count_ticket(struct auth *a);
struct token_store *auth_store(const struct auth *a);
int auth_is_open(const struct auth *a);

/* What browsers are to be told of the answer, whatever it will be: once per request, first. */
void auth_greet(struct serve_ctx *ctx, struct http *x);
/* Let x in for a route that needs this: then(ctx, x, arg), now or later (the body waits), or it is answered. */
typedef void auth_then(struct serve_ctx *ctx, struct http *x, const void *arg);
void auth_enter(struct serve_ctx *ctx, struct http *x, enum auth_need need, auth_then *then, const void *arg);
/* Who made the request; NULL in front of public routes. */
const struct caller *auth_caller(const struct http *x);
/* x, which changes tokens, is answered though its own, or being without one, ends while it waits: nobody else has the answer. */
void auth_keep(struct http *x);
/* The answer to who is known but may not: 403 `forbidden`. */
void auth_forbid(struct http *x, const char *what);

#endif

/*
 * auth/caller.h -- who made a request: the token it was let in with, for as long as it is served.
 *
 * serve/auth.c hangs one on every exchange it lets in (http_set_guest); it goes over to the WebSocket.
 * NULL callers are fine everywhere and stand for the same as one without a token: a service without
 * tokens, where everybody may do everything.
 */
#ifndef AUTH_CALLER_H
#define AUTH_CALLER_H

#include "auth/token.h"

struct caller {
    struct token *token; /* a reference; NULL: no tokens are configured */
    int is_sent_away;    /* the token is dead and the connection is being closed */
    int is_kept;         /* it is told how its request went, whatever became of its token meanwhile */
    int is_tailer;       /* counted among the token's tailers */
};

struct caller *caller_new(struct token *t);
/* As the release of http_set_guest(). */
void caller_free(void *caller);

/* The one project it may see; NULL: all. */
const char *caller_project(const struct caller *c);
/* "vision" may be looked at? */
int caller_may_see(const struct caller *c, const char *project);
/* Count it as a tailer until it is freed. ERR_LIMIT: its token has all of its tailers. */
int caller_tail(struct caller *c);
int caller_has(const struct caller *c, enum scope scope);

#endif

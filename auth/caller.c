/*
 * auth/caller.c -- who made a request.
 */
#include "auth/caller.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

struct caller *caller_new(struct token *t)
{
    struct caller *c = must_calloc(1, sizeof *c);

    c->token = t ? token_ref(t) : NULL;
    return c;
}

void caller_free(void *caller)
{
    struct caller *c = caller;

    if (!c)
        return;
    if (c->is_tailer)
        c->token->use.tailers--;
    token_unref(&c->token);
    free(c);
}

const char *caller_project(const struct caller *c)
{
    return c && c->token && *c->token->project ? c->token->project : NULL;
}

int caller_may_see(const struct caller *c, const char *project)
{
    const char *own = caller_project(c);

    return !own || strcmp(own, project) == 0;
}

int caller_tail(struct caller *c)
{
    uint64_t max = c && c->token ? c->token->quotas.max[QUOTA_TAILERS] : 0;

    if (!max || c->is_tailer)
        return 0;
    if (c->token->use.tailers >= max)
        return ERR_LIMIT;
    c->token->use.tailers++;
    c->is_tailer = 1;
    return 0;
}

int caller_has(const struct caller *c, enum scope scope)
{
    return !c || !c->token || (c->token->scopes & scope);
}

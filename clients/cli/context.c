/*
 * clients/cli/context.c -- a ring of lines that may turn out to stand before a match.
 */
#include "clients/cli/context.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

struct held {
    char *line;
    size_t len;
};

struct context {
    size_t before, after;
    context_fn *give;
    void *user;
    struct held *ring;
    size_t first, count;
    size_t bytes;
    size_t due;  /* lines after the last match */
    int given;   /* something was */
    int skipped; /* since then something was not */
};

struct context *context_new(size_t before, size_t after, context_fn *give, void *user)
{
    struct context *c = must_calloc(1, sizeof *c);

    CHECK(before <= CONTEXT_LINES_MAX && after <= CONTEXT_LINES_MAX);
    c->before = before;
    c->after = after;
    c->give = give;
    c->user = user;
    c->ring = must_calloc(before + 1, sizeof *c->ring);
    return c;
}

static void drop_oldest(struct context *c)
{
    struct held *h = &c->ring[c->first];

    c->bytes -= h->len;
    free(h->line);
    c->first = (c->first + 1) % (c->before + 1);
    c->count--;
}

void context_free(struct context **cp)
{
    struct context *c = *cp;

    *cp = NULL;
    if (!c)
        return;
    while (c->count)
        drop_oldest(c);
    free(c->ring);
    free(c);
}

static void hold(struct context *c, const char *line, size_t len)
{
    if (!c->before) {
        c->skipped = 1;
        return;
    }
    char *copy = must_malloc(len + 1); /* a line of a bad server may hold a NUL: its length counts */

    memcpy(copy, line, len);
    c->ring[(c->first + c->count++) % (c->before + 1)] = (struct held){copy, len};
    c->bytes += len;
    while (c->count > c->before || c->bytes > CONTEXT_BYTES_MAX) {
        drop_oldest(c);
        c->skipped = 1;
    }
}

static int give_held(struct context *c)
{
    int err = 0;

    while (c->count && err >= 0) {
        const struct held *h = &c->ring[c->first];

        err = c->give(c->user, CONTEXT_AROUND, h->line, h->len);
        drop_oldest(c);
    }
    return err;
}

int context_feed(struct context *c, const char *line, size_t len, int is_match)
{
    int err = 0;

    if (is_match) {
        if (c->given && c->skipped)
            err = c->give(c->user, CONTEXT_SEPARATOR, NULL, 0);
        c->given = 1;
        c->skipped = 0;
        c->due = c->after;
        if (err >= 0)
            err = give_held(c);
        return err < 0 ? err : c->give(c->user, CONTEXT_MATCH, line, len);
    }
    if (c->due) {
        c->due--;
        return c->give(c->user, CONTEXT_AROUND, line, len);
    }
    hold(c, line, len);
    return 0;
}

void context_skipped(struct context *c)
{
    while (c->count)
        drop_oldest(c);
    c->due = 0;
    c->skipped = 1;
}

size_t context_due(const struct context *c)
{
    return c->due;
}

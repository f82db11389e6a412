/*
 * clients/cli/around.c -- lines found, with the lines before and after them, out of a log of any length.
 *
 * The server knows where the matches are (its index leaves out what cannot match) and we know how to show what stands
 * around them, so neither reads the whole log. "Around" means: in the log as every other option leaves it;
 * --rank 3 --grep x -C 2 shows what `logs --rank 3 | grep -C 2 x` would.
 *
 *     next AROUND_MATCHES matches  ->  clusters of those that lie near one another, then for each:
 *     (last shown, …)              the lines due after the match before
 *     (…, first match)             the last B lines of it, and one more, to learn whether any are left out
 *     [first match, last match]    all lines
 *
 * Between two matches of a cluster lie AROUND_NEAR records at most, so a log that is full of them is read once from
 * end to end, and one with few costs three short requests for each.
 */
#include "clients/cli/logs.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AROUND_MATCHES 10000
#define AROUND_NEAR 4096

struct around {
    struct logs *l;
    struct context *context;
    uint64_t fed; /* the last record that went into context */
    uint64_t matches[AROUND_MATCHES];
    size_t count;
    int full; /* --limit matches were shown */
};

static int give(void *user, enum context_kind kind, const char *line, size_t len)
{
    struct around *a = user;

    if (kind == CONTEXT_SEPARATOR)
        return render_separator(&a->l->render);
    a->l->found += kind == CONTEXT_MATCH;
    return render_line(&a->l->render, line, len);
}

static int on_match(void *user, const char *line, size_t len)
{
    struct around *a = ((struct logs *)user)->user;
    struct record_view v;

    if (logs_take_gap(a->l, line, len))
        return 0;
    if (record_parse(line, len, &v) >= 0 && !v.is_state)
        a->matches[a->count++] = v.seq;
    return a->count == AROUND_MATCHES;
}

static int on_neighbour(void *user, const char *line, size_t len)
{
    struct around *a = ((struct logs *)user)->user;
    struct record_view v;
    int is_match, err;

    if (logs_take_gap(a->l, line, len))
        return 0;
    if ((err = record_parse(line, len, &v)) < 0)
        return err;
    if (v.seq <= a->fed || v.is_state)
        return 0;
    a->fed = v.seq;
    is_match = !a->full && logs_matches(a->l, &v);
    err = context_feed(a->context, line, len, is_match);
    a->full |= a->l->pick->limit && a->l->found >= (uint64_t)a->l->pick->limit;
    return err < 0 ? err : a->full && !context_due(a->context);
}

/* The lines that are still due after the last match, as far as they lie before record `before` (0: anywhere). */
static int show_due(struct around *a, uint64_t before)
{
    struct logs_range after = {.after = a->fed, .before = before};

    after.limit = context_due(a->context);
    if (!after.limit || (before && a->fed + 1 >= before))
        return 0;
    return logs_read(a->l, &after, on_neighbour);
}

static int show_cluster(struct around *a, uint64_t first, uint64_t last)
{
    struct logs_range before = {.before = first}, at = {.before = last + 1};
    char tail[24];
    int err = show_due(a, first);

    snprintf(tail, sizeof tail, "%lld", (long long)a->l->pick->before + 1);
    before.tail = tail;
    before.after = a->fed;
    if (!err && a->fed + 1 < first)
        err = logs_read(a->l, &before, on_neighbour);
    at.after = a->fed > first - 1 ? a->fed : first - 1;
    return err ? err : logs_read(a->l, &at, on_neighbour);
}

/* The clusters of the matches at hand. 0, or what ends the read. */
static int show_clusters(struct around *a)
{
    int err = 0;

    for (size_t i = 0; i < a->count && !err; i++) {
        size_t last = i;

        while (last + 1 < a->count && a->matches[last + 1] - a->matches[last] <= AROUND_NEAR)
            last++;
        if (a->matches[last] > a->fed)
            err = show_cluster(a, a->matches[i], a->matches[last]);
        i = last;
    }
    return err;
}

/* With -v the matches are everywhere: all lines are read and judged here. */
static int show_all(struct around *a, uint64_t after)
{
    struct logs_range range = {.after = after};

    return logs_read(a->l, &range, on_neighbour);
}

int logs_around(struct logs *l)
{
    const struct pick *p = l->pick;
    struct around a = {.l = l};
    uint64_t after = 0;
    int64_t start = 0;
    int err = 0;

    l->user = &a;
    if (p->count && !strtoull(p->count, NULL, 10) && strcmp(p->count, "all") != 0)
        return 0; /* -n 0 */
    a.context = context_new((size_t)p->before, (size_t)p->after, give, &a);
    if (p->count && strcmp(p->count, "all") != 0)
        start = logs_locate(l, strtoull(p->count, NULL, 10));
    if (start < 0)
        err = (int)start;
    else if (start > 0)
        err = logs_before(l, (uint64_t)start, (uint64_t)p->before, &after);
    a.fed = after;
    if (err >= 0 && pick_is_local(p)) {
        err = show_all(&a, after);
        goto out;
    }
    after = start > 0 ? (uint64_t)start - 1 : 0;
    while (err == 0) {
        struct logs_range range = {.after = after, .limit = AROUND_MATCHES, .with_match = 1};

        a.count = 0;
        err = logs_read(l, &range, on_match);
        if (err < 0 || !a.count)
            break;
        after = a.matches[a.count - 1];
        err = show_clusters(&a);
        if (a.count < AROUND_MATCHES)
            break;
    }
    if (!err)
        err = show_due(&a, 0);
out:
    context_free(&a.context);
    return err < 0 ? err : 0;
}

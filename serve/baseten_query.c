/*
 * serve/baseten_query.c -- reading windows, limits and directions.
 */
#include "serve/baseten_query.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS_MAX (CLOCK_WALL_US_MAX / 1000)

struct reading {
    struct baseten_query *q;
    char *why;
    size_t why_size;
};

static int bad(struct reading *r, const char *name, const char *wanted)
{
    snprintf(r->why, r->why_size, "%s: %s is wanted", name, wanted);
    return ERR_INVALID;
}

static int set_number(struct reading *r, const char *name, int64_t v)
{
    struct baseten_query *q = r->q;

    if (!strcmp(name, "limit")) {
        if (v < 1 || v > BASETEN_LIMIT_MAX)
            return bad(r, name, "a whole number from 1 to 1000000");
        q->limit = (uint64_t)v;
        return 0;
    }
    if (v < 0 || v > MS_MAX)
        return bad(r, name, "milliseconds since 1970");
    if (!strcmp(name, "start_epoch_millis")) {
        q->has_start = 1;
        q->start_ms = v;
    } else {
        q->has_end = 1;
        q->end_ms = v;
    }
    return 0;
}

static int set_word(struct reading *r, const char *name, const char *v)
{
    if (!strcmp(name, "direction")) {
        if (strcmp(v, "asc") != 0 && strcmp(v, "desc") != 0)
            return bad(r, name, "asc or desc");
        r->q->asc = v[0] == 'a';
        return 0;
    }
    r->q->level_min = level_parse(v, strlen(v));
    return r->q->level_min == LEVEL_NONE ? bad(r, name, "DEBUG, INFO, WARNING or ERROR") : 0;
}

static int is_number(const char *name)
{
    return !strcmp(name, "start_epoch_millis") || !strcmp(name, "end_epoch_millis") || !strcmp(name, "limit");
}

static int is_word(const char *name)
{
    return !strcmp(name, "direction") || !strcmp(name, "min_level");
}

static int read_arg(struct reading *r, const char *name, const char *value)
{
    char *end;
    long long v;

    if (is_word(name))
        return set_word(r, name, value);
    if (!is_number(name))
        return 0;
    errno = 0;
    v = strtoll(value, &end, 10);
    if (errno || end == value || *end || (*value != '-' && (*value < '0' || *value > '9')))
        return bad(r, name, "a whole number");
    return set_number(r, name, v);
}

static int read_member(struct reading *r, const struct json_tree *v)
{
    const char *name = json_tree_key(v);
    int64_t n;

    if (json_tree_is_null(v))
        return 0;
    if (is_word(name))
        return json_tree_str(v) ? set_word(r, name, json_tree_str(v)) : bad(r, name, "a string");
    if (!is_number(name))
        return 0;
    if (!json_tree_is_num(v) || json_tree_i64(v, &n) < 0)
        return bad(r, name, "a whole number");
    return set_number(r, name, n);
}

int baseten_query_read(struct baseten_query *q, const struct http *x, const struct json_tree *body, char *why,
                       size_t why_size)
{
    struct reading r = {q, why, why_size};
    const char *name, *value;
    int err = 0;

    memset(q, 0, sizeof *q);
    for (unsigned i = 0; err >= 0 && http_arg_at(x, i, &name, &value); i++)
        err = read_arg(&r, name, value);
    for (const struct json_tree *v = body ? json_tree_first(body) : NULL; err >= 0 && v; v = json_tree_next(v))
        err = read_member(&r, v);
    return err;
}

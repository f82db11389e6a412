/*
 * ingest/split.c -- where the values of a JSON document end.
 *
 *     array    OPEN -'['-> FIRST -value-> AFTER -','-> NEXT -value-> AFTER … -']'-> CLOSED
 *     objects  NEXT -value-> NEXT …
 */
#include "ingest/split.h"

#include "base/err.h"

#include <string.h>

void split_init(struct split *s, int is_array)
{
    memset(s, 0, sizeof *s);
    s->is_array = is_array;
    s->state = is_array ? SPLIT_OPEN : SPLIT_NEXT;
    s->why = "";
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int end_value(struct split *s, size_t n, size_t *ret_n)
{
    s->state = s->is_array ? SPLIT_AFTER : SPLIT_NEXT;
    *ret_n = n;
    return SPLIT_VALUE;
}

/* Inside an object, array or string: up to its end. */
static int inside(struct split *s, const char *p, size_t len, size_t *ret_n)
{
    for (size_t i = 0; i < len; i++) {
        if (s->in_string) {
            if (s->escaped) {
                s->escaped = 0;
                continue;
            }
            while (i < len && p[i] != '"' && p[i] != '\\') i++;
            if (i == len) break;
            if (p[i] == '\\') {
                s->escaped = 1;
            } else {
                s->in_string = 0;
                if (!s->depth) return end_value(s, i + 1, ret_n);
            }
            continue;
        }
        switch (p[i]) {
        case '"': s->in_string = 1; break;
        case '{':
        case '[': s->depth++; break;
        case '}':
        case ']':
            if (--s->depth == 0) return end_value(s, i + 1, ret_n);
            break;
        default: break;
        }
    }
    *ret_n = len;
    return SPLIT_MORE;
}

/* A number or word: up to what cannot belong to it. It ends where the next byte is seen. */
static int bare(struct split *s, const char *p, size_t len, size_t *ret_n)
{
    size_t i = 0;

    while (i < len && !is_space(p[i]) && p[i] != ',' && p[i] != ']') i++;
    if (i < len) return end_value(s, i, ret_n);
    *ret_n = len;
    return SPLIT_MORE;
}

static int complain(struct split *s, const char *why)
{
    s->why = why;
    return ERR_INVALID;
}

/* The first byte of a value. */
static int begin(struct split *s, const char *p, size_t len, size_t *ret_n)
{
    s->element_count++;
    if (*p == '{' || *p == '[' || *p == '"') {
        s->state = SPLIT_INSIDE;
        s->depth = 0;
        s->in_string = s->escaped = 0;
        return inside(s, p, len, ret_n);
    }
    if (!s->is_array) return complain(s, "something other than an object follows");
    s->state = SPLIT_BARE;
    return bare(s, p, len, ret_n);
}

/* A byte between values that is no space. */
static int between(struct split *s, char c, size_t *ret_n)
{
    *ret_n = 1;
    switch (s->state) {
    case SPLIT_OPEN:
        s->state = SPLIT_FIRST;
        return c == '[' ? SPLIT_SKIP : complain(s, "an array must begin with '['");
    case SPLIT_AFTER:
        if (c != ',' && c != ']') return complain(s, "a ',' or ']' is missing");
        s->state = c == ',' ? SPLIT_NEXT : SPLIT_CLOSED;
        return SPLIT_SKIP;
    default: return complain(s, "something follows the array");
    }
}

int split_next(struct split *s, const char *p, size_t len, size_t *ret_n)
{
    size_t space = 0;

    if (s->state == SPLIT_INSIDE) return inside(s, p, len, ret_n);
    if (s->state == SPLIT_BARE) return bare(s, p, len, ret_n);
    while (space < len && is_space(p[space])) space++;
    if (space) {
        *ret_n = space;
        return SPLIT_SKIP;
    }
    if (s->state == SPLIT_FIRST && *p == ']') {
        s->state = SPLIT_CLOSED;
        *ret_n = 1;
        return SPLIT_SKIP;
    }
    if (s->state == SPLIT_FIRST || s->state == SPLIT_NEXT) {
        if (s->is_array && (*p == ',' || *p == ']')) return complain(s, "a value is missing");
        return begin(s, p, len, ret_n);
    }
    return between(s, *p, ret_n);
}

const char *split_finish(const struct split *s)
{
    if (s->is_array) return s->state == SPLIT_CLOSED ? NULL : "the array is cut short";
    return s->state == SPLIT_NEXT ? NULL : "an object is cut short";
}

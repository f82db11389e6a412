/*
 * serve/postmortem_query.c -- what is asked of a post-mortem: its form, and how much of it.
 */
#include "base/err.h"
#include "serve/postmortem_int.h"
#include "serve/query.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The weight of type in an Accept header, in thousandths; -1: not named. */
static int weight_of(const char *accept, const char *type)
{
    int best = -1, best_kind = -1;

    for (const char *at = accept; *at;) {
        size_t n = strcspn(at, ","), name;
        int kind;
        while (n && (*at == ' ' || *at == '\t'))
            at++, n--;
        name = strcspn(at, "; \t,");
        if (name > n)
            name = n;
        kind = name == strlen(type) && !strncasecmp(at, type, name)                  ? 2
               : name > 2 && at[name - 1] == '*' && !strncasecmp(at, type, name - 1) ? 1
               : name == 3 && !strncmp(at, "*/*", 3)                                 ? 0
                                                                                     : -1;
        if (kind > best_kind) {
            best_kind = kind;
            best = query_quality(at, n);
        }
        at += n + (at[n] == ',');
    }
    return best;
}

int postmortem_accept(const char *accept, enum postmortem_form *ret)
{
    static const struct {
        enum postmortem_form form;
        const char *type;
    } forms[] = {{POSTMORTEM_JSON, "application/json"},
                 {POSTMORTEM_PAGE, "text/html"},
                 {POSTMORTEM_MD, "text/markdown"}};
    int best = 0;

    *ret = POSTMORTEM_JSON;
    if (!accept || !*accept)
        return 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        int w = weight_of(accept, forms[i].type);
        if (w > best) {
            best = w;
            *ret = forms[i].form;
        }
    }
    return best > 0 ? 0 : ERR_UNSUPPORTED;
}

static int read_count(struct http *x, const char *name, const char *value, uint32_t max,
                      uint32_t *ret)
{
    uint64_t n;

    if (query_number(value, 0, max, &n) == 0) {
        *ret = (uint32_t)n;
        return 0;
    }
    http_reply_error(x, 400, "bad_argument", "%s: a whole number from 0 to %u is wanted", name,
                     (unsigned)max);
    return ERR_INVALID;
}

static int read_form(struct http *x, const char *value, enum postmortem_form *ret)
{
    static const char *const names[] = {"json", "markdown", "html"};

    for (unsigned i = 0; i < 3; i++)
        if (!strcmp(value, names[i])) {
            *ret = (enum postmortem_form)i;
            return 0;
        }
    http_reply_error(x, 400, "bad_argument", "format: json, markdown or html is wanted");
    return ERR_INVALID;
}

int postmortem__question_read(struct http *x, struct postmortem_question *ret)
{
    const char *name, *value;
    int has_form = 0, err = 0;

    *ret = (struct postmortem_question){POSTMORTEM_JSON, POSTMORTEM_RANKS_DEFAULT, POSTMORTEM_GROUPS_MAX,
                                        POSTMORTEM_TAIL_LINES};
    for (unsigned i = 0; !err && http_arg_at(x, i, &name, &value); i++) {
        if (!strcmp(name, "format")) {
            err = read_form(x, value, &ret->form);
            has_form = 1;
        } else if (!strcmp(name, "ranks")) {
            err = read_count(x, name, value, VERDICT_RANKS_MAX, &ret->ranks_max);
        } else if (!strcmp(name, "groups")) {
            err = read_count(x, name, value, POSTMORTEM_GROUPS_MAX, &ret->groups_max);
        } else if (!strcmp(name, "lines")) {
            err = read_count(x, name, value, POSTMORTEM_TAIL_LINES, &ret->lines);
        } else if (strcmp(name, "project") != 0 && strcmp(name, "ticket") != 0 && *name != '_') {
            http_reply_error(x, 400, "bad_argument",
                             "unknown argument %s; known: format ranks groups lines", name);
            err = ERR_INVALID;
        }
    }
    if (!err && !has_form && postmortem_accept(http_header(x, "Accept"), &ret->form) < 0) {
        http_reply_error(x, 406, "not_acceptable",
                         "a post-mortem is application/json, text/markdown or text/html");
        err = ERR_UNSUPPORTED;
    }
    return err;
}

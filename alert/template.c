/*
 * alert/template.c -- templates: cut into pieces once, filled many times.
 */
#include "alert/template.h"

#include "base/check.h"
#include "base/err.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 96

static const char *const known[] = {
    "id",      "rule",     "title",      "severity",  "status",    "project", "job",
    "rank",    "level",    "replica",    "stream",    "state",     "seq",     "at",
    "line",    "evidence", "value",      "threshold", "count",     "step",    "exit_code",
    "message", "url",      "postmortem", "reason",    "starts_at", "ends_at",
};

struct piece {
    const char *text; /* before the place; in template->text */
    size_t len;
    char *name; /* NULL: the rest after the last place */
};

struct template
{
    char *text;
    struct piece pieces[TEMPLATE_PLACES_MAX + 1];
    unsigned count;
};

static int is_known(const char *name, const struct template_names *names)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return 1;
    if (strncmp(name, "captures.", 9) == 0)
        return names->captures && names->captures(names->user, name + 9);
    if (strncmp(name, "labels.", 7) == 0)
        return names->labels && names->labels(names->user, name + 7);
    if (strncmp(name, "annotations.", 12) == 0)
        return names->annotations && names->annotations(names->user, name + 12);
    return 0;
}

/* The place that begins at open ("{{"): its name, and where the text goes on. */
static int take_place(const struct template *t, struct piece *p, const char *open,
                      const char **ret_next, const struct template_names *names, char *why,
                      size_t why_size)
{
    const char *close = strstr(open, "}}"), *from = open + 2, *to = close;

    if (!close) {
        snprintf(why, why_size, "'{{' at byte %d is not closed", (int)(open - t->text));
        return ERR_INVALID;
    }
    while (from < to && *from == ' ')
        from++;
    while (to > from && to[-1] == ' ')
        to--;
    if (to == from || to - from > NAME_BYTES_MAX) {
        snprintf(why, why_size, "'{{%.*s}}' names nothing",
                 (int)(close - open - 2 > 40 ? 40 : close - open - 2), open + 2);
        return ERR_INVALID;
    }
    p->name = must_strndup(from, (size_t)(to - from));
    if (!is_known(p->name, names)) {
        snprintf(why, why_size, "there is no value {{%s}}", p->name);
        return ERR_INVALID;
    }
    *ret_next = close + 2;
    return 0;
}

int template_new(const char *text, const struct template_names *names,
                 struct template **ret_template, char *why, size_t why_size)
{
    struct template *t;
    const char *at;
    int err = 0;

    if (strlen(text) > TEMPLATE_BYTES_MAX) {
        snprintf(why, why_size, "a template has at most %d bytes", TEMPLATE_BYTES_MAX);
        return ERR_TOO_BIG;
    }
    t = must_calloc(1, sizeof *t);
    t->text = must_strdup(text);
    for (at = t->text; err == 0;) {
        struct piece *p = &t->pieces[t->count++];
        const char *open = strstr(at, "{{");
        p->text = at;
        p->len = open ? (size_t)(open - at) : strlen(at);
        if (!open)
            break;
        if (t->count > TEMPLATE_PLACES_MAX) {
            snprintf(why, why_size, "a template has at most %d places", TEMPLATE_PLACES_MAX);
            err = ERR_TOO_BIG;
        } else {
            err = take_place(t, p, open, &at, names, why, why_size);
        }
    }
    if (err < 0)
        template_free(&t);
    else
        *ret_template = t;
    return err;
}

void template_free(struct template **t)
{
    struct template *old = *t;

    *t = NULL;
    if (!old)
        return;
    for (unsigned i = 0; i < old->count; i++)
        free(old->pieces[i].name);
    free(old->text);
    free(old);
}

/* Bytes of s that fit into room, whole characters. */
static size_t fitting(const char *s, size_t len, size_t room)
{
    if (len <= room)
        return len;
    while (room > 0 && ((unsigned char)s[room] & 0xc0) == 0x80)
        room--;
    return room;
}

int template_render(const struct template *t, struct buf *out, int is_json,
                    template_value_fn *value, void *user)
{
    size_t start = out->len;
    int err = 0;

    for (unsigned i = 0; i < t->count && err == 0; i++) {
        const struct piece *p = &t->pieces[i];
        size_t used = out->len - start, len = 0;
        const char *v;
        err = buf_add(out, p->text, p->len); /* the template's own text always fits */
        v = p->name && err == 0 ? value(user, p->name, &len) : NULL;
        if (!v || used >= TEMPLATE_OUT_BYTES_MAX)
            continue;
        len = fitting(v, len, TEMPLATE_OUT_BYTES_MAX - used);
        err = is_json ? json_escape(out, v, len) : buf_add(out, v, len);
    }
    return err;
}

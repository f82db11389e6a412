/*
 * clients/cli/template.c -- parsing `{{name:pad}}` and filling it in.
 */
#include "clients/cli/template.h"

#include "base/check.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "clients/cli/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES                                                                                      \
    "seq ts local relative delta rank replica stream level msg job fields json"

enum what {
    WHAT_TEXT,
    WHAT_SEQ,
    WHAT_TS,
    WHAT_LOCAL,
    WHAT_RELATIVE,
    WHAT_DELTA,
    WHAT_RANK,
    WHAT_REPLICA,
    WHAT_STREAM,
    WHAT_LEVEL,
    WHAT_MSG,
    WHAT_JOB,
    WHAT_FIELDS,
    WHAT_JSON,
    WHAT_FIELD,
};

struct part {
    enum what what;
    char *text; /* TEXT: itself; FIELD: its path */
    int pad;
};

struct template {
    struct part parts[TEMPLATE_PARTS_MAX];
    size_t count;
};

static struct part *add_part(struct template *t, enum what what, const char *text, size_t len)
{
    struct part *p;

    if (t->count == TEMPLATE_PARTS_MAX)
        return NULL;
    p = &t->parts[t->count++];
    p->what = what;
    p->text = text ? must_strndup(text, len) : NULL;
    return p;
}

/* The place of a word in NAMES, from 1; 0: it is none. */
static enum what find_name(const char *name, size_t len)
{
    int at = 1;

    for (const char *p = NAMES; *p; at++) {
        size_t n = strcspn(p, " ");

        if (n == len && !memcmp(p, name, n))
            return (enum what)at;
        p += n;
        p += *p == ' ';
    }
    return WHAT_TEXT;
}

/* What stands between {{ and }}. */
static int add_name(struct template *t, const char *s, size_t len, char *why, size_t why_size)
{
    const char *colon;
    struct part *p;
    size_t name;
    enum what what;
    char *end;
    long pad = 0;

    while (len && *s == ' ')
        s++, len--;
    while (len && s[len - 1] == ' ')
        len--;
    colon = memchr(s, ':', len);
    name = colon ? (size_t)(colon - s) : len;
    what = find_name(s, name);
    if (colon) {
        pad = strtol(colon + 1, &end, 10);
        if (end == colon + 1 || end != s + len || labs(pad) > TEMPLATE_PAD_MAX) {
            snprintf(why, why_size, "{{%.*s}}: after ':' comes a number of columns", (int)len, s);
            return ERR_INVALID;
        }
    }
    if (name > 7 && !memcmp(s, "fields.", 7))
        p = add_part(t, WHAT_FIELD, s + 7, name - 7);
    else if (what != WHAT_TEXT)
        p = add_part(t, what, NULL, 0);
    else {
        snprintf(why, why_size, "there is no {{%.*s}}; there are %s and fields.NAME", (int)name, s,
                 NAMES);
        return ERR_INVALID;
    }
    if (!p) {
        snprintf(why, why_size, "more than %d parts", TEMPLATE_PARTS_MAX);
        return ERR_TOO_BIG;
    }
    p->pad = (int)pad;
    return 0;
}

static void add_escape(struct buf *literal, char c)
{
    static const char known[] = "ntre\\{", bytes[] = "\n\t\r\x1b\\{";
    const char *at = strchr(known, c);

    if (!at)
        buf_addc(literal, '\\');
    buf_addc(literal, at ? bytes[at - known] : c);
}

static int parse(struct template *t, const char *s, char *why, size_t why_size)
{
    struct buf literal = BUF_INIT;
    int err = 0;

    while (*s && err >= 0) {
        if (s[0] == '\\' && s[1]) {
            add_escape(&literal, s[1]);
            s += 2;
        } else if (s[0] == '{' && s[1] == '{') {
            const char *end = strstr(s + 2, "}}");

            if (literal.len && !add_part(t, WHAT_TEXT, literal.data, literal.len))
                err = ERR_TOO_BIG;
            buf_clear(&literal);
            if (err >= 0 && !end) {
                snprintf(why, why_size, "{{ without }}");
                err = ERR_INVALID;
            }
            if (err >= 0)
                err = add_name(t, s + 2, (size_t)(end - s - 2), why, why_size);
            s = end ? end + 2 : s;
        } else {
            buf_addc(&literal, *s++);
        }
    }
    if (err >= 0 && literal.len && !add_part(t, WHAT_TEXT, literal.data, literal.len))
        err = ERR_TOO_BIG;
    if (err == ERR_TOO_BIG)
        snprintf(why, why_size, "more than %d parts", TEMPLATE_PARTS_MAX);
    buf_release(&literal);
    return err < 0 ? ERR_INVALID : 0;
}

int template_new(const char *text, struct template **ret, char *why, size_t why_size)
{
    struct template *t = must_calloc(1, sizeof *t);
    int err = parse(t, text, why, why_size);

    if (err < 0)
        template_free(&t);
    else
        *ret = t;
    return err;
}

void template_free(struct template **t)
{
    if (!*t)
        return;
    for (size_t i = 0; i < (*t)->count; i++)
        free((*t)->parts[i].text);
    free(*t);
    *t = NULL;
}

/* A value of `fields` by its dotted path: strings bare, numbers as they are read, the rest left out. */
static void add_field(struct buf *out, const struct record_view *v, const char *path)
{
    struct json_tree *root = NULL;
    const struct json_tree *at;
    int64_t whole;

    if (!v->fields_json ||
        json_tree_parse_own(v->fields_json, v->fields_json_len, &root) < 0)
        return;
    at = json_tree_get(root, path); /* a name may hold dots itself */
    if (!at) {
        char name[128];

        at = root;
        while (at && *path) {
            size_t n = strcspn(path, ".");

            snprintf(name, sizeof name, "%.*s", (int)n, path);
            at = json_tree_get(at, name);
            path += n;
            path += *path == '.';
        }
    }
    if (json_tree_is_str(at))
        buf_adds(out, json_tree_str(at));
    else if (json_tree_is_num(at) && json_tree_i64(at, &whole) >= 0)
        buf_addf(out, "%lld", (long long)whole);
    else if (json_tree_is_num(at))
        buf_addf(out, "%.12g", json_tree_double(at));
    else if (json_tree_is_bool(at))
        buf_adds(out, json_tree_true(at) ? "true" : "false");
    json_tree_free(&root);
}

struct source {
    const struct record_view *v;
    const char *line;
    size_t len;
    const char *job;
    const struct stamp *stamp;
};

static int add_time(struct buf *out, const struct source *s, enum what what)
{
    enum stamp_kind kind = what == WHAT_TS         ? STAMP_UTC
                           : what == WHAT_LOCAL    ? STAMP_LOCAL
                           : what == WHAT_RELATIVE ? STAMP_RELATIVE
                                                   : STAMP_DELTA;

    return stamp_format(s->stamp, kind, out, s->v->ts_us);
}

static int add_value(struct buf *out, const struct part *p, const struct source *s)
{
    const struct record_view *v = s->v;

    switch (p->what) {
    case WHAT_TEXT:
        return buf_adds(out, p->text);
    case WHAT_SEQ:
        return buf_addu64(out, v->seq);
    case WHAT_TS:
    case WHAT_LOCAL:
    case WHAT_RELATIVE:
    case WHAT_DELTA:
        return add_time(out, s, p->what);
    case WHAT_RANK:
        return v->rank == RECORD_RANK_NONE ? 0 : buf_addf(out, "%d", (int)v->rank);
    case WHAT_REPLICA:
        return buf_add(out, v->replica, v->replica_len);
    case WHAT_STREAM:
        return buf_add(out, v->stream, v->stream_len);
    case WHAT_LEVEL:
        return v->level == LEVEL_NONE ? 0 : buf_adds(out, level_name(v->level));
    case WHAT_MSG:
        return record_msg(v, out);
    case WHAT_JOB:
        return buf_adds(out, s->job);
    case WHAT_FIELDS:
        return v->fields_json ? buf_add(out, v->fields_json, v->fields_json_len) : 0;
    case WHAT_JSON:
        return buf_add(out, s->line, s->len);
    case WHAT_FIELD:
        add_field(out, v, p->text);
        return 0;
    }
    return 0;
}

static int add_padded(struct buf *out, const struct part *p, const struct source *s)
{
    struct buf value = BUF_INIT;
    int err = add_value(&value, p, s), pad;

    pad = abs(p->pad) - term_width(value.data, value.len);
    if (err >= 0 && p->pad > 0 && pad > 0)
        err = buf_addf(out, "%*s", pad, "");
    if (err >= 0)
        err = buf_add(out, value.data, value.len);
    if (err >= 0 && p->pad < 0 && pad > 0)
        err = buf_addf(out, "%*s", pad, "");
    buf_release(&value);
    return err;
}

int template_add(const struct template *t, struct buf *out, const struct record_view *v,
                 const char *line, size_t len, const char *job, struct stamp *stamp)
{
    struct source s = {v, line, len, job, stamp};
    int err = 0;

    if (len && line[len - 1] == '\n')
        s.len--;
    if (!stamp->start_us)
        stamp->start_us = v->ts_us;
    for (size_t i = 0; i < t->count && err >= 0; i++)
        err = t->parts[i].pad ? add_padded(out, &t->parts[i], &s) : add_value(out, &t->parts[i], &s);
    stamp->last_us = v->ts_us;
    return err < 0 ? err : buf_addc(out, '\n');
}

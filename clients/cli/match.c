/*
 * clients/cli/match.c -- patterns of a command line.
 */
#include "clients/cli/match.h"

#include "base/check.h"
#include "base/err.h"
#include "base/pattern.h"
#include "clients/cli/http.h"

#include <stdlib.h>
#include <string.h>

#define PATTERNS_MAX 2

struct match {
    struct pattern *patterns[PATTERNS_MAX]; /* all must be found */
    size_t count;
    int invert;
};

/* Plain text as an RE2 pattern. */
static void quote(struct buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        int alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!alnum && c < 0x80 && c != '_')
            buf_addc(out, '\\');
        buf_addc(out, (char)c);
    }
}

static int add_pattern(struct match *m, const char *text, int fixed, int ignore_case, char *why,
                       size_t why_size)
{
    struct buf quoted = BUF_INIT;
    int err;

    if (fixed) {
        quote(&quoted, text);
        text = buf_cstr(&quoted);
    }
    err = pattern_new(text, strlen(text), ignore_case, &m->patterns[m->count], why, why_size);
    if (err >= 0)
        m->count++;
    buf_release(&quoted);
    return err < 0 ? ERR_INVALID : 0;
}

int match_new(const struct match_options *o, struct match **ret, char *why, size_t why_size)
{
    struct match *m;
    int err = 0;

    *ret = NULL;
    if (!o->grep && !o->search)
        return 0;
    m = must_calloc(1, sizeof *m);
    m->invert = o->invert;
    if (o->grep)
        err = add_pattern(m, o->grep, o->fixed, o->ignore_case, why, why_size);
    if (err >= 0 && o->search)
        err = add_pattern(m, o->search, 1, o->ignore_case, why, why_size);
    if (err < 0)
        match_free(&m);
    *ret = m;
    return err;
}

void match_free(struct match **m)
{
    if (!*m)
        return;
    for (size_t i = 0; i < (*m)->count; i++)
        pattern_free(&(*m)->patterns[i]);
    free(*m);
    *m = NULL;
}

/* The server folds the case of `q` in ASCII only, so text that is looked for in any case goes as a pattern. */
void match_args(const struct match_options *o, struct buf *path)
{
    struct buf quoted = BUF_INIT;
    int as_q = o->grep && o->fixed && !o->ignore_case && !o->search;

    if (as_q) {
        http_arg(path, "q", o->grep);
    } else if (o->grep && o->fixed) {
        quote(&quoted, o->grep);
        http_arg(path, "re", buf_cstr(&quoted));
    } else if (o->grep) {
        http_arg(path, "re", o->grep);
    } else if (o->search && o->ignore_case) {
        quote(&quoted, o->search);
        http_arg(path, "re", buf_cstr(&quoted));
    }
    if (o->search && (o->grep || !o->ignore_case))
        http_arg(path, "q", o->search);
    if (o->ignore_case && (o->grep || o->search))
        http_arg(path, "case", "insensitive");
    buf_release(&quoted);
}

int match_is(const struct match *m, const char *text, size_t len)
{
    int found = 1;

    for (size_t i = 0; found && i < m->count; i++)
        found = pattern_match(m->patterns[i], text, len);
    return found != m->invert;
}

static int by_place(const void *a, const void *b)
{
    const struct term_mark *x = a, *y = b;

    return x->from < y->from ? -1 : x->from > y->from;
}

/* Sorted marks without overlaps; returns how many are left. */
static size_t join(struct term_mark *marks, size_t count)
{
    size_t n = 0;

    qsort(marks, count, sizeof *marks, by_place);
    for (size_t i = 0; i < count; i++) {
        if (n && marks[i].from <= marks[n - 1].to) {
            if (marks[i].to > marks[n - 1].to)
                marks[n - 1].to = marks[i].to;
        } else {
            marks[n++] = marks[i];
        }
    }
    return n;
}

size_t match_marks(const struct match *m, const char *text, size_t len,
                   struct term_mark marks[MATCH_MARKS_MAX])
{
    size_t count = 0;

    if (m->invert)
        return 0;
    for (size_t i = 0; i < m->count; i++) {
        size_t at = 0, from, to;

        while (at <= len && count < MATCH_MARKS_MAX &&
               pattern_find(m->patterns[i], text, len, at, &from, &to)) {
            if (to > from)
                marks[count++] = (struct term_mark){from, to};
            at = to > from ? to : to + 1;
            while (at < len && ((unsigned char)text[at] & 0xc0) == 0x80)
                at++; /* an empty match: on to the next character */
        }
    }
    return join(marks, count);
}

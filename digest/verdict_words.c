/*
 * digest/verdict_words.c -- the words of a verdict: for a tired person.
 */
#include "digest/verdict_int.h"

#include "base/check.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHAT_LINE_BYTES 200 /* of an error's own line */

/* Cut text at a character's end. */
static void cut(char *text, size_t size)
{
    size_t n = strlen(text);

    if (n + 1 < size)
        return;
    n = utf8_valid_prefix(text, n);
    text[n] = '\0';
    if (n > 4)
        memcpy(text + utf8_valid_prefix(text, n - 3), "…", sizeof "…");
}

void words__set(char *out, size_t size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out, size, fmt, ap);
    va_end(ap);
    cut(out, size);
}

void words__say(struct verdict *v, const char *fmt, ...)
{
    size_t at = strlen(v->sentence);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(v->sentence + at, sizeof v->sentence - at, fmt, ap);
    va_end(ap);
    cut(v->sentence, sizeof v->sentence);
}

void words__evidence(struct verdict *v, uint64_t seq, const char *fmt, ...)
{
    struct verdict_evidence *e;
    va_list ap;

    if (v->evidence_count == VERDICT_EVIDENCE_MAX)
        return;
    e = &v->evidence[v->evidence_count++];
    e->seq = seq;
    va_start(ap, fmt);
    vsnprintf(e->why, sizeof e->why, fmt, ap);
    va_end(ap);
    cut(e->why, sizeof e->why);
}

static int by_number(const void *a, const void *b)
{
    const int32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void words__ranks(struct buf *out, const int32_t *ranks, uint32_t count)
{
    int32_t *sorted = must_malloc((count ? count : 1) * sizeof *sorted);

    memcpy(sorted, ranks, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_number);
    must_have(buf_adds(out, count == 1 ? "rank " : "ranks "));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t from = i;
        while (i + 1 < count && sorted[i + 1] <= sorted[i] + 1)
            i++;
        must_have(buf_addf(out, from == i ? "%s%d" : "%s%d-%d", from ? "," : "", (int)sorted[from],
                           (int)sorted[i]));
    }
    free(sorted);
}

const char *words__time(int64_t us, char out[32])
{
    int64_t s = us / SECOND_US;

    if (us < 0)
        us = 0;
    if (us < 1000)
        snprintf(out, 32, "under 1 ms");
    else if (us < 100000)
        snprintf(out, 32, "%lld ms", (long long)((us + 500) / 1000));
    else if (us < 10 * SECOND_US)
        snprintf(out, 32, "%.1f s", (double)us / 1e6);
    else if (s < 120)
        snprintf(out, 32, "%lld s", (long long)s);
    else if (s < 7200)
        snprintf(out, 32, "%lld min", (long long)(s / 60));
    else if (s < 172800)
        snprintf(out, 32, "%lld h %02lld min", (long long)(s / 3600), (long long)(s / 60 % 60));
    else
        snprintf(out, 32, "%lld days", (long long)(s / 86400));
    return out;
}

/* "[E1123 20:54:01.123 file.cpp:629] " in front says nothing to a person. */
static size_t glog_bytes(const char *s, size_t n)
{
    const char *close = memchr(s, ']', n);
    size_t i = *s == '[';

    if (n < 12 || !strchr("IWEF", s[i]) || s[i + 1] < '0' || s[i + 1] > '9' || s[i + 5] != ' ' ||
        !close)
        return 0;
    n = (size_t)(close - s) + 1;
    return n + (s[n] == ' ');
}

/* One line of n bytes, without what a table or a phone cannot bear. */
static void own_line(const char *s, size_t n, char *out, size_t size)
{
    size_t skip = n > 12 ? glog_bytes(s, n) : 0;

    s += skip, n -= skip;
    while (n && (s[n - 1] == ' ' || s[n - 1] == ':' || s[n - 1] == '.'))
        n--;
    words__set(out, size, "%.*s", (int)n, s);
}

/* The line of the group that tells its cause: the title, or an earlier exception of a chain. */
static const char *telling_line(enum cause c, const struct digest_group *g, size_t *ret_len)
{
    size_t title = strcspn(g->title, "\r\n");

    *ret_len = title;
    if (cause_nature(c) == CAUSE_GENERIC || cause_of_line(g->title, title, 1) == c || !g->text)
        return g->title;
    for (const char *line = g->text, *end; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        if (*line == ' ' || cause_of_line(line, (size_t)(end - line), 1) != c)
            continue;
        *ret_len = (size_t)(end - line);
        return line;
    }
    return g->title;
}

const char *words__what(enum cause c, const struct digest_group *g, char *out, size_t size)
{
    char line[WHAT_LINE_BYTES];
    const char *title = cause_title(c), *text;
    size_t len;

    if (!g || !g->title || !*g->title) {
        words__set(out, size, "%s", title ? title : "an error");
        return out;
    }
    text = telling_line(c, g, &len);
    own_line(text, len, line, sizeof line);
    if (!title || c == CAUSE_PYTHON_EXCEPTION)
        words__set(out, size, "%s", line);
    else
        words__set(out, size, "%s (%s)", title, line);
    return out;
}

const char *words__signal(int sig, char out[24])
{
    const char *name = sigabbrev_np(sig);

    if (name)
        snprintf(out, 24, "SIG%s", name);
    else
        snprintf(out, 24, "signal %d", sig);
    return out;
}

#define NAMES(function, type, table)                                                               \
    const char *function(enum type x)                                                              \
    {                                                                                              \
        static const char *const names[] = {table(X)};                                             \
        return (unsigned)x < sizeof names / sizeof *names ? names[x] : "";                         \
    }
#define X(name, wire) wire,
NAMES(verdict_kind_name, verdict_kind, VERDICT_KIND_TABLE)
NAMES(verdict_confidence_name, verdict_confidence, VERDICT_CONFIDENCE_TABLE)
NAMES(verdict_role_name, verdict_role, VERDICT_ROLE_TABLE)
NAMES(verdict_status_name, verdict_status, VERDICT_STATUS_TABLE)
NAMES(verdict_hung_name, verdict_hung_kind, VERDICT_HUNG_TABLE)
NAMES(verdict_event_name, verdict_event_what, VERDICT_EVENT_TABLE)
#undef X

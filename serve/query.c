/*
 * serve/query.c -- one table of arguments, each with its parser.
 */
#include "serve/query.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "job/id.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct why {
    char *text;
    size_t size;
};

static int refuse(const struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(const struct why *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(w->text, w->size, fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

static struct filter *filter_of(struct query *q)
{
    if (!q->sieve)
        q->sieve = sieve_new();
    return &q->sieve->filter;
}

int query_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (!*text)
        return ERR_INVALID;
    for (; *text; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (*text < '0' || *text > '9' || digit > max || v > (max - digit) / 10)
            return ERR_INVALID;
        v = v * 10 + digit;
    }
    if (v < min)
        return ERR_INVALID;
    *ret = v;
    return 0;
}

static int parse_flag(const char *s, int *ret)
{
    static const char *const yes[] = {"", "1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!strcasecmp(s, yes[i]))
            return *ret = 1, 0;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (!strcasecmp(s, no[i]))
            return *ret = 0, 0;
    return ERR_INVALID;
}

static int set_after(struct query *q, const char *v, const struct why *w)
{
    q->has_after = 1;
    if (cursor_parse(v, strlen(v), &q->after) < 0)
        return refuse(w, "after: not a cursor");
    return 0;
}

static int set_before(struct query *q, const char *v, const struct why *w)
{
    q->has_before = 1;
    if (cursor_parse(v, strlen(v), &q->before) < 0)
        return refuse(w, "before: not a cursor");
    return 0;
}

static int set_tail(struct query *q, const char *v, const struct why *w)
{
    q->has_tail = 1;
    if (!strcasecmp(v, "all")) {
        q->tail = QUERY_TAIL_ALL;
        return 0;
    }
    if (query_number(v, 0, QUERY_COUNT_MAX, &q->tail) < 0)
        return refuse(w, "tail: a number of records, or all");
    return 0;
}

static int set_since(struct query *q, const char *v, const struct why *w)
{
    q->has_since = 1;
    if (clock_parse_when(v, strlen(v), q->now_us, &filter_of(q)->since_us) < 0)
        return refuse(w, "since: RFC 3339, epoch or a duration like 10m");
    return 0;
}

static int set_until(struct query *q, const char *v, const struct why *w)
{
    if (clock_parse_when(v, strlen(v), q->now_us, &filter_of(q)->until_us) < 0)
        return refuse(w, "until: RFC 3339, epoch or a duration like 10m");
    return 0;
}

static int set_rank(struct query *q, const char *v, const struct why *w)
{
    if (filter_parse_ranks(filter_of(q), v, strlen(v)) < 0)
        return refuse(w, "rank: numbers and ranges like 0,3-5 and none, at most %d", FILTER_RANKS_MAX);
    return 0;
}

static int set_replica(struct query *q, const char *v, const struct why *w)
{
    if (!id_valid(v, strlen(v)))
        return refuse(w, "replica: not an id");
    snprintf(filter_of(q)->replica, sizeof filter_of(q)->replica, "%s", v);
    return 0;
}

static int set_stream(struct query *q, const char *v, const struct why *w)
{
    if (!*v || strlen(v) > RECORD_STREAM_BYTES_MAX)
        return refuse(w, "stream: 1 to %d bytes", RECORD_STREAM_BYTES_MAX);
    snprintf(filter_of(q)->stream, sizeof filter_of(q)->stream, "%s", v);
    return 0;
}

static int set_level(struct query *q, const char *v, const struct why *w)
{
    enum level l = level_parse(v, strlen(v));

    if (l == LEVEL_NONE)
        return refuse(w, "level: trace, debug, info, warn, error or fatal");
    filter_of(q)->level_min = l;
    return 0;
}

static int set_q(struct query *q, const char *v, const struct why *w)
{
    struct filter *f = filter_of(q);
    size_t len = strlen(v);

    if (len > FILTER_Q_BYTES_MAX)
        return refuse(w, "q: at most %d bytes", FILTER_Q_BYTES_MAX);
    memcpy(f->q, v, len + 1);
    f->q_len = len;
    return 0;
}

static int set_re(struct query *q, const char *v, const struct why *w)
{
    if (strlen(v) > PATTERN_BYTES_MAX)
        return refuse(w, "re: at most %d bytes", PATTERN_BYTES_MAX);
    q->re = must_strdup(v);
    return 0;
}

static int set_case(struct query *q, const char *v, const struct why *w)
{
    int sensitive;

    if (!strcasecmp(v, "sensitive"))
        sensitive = 1;
    else if (!strcasecmp(v, "insensitive") || !strcasecmp(v, "i"))
        sensitive = 0;
    else if (!*v || parse_flag(v, &sensitive) < 0)
        return refuse(w, "case: sensitive (1) or insensitive (0)");
    q->ignore_case = !sensitive;
    return 0;
}

static int set_order(struct query *q, const char *v, const struct why *w)
{
    q->has_order = 1;
    if (!strcasecmp(v, "desc"))
        q->desc = 1;
    else if (strcasecmp(v, "asc") != 0)
        return refuse(w, "order: asc or desc");
    return 0;
}

static int set_limit(struct query *q, const char *v, const struct why *w)
{
    if (query_number(v, 1, QUERY_COUNT_MAX, &q->limit) < 0)
        return refuse(w, "limit: a number from 1");
    return 0;
}

static int set_buckets(struct query *q, const char *v, const struct why *w)
{
    uint64_t n;

    if (query_number(v, 1, QUERY_BUCKETS_MAX, &n) < 0)
        return refuse(w, "buckets: 1 to %d", QUERY_BUCKETS_MAX);
    q->buckets = (uint32_t)n;
    return 0;
}

static int set_format(struct query *q, const char *v, const struct why *w)
{
    q->has_format = 1;
    if (!strcasecmp(v, "text"))
        q->format = QUERY_TEXT;
    else if (!strcasecmp(v, "ndjson") || !strcasecmp(v, "jsonl"))
        q->format = QUERY_NDJSON;
    else if (!strcasecmp(v, "json") && q->use == QUERY_LOGS)
        q->format = QUERY_JSON;
    else
        return refuse(w, q->use == QUERY_LOGS ? "format: text, ndjson or json"
                                              : "format: text or ndjson");
    return 0;
}

static int set_states(struct query *q, const char *v, const struct why *w)
{
    if (parse_flag(v, &q->states) < 0)
        return refuse(w, "states: 0 or 1");
    return 0;
}

static int set_wait(struct query *q, const char *v, const struct why *w)
{
    if (clock_parse_duration(v, strlen(v), &q->wait_us) < 0 || q->wait_us < 0)
        return refuse(w, "wait: a duration like 30s");
    return 0;
}

#define FOR_LOGS (1u << QUERY_LOGS)
#define FOR_TAIL (1u << QUERY_TAIL)
#define FOR_SEARCH (1u << QUERY_SEARCH)
#define FOR_ALL (FOR_LOGS | FOR_TAIL | FOR_SEARCH)

static const struct argument {
    const char *name;
    int (*set)(struct query *q, const char *v, const struct why *w);
    unsigned uses;
} arguments[] = {
    {"after", set_after, FOR_ALL},
    {"before", set_before, FOR_LOGS | FOR_SEARCH},
    {"tail", set_tail, FOR_LOGS | FOR_TAIL},
    {"since", set_since, FOR_ALL},
    {"until", set_until, FOR_ALL},
    {"rank", set_rank, FOR_ALL},
    {"replica", set_replica, FOR_ALL},
    {"stream", set_stream, FOR_ALL},
    {"level", set_level, FOR_ALL},
    {"q", set_q, FOR_ALL},
    {"re", set_re, FOR_ALL},
    {"case", set_case, FOR_ALL},
    {"order", set_order, FOR_LOGS | FOR_SEARCH},
    {"limit", set_limit, FOR_LOGS | FOR_SEARCH},
    {"buckets", set_buckets, FOR_SEARCH},
    {"format", set_format, FOR_LOGS | FOR_TAIL},
    {"states", set_states, FOR_LOGS | FOR_TAIL},
    {"wait", set_wait, FOR_TAIL},
};
#define ARGUMENT_COUNT (sizeof arguments / sizeof *arguments)

static int is_foreign(const char *name)
{
    return name[0] == '_' || !strcmp(name, "project") || !strcmp(name, "ticket");
}

static const char *const use_names[] = {
    [QUERY_LOGS] = "a read", [QUERY_TAIL] = "a tail", [QUERY_SEARCH] = "a search"};

void query_init(struct query *q, enum query_use use, int64_t now_us)
{
    memset(q, 0, sizeof *q);
    q->use = use;
    q->now_us = now_us;
    q->states = -1;
    q->wait_us = -1;
}

int query_set(struct query *q, const char *name, const char *value, char *why, size_t why_size)
{
    struct why w = {why, why_size};

    if (is_foreign(name))
        return 0;
    for (size_t i = 0; i < ARGUMENT_COUNT; i++) {
        if (strcmp(arguments[i].name, name) != 0)
            continue;
        if (!(arguments[i].uses & (1u << q->use)))
            return refuse(&w, "%s: not for %s", name, use_names[q->use]);
        if (q->seen & (1u << i))
            return refuse(&w, "%s: given twice", name);
        q->seen |= 1u << i;
        return arguments[i].set(q, value, &w);
    }
    return refuse(&w, "unknown argument %.64s", name);
}

int query_finish(struct query *q, char *why, size_t why_size)
{
    int err = 0;

    if (q->re) {
        char reason[192] = "";

        filter_of(q);
        err = sieve_set_pattern(q->sieve, q->re, q->ignore_case, reason, sizeof reason);
        if (err < 0) {
            snprintf(why, why_size, "re: %s", reason[0] ? reason : err_text(err));
            return ERR_INVALID;
        }
    }
    if (q->sieve)
        q->sieve->filter.ignore_case = q->ignore_case;
    if (q->sieve && sieve_is_open(q->sieve))
        sieve_unref(&q->sieve);
    return err;
}

int query_parse(struct query *q, const struct http *x, enum query_use use, char *why,
                size_t why_size)
{
    const char *name, *value;
    int err;

    query_init(q, use, clock_wall_us());
    for (unsigned i = 0; http_arg_at(x, i, &name, &value); i++) {
        err = query_set(q, name, value ? value : "", why, why_size);
        if (err < 0)
            goto out;
    }
    err = query_finish(q, why, why_size);
out:
    if (err < 0)
        query_release(q);
    return err;
}

void query_release(struct query *q)
{
    sieve_unref(&q->sieve);
    free(q->re);
    q->re = NULL;
}

int query_quality(const char *s, size_t len)
{
    const char *end = s + len;

    for (const char *p = memchr(s, ';', len); p; p = memchr(p, ';', (size_t)(end - p))) {
        int q = 0, scale = 100;

        p++;
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        if (end - p < 3 || (*p != 'q' && *p != 'Q') || p[1] != '=')
            continue;
        p += 2;
        if (*p == '1')
            return 1000;
        if (++p >= end || *p != '.')
            return 0;
        for (p++; p < end && *p >= '0' && *p <= '9' && scale; p++, scale /= 10)
            q += (*p - '0') * scale;
        return q;
    }
    return 1000;
}

int query_accepts_coding(const char *accept, const char *coding)
{
    size_t want = strlen(coding);

    while (accept && *accept) {
        size_t len, name;

        accept += strspn(accept, " \t,");
        len = strcspn(accept, ",");
        name = strcspn(accept, " \t;,");
        if (name == want && !strncasecmp(accept, coding, want))
            return query_quality(accept, len) > 0;
        accept += len;
    }
    return 0;
}

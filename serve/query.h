/*
 * serve/query.h -- what a reader asks for: the arguments of /logs, /tail and /search.
 *
 *     after=E:S before=E:S        cursors, both exclusive; a bare S means the current epoch
 *     tail=N|all since= until=    since and until: RFC 3339, epoch or a duration before now
 *     rank=0,3-5,none replica= stream= level=<minimum> q=<substring> re=<RE2>
 *     case=0|1                    also insensitive, sensitive; for q and re
 *     order=asc|desc limit=N      not /tail
 *     format=text|ndjson|json     /tail: text|ndjson, else by the kind of request
 *     states=0|1                  state changes in the answer (default: text no, else yes)
 *     wait=30s                    /tail only: for a job that does not exist yet
 *     buckets=N                   /search only: 1 to 2000
 *     (/search takes no tail, format, states)
 *
 * Unknown arguments, repeated ones and bad values are refused with a sentence: a misspelt filter
 * must not show everything. `project`, `ticket` and names that start with '_' are somebody else's
 * and pass.
 */
#ifndef SERVE_QUERY_H
#define SERVE_QUERY_H

#include "http/http.h"
#include "job/cursor.h"
#include "serve/sieve.h"

#define QUERY_TAIL_ALL UINT64_MAX
#define QUERY_COUNT_MAX UINT64_C(1000000000000)

#define QUERY_BUCKETS_MAX 2000

enum query_use { QUERY_LOGS, QUERY_TAIL, QUERY_SEARCH };
enum query_format { QUERY_TEXT, QUERY_NDJSON, QUERY_JSON };

struct query {
    enum query_use use;
    int has_after, has_before, has_tail, has_format, has_since, has_order;
    struct cursor after, before;
    uint64_t tail;  /* QUERY_TAIL_ALL */
    uint64_t limit; /* 0: none */
    uint32_t buckets; /* 0: not given */
    int desc;
    enum query_format format;
    int states; /* -1: by format */
    int64_t wait_us;
    struct sieve *sieve; /* NULL: no filter */
    /* while parsing */
    int64_t now_us;
    int ignore_case;
    char *re;
    unsigned seen;
};

/* Everything at its default. */
void query_init(struct query *q, enum query_use use, int64_t now_us);
/* One argument. ERR_INVALID with why. */
int query_set(struct query *q, const char *name, const char *value, char *why, size_t why_size);
/* After the last one: what depends on several (re with case, before with tail). ERR_INVALID with
 * why. */
int query_finish(struct query *q, char *why, size_t why_size);
/* All of the request's arguments. */
int query_parse(struct query *q, const struct http *x, enum query_use use, char *why,
                size_t why_size);
void query_release(struct query *q);
/* Is coding acceptable by an Accept-Encoding value (RFC 9110 12.5.3)? named: only when it is
 * named, not by "*". */
int query_accepts_coding(const char *accept_encoding, const char *coding);
/* A whole number from min to max in digits alone: no sign, no blank, no point. ERR_INVALID. */
int query_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
/* The weight (q) of one element of an Accept header in thousandths, 0 to 1000; 1000 without one (RFC 9110 12.4.2). */
int query_quality(const char *element, size_t len);

#endif

/*
 * serve/baseten_logs_int.h -- one request for logs: its window, the page cut out of it, the read.
 *
 * baseten_page.c finds the range of records, baseten_logs.c streams it.
 */
#ifndef SERVE_BASETEN_LOGS_INT_H
#define SERVE_BASETEN_LOGS_INT_H

#include "serve/baseten_logs.h"
#include "serve/baseten_query.h"
#include "serve/moment.h"
#include "serve/patient.h"
#include "serve/reader.h"

#define NS_PER_MS 1000000

struct logs {
    struct patient p;
    struct job_key key;
    int is_foreign;
    struct baseten_query q;
    struct sieve *sieve; /* NULL: all records */
    void (*again)(struct logs *l); /* what is under way, once the answer has begun */
    uint64_t epoch;
    /* baseten_page.c */
    uint64_t a, b;        /* the window, or what is left of it; never empty here */
    uint64_t want;        /* lines of the limit that are still to be found */
    uint64_t first_match; /* the page's first line */
    uint64_t match;       /* the record it reaches to */
    int64_t match_ms, first_ms;
    uint64_t nth;         /* the limit-th line, in nth_ms */
    int64_t nth_ms;
    int is_second;        /* reaching for the millisecond after a single one */
    /* the read */
    struct reader *reader;
    void (*on_items)(struct logs *l);
    uint64_t from, to;
    uint64_t bytes;   /* written, or measured */
    uint64_t reached; /* the record given last */
    uint64_t given;   /* lines written */
    int budget_is_spent;
    struct reader_item lost; /* kind LOST: a lost range whose time is being looked up */
};

/* ---- baseten_logs.c ---- */
void logs__find_moments(struct logs *l, int close_ms, const struct moment_ask *asks, uint32_t count, moments_fn *done);
/* First thing in a moments_fn. 1: go on; 0: it is dealt with, l may be gone. */
int logs__came_back(struct logs *l, int err);
/* Records of [from, to]; on_items takes them by reader_next, now and when more have come. */
void logs__open_reader(struct logs *l, uint64_t from, uint64_t to, int backward, enum shape_kind kind,
                       uint64_t records_max, void (*on_items)(struct logs *l));
/* Nothing was sent yet or something was: the answer is an error, or ends in one. */
void logs__fail(struct logs *l, int err);
/* Answer with the lines of [from, to]. */
void logs__read(struct logs *l, uint64_t from, uint64_t to);

/* ---- baseten_page.c ---- */
/* The window is [a, b]: cut the page out of it, then logs__read(). */
void logs__cut_page(struct logs *l);

#endif

/*
 * serve/postmortem_int.h -- a post-mortem that is ready to be written, and its three forms.
 */
#ifndef SERVE_POSTMORTEM_INT_H
#define SERVE_POSTMORTEM_INT_H

#include "base/buf.h"
#include "digest/verdict.h"
#include "serve/ctx.h"
#include "serve/document.h"
#include "serve/postmortem.h"

#define POSTMORTEM_TAILS_MAX 5     /* ranks whose last lines are shown */
#define POSTMORTEM_TAIL_LINES 40   /* of each */
#define POSTMORTEM_LINE_BYTES 1024 /* of a line shown; cut at a character */
#define POSTMORTEM_RATE_BUCKETS 120
#define POSTMORTEM_GROUPS_MAX 100 /* of primary, then cascade, then others */
#define POSTMORTEM_CELL_BYTES 120 /* of a last line in a table */
#define POSTMORTEM_ROWS_MAX 256   /* ranks in the tables of markdown and HTML */

/* What is asked of one. */
struct postmortem_question {
    enum postmortem_form form;
    uint32_t ranks_max, groups_max, lines;
};
/* 0, or an answered error. */
int postmortem__question_read(struct http *x, struct postmortem_question *ret);

struct postmortem_line {
    uint64_t seq;
    int64_t ts_us;
    enum level level;
    char *text; /* as the job wrote it, cut */
    size_t len;
};

struct postmortem_tail {
    int32_t rank;                                        /* RECORD_RANK_NONE: lines without one */
    struct postmortem_line lines[POSTMORTEM_TAIL_LINES]; /* oldest first */
    unsigned count;
};

struct postmortem {
    const struct job_info *info;
    const struct digest *digest; /* settled */
    const struct verdict *verdict;
    int64_t now_us;
    struct postmortem_tail *tails;
    unsigned tail_count;
    uint32_t ranks_max, groups_max; /* of JSON */
    int64_t computed_us;            /* how long it took */
};

/* Lines over time in at most POSTMORTEM_RATE_BUCKETS buckets. */
struct postmortem_rate {
    int64_t from_us, bucket_us;
    unsigned count;
    uint64_t lines[POSTMORTEM_RATE_BUCKETS][LEVEL_COUNT];
    uint64_t most; /* lines of the fullest bucket */
};
void postmortem__rate(struct postmortem_rate *r, const struct digest *d);
/* Places of groups in order of weight: primary, cascade, other; each by time. Returns how many, at most max. */
uint32_t postmortem__groups(const struct postmortem *p, uint32_t *places, uint32_t max);
/* Rows of a table that must be short: which of the verdict's ranks are shown. All when there are few; else the
 * culprit, those that failed or are silent, and the first of the others. Returns how many, at most max. */
uint32_t postmortem__rows(const struct postmortem *p, uint32_t *places, uint32_t max);
/* "2026-11-23 20:54:01.123" UTC; "-" for 0. */
const char *postmortem__moment(int64_t us, char out[32]);
/* "SIGKILL", "1" or "-". */
const char *postmortem__exit(const struct verdict_rank *r, char out[24]);

enum postmortem_escape { POSTMORTEM_PLAIN, POSTMORTEM_MARKDOWN, POSTMORTEM_HTML };
/* Text of the job made harmless: what a form gives a meaning is escaped, control characters and those that turn
 * the direction of text around are shown as \x1b, \u202e. Newlines stay when lines is true, else they are spaces. */
void postmortem__text(struct document *out, const char *s, size_t len, enum postmortem_escape how,
                      int lines);

/* Whose last lines are worth showing, and where they end. */
struct postmortem_want {
    int32_t rank;
    uint64_t last_seq;
};
unsigned postmortem__wants(const struct verdict *v, const struct digest *d,
                           struct postmortem_want wants[POSTMORTEM_TAILS_MAX]);

struct postmortem_tails_options {
    struct serve_ctx *ctx;
    const struct job_key *key;
    uint64_t epoch;
    const struct postmortem_want *wants;
    unsigned count, lines;
    struct postmortem_tail *tails; /* count of them, zeroed: filled; postmortem__tails_free() */
};
struct postmortem_reading;
/* 1: they are read (done is not called); 0: done follows. Free it in both cases: no done() after
 * that. */
int postmortem__read_tails(const struct postmortem_tails_options *o, void (*done)(void *user),
                           void *user, struct postmortem_reading **ret);
/* 0, or ERR_NOMEM: a line was left out. */
int postmortem__reading_err(const struct postmortem_reading *r);
void postmortem__reading_free(struct postmortem_reading **r);
void postmortem__tails_free(struct postmortem_tail *tails, unsigned count);

/* How long before the end the rank spoke last, for people; "–" when it never did. */
const char *postmortem__age(const struct verdict_rank *r, char out[32]);
/* Its last line, cut for a cell. */
void postmortem__last_line(struct document *out, const struct verdict_rank *r,
                           enum postmortem_escape how);

/* Each appends the whole document. ERR_NOMEM, ERR_TOO_BIG of the buffer. */
int postmortem__json(struct buf *out, const struct postmortem *p);
int postmortem__markdown(struct buf *out, const struct postmortem *p);
/* One file, no scripts, nothing fetched: every byte of the job's is escaped. */
int postmortem__html(struct buf *out, const struct postmortem *p);

#endif

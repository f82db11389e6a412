/*
 * job/filter.h -- which records a reader wants.
 *
 * Pure: the regular expression is a callback (base/pattern.h gives one). All parts must hold.
 * State changes and gap records pass every filter but after/before/since/until: a reader must never miss
 * the end of a job because it asked for errors of rank 3 only.
 */
#ifndef JOB_FILTER_H
#define JOB_FILTER_H

#include "base/buf.h"
#include "job/frame.h"
#include "job/id.h"
#include "job/record.h"

#define FILTER_RANKS_MAX 64 /* ranges in rank= */
#define FILTER_Q_BYTES_MAX 1024

struct filter_range {
    int32_t lo, hi;
};

struct filter {
    int64_t since_us, until_us; /* 0: open; since <= ts < until */
    struct filter_range ranks[FILTER_RANKS_MAX];
    uint32_t rank_count; /* 0: all */
    char replica[ID_BYTES_MAX + 1];
    char stream[RECORD_STREAM_BYTES_MAX + 1];
    enum level level_min; /* LEVEL_NONE: all. With a minimum, lines without a level do not pass. */
    char q[FILTER_Q_BYTES_MAX + 1];
    size_t q_len;
    int ignore_case; /* for q; patterns carry their own. ASCII folding */
    int (*match)(const void *matcher, const char *text, size_t len); /* NULL: none */
    const void *matcher; /* borrowed */
    /* 0: no text can match of which has() denies the pieces (base/pattern.h). NULL: not known. */
    int (*may_match)(const void *matcher, int (*has)(void *user, const char *piece, size_t len), void *user);
};

void filter_init(struct filter *f);
/* "0,3-5,none": none is lines without a rank. */
int filter_parse_ranks(struct filter *f, const char *s, size_t len);
/* True when every record passes: readers may send frames as they are. */
int filter_is_open(const struct filter *f);
/* False only when no record of a run so summarised can pass. */
int filter_may_match(const struct filter *f, const struct frame_summary *s);
/* scratch is used to unescape msg when needed. */
int filter_match(const struct filter *f, const struct record_view *v, struct buf *scratch);
/* Is it a line that all parts hold for, without the leave of state changes and gap records? */
int filter_finds(const struct filter *f, const struct record_view *v, struct buf *scratch);

#endif

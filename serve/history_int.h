/*
 * serve/history_int.h -- what surrounds the records of an answer, by format.
 *
 * Every call appends to w->out what goes out before (slice) or instead of records.
 */
#ifndef SERVE_HISTORY_INT_H
#define SERVE_HISTORY_INT_H

#include "base/buf.h"
#include "serve/query.h"
#include "serve/shape.h"

#define HISTORY_GAPS_MAX                                                                           \
    10000 /* of one json answer; what is beyond is one range from the first to the last */

struct history_gap {
    uint64_t from, to;
    int err;
};

struct history_writer {
    enum query_format format;
    uint64_t epoch;
    struct buf out;
    int any;                  /* a record was written */
    struct history_gap *gaps; /* json: written at the end */
    uint32_t gap_count, gap_cap;
};

void history_writer_init(struct history_writer *w, enum query_format format, uint64_t epoch);
void history_writer_release(struct history_writer *w);
void history_writer_begin(struct history_writer *w);
void history_writer_slice(struct history_writer *w, const struct shape_slice *slice);
void history_writer_lost(struct history_writer *w, uint64_t from, uint64_t to, int err);
/* seq: the last record looked at. more: limit cut the answer. */
void history_writer_end(struct history_writer *w, uint64_t seq, int more);

/* "corrupt" or "missing": why a range is lost. */
const char *history_reason(int err);

#endif

/*
 * ingest/line.h -- one line on its way from what was sent to a canonical record.
 *
 * line_read_object() finds the members that mean something to joblog, under all their usual names, and
 * gathers the rest as fields. Of several names for one thing the first in this order wins and the others
 * become fields; of one name given twice the last wins; null is as good as absent:
 *     ts timestamp time @timestamp | msg message log body text | level severity lvl levelname
 *     rank | replica | stream | fields (an object: its members come first)
 *
 * Memory     The reader's buffers are reused from line to line; a struct line borrows from them and from the
 *            input until the next call.
 */
#ifndef INGEST_LINE_H
#define INGEST_LINE_H

#include "base/clock.h"
#include "ingest/scan.h"
#include "job/level.h"

struct line {
    int64_t ts_us;
    char ts_text[CLOCK_RFC3339_BYTES];
    int has_ts;
    int32_t rank; /* RECORD_RANK_NONE: not said */
    int is_agents_rank; /* not read, set by ingest/decode.c: it is the agent's own, which may carry many */
    const char *replica; /* borrowed, replica_len 0: not said */
    size_t replica_len;
    const char *stream;
    size_t stream_len;
    enum level level;
    const char *msg; /* escaped, canonical */
    size_t msg_len;
    size_t msg_plain_bytes;
    unsigned msg_flags; /* enum scan_flag */
    const char *fields; /* members without braces */
    size_t fields_len;
};

struct line_reader {
    struct buf strings; /* values that could not be used in place */
    struct buf key;
    struct buf fields_given; /* members of an incoming "fields" */
    struct buf fields;       /* unknown members; in the end all of them */
    char minute[17];         /* "2026-11-23T20:54:" of the last time read, */
    int64_t minute_us;       /* and what it is; -1: none */
};

void line_reader_init(struct line_reader *r);
void line_reader_release(struct line_reader *r);
/* Give buffers over bytes_max back. */
void line_reader_trim(struct line_reader *r, size_t bytes_max);
/* s stands on '{' and after the matching '}' on success. Everything of *ret is set, "not said" included.
 * ERR_INVALID (s->why), ERR_TOO_BIG when the fields exceed DECODE_FIELDS_BYTES_MAX, ERR_NOMEM. */
int line_read_object(struct line_reader *r, struct scan *s, struct line *ret);
/* 1 to RECORD_STREAM_BYTES_MAX printable ASCII characters that need no escape. */
int line_stream_valid(const char *s, size_t len);
/* "0".."65535", digits only. */
int line_parse_rank(const char *s, size_t len, int32_t *ret_rank);

#endif

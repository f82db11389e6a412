/*
 * ingest/decode.h -- from whatever was sent to a batch of canonical frames: pure, no I/O, no loop.
 *
 * A streaming scanner, no allocation per line: feed body bytes as they come (after content
 * decoding), finish, take the batch. Accepts
 *     NDJSON  one object a line, blank lines skipped
 *     ARRAY   a JSON document: an array of objects or strings, one object over several lines, objects one
 *             after the other, NDJSON too
 *     TEXT    every line is a message, blank ones too
 *     AUTO    looks: '{' is NDJSON (if the first line is no object after all: text); '[' followed by '{',
 *             '"' or ']' is an array; anything else is text
 * A BOM at the start is skipped.
 *
 * Outcomes (each has a test): docs/protocol.md "What may be in a line".
 * Limits     struct decode_limits. Over them: ERR_TOO_BIG with the line's number.
 * Threads    One owner at a time, any thread.
 */
#ifndef INGEST_DECODE_H
#define INGEST_DECODE_H

#include "job/batch.h"
#include "job/record.h"

enum decode_format { DECODE_AUTO, DECODE_NDJSON, DECODE_ARRAY, DECODE_TEXT };

struct marks;

#define DECODE_LINE_BYTES_MAX (2 * 1024 * 1024) /* what line_bytes_max may be at most */
#define DECODE_LINE_BYTES_DEFAULT (256 * 1024)   /* msg; over it the line is split into marked parts */
#define DECODE_JSON_LINE_BYTES_MAX (4 * 1024 * 1024) /* one JSON object as sent */
#define DECODE_BODY_BYTES_MAX (64 * 1024 * 1024) /* decoded bytes of one batch */
#define DECODE_LINES_MAX 200000                  /* of one batch */
#define DECODE_DEPTH_MAX 32                      /* nesting inside unknown keys */
#define DECODE_FIELDS_BYTES_MAX (64 * 1024)      /* canonical size of fields of one record */

struct decode_options {
    enum decode_format format;
    size_t line_bytes_max;
    uint64_t body_bytes_max;
    uint32_t lines_max;
    int numbered;   /* every line has a number given by its producer, so one line must stay one record: never
                     * split; over DECODE_JSON_LINE_BYTES_MAX (text too) ERR_TOO_BIG */
    int skip_bad;   /* ?on_error=skip: a bad line is stored as text and counted */
    int pack_level; /* zstd level of frames; 0: do not pack */
    int64_t recv_us; /* time for records without one */
    /* defaults for records that do not say */
    int32_t rank;
    int is_agent;       /* rank is an agent's: the prefixes of a launcher below it may tell otherwise (ingest/marks.h), */
    uint32_t ranks;     /* of so many (0: not known); */
    int is_one_node;    /* and local ranks are those of the job */
    char replica[ID_BYTES_MAX + 1];
    char stream[RECORD_STREAM_BYTES_MAX + 1];
    enum level level;
    /* What the lines before these were (ingest/marks.h), borrowed until decoder_finish(); NULL: nothing is known. */
    struct marks *marks;
    const struct redact *redact; /* borrowed; what takes secrets out of messages and fields. NULL: nothing does */
};
void decode_options_init(struct decode_options *o);

struct decoder;
int decoder_new(const struct decode_options *o, struct decoder **ret_decoder);
void decoder_free(struct decoder **d);
/* Start over with other options, keeping buffers of moderate size: a pooled decoder costs no page faults.
 * What was decoded is dropped. As decoder_new(). */
int decoder_reset(struct decoder *d, const struct decode_options *o);
/* ERR_INVALID, ERR_TOO_BIG, ERR_LIMIT, ERR_NOMEM: decoder_error() tells where; sticky. */
int decoder_feed(struct decoder *d, const char *data, size_t len);
/* Ends the last line; the batch (frames packed, counters set, producer untouched) is yours. */
int decoder_finish(struct decoder *d, struct batch **ret_batch);
/* "line 17: …" for a person; line from 1. Valid after an error. */
const char *decoder_error(const struct decoder *d, uint64_t *ret_line);
/* Bytes of memory held, roughly: input waiting for its line's end, frames made so far. */
size_t decoder_bytes(const struct decoder *d);

#endif

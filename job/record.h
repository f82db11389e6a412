/*
 * job/record.h -- one line or state change in canonical form.
 *
 * Canonical text: one JSON object, keys in exactly this order, no spaces, absent ones left out:
 *     {"seq":812,"ts":"2026-11-23T20:54:01.123456Z","rank":3,"replica":"node-1","stream":"stderr",
 *      "level":"error","msg":"…","fields":{…}}
 *     {"seq":813,"ts":"…","rank":3,"state":"TRAINING_JOB_FAILED","msg":"…","exit_code":1}
 * "ts" is always 27 bytes. "seq" is left out before numbering (in batches and Redis payloads,
 * where it is implied by position) and present in every frame in memory, archive and on the wire.
 * Because the text is ours, reading it back is a fixed-order scan, not a parse.
 *
 * Special fields joblog itself writes: fields.part = {"n":2,"of":3} on pieces of a line that was
 * over the line limit; fields.redraws = count and fields.history = [..] on a progress line, fields.progress = {..} what
 * its bar says; fields.block = n on the n-th (n >= 2) line of a block, fields.local_rank (ingest/marks.h);
 * fields.gap = {"from":101,"to":200} on the record that stands for lines an agent had to drop.
 */
#ifndef JOB_RECORD_H
#define JOB_RECORD_H

#include "base/buf.h"
#include "job/level.h"
#include "job/state.h"

#include <stddef.h>
#include <stdint.h>

#define RECORD_RANK_NONE (-1)
#define RECORD_RANK_MAX 65535
#define RECORD_STREAM_BYTES_MAX 32

/* Borrowed slices into a canonical line. *_json slices are still JSON-escaped, without quotes. */
struct record_view {
    uint64_t seq; /* 0 when not numbered */
    int64_t ts_us;
    int32_t rank; /* RECORD_RANK_NONE when absent */
    enum level level;
    int is_state; /* state, exit_code are set */
    enum job_state state;
    int has_exit_code;
    int64_t exit_code;
    const char *replica;
    size_t replica_len; /* 0 when absent; ids need no escapes */
    const char *stream;
    size_t stream_len;
    const char *msg_json;
    size_t msg_json_len;
    const char *fields_json; /* the object with its braces; NULL when absent */
    size_t fields_json_len;
};

/* What record_write() takes. msg must be valid UTF-8; it is escaped here. */
struct record {
    uint64_t seq; /* 0: leave out */
    int64_t ts_us;
    int32_t rank;
    const char *replica; /* NULL or "" : absent */
    const char *stream;
    enum level level;
    const char *msg;
    size_t msg_len;
    const char *fields_json; /* NULL: absent */
    size_t fields_json_len;
    int is_state;
    enum job_state state;
    int has_exit_code;
    int64_t exit_code;
};

/* Append the canonical line with its '\n'. */
int record_write(struct buf *out, const struct record *rec);
/* Read one canonical line (without or with its '\n'). ERR_CORRUPT when record_write would not have
 * written its frame: keys, order, numbers, time, level and state. The insides of the strings and of
 * fields are not looked into; record_msg() is where a bad escape shows. */
int record_parse(const char *line, size_t len, struct record_view *ret);
/* The number of a canonical line; 0 when it does not begin with one. What follows the number is not looked at. */
uint64_t record_line_seq(const char *line, size_t len);
/* The rank of a canonical line that is numbered, from its own place and no other: fields may hold a "rank" of the job's. What
 * follows it is not looked at. */
int32_t record_line_rank(const char *line, size_t len);
/* Append msg as the job wrote it (unescaped). ERR_INVALID on a bad escape. */
int record_msg(const struct record_view *v, struct buf *out);

#endif

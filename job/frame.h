/*
 * job/frame.h -- a batch of records that travels unchanged: from the stream entry into the hub's
 * ring, out in messages, into the archive.
 *
 *     text   {"seq":101,"ts":…}\n{"seq":102,…}\n … {"seq":600,…}\n
 *     first_seq = 101, count = 500, + small summaries for filters to skip by
 *
 * Promises   Immutable once made; text holds exactly count lines numbered first_seq, +1, …
 *            A state change is a frame of its own (count 1, is_state).
 * Memory     Reference-counted (not atomic: frames belong to the loop thread; a worker may read one
 *            while the loop holds a reference for it).
 * Limits     FRAME_RAW_BYTES_MAX of text, unless a single record is larger; FRAME_LINES_MAX lines.
 */
#ifndef JOB_FRAME_H
#define JOB_FRAME_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define FRAME_RAW_BYTES_MAX (256 * 1024)
#define FRAME_LINES_MAX 4096
/* Aim of the packed payload in Redis: one byte over 64 KiB costs 25 % more memory there. */
#define FRAME_PACKED_BYTES_AIM 65300
/* Largest text a frame of one huge record can have (line limit x worst escape + fields). */
#define FRAME_TEXT_BYTES_HARD_MAX (16 * 1024 * 1024)

/* What is known of a run of records without reading it. Empty: count 0. */
struct frame_summary {
    uint32_t count;
    uint32_t level_mask; /* LEVEL_BIT()s, LEVEL_NONE included */
    int32_t rank_lo;     /* RECORD_RANK_NONE counts as -1 */
    int32_t rank_hi;
    int64_t ts_min_us;
    int64_t ts_max_us;
    int is_state;
};

void frame_summary_init(struct frame_summary *s);
void frame_summary_add(struct frame_summary *s, int64_t ts_us, int32_t rank, unsigned level);
void frame_summary_merge(struct frame_summary *s, const struct frame_summary *other);
/* The header kept beside the payload in Redis, one line of text:
 * "1 <count> <recv_us> <level_mask> <rank_lo> <rank_hi> <ts_min> <ts_max> <is_state> <raw_bytes> <packed 0|1>" */
int frame_header_format(struct buf *out, const struct frame_summary *s, int64_t recv_us,
                        size_t raw_bytes, int packed);
int frame_header_parse(const char *text, size_t len, struct frame_summary *ret, int64_t *ret_recv_us,
                       size_t *ret_raw_bytes, int *ret_packed);

struct frame {
    int refs;
    uint64_t first_seq;
    int64_t recv_us; /* when the batch was received, wall clock */
    struct frame_summary sum;
    char *text; /* numbered canonical NDJSON */
    size_t text_bytes;
    /* A ready-made message shared by all unfiltered subscribers; made and typed by the room that
     * sends it, freed with the frame through wire_free. */
    void *wire;
    void (*wire_free)(void *wire);
};

/* Number raw (un-numbered canonical lines) from first_seq into a new frame with one reference.
 * The summary is taken over. ERR_CORRUPT when the lines are not s->count canonical lines. */
int frame_number(uint64_t first_seq, int64_t recv_us, const struct frame_summary *s, const char *raw,
                 size_t raw_len, struct frame **ret_frame);
/* A frame of already numbered text (taken and NULLed; malloc'd), as the archive gives it back. The summary
 * is computed when s is NULL. ERR_CORRUPT when numbering is not first_seq, +1, … */
int frame_from_text(uint64_t first_seq, int64_t recv_us, const struct frame_summary *s, char **text,
                    size_t text_len, struct frame **ret_frame);
struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame **f);
static inline uint64_t frame_last_seq(const struct frame *f) { return f->first_seq + f->sum.count - 1; }

/* Walk the lines: *pos starts at 0; 1 and the line without its '\n', or 0 at the end. */
int frame_next_line(const struct frame *f, size_t *pos, const char **ret_line, size_t *ret_len);
/* The same walk backwards: *pos starts at text_bytes. */
int frame_prev_line(const struct frame *f, size_t *pos, const char **ret_line, size_t *ret_len);

#endif

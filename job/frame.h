/*
 * job/frame.h -- a batch of records that travels unchanged: from the stream entry into the hub's
 * ring, out in messages, into the archive.
 *
 *     text   {"seq":101,"ts":…}\n{"seq":102,…}\n … {"seq":600,…}\n
 *     first_seq = 101, count = 500, + small summaries for filters to skip by
 *
 * Promises   Immutable once made; text holds exactly count lines numbered first_seq, +1, …
 *            A state change is a frame of its own (count 1, is_state).
 *            A lost frame (is_lost) stands for records that were stored and cannot be read any more: it has
 *            a place and a count, and no text. Who passes frames on tells it as a gap.
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

/* Records from seq on were received at recv_us (+ 1 ns each). */
struct frame_run {
    uint64_t seq;
    int64_t recv_us;
};

struct frame {
    int refs;
    uint64_t first_seq;
    int64_t recv_us; /* its place on the job's axis of receive times: see frame_recv_span_us() */
    struct frame_summary sum;
    char *text; /* numbered canonical NDJSON */
    size_t text_bytes;
    /* Of a frame from the archive, which holds several of the stream: its runs, the first of which may begin
     * before first_seq (owned). NULL: one run, first_seq at recv_us. */
    struct frame_run *runs;
    uint32_t run_count;
    int is_lost; /* text is "" */
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
 * is computed when s is NULL; with s the text's checksum vouches for it, and of each line only its number is read.
 * ERR_CORRUPT when numbering is not first_seq, +1, … */
int frame_from_text(uint64_t first_seq, int64_t recv_us, const struct frame_summary *s, char **text,
                    size_t text_len, struct frame **ret_frame);
/* Receive times. Record i of a frame was received at recv_us * 1000 + i nanoseconds. The append script
 * keeps the frames of a job so far apart that no two records share a nanosecond and later records
 * have later ones; it begins at the wall clock of the node that received the batch. A frame takes this
 * much of the axis. */
static inline int64_t frame_recv_span_us(uint32_t count) { return (count + 999) / 1000; }
/* Nanoseconds since 1970 at which record seq of f was received; 0: not known (an archive's index was lost). */
int64_t frame_recv_ns(const struct frame *f, uint64_t seq);
/* The same out of runs alone: runs[0].seq <= seq. */
int64_t frame_runs_recv_ns(const struct frame_run *runs, uint32_t count, uint64_t seq);
/* The lost frame of [first_seq, last_seq], at most UINT32_MAX of the last records of it. */
struct frame *frame_lost(uint64_t first_seq, uint64_t last_seq);
struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame **f);
static inline uint64_t frame_last_seq(const struct frame *f) { return f->first_seq + f->sum.count - 1; }

/* Walk the lines: *pos starts at 0; 1 and the line without its '\n', or 0 at the end. */
int frame_next_line(const struct frame *f, size_t *pos, const char **ret_line, size_t *ret_len);
/* The same walk backwards: *pos starts at text_bytes. */
int frame_prev_line(const struct frame *f, size_t *pos, const char **ret_line, size_t *ret_len);

#endif

/*
 * job/batch.h -- what one request or agent message brings: frames without numbers yet, and who
 * sent them.
 *
 * ingest/ builds it (decode, split into frames, pack); stream/ appends it whole or not at all.
 */
#ifndef JOB_BATCH_H
#define JOB_BATCH_H

#include "base/buf.h"
#include "job/frame.h"
#include "job/id.h"
#include "job/level.h"
#include "job/redact.h"
#include "job/state.h"

#define BATCH_FRAMES_MAX 1024
#define BATCH_RANKS_MAX 256 /* ranks counted separately in one batch; the rest only as lines */

struct batch_frame {
    struct frame_summary sum;
    char *raw;        /* un-numbered canonical lines, malloc'd */
    size_t raw_bytes;
    char *packed;     /* zstd of raw when that is smaller, else NULL */
    size_t packed_bytes;
};

struct batch_rank {
    int32_t rank; /* RECORD_RANK_NONE too */
    uint32_t lines;
    int64_t last_ts_us;
};

/* Who sent it; id "" = anonymous: at least once, no sequence. */
struct batch_producer {
    char id[ID_BYTES_MAX + 1];
    uint64_t epoch;
    uint64_t first; /* sequence of the first line, from 1 */
    uint64_t last;  /* of the last; first - 1 when there are no lines. last - first + 1 == line count,
                     * except for a gap record, which is one record standing for first..last */
    int32_t rank;   /* RECORD_RANK_NONE when unknown */
    int has_fin;
    uint64_t fin;   /* done after this sequence */
    int has_exit_code; /* with has_fin: how its process ended */
    int32_t exit_code;
    int32_t signal; /* that ended it; 0: none */
};

struct batch {
    struct batch_producer producer;
    int64_t recv_us;
    struct batch_frame *frames;
    uint32_t frame_count, frame_cap;
    uint64_t line_count;
    uint64_t raw_bytes;  /* canonical bytes over all frames */
    uint64_t msg_bytes;  /* bytes of msg as the job wrote them */
    uint64_t level_count[LEVEL_COUNT];
    struct batch_rank ranks[BATCH_RANKS_MAX];
    uint32_t rank_count;
    int is_gap; /* a single gap record for producer.first..last */
    /* counted while decoding, for metrics and the reply */
    uint64_t replaced_utf8_count, nul_count, split_count, skipped_bad_count;
    struct redact_counts redacted;
};

struct batch *batch_new(void);
void batch_free(struct batch **b);
/* Add a finished frame; raw and packed are taken and NULLed (packed may be NULL). ERR_LIMIT. */
int batch_add_frame(struct batch *b, const struct frame_summary *s, char **raw, size_t raw_bytes,
                    char **packed, size_t packed_bytes);
/* Note one line of rank. */
void batch_note_rank(struct batch *b, int32_t rank, int64_t ts_us);
/* The lines of count anonymous batches of one unpacked frame each, in order, as one of them. The parts stay as they are.
 * The counts that are for metrics and the reply are not added up. */
struct batch *batch_join(struct batch *const *parts, uint32_t count);
/* Drop the first n lines (the server has them): cuts frames, repacks nothing (a cut frame is sent
 * unpacked), adjusts counts and producer.first. 0 < n < line_count. */
int batch_cut(struct batch *b, uint64_t n);

#endif

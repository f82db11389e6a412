/*
 * digest/digest_rank.h -- what is known of one rank, or of the lines of a replica that have none.
 */
#ifndef DIGEST_DIGEST_RANK_H
#define DIGEST_DIGEST_RANK_H

#include "digest/digest_parts.h"

struct digest_silence {
    uint64_t from_seq;
    int64_t from_us, to_us; /* ts of the last line before and the first after it */
};

/* What is known of the first DIGEST_DETAILS_MAX ranks only. */
struct digest_detail {
    char last_text[DIGEST_LINE_BYTES_MAX]; /* without colours, not NUL-terminated */
    uint32_t last_text_bytes;
    struct digest_at first_error;     /* of level error or fatal */
    uint64_t first_error_fingerprint; /* of its group */
    struct digest_at last_error;
    struct digest_silence silence;    /* the longest between two lines; from_seq 0: none */
    /* from a launcher's report (struct digest_report says which line) */
    int has_exit, exit_code, signal;  /* signal 0: none */
    struct digest_at exit_at;
    uint32_t cells[DIGEST_CELLS_MAX]; /* lines; see struct digest_time */
};

struct digest_rank {
    int32_t rank;     /* RECORD_RANK_NONE: lines without one, an entry for each replica */
    uint32_t replica; /* the last that spoke for it; 0: none named */
    uint64_t lines, bytes;
    uint64_t labelled; /* lines that begin with its number and ": ", as srun --label writes */
    uint32_t levels[LEVEL_COUNT];
    struct digest_at first, last;
    int64_t step;     /* the last step number seen; -1: none */
    struct digest_at step_at;
    /* recv - ts: its smallest is the difference of clocks plus the shortest way; ts that the server gave itself
     * make it 0 */
    int64_t skew_min_us, skew_max_us;
    uint64_t skew_count; /* lines whose time received is known; 0: there are none */
    struct digest_detail *detail; /* may be NULL */
};

#endif

/*
 * digest/digest_time.h -- lines by time, and the values of a metric.
 */
#ifndef DIGEST_DIGEST_TIME_H
#define DIGEST_DIGEST_TIME_H

#include "digest/digest_parts.h"

struct digest_point {
    int64_t step;  /* -1: not said */
    int64_t at_us; /* ts */
    double value;
};

/* One metric of one rank, thinned evenly: every stride-th value is kept, and the last. */
struct digest_series {
    char name[DIGEST_NAME_BYTES_MAX + 1];
    int32_t rank;
    uint64_t seen;   /* values */
    uint64_t stride;
    struct digest_point last;
    struct digest_at last_at;
    struct digest_at first_bad; /* the first NaN or infinite one */
    uint64_t bad_count;
    struct digest_point *points;
    uint32_t point_count, point_cap;
};

struct digest_bucket {
    uint64_t first_seq, bytes;
    uint32_t lines[LEVEL_COUNT];
};

/* Lines over time (not state changes and gap records). Bucket i holds [(first + i) * width_us, …+ width_us) of
 * ts; widths are DIGEST_BUCKET_US_MIN times a power of two. A ts more than DIGEST_TS_PAST_US before or
 * DIGEST_TS_FUTURE_US after the time received counts at the time received. Cell i of a rank's activity is
 * [(cell_first + i) * cell_us, …). */
#define DIGEST_TS_PAST_US (INT64_C(5) * 365 * 86400 * 1000000)
#define DIGEST_TS_FUTURE_US (INT64_C(10) * 60 * 1000000)
struct digest_time {
    int64_t width_us, first, cell_us, cell_first;
    struct digest_bucket *buckets;
    uint32_t count; /* of buckets in use */
    uint32_t cell_count;
};

#endif

/*
 * job/frame_header.c -- what is known of a run of records, and the line of text that says so.
 */
#include "job/frame.h"

#include "base/err.h"
#include "job/level.h"
#include "job/record.h"

#include <inttypes.h>

#define HEADER_VERSION 1
#define HEADER_NUMBERS 11
/* A header is read from the outside: what it claims is held against what a frame can be. */
#define HEADER_LINES_MAX (64 * FRAME_LINES_MAX)

void frame_summary_init(struct frame_summary *s)
{
    *s = (struct frame_summary){0};
}

void frame_summary_add(struct frame_summary *s, int64_t ts_us, int32_t rank, unsigned level)
{
    if (s->count == 0) {
        s->rank_lo = s->rank_hi = rank;
        s->ts_min_us = s->ts_max_us = ts_us;
    }
    s->count++;
    s->level_mask |= LEVEL_BIT(level);
    if (rank < s->rank_lo) s->rank_lo = rank;
    if (rank > s->rank_hi) s->rank_hi = rank;
    if (ts_us < s->ts_min_us) s->ts_min_us = ts_us;
    if (ts_us > s->ts_max_us) s->ts_max_us = ts_us;
}

void frame_summary_merge(struct frame_summary *s, const struct frame_summary *other)
{
    if (other->count == 0) return;
    if (s->count == 0) {
        *s = *other;
        return;
    }
    s->count += other->count;
    s->level_mask |= other->level_mask;
    s->is_state |= other->is_state;
    if (other->rank_lo < s->rank_lo) s->rank_lo = other->rank_lo;
    if (other->rank_hi > s->rank_hi) s->rank_hi = other->rank_hi;
    if (other->ts_min_us < s->ts_min_us) s->ts_min_us = other->ts_min_us;
    if (other->ts_max_us > s->ts_max_us) s->ts_max_us = other->ts_max_us;
}

int frame_header_format(struct buf *out, const struct frame_summary *s, int64_t recv_us,
                        size_t raw_bytes, int packed)
{
    return buf_addf(out,
                    "%d %" PRIu32 " %" PRId64 " %" PRIu32 " %" PRId32 " %" PRId32 " %" PRId64
                    " %" PRId64 " %d %zu %d",
                    HEADER_VERSION, s->count, recv_us, s->level_mask, s->rank_lo, s->rank_hi,
                    s->ts_min_us, s->ts_max_us, s->is_state, raw_bytes, packed);
}

/* The whole of text as n decimal numbers with one space between two. */
static int parse_numbers(const char *text, size_t len, int64_t *ret, int n)
{
    const char *p = text, *end = text + len;
    for (int i = 0; i < n; i++) {
        if (i && (p == end || *p++ != ' ')) return ERR_CORRUPT;
        int negative = p < end && *p == '-';
        p += negative;
        const char *start = p;
        int64_t v = 0;
        for (; p < end && *p >= '0' && *p <= '9'; p++)
            if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
                return ERR_CORRUPT;
        if (p == start) return ERR_CORRUPT;
        ret[i] = negative ? -v : v;
    }
    return p == end ? 0 : ERR_CORRUPT;
}

static int within(int64_t v, int64_t lo, int64_t hi)
{
    return v >= lo && v <= hi;
}

int frame_header_parse(const char *text, size_t len, struct frame_summary *ret,
                       int64_t *ret_recv_us, size_t *ret_raw_bytes, int *ret_packed)
{
    int64_t n[HEADER_NUMBERS];
    if (parse_numbers(text, len, n, HEADER_NUMBERS) < 0 || n[0] != HEADER_VERSION)
        return ERR_CORRUPT;
    if (!within(n[1], 1, HEADER_LINES_MAX) || !within(n[3], 1, LEVEL_BIT(LEVEL_COUNT) - 1) ||
        !within(n[4], RECORD_RANK_NONE, RECORD_RANK_MAX) || !within(n[5], n[4], RECORD_RANK_MAX) ||
        n[6] > n[7] || !within(n[8], 0, 1) || !within(n[9], 1, FRAME_TEXT_BYTES_HARD_MAX) ||
        !within(n[10], 0, 1))
        return ERR_CORRUPT;
    *ret = (struct frame_summary){
        .count = (uint32_t)n[1],
        .level_mask = (uint32_t)n[3],
        .rank_lo = (int32_t)n[4],
        .rank_hi = (int32_t)n[5],
        .ts_min_us = n[6],
        .ts_max_us = n[7],
        .is_state = (int)n[8],
    };
    *ret_recv_us = n[2];
    *ret_raw_bytes = (size_t)n[9];
    *ret_packed = (int)n[10];
    return 0;
}

/*
 * tests/unit/job/model.h -- seeded runs of records, with what is known of each kept in an array.
 */
#ifndef TESTS_UNIT_JOB_MODEL_H
#define TESTS_UNIT_JOB_MODEL_H

#include "job/frame.h"
#include "job/record.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>

#define MODEL_TS INT64_C(1795467241000000)

struct model_line {
    int64_t ts_us;
    int32_t rank;
    enum level level;
    char msg[48];
};

static inline void model_make(struct model_line *m)
{
    m->ts_us = MODEL_TS + (int64_t)unit_below(100000000);
    m->rank = (int32_t)unit_below(6) - 1;
    m->level = (enum level)unit_below(LEVEL_COUNT);
    snprintf(m->msg, sizeof m->msg, "line \"%llu\"%s",
             (unsigned long long)(unit_random() >> unit_below(64)), unit_below(2) ? "\n" : "");
}

/* Append the line, numbered when seq is not 0, and add it to sum. */
static inline void model_write(struct buf *out, struct frame_summary *sum, uint64_t seq,
                               const struct model_line *m)
{
    struct record r = {.seq = seq, .ts_us = m->ts_us, .rank = m->rank, .level = m->level,
                       .msg = m->msg, .msg_len = strlen(m->msg)};
    assert_int_equal(record_write(out, &r), 0);
    frame_summary_add(sum, m->ts_us, m->rank, m->level);
}

static inline void model_check_summary(const struct frame_summary *s, const struct model_line *m,
                                       size_t count)
{
    uint32_t mask = 0;
    int32_t lo = INT32_MAX, hi = INT32_MIN;
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        mask |= LEVEL_BIT(m[i].level);
        if (m[i].rank < lo) lo = m[i].rank;
        if (m[i].rank > hi) hi = m[i].rank;
        if (m[i].ts_us < first) first = m[i].ts_us;
        if (m[i].ts_us > last) last = m[i].ts_us;
    }
    assert_int_equal(s->count, count);
    assert_int_equal(s->level_mask, mask);
    assert_int_equal(s->rank_lo, lo);
    assert_int_equal(s->rank_hi, hi);
    assert_true(s->ts_min_us == first && s->ts_max_us == last);
}

#endif

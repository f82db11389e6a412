/*
 * job/batch.c -- what one request brings, and cutting off what is held already.
 */
#include "job/batch.h"

#include "base/check.h"
#include "base/err.h"
#include "job/record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct batch *batch_new(void)
{
    struct batch *b = must_calloc(1, sizeof *b);
    b->producer.rank = RECORD_RANK_NONE;
    return b;
}

static void frame_release(struct batch_frame *f)
{
    free(f->raw);
    free(f->packed);
}

void batch_free(struct batch **b)
{
    if (!*b)
        return;
    for (uint32_t i = 0; i < (*b)->frame_count; i++)
        frame_release(&(*b)->frames[i]);
    free((*b)->frames);
    free(*b);
    *b = NULL;
}

int batch_add_frame(struct batch *b, const struct frame_summary *s, char **raw, size_t raw_bytes,
                    char **packed, size_t packed_bytes)
{
    if (b->frame_count == BATCH_FRAMES_MAX)
        return ERR_LIMIT;
    if (b->frame_count == b->frame_cap) {
        b->frame_cap = b->frame_cap ? b->frame_cap * 2 : 4;
        b->frames = must_realloc(b->frames, b->frame_cap * sizeof *b->frames);
    }
    struct batch_frame *f = &b->frames[b->frame_count++];
    *f = (struct batch_frame){.sum = *s, .raw = *raw, .raw_bytes = raw_bytes};
    *raw = NULL;
    if (packed && *packed) {
        f->packed = *packed;
        f->packed_bytes = packed_bytes;
        *packed = NULL;
    }
    b->line_count += s->count;
    b->raw_bytes += raw_bytes;
    return 0;
}

static void note_ranks(struct batch *b, int32_t rank, uint32_t lines, int64_t ts_us)
{
    struct batch_rank *r = NULL;
    for (uint32_t i = b->rank_count; i-- > 0 && !r;)
        if (b->ranks[i].rank == rank)
            r = &b->ranks[i];
    if (!r) {
        if (b->rank_count == BATCH_RANKS_MAX)
            return;
        r = &b->ranks[b->rank_count++];
        *r = (struct batch_rank){.rank = rank};
    }
    r->lines += lines;
    if (ts_us > r->last_ts_us)
        r->last_ts_us = ts_us;
}

void batch_note_rank(struct batch *b, int32_t rank, int64_t ts_us)
{
    note_ranks(b, rank, 1, ts_us);
}

struct batch *batch_join(struct batch *const *parts, uint32_t count)
{
    struct batch *b = batch_new();
    struct frame_summary sum;
    size_t bytes = 0, at = 0;
    char *raw;

    frame_summary_init(&sum);
    for (uint32_t i = 0; i < count; i++)
        bytes += parts[i]->frames[0].raw_bytes;
    raw = must_calloc(1, bytes ? bytes : 1);
    b->recv_us = parts[0]->recv_us;
    for (uint32_t i = 0; i < count; i++) {
        const struct batch *p = parts[i];
        const struct batch_frame *f = &p->frames[0];

        CHECKF(p->frame_count == 1 && !p->producer.id[0] && !f->sum.is_state, "frames=%" PRIu32, p->frame_count);
        memcpy(raw + at, f->raw, f->raw_bytes);
        at += f->raw_bytes;
        frame_summary_merge(&sum, &f->sum);
        b->msg_bytes += p->msg_bytes;
        for (int l = 0; l < LEVEL_COUNT; l++)
            b->level_count[l] += p->level_count[l];
        for (uint32_t r = 0; r < p->rank_count; r++)
            note_ranks(b, p->ranks[r].rank, p->ranks[r].lines, p->ranks[r].last_ts_us);
    }
    CHECK(batch_add_frame(b, &sum, &raw, bytes, NULL, 0) == 0);
    return b;
}

/* Take the counts of one line that goes away. */
static void forget_line(struct batch *b, const char *line, size_t len)
{
    struct record_view v;
    struct buf msg = BUF_INIT;
    if (record_parse(line, len, &v) != 0)
        return;
    if (b->level_count[v.level])
        b->level_count[v.level]--;
    for (uint32_t i = 0; i < b->rank_count; i++)
        if (b->ranks[i].rank == v.rank && b->ranks[i].lines)
            b->ranks[i].lines--;
    if (record_msg(&v, &msg) == 0)
        b->msg_bytes -= msg.len < b->msg_bytes ? msg.len : b->msg_bytes;
    buf_release(&msg);
}

/* Cut the first n lines (n < count) off f and sum up the rest. */
static void cut_frame(struct batch *b, struct batch_frame *f, uint64_t n)
{
    size_t pos = 0;
    struct frame_summary rest;
    struct record_view v;
    for (uint64_t i = 0; i < n; i++) {
        const char *end = memchr(f->raw + pos, '\n', f->raw_bytes - pos);
        CHECK(end);
        forget_line(b, f->raw + pos, (size_t)(end - f->raw) - pos);
        pos = (size_t)(end - f->raw) + 1;
    }
    memmove(f->raw, f->raw + pos, f->raw_bytes - pos);
    f->raw_bytes -= pos;
    b->raw_bytes -= pos;
    free(f->packed);
    f->packed = NULL;
    f->packed_bytes = 0;
    frame_summary_init(&rest);
    for (size_t at = 0; at < f->raw_bytes;) {
        const char *end = memchr(f->raw + at, '\n', f->raw_bytes - at);
        CHECK(end);
        size_t len = (size_t)(end - f->raw) - at;
        CHECK(record_parse(f->raw + at, len, &v) == 0);
        frame_summary_add(&rest, v.ts_us, v.rank, v.level);
        at += len + 1;
    }
    rest.is_state = f->sum.is_state;
    f->sum = rest;
}

static void drop_frame(struct batch *b, struct batch_frame *f)
{
    for (size_t at = 0; at < f->raw_bytes;) {
        const char *end = memchr(f->raw + at, '\n', f->raw_bytes - at);
        CHECK(end);
        forget_line(b, f->raw + at, (size_t)(end - f->raw) - at);
        at = (size_t)(end - f->raw) + 1;
    }
    b->raw_bytes -= f->raw_bytes;
    frame_release(f);
}

int batch_cut(struct batch *b, uint64_t n)
{
    uint32_t whole = 0;
    uint64_t left = n;
    CHECKF(n > 0 && n < b->line_count, "n=%llu lines=%llu", (unsigned long long)n,
           (unsigned long long)b->line_count);
    while (left >= b->frames[whole].sum.count) {
        left -= b->frames[whole].sum.count;
        drop_frame(b, &b->frames[whole++]);
    }
    if (left)
        cut_frame(b, &b->frames[whole], left);
    b->frame_count -= whole;
    memmove(b->frames, b->frames + whole, b->frame_count * sizeof *b->frames);
    b->line_count -= n;
    b->producer.first += n;
    return 0;
}

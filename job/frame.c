/*
 * job/frame.c -- numbering, summing up and walking a batch of records.
 */
#include "job/frame.h"

#include "base/check.h"
#include "base/err.h"
#include "job/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQ_PREFIX_BYTES_MAX 28 /* "seq":18446744073709551615, */
#define HEADER_VERSION 1

void frame_summary_init(struct frame_summary *s) { *s = (struct frame_summary){0}; }

void frame_summary_add(struct frame_summary *s, int64_t ts_us, int32_t rank, unsigned level) {
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

void frame_summary_merge(struct frame_summary *s, const struct frame_summary *o) {
    if (o->count == 0) return;
    if (s->count == 0) {
        *s = *o;
        return;
    }
    s->count += o->count;
    s->level_mask |= o->level_mask;
    s->is_state |= o->is_state;
    if (o->rank_lo < s->rank_lo) s->rank_lo = o->rank_lo;
    if (o->rank_hi > s->rank_hi) s->rank_hi = o->rank_hi;
    if (o->ts_min_us < s->ts_min_us) s->ts_min_us = o->ts_min_us;
    if (o->ts_max_us > s->ts_max_us) s->ts_max_us = o->ts_max_us;
}

int frame_header_format(struct buf *out, const struct frame_summary *s, int64_t recv_us, size_t raw_bytes, int packed) {
    return buf_addf(out, "%d %" PRIu32 " %" PRId64 " %" PRIu32 " %" PRId32 " %" PRId32 " %" PRId64 " %" PRId64 " %d %zu %d",
                    HEADER_VERSION, s->count, recv_us, s->level_mask, s->rank_lo, s->rank_hi, s->ts_min_us, s->ts_max_us,
                    s->is_state, raw_bytes, packed);
}

int frame_header_parse(const char *text, size_t len, struct frame_summary *ret, int64_t *ret_recv_us, size_t *ret_raw_bytes,
                       int *ret_packed) {
    char copy[256];
    struct frame_summary s = {0};
    int version, used = 0;
    if (len >= sizeof copy) return ERR_CORRUPT;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (sscanf(copy, "%d %" SCNu32 " %" SCNd64 " %" SCNu32 " %" SCNd32 " %" SCNd32 " %" SCNd64 " %" SCNd64 " %d %zu %d%n", &version,
               &s.count, ret_recv_us, &s.level_mask, &s.rank_lo, &s.rank_hi, &s.ts_min_us, &s.ts_max_us, &s.is_state,
               ret_raw_bytes, ret_packed, &used) != 11 ||
        (size_t)used != len || version != HEADER_VERSION || s.count == 0)
        return ERR_CORRUPT;
    *ret = s;
    return 0;
}

static struct frame *frame_new(uint64_t first_seq, int64_t recv_us, char *text, size_t len) {
    struct frame *f = must_calloc(1, sizeof *f);
    f->refs = 1;
    f->first_seq = first_seq;
    f->recv_us = recv_us;
    f->text = text;
    f->text_bytes = len;
    return f;
}

int frame_number(uint64_t first_seq, int64_t recv_us, const struct frame_summary *s, const char *raw, size_t raw_len,
                 struct frame **ret_frame) {
    struct frame *f;
    char prefix[SEQ_PREFIX_BYTES_MAX + 8];
    uint32_t count = 0;
    if (s->count == 0 || raw_len / s->count < 10) return ERR_CORRUPT; /* shorter than any record */
    char *text = malloc(raw_len + (size_t)s->count * SEQ_PREFIX_BYTES_MAX + 1), *to = text;
    if (!text) return ERR_NOMEM;
    for (const char *p = raw, *end = raw + raw_len; p < end; count++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl || count == s->count || nl - p < 8 || memcmp(p, "{\"ts\":\"", 7) != 0) goto corrupt;
        int n = snprintf(prefix, sizeof prefix, "{\"seq\":%" PRIu64 ",", first_seq + count);
        memcpy(to, prefix, (size_t)n);
        to += n;
        size_t rest = (size_t)(nl - p); /* without '{', with '\n' */
        memcpy(to, p + 1, rest);
        to += rest;
        p = nl + 1;
    }
    if (count != s->count) goto corrupt;
    *to = '\0';
    f = frame_new(first_seq, recv_us, text, (size_t)(to - text));
    f->sum = *s;
    *ret_frame = f;
    return 0;
corrupt:
    free(text);
    return ERR_CORRUPT;
}

int frame_from_text(uint64_t first_seq, int64_t recv_us, const struct frame_summary *s, char **text, size_t text_len,
                    struct frame **ret_frame) {
    struct frame_summary sum;
    struct record_view v;
    frame_summary_init(&sum);
    for (size_t at = 0; at < text_len;) {
        const char *nl = memchr(*text + at, '\n', text_len - at);
        if (!nl) return ERR_CORRUPT;
        size_t len = (size_t)(nl - *text) - at;
        if (record_parse(*text + at, len, &v) != 0 || v.seq != first_seq + sum.count) return ERR_CORRUPT;
        frame_summary_add(&sum, v.ts_us, v.rank, v.level);
        sum.is_state |= v.is_state;
        at += len + 1;
    }
    if (sum.count == 0 || (s && s->count != sum.count)) return ERR_CORRUPT;
    struct frame *f = frame_new(first_seq, recv_us, *text, text_len);
    f->sum = s ? *s : sum;
    *text = NULL;
    *ret_frame = f;
    return 0;
}

struct frame *frame_ref(struct frame *f) {
    CHECK(f->refs > 0);
    f->refs++;
    return f;
}

void frame_unref(struct frame **frame) {
    struct frame *f = *frame;
    *frame = NULL;
    if (!f) return;
    CHECK(f->refs > 0);
    if (--f->refs > 0) return;
    if (f->wire && f->wire_free) f->wire_free(f->wire);
    free(f->text);
    free(f);
}

int frame_next_line(const struct frame *f, size_t *pos, const char **ret_line, size_t *ret_len) {
    if (*pos >= f->text_bytes) return 0;
    const char *start = f->text + *pos, *nl = memchr(start, '\n', f->text_bytes - *pos);
    CHECK(nl);
    *ret_line = start;
    *ret_len = (size_t)(nl - start);
    *pos += *ret_len + 1;
    return 1;
}

int frame_prev_line(const struct frame *f, size_t *pos, const char **ret_line, size_t *ret_len) {
    if (*pos == 0) return 0;
    size_t end = *pos - 1; /* the '\n' that ends the line */
    const char *nl = end ? memrchr(f->text, '\n', end) : NULL;
    size_t start = nl ? (size_t)(nl - f->text) + 1 : 0;
    *ret_line = f->text + start;
    *ret_len = end - start;
    *pos = start;
    return 1;
}

/*
 * job/filter.c -- does a record pass, and may any of a run pass?
 */
#include "job/filter.h"

#include "base/err.h"

#include <string.h>

#define NO_RANK "none"
#define GAP_FIELDS "{\"gap\":{"
#define GAP_FIELDS_LEN (sizeof GAP_FIELDS - 1)

void filter_init(struct filter *f)
{
    memset(f, 0, sizeof *f);
}

/* Digits of a rank at *p. */
static int take_rank(const char **p, const char *end, int32_t *ret)
{
    int32_t v = 0;
    const char *start = *p;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        v = v * 10 + (**p - '0');
        if (v > RECORD_RANK_MAX) return ERR_INVALID;
    }
    *ret = v;
    return *p > start ? 0 : ERR_INVALID;
}

/* "3", "3-5" or "none" at *p. */
static int take_range(const char **p, const char *end, struct filter_range *ret)
{
    if ((size_t)(end - *p) >= sizeof NO_RANK - 1 && !memcmp(*p, NO_RANK, sizeof NO_RANK - 1)) {
        *p += sizeof NO_RANK - 1;
        ret->lo = ret->hi = RECORD_RANK_NONE;
        return 0;
    }
    if (take_rank(p, end, &ret->lo) < 0) return ERR_INVALID;
    ret->hi = ret->lo;
    if (*p == end || **p != '-') return 0;
    (*p)++;
    return take_rank(p, end, &ret->hi) < 0 || ret->hi < ret->lo ? ERR_INVALID : 0;
}

int filter_parse_ranks(struct filter *f, const char *s, size_t len)
{
    struct filter_range ranges[FILTER_RANKS_MAX];
    const char *p = s, *end = s + len;
    uint32_t n = 0;
    for (;;) {
        struct filter_range r;
        if (n == FILTER_RANKS_MAX) return ERR_LIMIT;
        if (take_range(&p, end, &r) < 0) return ERR_INVALID;
        ranges[n++] = r;
        if (p == end) break;
        if (*p++ != ',') return ERR_INVALID;
    }
    memcpy(f->ranks, ranges, n * sizeof *ranges);
    f->rank_count = n;
    return 0;
}

/* Only the parts that state changes and gap records need not pass. */
static int line_parts_open(const struct filter *f)
{
    return !f->rank_count && !f->replica[0] && !f->stream[0] && f->level_min == LEVEL_NONE &&
           !f->q_len && !f->match;
}

int filter_is_open(const struct filter *f)
{
    return !f->since_us && !f->until_us && line_parts_open(f);
}

static int ranks_overlap(const struct filter *f, int32_t lo, int32_t hi)
{
    for (uint32_t i = 0; i < f->rank_count; i++)
        if (f->ranks[i].lo <= hi && f->ranks[i].hi >= lo) return 1;
    return f->rank_count == 0;
}

int filter_may_match(const struct filter *f, const struct frame_summary *s)
{
    if (f->since_us && s->ts_max_us < f->since_us) return 0;
    if (f->until_us && s->ts_min_us >= f->until_us) return 0;
    if (s->is_state) return 1;
    /* A gap record is a warning and passes every level and rank: where warnings are, one may be. */
    if (s->level_mask & LEVEL_BIT(LEVEL_WARN)) return 1;
    if (f->level_min != LEVEL_NONE && !(s->level_mask & ~(LEVEL_BIT(f->level_min) - 1))) return 0;
    return ranks_overlap(f, s->rank_lo, s->rank_hi);
}

static int equals(const char *want, const char *s, size_t len)
{
    return strlen(want) == len && memcmp(want, s, len) == 0;
}

static unsigned char fold(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static int equals_folded(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (fold(a[i]) != fold(b[i])) return 0;
    return 1;
}

static int contains_folded(const char *text, size_t len, const char *q, size_t q_len)
{
    if (q_len > len) return 0;
    unsigned char lower = fold(q[0]);
    unsigned char upper = (unsigned char)(lower >= 'a' && lower <= 'z' ? lower - 32 : lower);
    for (size_t i = 0; i + q_len <= len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c == lower || c == upper) && equals_folded(text + i, q, q_len)) return 1;
    }
    return 0;
}

static int text_passes(const struct filter *f, const struct record_view *v, struct buf *scratch)
{
    const char *text = v->msg_json;
    size_t len = v->msg_json_len;
    if (memchr(text, '\\', len)) {
        buf_clear(scratch);
        if (record_msg(v, scratch) < 0) return 1; /* no memory, or damaged: show, do not hide */
        text = buf_cstr(scratch);
        len = scratch->len;
    }
    if (f->q_len && f->ignore_case && !contains_folded(text, len, f->q, f->q_len)) return 0;
    if (f->q_len && !f->ignore_case && !memmem(text, len, f->q, f->q_len)) return 0;
    return !f->match || f->match(f->matcher, text, len);
}

static int is_gap(const struct record_view *v)
{
    return v->fields_json_len > GAP_FIELDS_LEN &&
           memcmp(v->fields_json, GAP_FIELDS, GAP_FIELDS_LEN) == 0;
}

static int in_time(const struct filter *f, const struct record_view *v)
{
    return !(f->since_us && v->ts_us < f->since_us) && !(f->until_us && v->ts_us >= f->until_us);
}

static int line_passes(const struct filter *f, const struct record_view *v, struct buf *scratch)
{
    if (f->level_min != LEVEL_NONE && v->level < f->level_min) return 0;
    if (!ranks_overlap(f, v->rank, v->rank)) return 0;
    if (f->replica[0] && !equals(f->replica, v->replica, v->replica_len)) return 0;
    if (f->stream[0] && !equals(f->stream, v->stream, v->stream_len)) return 0;
    return (!f->q_len && !f->match) || text_passes(f, v, scratch);
}

int filter_match(const struct filter *f, const struct record_view *v, struct buf *scratch)
{
    if (!in_time(f, v)) return 0;
    return v->is_state || line_parts_open(f) || is_gap(v) || line_passes(f, v, scratch);
}

int filter_finds(const struct filter *f, const struct record_view *v, struct buf *scratch)
{
    return !v->is_state && in_time(f, v) && line_passes(f, v, scratch);
}

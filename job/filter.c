/*
 * job/filter.c -- does a record pass, and may any of a run pass?
 */
#include "job/filter.h"

#include "base/err.h"

#include <ctype.h>
#include <string.h>

void filter_init(struct filter *f) { *f = (struct filter){0}; }

/* Digits of a rank at *p. */
static int take_rank(const char **p, const char *end, int32_t *ret) {
    int32_t v = 0;
    const char *start = *p;
    while (*p < end && **p >= '0' && **p <= '9') {
        v = v * 10 + (**p - '0');
        if (v > RECORD_RANK_MAX) return ERR_INVALID;
        (*p)++;
    }
    *ret = v;
    return *p > start ? 0 : ERR_INVALID;
}

int filter_parse_ranks(struct filter *f, const char *s, size_t len) {
    const char *p = s, *end = s + len;
    uint32_t n = 0;
    do {
        struct filter_range *r = &f->ranks[n];
        if (n == FILTER_RANKS_MAX) return ERR_LIMIT;
        if (take_rank(&p, end, &r->lo) != 0) return ERR_INVALID;
        r->hi = r->lo;
        if (p < end && *p == '-') {
            p++;
            if (take_rank(&p, end, &r->hi) != 0 || r->hi < r->lo) return ERR_INVALID;
        }
        n++;
    } while (p < end && *p++ == ',');
    if (p != end || end[-1] == ',') return ERR_INVALID;
    f->rank_count = n;
    return 0;
}

/* Only parts that lines alone must pass. */
static int line_parts_open(const struct filter *f) {
    return !f->rank_count && !f->replica[0] && !f->stream[0] && f->level_min == LEVEL_NONE && !f->q_len && !f->match;
}

int filter_is_open(const struct filter *f) { return !f->since_us && !f->until_us && line_parts_open(f); }

int filter_may_match(const struct filter *f, const struct frame_summary *s) {
    if (f->since_us && s->ts_max_us < f->since_us) return 0;
    if (f->until_us && s->ts_min_us >= f->until_us) return 0;
    if (s->is_state) return 1;
    if (f->level_min != LEVEL_NONE && !(s->level_mask & ~(LEVEL_BIT(f->level_min) - 1))) {
        if (!(s->level_mask & LEVEL_BIT(LEVEL_WARN))) return 0; /* a gap record is a warning */
    }
    if (f->rank_count) {
        uint32_t i;
        for (i = 0; i < f->rank_count; i++)
            if (f->ranks[i].lo <= s->rank_hi && f->ranks[i].hi >= s->rank_lo) break;
        if (i == f->rank_count && s->rank_lo != RECORD_RANK_NONE) return 0;
    }
    return 1;
}

static int rank_passes(const struct filter *f, int32_t rank) {
    for (uint32_t i = 0; i < f->rank_count; i++)
        if (rank >= f->ranks[i].lo && rank <= f->ranks[i].hi) return 1;
    return f->rank_count == 0;
}

static int equals(const char *want, const char *s, size_t len) { return strlen(want) == len && memcmp(want, s, len) == 0; }

static int contains_folded(const char *text, size_t len, const char *q, size_t q_len) {
    for (size_t i = 0; i + q_len <= len; i++) {
        size_t k = 0;
        while (k < q_len && tolower((unsigned char)text[i + k]) == tolower((unsigned char)q[k])) k++;
        if (k == q_len) return 1;
    }
    return 0;
}

static int text_passes(const struct filter *f, const struct record_view *v, struct buf *scratch) {
    const char *text = v->msg_json;
    size_t len = v->msg_json_len;
    if (memchr(text, '\\', len)) {
        buf_clear(scratch);
        if (record_msg(v, scratch) != 0) return 1; /* out of memory: rather show than hide */
        text = buf_cstr(scratch);
        len = scratch->len;
    }
    if (f->q_len && !(f->ignore_case ? contains_folded(text, len, f->q, f->q_len) : memmem(text, len, f->q, f->q_len) != NULL))
        return 0;
    return !f->match || f->match(f->matcher, text, len);
}

int filter_match(const struct filter *f, const struct record_view *v, struct buf *scratch) {
    if (f->since_us && v->ts_us < f->since_us) return 0;
    if (f->until_us && v->ts_us >= f->until_us) return 0;
    if (v->is_state || line_parts_open(f)) return 1;
    if (v->fields_json && v->fields_json_len > 8 && memcmp(v->fields_json, "{\"gap\":{", 8) == 0) return 1;
    if (f->level_min != LEVEL_NONE && v->level < f->level_min) return 0;
    if (!rank_passes(f, v->rank)) return 0;
    if (f->replica[0] && !equals(f->replica, v->replica, v->replica_len)) return 0;
    if (f->stream[0] && !equals(f->stream, v->stream, v->stream_len)) return 0;
    return (!f->q_len && !f->match) || text_passes(f, v, scratch);
}

/*
 * digest/digest_time.c -- lines by time: buckets for the job, cells for every rank.
 *
 * Both lie on absolute multiples of their width, so what a bucket holds does not depend on the order in
 * which records came. What falls outside extends the grid; when it would have too many buckets, the width
 * doubles and neighbours are added up.
 */
#include "digest/digest_int.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

int64_t digest__time_of(const struct record_view *v, int64_t recv_us)
{
    if (recv_us <= 0) return v->ts_us;
    if (v->ts_us < recv_us - DIGEST_TS_PAST_US || v->ts_us > recv_us + DIGEST_TS_FUTURE_US)
        return recv_us;
    return v->ts_us;
}

static void bucket_add(struct digest_bucket *to, const struct digest_bucket *from)
{
    if (from->first_seq && (!to->first_seq || from->first_seq < to->first_seq))
        to->first_seq = from->first_seq;
    to->bytes += from->bytes;
    for (int l = 0; l < LEVEL_COUNT; l++) to->lines[l] += from->lines[l];
}

/* Times are not negative: a shift is a division that rounds down. */
static void double_buckets(struct digest_time *t)
{
    int64_t first = t->first >> 1;
    uint32_t count = t->count ? (uint32_t)(((t->first + t->count - 1) >> 1) - first + 1) : 0;

    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t k = (uint32_t)(((t->first + i) >> 1) - first);
        struct digest_bucket b = t->buckets[i];
        memset(&t->buckets[i], 0, sizeof b);
        bucket_add(&t->buckets[k], &b);
    }
    t->first = first;
    t->count = count;
    t->width_us *= 2;
}

static void shift_cells(uint32_t *cells, uint32_t by, uint32_t count)
{
    memmove(cells + by, cells, count * sizeof *cells);
    memset(cells, 0, by * sizeof *cells);
}

static void double_cells(uint32_t *cells, int64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = (uint32_t)(((first + i) >> 1) - (first >> 1)), n = cells[i];
        cells[i] = 0;
        cells[k] += n;
    }
}

/* Make the cells cover the buckets. */
static void fit_cells(struct digest *d)
{
    struct digest_time *t = &d->time;
    int64_t from = t->first * t->width_us, to = (t->first + t->count) * t->width_us - 1;

    if (!t->cell_us) {
        t->cell_us = t->width_us;
        t->cell_first = from / t->cell_us;
    }
    for (;;) {
        int64_t lo = from / t->cell_us, hi = to / t->cell_us;
        uint32_t shift;

        if (hi - lo < DIGEST_CELLS_MAX) {
            shift = t->cell_first > lo ? (uint32_t)(t->cell_first - lo) : 0;
            for (uint32_t i = 0; shift && i < d->rank_count; i++) {
                if (d->ranks[i].detail)
                    shift_cells(d->ranks[i].detail->cells, shift, t->cell_count);
            }
            t->cell_first = lo;
            t->cell_count = (uint32_t)(hi - lo + 1);
            return;
        }
        for (uint32_t i = 0; i < d->rank_count; i++) {
            if (d->ranks[i].detail)
                double_cells(d->ranks[i].detail->cells, t->cell_first, t->cell_count);
        }
        t->cell_count =
            t->cell_count
                ? (uint32_t)(((t->cell_first + t->cell_count - 1) >> 1) - (t->cell_first >> 1) + 1)
                : 0;
        t->cell_first >>= 1;
        t->cell_us *= 2;
    }
}

/* Make the buckets cover time_us. */
static int fit(struct digest *d, int64_t time_us)
{
    struct digest_time *t = &d->time;
    int64_t at;

    if (!t->buckets) {
        t->buckets = calloc(DIGEST_BUCKETS_MAX, sizeof *t->buckets);
        if (!t->buckets) return ERR_NOMEM;
        t->width_us = DIGEST_BUCKET_US_MIN;
        t->first = time_us / t->width_us;
    }
    for (;;) {
        at = time_us / t->width_us;
        if (at >= t->first && at - t->first < DIGEST_BUCKETS_MAX) {
            if (at - t->first >= t->count) t->count = (uint32_t)(at - t->first + 1);
            break;
        }
        if (at < t->first && t->first + t->count - at <= DIGEST_BUCKETS_MAX) {
            uint32_t by = (uint32_t)(t->first - at);
            memmove(t->buckets + by, t->buckets, t->count * sizeof *t->buckets);
            memset(t->buckets, 0, by * sizeof *t->buckets);
            t->first = at;
            t->count += by;
            break;
        }
        double_buckets(t);
    }
    fit_cells(d);
    return 0;
}

int digest__time_note(struct digest *d, const struct digest_record *r)
{
    struct digest_time *t = &d->time;
    struct digest_inner *in = d->in;
    struct digest_bucket *b;

    if (r->time_us < in->bucket_lo_us || r->time_us >= in->bucket_hi_us) {
        int err = 0;
        int64_t at = t->width_us ? r->time_us / t->width_us : 0;

        if (!t->width_us || at < t->first || at >= t->first + t->count) err = fit(d, r->time_us);
        if (err < 0) return err;
        at = r->time_us / t->width_us;
        in->bucket_at = (uint32_t)(at - t->first);
        in->bucket_lo_us = at * t->width_us;
        in->bucket_hi_us = in->bucket_lo_us + t->width_us;
    }
    b = &t->buckets[in->bucket_at];
    if (!b->first_seq) b->first_seq = r->at.seq;
    b->bytes += r->view->msg_json_len;
    b->lines[r->view->level]++;
    if (r->entry && r->entry->detail) {
        uint32_t cell = (uint32_t)(r->time_us / t->cell_us - t->cell_first);
        r->entry->detail->cells[cell]++;
    }
    return 0;
}

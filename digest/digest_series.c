/*
 * digest/digest_series.c -- steps and metrics of every rank, thinned as they come.
 *
 * A series keeps every stride-th value. When it is full, every second point goes and the stride doubles: what
 * is kept depends on the values' order only.
 */
#include "digest/digest_int.h"

#include "base/err.h"
#include "digest/fingerprint.h"
#include "digest/metric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t slot_of(int32_t rank, const char *name, size_t len)
{
    uint32_t h = (uint32_t)rank * 2654435761u;

    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)name[i]) * 16777619u;
    return (h ^ h >> 15) & (DIGEST_SERIES_SLOTS - 1);
}

void digest__series_index(struct digest *d, uint32_t at)
{
    const struct digest_series *s = &d->series[at];
    uint32_t slot = slot_of(s->rank, s->name, strlen(s->name));

    while (d->in->series_slots[slot]) slot = (slot + 1) & (DIGEST_SERIES_SLOTS - 1);
    d->in->series_slots[slot] = (uint16_t)(at + 1);
}

static struct digest_series *find(struct digest *d, int32_t rank, const char *name, size_t len)
{
    const struct digest_inner *in = d->in;

    for (uint32_t slot = slot_of(rank, name, len); in->series_slots[slot];
         slot = (slot + 1) & (DIGEST_SERIES_SLOTS - 1)) {
        struct digest_series *s = &d->series[in->series_slots[slot] - 1];
        if (s->rank == rank && memcmp(s->name, name, len) == 0 && !s->name[len]) return s;
    }
    return NULL;
}

static int add_series(struct digest *d, int32_t rank, const char *name, size_t len,
                      struct digest_series **ret)
{
    *ret = NULL;
    if (d->series_count == DIGEST_SERIES_MAX) {
        d->series_omitted++;
        return 0;
    }
    if (!d->series) d->series = calloc(DIGEST_SERIES_MAX, sizeof *d->series);
    if (!d->series) return ERR_NOMEM;
    *ret = &d->series[d->series_count];
    (*ret)->rank = rank;
    (*ret)->stride = 1;
    memcpy((*ret)->name, name, len);
    digest__series_index(d, d->series_count++);
    return 0;
}

static int add_point(struct digest_series *s)
{
    if (s->point_count == DIGEST_POINTS_MAX) {
        for (uint32_t i = 0; i < s->point_count; i += 2) s->points[i / 2] = s->points[i];
        s->point_count /= 2;
        s->stride *= 2;
        if (s->seen % s->stride) return 0;
    }
    if (s->point_count == s->point_cap) {
        uint32_t cap = s->point_cap ? 2 * s->point_cap : DIGEST_POINTS_MIN;
        struct digest_point *points = realloc(s->points, cap * sizeof *points);
        if (!points) return ERR_NOMEM;
        s->points = points;
        s->point_cap = cap;
    }
    s->points[s->point_count++] = s->last;
    return 0;
}

static int note_value(struct digest *d, const struct digest_record *r, int64_t step,
                      const struct metric_value *v)
{
    struct digest_series *s = find(d, r->rank, v->name, v->name_len);
    int err = 0;

    if (!s) err = add_series(d, r->rank, v->name, v->name_len, &s);
    if (err < 0 || !s) return err;
    s->last = (struct digest_point){step, r->at.ts_us, v->value};
    s->last_at = r->at;
    if (!isfinite(v->value)) {
        if (!s->bad_count++) s->first_bad = r->at;
    }
    if (s->seen % s->stride == 0) err = add_point(s);
    s->seen++;
    return err;
}

int digest__metrics_note(struct digest *d, const struct digest_record *r)
{
    struct metric m;
    int err = 0;

    if (!metric_read(r->line.text, r->line.len, &m)) return 0;
    if (m.step >= 0 && r->entry) {
        r->entry->step = m.step;
        r->entry->step_at = r->at;
    }
    for (uint32_t i = 0; i < m.count && err >= 0; i++) err = note_value(d, r, m.step, &m.values[i]);
    return err;
}

void digest__series_free(struct digest *d)
{
    for (uint32_t i = 0; i < d->series_count; i++) free(d->series[i].points);
    free(d->series);
}

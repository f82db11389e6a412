/*
 * serve/stats_json.c -- the text of GET /v1/jobs/J/stats.
 *
 * Buckets of the answer are whole numbers of the digest's buckets, aligned like them: the same log asked again
 * later has its lines in the same places, or in places twice as wide.
 */
#include "serve/stats.h"

#include "base/check.h"
#include "base/err.h"
#include "base/json.h"
#include "serve/job_json.h"

#include <math.h>
#include <stdlib.h>

struct grid {
    unsigned zoom; /* doublings of the digest's width */
    int64_t first; /* bucket */
    uint32_t count;
    int64_t width_us, from_us;
};

unsigned stats_zoom(const struct digest_time *t, uint32_t max, int64_t *ret_first, uint32_t *ret_count)
{
    unsigned zoom = 0;

    CHECK(max);
    *ret_first = t->first;
    *ret_count = t->count;
    while (*ret_count > max) {
        int64_t last = t->first + t->count - 1;

        zoom++;
        *ret_first = t->first >> zoom;
        *ret_count = (uint32_t)((last >> zoom) - *ret_first + 1);
    }
    return zoom;
}

static void make_grid(const struct digest_time *t, uint32_t max, struct grid *g)
{
    g->zoom = stats_zoom(t, max, &g->first, &g->count);
    g->width_us = t->width_us << g->zoom;
    g->from_us = g->first * g->width_us;
}

static void json_rank(struct json *j, const struct digest *d, int32_t rank, uint32_t replica)
{
    json_key(j, "rank");
    if (rank == RECORD_RANK_NONE)
        json_null(j);
    else
        json_i64(j, rank);
    json_kstr(j, "replica", replica ? d->replicas[replica] : NULL);
}

static void json_seconds(struct json *j, const char *key, int64_t us)
{
    json_key(j, key);
    json_double(j, (double)us / 1e6);
}

/* ---- buckets ---- */

static void write_buckets(struct json *j, const struct digest *d, const struct grid *g)
{
    struct digest_bucket *sums = calloc(g->count ? g->count : 1, sizeof *sums);
    const struct digest_time *t = &d->time;

    if (!sums) {
        j->err = j->err ? j->err : ERR_NOMEM;
        return;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        struct digest_bucket *to = &sums[((t->first + i) >> g->zoom) - g->first];
        const struct digest_bucket *b = &t->buckets[i];

        if (b->first_seq && (!to->first_seq || b->first_seq < to->first_seq))
            to->first_seq = b->first_seq;
        to->bytes += b->bytes;
        for (int l = 0; l < LEVEL_COUNT; l++)
            to->lines[l] += b->lines[l];
    }
    json_obj(j);
    json_key(j, "first_seq");
    json_arr(j);
    for (uint32_t i = 0; i < g->count; i++) {
        if (sums[i].first_seq)
            json_u64(j, sums[i].first_seq);
        else
            json_null(j);
    }
    json_end(j);
    json_key(j, "bytes");
    json_arr(j);
    for (uint32_t i = 0; i < g->count; i++)
        json_u64(j, sums[i].bytes);
    json_end(j);
    json_key(j, "lines");
    json_obj(j);
    for (int l = 0; l < LEVEL_COUNT; l++) {
        json_key(j, l ? level_name((enum level)l) : "none");
        json_arr(j);
        for (uint32_t i = 0; i < g->count; i++)
            json_u64(j, sums[i].lines[l]);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    free(sums);
}

/* ---- ranks ---- */

/* Lines of the rank in bucket i: cells are added up, or spread evenly when they are wider. */
static uint64_t activity(const struct digest_time *t, const struct digest_detail *x, const struct grid *g,
                         uint32_t i)
{
    int64_t lo = (g->first + i) * g->width_us, cell = lo / t->cell_us;
    uint64_t sum = 0;

    if (t->cell_us > g->width_us) {
        int64_t parts = t->cell_us / g->width_us, part = (lo - cell * t->cell_us) / g->width_us;
        uint32_t n;

        if (cell < t->cell_first || cell - t->cell_first >= t->cell_count)
            return 0;
        n = x->cells[cell - t->cell_first];
        return n * (uint64_t)(part + 1) / (uint64_t)parts - n * (uint64_t)part / (uint64_t)parts;
    }
    for (int64_t k = g->width_us / t->cell_us; k-- > 0; cell++) {
        if (cell >= t->cell_first && cell - t->cell_first < t->cell_count)
            sum += x->cells[cell - t->cell_first];
    }
    return sum;
}

static void write_rank(struct json *j, const struct digest *d, const struct digest_rank *e,
                       const struct grid *g)
{
    json_obj(j);
    json_rank(j, d, e->rank, e->replica);
    json_ku64(j, "lines", e->lines);
    json_ku64(j, "bytes", e->bytes);
    json_key(j, "levels");
    json_obj(j);
    for (int l = 0; l < LEVEL_COUNT; l++) {
        if (e->levels[l])
            json_ku64(j, l ? level_name((enum level)l) : "none", e->levels[l]);
    }
    json_end(j);
    json_key(j, "activity");
    json_arr(j);
    for (uint32_t i = 0; e->detail && i < g->count; i++)
        json_u64(j, activity(&d->time, e->detail, g, i));
    json_end(j);
    job_json_time(j, "last_at", e->last.ts_us);
    json_key(j, "step");
    if (e->step >= 0)
        json_i64(j, e->step);
    else
        json_null(j);
    job_json_time(j, "step_at", e->step_at.ts_us);
    json_end(j);
}

/* ---- metrics ---- */

/* Milliseconds as seconds: 65,000 of them through printf would be most of the work of an answer. */
static void write_ms(struct buf *out, int64_t ms)
{
    if (ms < 0) {
        buf_addc(out, '-');
        ms = -ms;
    }
    buf_addu64(out, (uint64_t)ms / 1000);
    if (ms % 1000)
        buf_addf(out, ".%03u", (unsigned)(ms % 1000));
}

/* A value as the log wrote it, at most seven digits; null when it is not finite. */
static void write_value(struct buf *out, double v)
{
    if (isfinite(v))
        buf_addf(out, "%.7g", v);
    else
        buf_adds(out, "null");
}

static void write_point(struct json *j, const struct digest_point *p, const struct grid *g)
{
    struct buf text = BUF_INIT;

    buf_addc(&text, '[');
    if (p->step >= 0)
        buf_addu64(&text, (uint64_t)p->step);
    else
        buf_adds(&text, "null");
    buf_addc(&text, ',');
    write_ms(&text, (p->at_us - g->from_us) / 1000);
    buf_addc(&text, ',');
    write_value(&text, p->value);
    buf_addc(&text, ']');
    json_raw(j, buf_cstr(&text), text.len);
    buf_release(&text);
}

/* Points a series when the caller does not say: fewer of each where there are many. */
static uint32_t points_of(const struct digest *d, const struct stats_options *o)
{
    uint32_t n = d->series_count ? STATS_POINTS_ALL / d->series_count : DIGEST_POINTS_MAX;

    if (o->points != STATS_POINTS_AUTO)
        return o->points;
    if (n < STATS_POINTS_MIN)
        n = STATS_POINTS_MIN;
    return n < DIGEST_POINTS_MAX ? n : DIGEST_POINTS_MAX;
}

static void write_series(struct json *j, const struct digest_series *s, const struct grid *g,
                         uint32_t points)
{
    uint32_t stride = 1;

    while (points && s->point_count / stride >= points)
        stride *= 2;
    json_obj(j);
    json_kstr(j, "name", s->name);
    json_key(j, "rank");
    if (s->rank == RECORD_RANK_NONE)
        json_null(j);
    else
        json_i64(j, s->rank);
    json_key(j, "last");
    json_double(j, s->last.value);
    json_key(j, "first_bad_seq");
    if (s->first_bad.seq)
        json_u64(j, s->first_bad.seq);
    else
        json_null(j);
    json_key(j, "points");
    json_arr(j);
    for (uint32_t i = 0; points && i < s->point_count; i += stride)
        write_point(j, &s->points[i], g);
    /* the last value is always there, in place of a later one that thinning took */
    if (points && s->point_count && (s->seen - 1) % (s->stride * stride))
        write_point(j, &s->last, g);
    json_end(j);
    json_end(j);
}

/* ---- sections ---- */

static void write_section(struct json *j, const struct digest *d, const struct digest_section *s)
{
    json_obj(j);
    json_kstr(j, "name", s->name);
    json_rank(j, d, s->rank, s->replica);
    json_ku64(j, "seq", s->from.seq);
    json_key(j, "end_seq");
    if (s->to.seq)
        json_u64(j, s->to.seq);
    else
        json_null(j);
    job_json_time(j, "at", s->from.ts_us);
    if (s->to.seq) {
        json_seconds(j, "duration_s", s->to.ts_us - s->from.ts_us);
    } else {
        json_key(j, "duration_s");
        json_null(j);
    }
    json_end(j);
}

int stats_json(struct buf *out, const struct job_key *key, uint64_t epoch, const struct digest *d,
               const struct stats_options *o)
{
    struct grid g = {0};
    uint32_t ranks = d->rank_count < STATS_RANKS_MAX ? d->rank_count : STATS_RANKS_MAX;
    char cursor[64];
    struct json j;

    if (d->time.count)
        make_grid(&d->time, o->buckets, &g);
    snprintf(cursor, sizeof cursor, "%llu:%llu", (unsigned long long)epoch, (unsigned long long)d->upto);
    json_init_may_fail(&j, out);
    json_obj(&j);
    json_kstr(&j, "job", key->job);
    json_kstr(&j, "project", key->project);
    json_kstr(&j, "cursor", cursor);
    job_json_time(&j, "from", g.from_us);
    job_json_time(&j, "to", g.from_us + g.count * g.width_us);
    json_seconds(&j, "bucket_s", g.width_us);
    json_key(&j, "levels");
    json_arr(&j);
    for (int l = 0; l < LEVEL_COUNT; l++)
        json_str(&j, l ? level_name((enum level)l) : "none");
    json_end(&j);
    json_key(&j, "buckets");
    write_buckets(&j, d, &g);
    json_key(&j, "ranks");
    json_arr(&j);
    for (uint32_t i = 0; i < ranks; i++)
        write_rank(&j, d, &d->ranks[i], &g);
    json_end(&j);
    json_ku64(&j, "ranks_omitted", d->rank_count - ranks);
    json_key(&j, "metrics");
    json_arr(&j);
    for (uint32_t i = 0; i < d->series_count; i++)
        write_series(&j, &d->series[i], &g, points_of(d, o));
    json_end(&j);
    json_key(&j, "sections");
    json_arr(&j);
    for (uint32_t i = 0; i < d->section_count; i++)
        write_section(&j, d, &d->sections[i]);
    json_end(&j);
    json_end(&j);
    return json_err(&j);
}

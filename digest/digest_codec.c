/*
 * digest/digest_codec.c -- one walk over a digest that writes it or reads it.
 *
 * Every function does both; what only reading needs (tables, indexes, checks between values) stands behind
 * wire_reads(). Bounds of single values are given with the value.
 */
#include "digest/digest_int.h"
#include "digest/wire.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define TIME_US_MAX (INT64_C(1) << 58)

static void walk_counts(struct wire *w, uint32_t *counts)
{
    for (int l = 0; l < LEVEL_COUNT; l++) wire_u32(w, &counts[l], UINT32_MAX);
}

static void walk_replica(struct wire *w, const struct digest *d, uint32_t *replica)
{
    wire_u32(w, replica, d->replica_count - 1);
}

static void walk_rank(struct wire *w, int32_t *rank)
{
    wire_i32(w, rank, RECORD_RANK_NONE, RECORD_RANK_MAX);
}

static void walk_replicas(struct wire *w, struct digest *d)
{
    uint32_t count = d->replica_count;

    wire_u32(w, &count, DIGEST_REPLICAS_MAX);
    for (uint32_t i = 1; i < count && !w->err; i++) { /* [0] is "" */
        char *name = wire_reads(w) ? NULL : d->replicas[i];
        size_t len = name ? strlen(name) : 0;
        uint32_t at = i;

        wire_text(w, &name, &len, 128);
        if (!wire_reads(w)) continue;
        if (!w->err && (!len || strlen(name) != len)) wire_fail(w, ERR_CORRUPT);
        if (!w->err)
            wire_fail(w, digest__replica(d, name, len, &at) < 0 ? ERR_NOMEM
                         : at == i                              ? 0
                                                                : ERR_CORRUPT);
        free(name);
    }
}

static void walk_silence(struct wire *w, struct digest_silence *s)
{
    wire_u64(w, &s->from_seq);
    wire_i64(w, &s->from_us);
    wire_i64(w, &s->to_us);
}

static void walk_detail(struct wire *w, const struct digest *d, struct digest_detail *x)
{
    uint32_t used = d->time.cell_count;

    wire_u32(w, &x->last_text_bytes, DIGEST_LINE_BYTES_MAX);
    wire_bytes(w, x->last_text, x->last_text_bytes);
    wire_at(w, &x->first_error);
    wire_u64(w, &x->first_error_fingerprint);
    wire_at(w, &x->last_error);
    walk_silence(w, &x->silence);
    wire_int(w, &x->has_exit, 0, 1);
    wire_int(w, &x->exit_code, -255, 255);
    wire_int(w, &x->signal, 0, 64);
    wire_at(w, &x->exit_at);
    for (uint32_t i = 0; i < used; i++) wire_u32(w, &x->cells[i], UINT32_MAX);
}

/* A place in the tables by rank and by replica; twice the same is no digest. */
static void index_rank(struct wire *w, struct digest *d, uint32_t at)
{
    const struct digest_rank *e = &d->ranks[at];

    if (w->err) return;
    if (digest_rank_of(d, e->rank, e->replica))
        wire_fail(w, ERR_CORRUPT);
    else
        wire_fail(w, digest__rank_index(d, at));
}

static void walk_ranks(struct wire *w, struct digest *d)
{
    struct digest_inner *in = d->in;
    uint32_t count = d->rank_count;

    if (!wire_table(w, (void **)&d->ranks, &count, sizeof *d->ranks, DIGEST_RANKS_MAX,
                    WIRE_ROOM_COUNT))
        return;
    if (wire_reads(w)) in->rank_cap = count;
    for (uint32_t i = 0; i < count && !w->err; i++) {
        struct digest_rank *e = &d->ranks[i];
        int has_detail = e->detail != NULL;

        walk_rank(w, &e->rank);
        walk_replica(w, d, &e->replica);
        wire_u64(w, &e->lines);
        wire_u64(w, &e->bytes);
        wire_u64(w, &e->labelled);
        walk_counts(w, e->levels);
        wire_at(w, &e->first);
        wire_at(w, &e->last);
        wire_i64(w, &e->step);
        wire_at(w, &e->step_at);
        wire_i64(w, &e->skew_min_us);
        wire_i64(w, &e->skew_max_us);
        wire_u64(w, &e->skew_count);
        wire_int(w, &has_detail, 0, 1);
        if (wire_reads(w)) {
            d->rank_count = i + 1;
            index_rank(w, d, i);
            if (has_detail && ++in->detail_count > DIGEST_DETAILS_MAX) wire_fail(w, ERR_CORRUPT);
            if (has_detail && !w->err && !(e->detail = calloc(1, sizeof *e->detail)))
                wire_fail(w, ERR_NOMEM);
        }
        if (has_detail && !w->err) walk_detail(w, d, e->detail);
    }
}

static void walk_kind(struct wire *w, enum digest_kind *kind)
{
    int k = (int)*kind;

    wire_int(w, &k, 0, DIGEST_KIND_COUNT - 1);
    *kind = (enum digest_kind)k;
}

static void walk_level(struct wire *w, enum level *level)
{
    int l = (int)*level;

    wire_int(w, &l, 0, LEVEL_COUNT - 1);
    *level = (enum level)l;
}

static void walk_group_ranks(struct wire *w, const struct digest *d, struct digest_group *g)
{
    uint32_t room = 1;

    wire_u32(w, &g->rank_count, DIGEST_RANKS_MAX);
    wire_u32(w, &g->rank_listed, DIGEST_GROUP_RANKS_MAX);
    wire_u32(w, &g->rank_bits_bytes, (RECORD_RANK_MAX + 1) / 8);
    if (wire_reads(w) && !w->err) {
        while (room < g->rank_listed) room *= 2; /* as it grows */
        g->ranks = calloc(room, sizeof *g->ranks);
        g->rank_bits = calloc(1, g->rank_bits_bytes + 1);
        if (!g->ranks || !g->rank_bits) wire_fail(w, ERR_NOMEM);
        if (g->rank_bits_bytes & (g->rank_bits_bytes - 1) ||
            (g->rank_bits_bytes && g->rank_bits_bytes < 16))
            wire_fail(w, ERR_CORRUPT);
    }
    if (w->err) {
        if (wire_reads(w)) g->rank_listed = g->rank_bits_bytes = 0;
        return;
    }
    wire_bytes(w, g->rank_bits, g->rank_bits_bytes);
    for (uint32_t i = 0; i < g->rank_listed; i++) {
        walk_rank(w, &g->ranks[i].rank);
        walk_replica(w, d, &g->ranks[i].replica);
        wire_u64(w, &g->ranks[i].count);
        wire_at(w, &g->ranks[i].first);
    }
}

static void walk_group(struct wire *w, struct digest *d, struct digest_group *g, uint8_t *kept)
{
    size_t title = g->title ? strlen(g->title) : 0;
    int is_kept = *kept;

    wire_u64(w, &g->fingerprint);
    walk_kind(w, &g->kind);
    walk_level(w, &g->level);
    wire_u32(w, &g->cause, UINT32_MAX);
    wire_int(w, &g->is_block, 0, 1);
    wire_text(w, &g->title, &title, DIGEST_TITLE_BYTES_MAX);
    wire_text(w, &g->text, &g->text_bytes, DIGEST_TEXT_BYTES_MAX);
    wire_u64(w, &g->whole_bytes);
    wire_u64(w, &g->count);
    wire_at(w, &g->first);
    wire_at(w, &g->last);
    wire_u64(w, &g->first_end_seq);
    walk_rank(w, &g->first_rank);
    walk_rank(w, &g->last_rank);
    walk_replica(w, d, &g->first_replica);
    walk_replica(w, d, &g->last_replica);
    wire_int(w, &is_kept, 0, 1);
    *kept = (uint8_t)is_kept;
    walk_group_ranks(w, d, g);
    /* readers print titles and texts as strings */
    if (wire_reads(w) && !w->err && (strlen(g->title) != title || !g->text))
        wire_fail(w, ERR_CORRUPT);
}

static void walk_groups(struct wire *w, struct digest *d)
{
    struct digest_inner *in = d->in;
    uint32_t count = d->group_count;

    wire_u64(w, &d->groups_omitted);
    wire_u32(w, &in->cause_count, DIGEST_CAUSES_MAX);
    for (uint32_t i = 0; i < in->cause_count; i++) {
        wire_u32(w, &in->causes[i].cause, UINT32_MAX);
        wire_u32(w, &in->causes[i].count, DIGEST_CAUSE_GROUPS_MAX);
    }
    if (!wire_table(w, (void **)&d->groups, &count, sizeof *d->groups, DIGEST_GROUPS_MAX,
                    WIRE_ROOM_MAX))
        return;
    for (uint32_t i = 0; i < count && !w->err; i++) {
        if (wire_reads(w)) d->group_count = i + 1;
        walk_group(w, d, &d->groups[i], &in->group_kept[i]);
        if (!wire_reads(w)) continue;
        digest__group_index(d, i);
        in->text_bytes += d->groups[i].text_bytes;
    }
}

static void walk_message(struct wire *w, char **text)
{
    size_t len = *text ? strlen(*text) : 0;

    wire_text(w, text, &len, DIGEST_LINE_BYTES_MAX);
    if (wire_reads(w) && !w->err && strlen(*text) != len) wire_fail(w, ERR_CORRUPT);
}

static void walk_states(struct wire *w, struct digest *d)
{
    if (!wire_table(w, (void **)&d->states, &d->state_count, sizeof *d->states, DIGEST_STATES_MAX,
                    WIRE_ROOM_MAX))
        return;
    for (uint32_t i = 0; i < d->state_count; i++) {
        struct digest_state *s = &d->states[i];
        int state = (int)s->state;

        wire_at(w, &s->at);
        wire_int(w, &state, 0, STATE_COUNT - 1);
        s->state = (enum job_state)state;
        walk_rank(w, &s->rank);
        wire_int(w, &s->has_exit_code, 0, 1);
        wire_i64(w, &s->exit_code);
        walk_message(w, &s->message);
    }
}

static void walk_gaps(struct wire *w, struct digest *d)
{
    wire_u64(w, &d->gaps_omitted);
    if (!wire_table(w, (void **)&d->gaps, &d->gap_count, sizeof *d->gaps, DIGEST_GAPS_MAX,
                    WIRE_ROOM_MAX))
        return;
    for (uint32_t i = 0; i < d->gap_count; i++) {
        struct digest_gap *g = &d->gaps[i];

        wire_at(w, &g->at);
        wire_u64(w, &g->from);
        wire_u64(w, &g->to);
        walk_rank(w, &g->rank);
        wire_int(w, &g->is_lost, 0, 1);
        walk_message(w, &g->reason);
    }
}

static void walk_report(struct wire *w, const struct digest *d, struct digest_report *p)
{
    int launcher = (int)p->launcher;

    wire_int(w, &launcher, 0, DIGEST_MPIRUN);
    p->launcher = (enum digest_launcher)launcher;
    wire_at(w, &p->at);
    walk_rank(w, &p->from_rank);
    walk_replica(w, d, &p->from_replica);
    walk_rank(w, &p->rank);
    walk_rank(w, &p->local_rank);
    wire_int(w, &p->is_root, 0, 1);
    wire_int(w, &p->has_exit_code, 0, 1);
    wire_int(w, &p->exit_code, -255, 255);
    wire_int(w, &p->signal, 0, 64);
    wire_i64(w, &p->pid);
    wire_i64(w, &p->failed_us);
    wire_name(w, p->host, sizeof p->host);
    walk_message(w, &p->title);
}

static void walk_reports(struct wire *w, struct digest *d)
{
    wire_u64(w, &d->reports_omitted);
    if (!wire_table(w, (void **)&d->reports, &d->report_count, sizeof *d->reports,
                    DIGEST_REPORTS_MAX, WIRE_ROOM_MAX))
        return;
    for (uint32_t i = 0; i < d->report_count; i++) walk_report(w, d, &d->reports[i]);
}

static void walk_point(struct wire *w, struct digest_point *p, struct digest_point *last)
{
    int64_t step = p->step - last->step, at = (int64_t)((uint64_t)p->at_us - (uint64_t)last->at_us);

    wire_i64(w, &step);
    wire_i64(w, &at);
    wire_double(w, &p->value);
    if (wire_reads(w)) {
        p->step = (int64_t)((uint64_t)last->step + (uint64_t)step);
        p->at_us = (int64_t)((uint64_t)last->at_us + (uint64_t)at);
        if (p->step < -1 || p->step > INT64_C(1) << 54) wire_fail(w, ERR_CORRUPT), p->step = -1;
    }
    *last = *p;
}

static void walk_one_series(struct wire *w, struct digest_series *s)
{
    struct digest_point last = {.step = 0};
    uint32_t count = s->point_count, room = DIGEST_POINTS_MIN;

    wire_name(w, s->name, sizeof s->name);
    walk_rank(w, &s->rank);
    wire_u64(w, &s->seen);
    wire_u64(w, &s->stride);
    wire_at(w, &s->last_at);
    wire_at(w, &s->first_bad);
    wire_u64(w, &s->bad_count);
    walk_point(w, &s->last, &last);
    wire_u32(w, &count, DIGEST_POINTS_MAX);
    if (wire_reads(w)) {
        if (!s->stride || s->stride & (s->stride - 1)) wire_fail(w, ERR_CORRUPT);
        while (room < count) room *= 2;
        if (!w->err && !(s->points = calloc(room, sizeof *s->points))) wire_fail(w, ERR_NOMEM);
        if (w->err) return;
        s->point_cap = room;
        s->point_count = count;
    }
    for (uint32_t i = 0; i < count; i++) walk_point(w, &s->points[i], &last);
}

static void walk_series(struct wire *w, struct digest *d)
{
    uint32_t count = d->series_count;

    wire_u64(w, &d->series_omitted);
    if (!wire_table(w, (void **)&d->series, &count, sizeof *d->series, DIGEST_SERIES_MAX,
                    WIRE_ROOM_MAX))
        return;
    for (uint32_t i = 0; i < count && !w->err; i++) {
        if (wire_reads(w)) d->series_count = i + 1;
        walk_one_series(w, &d->series[i]);
        if (wire_reads(w)) digest__series_index(d, i);
    }
}

static void walk_sections(struct wire *w, struct digest *d)
{
    wire_u64(w, &d->sections_omitted);
    if (!wire_table(w, (void **)&d->sections, &d->section_count, sizeof *d->sections,
                    DIGEST_SECTIONS_MAX, WIRE_ROOM_MAX))
        return;
    for (uint32_t i = 0; i < d->section_count; i++) {
        struct digest_section *s = &d->sections[i];

        wire_name(w, s->name, sizeof s->name);
        wire_u32(w, &s->key, UINT32_MAX);
        walk_rank(w, &s->rank);
        walk_replica(w, d, &s->replica);
        wire_at(w, &s->from);
        wire_at(w, &s->to);
    }
}

/* Do the grids lie as digest/digest_time.c makes them? */
static int grids_fit(const struct digest_time *t)
{
    int64_t lo, hi;

    if (t->width_us < DIGEST_BUCKET_US_MIN || t->width_us > TIME_US_MAX ||
        t->cell_us < t->width_us || t->cell_us > TIME_US_MAX || t->first < 0 ||
        t->first > TIME_US_MAX / t->width_us || !t->count)
        return 0;
    if (t->width_us % DIGEST_BUCKET_US_MIN || t->cell_us % t->width_us) return 0;
    lo = t->first * t->width_us / t->cell_us;
    hi = ((t->first + t->count) * t->width_us - 1) / t->cell_us;
    return t->cell_first == lo && t->cell_count == hi - lo + 1 && t->cell_count <= DIGEST_CELLS_MAX;
}

static void walk_time(struct wire *w, struct digest *d)
{
    struct digest_time *t = &d->time;
    uint64_t seq = 0;

    wire_i64(w, &t->width_us);
    wire_i64(w, &t->first);
    wire_i64(w, &t->cell_us);
    wire_i64(w, &t->cell_first);
    wire_u32(w, &t->cell_count, DIGEST_CELLS_MAX);
    if (!wire_table(w, (void **)&t->buckets, &t->count, sizeof *t->buckets, DIGEST_BUCKETS_MAX,
                    WIRE_ROOM_MAX)) {
        if (wire_reads(w) &&
            (t->width_us || t->first || t->cell_us || t->cell_first || t->cell_count))
            wire_fail(w, ERR_CORRUPT);
        return;
    }
    if (wire_reads(w) && !grids_fit(t)) wire_fail(w, ERR_CORRUPT);
    for (uint32_t i = 0; i < t->count; i++) {
        struct digest_bucket *b = &t->buckets[i];
        int64_t delta = (int64_t)(b->first_seq - seq);

        wire_i64(w, &delta);
        if (wire_reads(w)) b->first_seq = seq + (uint64_t)delta;
        seq = b->first_seq;
        wire_u64(w, &b->bytes);
        walk_counts(w, b->lines);
    }
}

static void walk_block(struct wire *w, struct block *b)
{
    uint32_t v[5] = {b->kind, b->phase, b->blank_count, b->flags, b->line_count};

    wire_u32(w, &v[0], DIGEST_KIND_COUNT - 1);
    for (int i = 1; i < 4; i++) wire_u32(w, &v[i], UINT8_MAX);
    wire_u32(w, &v[4], BLOCK_LINES_MAX);
    wire_u32(w, &b->bytes, BLOCK_BYTES_MAX);
    walk_level(w, &b->level);
    b->kind = (uint8_t)v[0];
    b->phase = (uint8_t)v[1];
    b->blank_count = (uint8_t)v[2];
    b->flags = (uint8_t)v[3];
    b->line_count = (uint16_t)v[4];
    b->is_open = 1;
}

static void walk_open(struct wire *w, struct digest_open *o)
{
    char *text = o->text.data;
    size_t len = o->text.len;
    uint32_t flags = o->report.is_open ? 1u | (uint32_t)o->report.is_root << 1 : 0;

    walk_block(w, &o->block);
    wire_at(w, &o->at);
    wire_u64(w, &o->end_seq);
    wire_u64(w, &o->hash);
    wire_u64(w, &o->whole_bytes);
    wire_u32(w, &o->line_count, UINT32_MAX);
    wire_u32(w, &o->frame_count, UINT32_MAX);
    wire_u32(w, &o->cause, UINT32_MAX);
    wire_u32(w, &o->title_bytes, DIGEST_TITLE_BYTES_MAX);
    wire_bytes(w, o->title, o->title_bytes);
    wire_u32(w, &flags, 3);
    o->report.is_open = flags & 1;
    o->report.is_root = flags >> 1 & 1;
    if (flags & 1) {
        wire_i64(w, &o->report.failed_us);
        walk_rank(w, &o->report.rank);
        walk_rank(w, &o->report.local_rank);
        wire_name(w, o->report.host, sizeof o->report.host);
        wire_name(w, o->report.title, sizeof o->report.title);
    }
    wire_text(w, &text, &len, DIGEST_TEXT_BYTES_MAX);
    if (!wire_reads(w) || w->err) return;
    if (buf_add(&o->text, text, len) < 0) wire_fail(w, ERR_NOMEM);
    free(text);
}

static int by_first(const void *a, const void *b)
{
    const struct digest_open *x = *(struct digest_open *const *)a,
                             *y = *(struct digest_open *const *)b;

    return x->at.seq < y->at.seq ? -1 : x->at.seq > y->at.seq;
}

/* Open blocks, oldest first, so that equal digests are equal bytes. */
static void walk_opens(struct wire *w, struct digest *d)
{
    struct digest_inner *in = d->in;
    struct digest_open *all[DIGEST_OPEN_MAX], *o;
    uint32_t count = 0;

    for (uint32_t s = 0; s < DIGEST_OPEN_SLOTS && !wire_reads(w); s++) {
        for (o = in->open_slots[s]; o; o = o->next) all[count++] = o;
    }
    if (count) qsort(all, count, sizeof *all, by_first);
    wire_u32(w, &count, DIGEST_OPEN_MAX);
    for (uint32_t i = 0; i < count && !w->err; i++) {
        struct digest_source s = {0};

        if (!wire_reads(w)) s = all[i]->source;
        walk_rank(w, &s.rank);
        walk_replica(w, d, &s.replica);
        wire_u32(w, &s.stream, UINT32_MAX);
        wire_u32(w, &s.tag, UINT32_MAX);
        if (wire_reads(w) && (w->err || digest__open_find(d, &s))) {
            wire_fail(w, ERR_CORRUPT);
            return;
        }
        o = wire_reads(w) ? digest__open_add(in, &s) : all[i];
        if (o)
            walk_open(w, o);
        else
            wire_fail(w, ERR_NOMEM);
        if (wire_reads(w) && o) in->open_bytes += o->text.len;
    }
}

void digest__walk(struct wire *w, struct digest *d)
{
    wire_u64(w, &d->upto);
    wire_u64(w, &d->lines);
    wire_u64(w, &d->bytes);
    for (int l = 0; l < LEVEL_COUNT; l++) wire_u64(w, &d->levels[l]);
    wire_at(w, &d->first);
    wire_at(w, &d->last);
    wire_u64(w, &d->ranks_omitted_lines);
    walk_replicas(w, d);
    walk_time(w, d);
    walk_ranks(w, d);
    walk_groups(w, d);
    walk_states(w, d);
    walk_gaps(w, d);
    walk_reports(w, d);
    walk_series(w, d);
    walk_sections(w, d);
    walk_opens(w, d);
    if (wire_reads(w) && !w->err && w->p != w->end) wire_fail(w, ERR_CORRUPT);
}

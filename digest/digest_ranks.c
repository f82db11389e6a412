/*
 * digest/digest_ranks.c -- who spoke: ranks, and replicas for lines without one.
 */
#include "digest/digest_int.h"

#include "base/check.h"
#include "base/err.h"
#include "digest/plain.h"

#include <stdlib.h>
#include <string.h>

int digest__replica(struct digest *d, const char *name, size_t len, uint32_t *ret_replica)
{
    struct digest_inner *in = d->in;
    uintptr_t known;
    char *copy;

    *ret_replica = 0;
    if (!len && d->replica_count) return 0;
    known = d->replica_count ? (uintptr_t)map_get(in->replica_map, name, len) : 0;
    if (known) {
        *ret_replica = (uint32_t)known;
        return 0;
    }
    if (d->replica_count == DIGEST_REPLICAS_MAX) return 0;
    if (d->replica_count == in->replica_cap) {
        uint32_t cap = in->replica_cap ? 2 * in->replica_cap : 8;
        char **names = realloc(d->replicas, cap * sizeof *names);
        if (!names) return ERR_NOMEM;
        d->replicas = names;
        in->replica_cap = cap;
    }
    copy = strndup(name, len);
    if (!copy) return ERR_NOMEM;
    if (len) map_put(in->replica_map, name, len, (void *)(uintptr_t)d->replica_count);
    *ret_replica = d->replica_count;
    d->replicas[d->replica_count++] = copy;
    return 0;
}

/* A table of places that reaches at. */
static int reach(uint32_t **table, uint32_t *count, uint32_t at)
{
    uint32_t cap = *count ? *count : 16;
    uint32_t *grown;

    if (at < *count) return 0;
    while (cap <= at) cap *= 2;
    grown = realloc(*table, cap * sizeof *grown);
    if (!grown) return ERR_NOMEM;
    memset(grown + *count, 0, (cap - *count) * sizeof *grown);
    *table = grown;
    *count = cap;
    return 0;
}

int digest__rank_index(struct digest *d, uint32_t at)
{
    struct digest_inner *in = d->in;
    const struct digest_rank *e = &d->ranks[at];
    int named = e->rank != RECORD_RANK_NONE, err;
    uint32_t key = named ? (uint32_t)e->rank : e->replica;

    err = named ? reach(&in->rank_at, &in->rank_at_count, key)
                : reach(&in->anon_at, &in->anon_at_count, key);
    if (err >= 0) (named ? in->rank_at : in->anon_at)[key] = at + 1;
    return err;
}

static int add_rank(struct digest *d, int32_t rank, uint32_t replica, uint32_t *place)
{
    struct digest_inner *in = d->in;
    struct digest_rank *e;

    if (d->rank_count == DIGEST_RANKS_MAX) return 0;
    if (d->rank_count == in->rank_cap) {
        uint32_t cap = in->rank_cap ? 2 * in->rank_cap : 16;
        struct digest_rank *ranks = realloc(d->ranks, cap * sizeof *ranks);
        if (!ranks) return ERR_NOMEM;
        d->ranks = ranks;
        in->rank_cap = cap;
    }
    e = &d->ranks[d->rank_count];
    memset(e, 0, sizeof *e);
    if (in->detail_count < DIGEST_DETAILS_MAX) {
        e->detail = calloc(1, sizeof *e->detail);
        if (!e->detail) return ERR_NOMEM;
        in->detail_count++;
    }
    e->rank = rank;
    e->replica = replica;
    e->step = -1;
    *place = ++d->rank_count;
    return 0;
}

int digest__rank(struct digest *d, int32_t rank, uint32_t replica, struct digest_rank **ret_rank)
{
    struct digest_inner *in = d->in;
    int named = rank != RECORD_RANK_NONE;
    uint32_t **table = named ? &in->rank_at : &in->anon_at;
    uint32_t *count = named ? &in->rank_at_count : &in->anon_at_count;
    uint32_t key = named ? (uint32_t)rank : replica;
    int err = reach(table, count, key);

    *ret_rank = NULL;
    if (err < 0) return err;
    if (!(*table)[key]) err = add_rank(d, rank, replica, &(*table)[key]);
    if (err >= 0 && (*table)[key]) *ret_rank = &d->ranks[(*table)[key] - 1];
    return err;
}

void digest__rank_note(struct digest *d, struct digest_record *r)
{
    struct digest_rank *e = r->entry;
    int64_t skew_us = r->at.recv_us - r->at.ts_us;
    struct digest_detail *x;

    if (!e) {
        d->ranks_omitted_lines++;
        return;
    }
    x = e->detail;
    if (!e->lines) e->first = r->at;
    if (r->at.recv_us > 0) {
        if (!e->skew_count || skew_us < e->skew_min_us) e->skew_min_us = skew_us;
        if (!e->skew_count || skew_us > e->skew_max_us) e->skew_max_us = skew_us;
        e->skew_count++;
    }
    if (x && e->lines && r->at.ts_us - e->last.ts_us > x->silence.to_us - x->silence.from_us)
        x->silence = (struct digest_silence){e->last.seq, e->last.ts_us, r->at.ts_us};
    if (r->replica) e->replica = r->replica;
    e->lines++;
    e->bytes += r->view->msg_json_len;
    e->levels[r->view->level]++;
    e->last = r->at;
    if (x) {
        x->last_text_bytes = (uint32_t)plain_cut(r->line.text, r->line.len, DIGEST_LINE_BYTES_MAX);
        memcpy(x->last_text, r->line.text, x->last_text_bytes);
    }
}

static int by_rank(const void *a, const void *b)
{
    const struct digest_rank *x = a, *y = b;

    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return x->replica < y->replica ? -1 : x->replica > y->replica;
}

int digest__ranks_sort(struct digest *d)
{
    int err = 0;

    if (d->rank_count) qsort(d->ranks, d->rank_count, sizeof *d->ranks, by_rank);
    for (uint32_t i = 0; i < d->rank_count && err >= 0; i++) err = digest__rank_index(d, i);
    return err;
}

void digest__ranks_free(struct digest *d)
{
    for (uint32_t i = 0; i < d->rank_count; i++) free(d->ranks[i].detail);
    free(d->ranks);
    for (uint32_t i = 0; i < d->replica_count; i++) free(d->replicas[i]);
    free(d->replicas);
    free(d->in->rank_at);
    free(d->in->anon_at);
    map_free(&d->in->replica_map);
}

const struct digest_rank *digest_rank_of(const struct digest *d, int32_t rank, uint32_t replica)
{
    const struct digest_inner *in = d->in;
    uint32_t place = 0;

    if (rank >= 0 && (uint32_t)rank < in->rank_at_count) place = in->rank_at[rank];
    if (rank < 0 && replica < in->anon_at_count) place = in->anon_at[replica];
    return place ? &d->ranks[place - 1] : NULL;
}

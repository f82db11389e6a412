/*
 * digest/verdict_clock.c -- times of many producers on one clock: ours.
 *
 * Of a producer the difference of its clock to ours and the time a line needs cannot be told apart, only their
 * sum at its smallest (struct digest_rank.skew_min_us). The way is short and alike for all, so that sum is taken
 * for the difference; what is left is the error. Ranks of one replica share a clock when their sums are near.
 */
#include "digest/verdict_int.h"

#include "base/check.h"

#include <stdlib.h>

/* Its lines were stamped by us, or nobody knows when they came: nothing is known of its clock. */
static int is_server_time(const struct digest_rank *r)
{
    return !r->skew_count || (r->skew_min_us == 0 && r->skew_max_us == 0);
}

static int64_t own_error(const struct digest_rank *r)
{
    int64_t spread = (r->skew_max_us - r->skew_min_us) / 10;

    if (is_server_time(r))
        return CLOCK_SERVER_US;
    if (spread > CLOCK_GATHER_US || r->lines < 5)
        spread = CLOCK_GATHER_US;
    return CLOCK_STEP_US + spread;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The clock most ranks have. */
static int64_t middle_of(const struct digest *d)
{
    int64_t *all, middle;
    uint32_t n = 0;

    if (d->rank_count < 2)
        return 0;
    all = must_malloc(d->rank_count * sizeof *all);
    for (uint32_t i = 0; i < d->rank_count; i++)
        if (d->ranks[i].skew_count)
            all[n++] = d->ranks[i].skew_min_us;
    qsort(all, n, sizeof *all, by_value);
    middle = n ? all[n / 2] : 0;
    free(all);
    return middle;
}

void scene__clocks(struct scene *s)
{
    const struct digest *d = s->d;
    uint32_t replicas = d->replica_count ? d->replica_count : 1;
    int64_t *least = must_calloc(replicas, sizeof *least);
    uint8_t *has = must_calloc(replicas, 1);

    s->skew_middle_us = middle_of(d);
    s->clocks = must_calloc(d->rank_count ? d->rank_count : 1, sizeof *s->clocks);
    for (uint32_t i = 0; i < d->rank_count; i++) {
        const struct digest_rank *r = &d->ranks[i];
        if (!r->replica || r->replica >= replicas || is_server_time(r))
            continue;
        if (!has[r->replica] || r->skew_min_us < least[r->replica])
            least[r->replica] = r->skew_min_us;
        has[r->replica] = 1;
    }
    for (uint32_t i = 0; i < d->rank_count; i++) {
        const struct digest_rank *r = &d->ranks[i];
        struct clock_of *c = &s->clocks[i];
        *c = (struct clock_of){r->rank, r->replica, r->skew_count ? r->skew_min_us : 0,
                               own_error(r), 0};
        if (!r->replica || r->replica >= replicas || is_server_time(r))
            continue;
        if (r->skew_min_us - least[r->replica] >= CLOCK_SHARED_US)
            continue;
        c->offset_us = least[r->replica];
        c->is_shared = 1;
    }
    free(least);
    free(has);
}

const struct clock_of *scene__clock(const struct scene *s, int32_t rank, uint32_t replica)
{
    const struct digest_rank *r = digest_rank_of(s->d, rank, replica);

    return r ? &s->clocks[r - s->d->ranks] : NULL;
}

int64_t scene__when(const struct scene *s, int32_t rank, uint32_t replica,
                    const struct digest_at *at)
{
    const struct clock_of *c = scene__clock(s, rank, replica);
    int64_t when = c ? at->ts_us + c->offset_us : at->recv_us;

    return at->recv_us && when > at->recv_us ? at->recv_us : when;
}

int64_t scene__pair_error(const struct scene *s, const struct sign *a, const struct sign *b)
{
    const struct clock_of *x = scene__clock(s, a->rank, a->replica),
                          *y = scene__clock(s, b->rank, b->replica);

    if (x && y && x->is_shared && y->is_shared && x->replica == y->replica)
        return CLOCK_STEP_US;
    return a->error_us + b->error_us;
}

int64_t scene__skew(const struct scene *s, const struct digest_rank *r)
{
    return r->skew_count ? s->skew_middle_us - r->skew_min_us : 0;
}

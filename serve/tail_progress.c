/*
 * serve/tail_progress.c -- live redraws of a session: the newest per rank, at most one per
 * TAIL_PROGRESS_US.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "serve/tail_int.h"

#include <stdlib.h>
#include <string.h>

struct progress_rank {
    int32_t rank;
    int64_t next_us; /* not before */
    char *text;      /* NULL: nothing is due */
    size_t len;
};

struct tail_progress {
    uint32_t count;
    struct progress_rank ranks[TAIL_PROGRESS_RANKS_MAX];
};

/* Redraws are not records: only a filter by rank can say anything about them. */
static int is_wanted(const struct tail *t, int32_t rank)
{
    const struct filter *f;

    if (!t->sink->json)
        return 0;
    if (sieve_is_open(t->query.sieve))
        return 1;
    f = &t->query.sieve->filter;
    if (f->q_len || f->match || f->level_min != LEVEL_NONE || f->stream[0] || f->replica[0] ||
        f->until_us)
        return 0;
    for (uint32_t i = 0; i < f->rank_count; i++)
        if (rank >= f->ranks[i].lo && rank <= f->ranks[i].hi)
            return 1;
    return !f->rank_count;
}

static struct progress_rank *find_rank(struct tail *t, int32_t rank)
{
    struct tail_progress *p;

    if (!t->progress)
        t->progress = must_calloc(1, sizeof *t->progress);
    p = t->progress;
    for (uint32_t i = 0; i < p->count; i++)
        if (p->ranks[i].rank == rank)
            return &p->ranks[i];
    if (p->count == TAIL_PROGRESS_RANKS_MAX)
        return NULL;
    p->ranks[p->count].rank = rank;
    return &p->ranks[p->count++];
}

void tail__on_progress(struct tail *t, int32_t rank, const char *text, size_t len)
{
    struct progress_rank *r;
    int64_t now_us = clock_mono_us();

    if (!t->is_open || t->phase == TAIL_OVER || !is_wanted(t, rank))
        return;
    r = find_rank(t, rank);
    if (!r)
        return;
    if (len > TAIL_PROGRESS_BYTES_MAX)
        len = utf8_valid_prefix(text, TAIL_PROGRESS_BYTES_MAX);
    free(r->text);
    r->text = NULL;
    if (now_us >= r->next_us && !tail__is_full(t)) {
        r->next_us = now_us + TAIL_PROGRESS_US;
        tail__say_progress(t, rank, text, len);
        return;
    }
    r->text = must_strndup(text, len);
    r->len = len;
    tail__set_ticking(t, 1);
}

void tail__progress_over(struct tail *t, const struct frame_summary *s)
{
    for (uint32_t i = 0; t->progress && i < t->progress->count; i++) {
        struct progress_rank *r = &t->progress->ranks[i];

        if (r->rank < s->rank_lo || r->rank > s->rank_hi)
            continue;
        free(r->text);
        r->text = NULL;
    }
}

void tail__progress_tick(struct tail *t, int64_t now_us)
{
    struct tail_progress *p = t->progress;

    for (uint32_t i = 0; p && i < p->count; i++) {
        struct progress_rank *r = &p->ranks[i];

        if (!r->text || now_us < r->next_us || tail__is_full(t))
            continue;
        r->next_us = now_us + TAIL_PROGRESS_US;
        tail__say_progress(t, r->rank, r->text, r->len);
        free(r->text);
        r->text = NULL;
    }
}

int tail__progress_pending(const struct tail *t)
{
    for (uint32_t i = 0; t->progress && i < t->progress->count; i++)
        if (t->progress->ranks[i].text)
            return 1;
    return 0;
}

void tail__progress_free(struct tail *t)
{
    for (uint32_t i = 0; t->progress && i < t->progress->count; i++)
        free(t->progress->ranks[i].text);
    free(t->progress);
    t->progress = NULL;
}

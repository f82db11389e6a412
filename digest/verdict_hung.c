/*
 * digest/verdict_hung.c -- of a job that still runs: is it hung?
 *
 * Silence alone says nothing: often only rank 0 speaks after the start. A rank is silent when it broke its own
 * habit: it counted steps and its peers count on, or it spoke all the time for a good while and then stopped; or
 * its last words were an error. All are silent when the whole job broke its habit.
 */
#include "digest/verdict_int.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define SILENT_US (15 * SECOND_US)     /* less is never silence */
#define ALL_SILENT_US (60 * SECOND_US) /* for a whole job */
#define LATE_US (60 * SECOND_US)       /* a rank that has not begun so long after the first */
#define HABIT_LINES 8
#define HABIT_TIMES 8   /* silent so many times the usual pause … */
#define HABIT_LONGEST 3 /* … and so many times the longest one */
#define HABIT_SPAN 4    /* and it talked for at least a quarter as long as it is silent */

/* When it came; when it was written where that is not known. */
static int64_t heard(const struct digest_at *at)
{
    return at->recv_us ? at->recv_us : at->ts_us;
}

static int64_t longest_pause(const struct digest_rank *r)
{
    return r->detail ? r->detail->silence.to_us - r->detail->silence.from_us : 0;
}

static int has_sign(const struct scene *s, int32_t rank)
{
    for (uint32_t i = 0; i < s->sign_count; i++)
        if (s->signs[i].rank == rank)
            return 1;
    return 0;
}

static int has_ended(const struct scene *s, int32_t rank)
{
    const struct ending *e = scene__ending(s, rank);

    return e && (e->is_known || e->when_us);
}

/* Did r break its habit? talking: the newest line of any rank. */
static int is_silent(const struct scene *s, const struct digest_rank *r)
{
    int64_t silent = s->now_us - heard(&r->last), span = heard(&r->last) - heard(&r->first);
    int counts = r->step >= 0 && r->lines >= HABIT_LINES;

    if (silent < SILENT_US)
        return 0;
    if (has_sign(s, r->rank))
        return 1;
    if (r->lines < HABIT_LINES || silent < HABIT_TIMES * (span / (int64_t)r->lines) ||
        silent < HABIT_LONGEST * longest_pause(r))
        return 0;
    return counts ? r->step < s->step_max || span * HABIT_SPAN >= silent
                  : span * HABIT_SPAN >= silent;
}

/* Declared ranks that have not shown themselves. */
static uint32_t never_started(const struct scene *s, int32_t *ranks)
{
    uint32_t n = 0;
    uint8_t *seen = must_calloc(s->world + 1, 1);

    for (uint32_t i = 0; i < s->d->rank_count; i++)
        if (s->d->ranks[i].rank >= 0 && (uint32_t)s->d->ranks[i].rank < s->world)
            seen[s->d->ranks[i].rank] = 1;
    for (uint32_t i = 0; i < s->info->producer_count; i++)
        if (s->info->producers[i].rank >= 0 && (uint32_t)s->info->producers[i].rank < s->world)
            seen[s->info->producers[i].rank] = 1;
    for (uint32_t r = 0; r < s->world; r++)
        if (!seen[r])
            ranks[n++] = (int32_t)r;
    free(seen);
    return n;
}

static const struct sign *sign_of(const struct scene *s, int32_t rank)
{
    for (uint32_t i = 0; i < s->sign_count; i++)
        if (s->signs[i].rank == rank)
            return &s->signs[i];
    return NULL;
}

static void begin(struct scene *s, enum verdict_hung_kind kind, enum verdict_confidence c,
                  const int32_t *ranks, uint32_t n, int64_t since_us)
{
    struct verdict *v = s->v;

    v->kind = VERDICT_KIND_HUNG;
    v->confidence = c;
    v->hung.kind = kind;
    v->hung.since_us = since_us;
    v->hung.silent_us = s->now_us - since_us;
    words__ranks(&v->hung.ranks, ranks, n);
    buf_consume(&v->hung.ranks, n == 1 ? 5 : 6); /* "rank ", "ranks " */
}

/* Its last error, when there is one. */
static void say_last_words(struct scene *s, const struct digest_rank *r)
{
    const struct sign *x = sign_of(s, r->rank);
    char what[400];

    words__evidence(s->v, r->last.seq, "the last line of rank %d", (int)r->rank);
    if (!x)
        return;
    s->v->cause = x->cause;
    s->v->group = x->group;
    words__what(x->cause, x->group, what, sizeof what);
    words__say(s->v, " Its last error: %s.", what);
    if (x->group)
        words__evidence(s->v, x->at.seq, "%s", what);
}

static void say_some(struct scene *s, const struct digest_rank **silent, uint32_t n,
                     uint32_t talking)
{
    int32_t *ranks = must_malloc(n * sizeof *ranks);
    const struct digest_rank *first = silent[0];
    struct verdict *v = s->v;
    char text[32], step[64] = "";
    struct buf names = BUF_INIT;

    for (uint32_t i = 0; i < n; i++) {
        ranks[i] = silent[i]->rank;
        if (heard(&silent[i]->last) < heard(&first->last))
            first = silent[i];
    }
    begin(s, n == 1 ? VERDICT_HUNG_ONE_SILENT : VERDICT_HUNG_SOME_SILENT, VERDICT_LIKELY, ranks, n,
          heard(&first->last));
    words__ranks(&names, ranks, n);
    if (first->step >= 0 && first->step < s->step_max)
        words__set(step, sizeof step, " at step %lld (others are at %lld)", (long long)first->step,
                   (long long)s->step_max);
    words__say(v, "Probably hung: %s %s been silent for %s%s while %u other%s.",
               names.len < 100 ? buf_cstr(&names) : "many ranks", n == 1 ? "has" : "have",
               words__time(v->hung.silent_us, text), step, (unsigned)talking,
               talking == 1 ? " talks" : "s talk");
    if (n == 1) {
        v->rank = first->rank;
        v->replica = first->replica < s->d->replica_count ? s->d->replicas[first->replica] : "";
    }
    say_last_words(s, first);
    buf_release(&names);
    free(ranks);
}

static void say_all(struct scene *s, int64_t last_us)
{
    const struct digest_rank *first = NULL, *least = NULL;
    int32_t *ranks = must_malloc((s->d->rank_count + 1) * sizeof *ranks);
    struct verdict *v = s->v;
    uint32_t n = 0, behind = 0;
    char text[32];

    for (uint32_t i = 0; i < s->d->rank_count; i++) {
        const struct digest_rank *r = &s->d->ranks[i];
        if (r->rank < 0)
            continue;
        ranks[n++] = r->rank;
        if (!first || heard(&r->last) < heard(&first->last))
            first = r;
        if (r->step >= 0 && r->step < s->step_max)
            behind++, least = r;
    }
    begin(s, VERDICT_HUNG_ALL_SILENT, VERDICT_LIKELY, ranks, n, last_us);
    words__say(v, "Probably hung: %s been silent for %s.", n > 1 ? "all ranks have" : "the job has",
               words__time(v->hung.silent_us, text));
    if (first && n > 1 && last_us - heard(&first->last) > SECOND_US)
        words__say(v, " Rank %d fell silent first, %s before the last.", (int)first->rank,
                   words__time(last_us - heard(&first->last), text));
    if (behind == 1 && n > 1)
        words__say(v, " Rank %d is behind: at step %lld of %lld.", (int)least->rank,
                   (long long)least->step, (long long)s->step_max);
    if (s->sign_count && s->signs[0].rank >= 0) {
        const struct digest_rank *r = digest_rank_of(s->d, s->signs[0].rank, s->signs[0].replica);
        v->rank = s->signs[0].rank;
        words__say(v, " Rank %d shows an error.", (int)v->rank);
        if (r)
            say_last_words(s, r);
    } else if (first) {
        say_last_words(s, first);
    }
    free(ranks);
}

static void say_never(struct scene *s, const int32_t *ranks, uint32_t n, int64_t since_us)
{
    struct buf names = BUF_INIT;
    char text[32];

    begin(s, VERDICT_HUNG_NEVER_STARTED, VERDICT_CERTAIN, ranks, n, since_us);
    if (n == 1)
        s->v->rank = ranks[0];
    words__ranks(&names, ranks, n);
    names.data[0] = 'R';
    words__say(s->v,
               "%s of %u never started: nothing was heard of %s in the %s since the job began; the "
               "others wait.",
               names.len < 100 ? buf_cstr(&names) : "Many ranks", (unsigned)s->world,
               n == 1 ? "it" : "them", words__time(s->v->hung.silent_us, text));
    buf_release(&names);
}

int scene__hung(struct scene *s)
{
    const struct digest_rank **silent = must_malloc((s->d->rank_count + 1) * sizeof *silent);
    int32_t *absent = must_malloc((s->world + 1) * sizeof *absent);
    int64_t last_us = 0, begun_us = s->info->started_us ? s->info->started_us : s->info->created_us,
            pause = 0;
    uint32_t silent_count = 0, talking = 0, absent_count = s->world ? never_started(s, absent) : 0;
    int is_hung = 1;

    for (uint32_t i = 0; i < s->d->rank_count; i++) {
        const struct digest_rank *r = &s->d->ranks[i];
        if (heard(&r->last) > last_us)
            last_us = heard(&r->last);
        if (longest_pause(r) > pause)
            pause = longest_pause(r);
        if (s->world > 1 && r->rank < 0)
            continue;
        if (has_ended(s, r->rank))
            continue;
        if (is_silent(s, r))
            silent[silent_count++] = r;
        else if (s->now_us - heard(&r->last) < SILENT_US)
            talking++;
    }
    if (absent_count && s->d->lines && s->now_us - begun_us > LATE_US)
        say_never(s, absent, absent_count, begun_us);
    else if (last_us && s->now_us - last_us > ALL_SILENT_US &&
             s->now_us - last_us > HABIT_LONGEST * pause)
        say_all(s, last_us);
    else if (silent_count && talking)
        say_some(s, silent, silent_count, talking);
    else
        is_hung = 0;
    free(silent);
    free(absent);
    return is_hung;
}

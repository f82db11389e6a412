/*
 * digest/verdict_signs.c -- what tells that a rank failed: its errors, and how its process ended.
 *
 * Of every rank one sign stands for all (represent()): the earliest that is a reason or a consequence; the end of
 * the process only where no error of the rank says more.
 */
#include "digest/verdict_int.h"

#include "base/check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- how processes ended ---- */

static struct ending *ending_of(struct scene *s, int32_t rank)
{
    uint32_t at = s->ending_at[rank + 1];

    return at ? &s->endings[at - 1] : NULL;
}

const struct ending *scene__ending(const struct scene *s, int32_t rank)
{
    return ending_of((struct scene *)s, rank);
}

/* The first word on a rank's end counts, but for a signal, which a shell's exit code may hide. */
static void add_ending(struct scene *s, const struct ending *e)
{
    struct ending *old = ending_of(s, e->rank);

    if (old && old->is_known) {
        if (!old->signal && e->is_known && e->signal)
            old->signal = e->signal;
        if (!old->seq)
            old->seq = e->seq;
        return;
    }
    if (old) {
        *old = *e;
        return;
    }
    s->endings[s->ending_count++] = *e;
    s->ending_at[e->rank + 1] = s->ending_count;
}

/* Names of producers and "rank 5" in the list of who never said fin. */
static int is_missing(const struct job_info *info, const char *name)
{
    char quoted[ID_BYTES_MAX + 3];

    if (!info->missing_json)
        return 0;
    words__set(quoted, sizeof quoted, "\"%s\"", name);
    return strstr(info->missing_json, quoted) != NULL;
}

static void endings_of_producers(struct scene *s)
{
    const struct job_info *info = s->info;

    for (uint32_t i = 0; i < info->producer_count; i++) {
        const struct job_producer *p = &info->producers[i];
        struct ending e = {.rank = p->rank,
                           .is_known = p->has_exit_code,
                           .exit_code = p->exit_code,
                           .signal = p->signal,
                           .when_us = p->fin_us,
                           .is_lost = info->sealed && is_missing(info, p->id)};
        if (p->rank ==
            RECORD_RANK_NONE) { /* one command for many ranks: its end is none of theirs */
            s->has_launcher_exit |= p->has_exit_code && (p->exit_code || p->signal);
            if (s->world)
                continue;
        }
        if (e.is_known || e.is_lost || p->has_fin)
            add_ending(s, &e);
    }
}

static void endings_of_reports(struct scene *s)
{
    for (uint32_t i = 0; i < s->d->report_count; i++) {
        const struct digest_report *r = &s->d->reports[i];
        struct ending e = {.rank = r->rank,
                           .is_known = r->has_exit_code || r->signal,
                           .exit_code = r->exit_code,
                           .signal = r->signal,
                           .when_us = r->at.recv_us,
                           .seq = r->at.seq};
        if (r->rank == RECORD_RANK_NONE)
            continue;
        if (r->is_root) { /* of several the last: earlier ones were restarted */
            s->root_rank = r->rank;
            s->root_seq = r->at.seq;
            s->root_exit_code = r->exit_code;
            s->root_signal = r->signal;
        }
        if (e.is_known)
            add_ending(s, &e);
    }
    s->root_is_alone = s->root_rank >= 0;
    for (uint32_t i = 0; i < s->d->report_count; i++) {
        const struct digest_report *r = &s->d->reports[i];
        if (r->rank != s->root_rank && (r->exit_code > 0 || (r->signal && r->signal != SIGTERM)))
            s->root_is_alone = 0;
    }
}

static void endings_of_states(struct scene *s)
{
    for (uint32_t i = 0; i < s->info->history_count; i++) {
        const struct job_history *h = &s->info->history[i];
        struct ending e = {.rank = h->rank,
                           .is_known = h->has_exit_code,
                           .exit_code = (int)h->exit_code,
                           .when_us = h->at_us,
                           .seq = h->seq};
        if (!state_is_terminal(h->state) || !h->has_exit_code ||
            (h->rank == RECORD_RANK_NONE && s->world))
            continue;
        if (h->message && strstr(h->message, "killed by SIG") && h->exit_code > 128)
            e.signal = (int)h->exit_code - 128;
        add_ending(s, &e);
    }
}

void scene__endings(struct scene *s)
{
    s->ending_at = must_calloc(RECORD_RANK_MAX + 2, sizeof *s->ending_at);
    s->endings =
        must_calloc(s->info->producer_count + s->d->report_count + s->info->history_count + 1,
                    sizeof *s->endings);
    s->root_rank = RECORD_RANK_NONE;
    endings_of_producers(s);
    endings_of_reports(s);
    endings_of_states(s);
    for (uint32_t i = 0; i < s->ending_count; i++)
        s->lost_count += (uint32_t)(s->endings[i].is_lost && !s->endings[i].is_known);
}

/* ---- did it live on? ---- */

/* Values of a metric of the rank after t, at least SURVIVED_STEPS of them: it went on training. */
static int has_values_after(const struct scene *s, int32_t rank, const struct digest_at *at)
{
    for (uint32_t i = 0; i < s->d->series_count; i++) {
        const struct digest_series *m = &s->d->series[i];
        uint32_t after = 0;
        if (m->rank != rank || m->last_at.seq <= at->seq)
            continue;
        for (uint32_t k = m->point_count; k > 0 && m->points[k - 1].at_us > at->ts_us; k--)
            after++;
        if (after >= SURVIVED_STEPS || (after && m->stride >= SURVIVED_STEPS))
            return 1;
    }
    return 0;
}

/* Where only lines without a rank count steps (one launcher, many workers), they count them for all of its ranks. */
static int trained_on(const struct scene *s, const struct digest_rank *r,
                      const struct digest_at *at)
{
    const struct digest_rank *counter = r;

    if (r->step < 0 && r->rank >= 0)
        counter = digest_rank_of(s->d, RECORD_RANK_NONE, r->replica);
    if (!counter || counter->step < 0)
        return 0;
    if (counter->step_at.seq > at->seq && counter->step_at.ts_us - at->ts_us >= SURVIVED_US)
        return 1;
    return counter == r && r->rank >= 0 && has_values_after(s, r->rank, at);
}

static uint64_t lines_after(const struct scene *s, const struct digest_rank *r,
                            const struct digest_at *at)
{
    const struct digest_time *t = &s->d->time;
    uint64_t lines = 0;
    int64_t cell;

    if (!r->detail || t->cell_us <= 0)
        return 0;
    cell = at->ts_us / t->cell_us - t->cell_first + 1;
    for (int64_t i = cell < 0 ? 0 : cell; i < (int64_t)t->cell_count && i < DIGEST_CELLS_MAX; i++)
        lines += r->detail->cells[i];
    return lines;
}

static int survived(const struct scene *s, const struct sign *x)
{
    const struct digest_rank *r = digest_rank_of(s->d, x->rank, x->replica);
    const struct ending *e = scene__ending(s, x->rank);

    if (s->is_over && s->info->state == STATE_COMPLETED)
        return 1;
    if (e && e->is_known && !e->exit_code && !e->signal)
        return 1;
    if (!r)
        return 0;
    if (trained_on(s, r, &x->at))
        return 1;
    return r->step < 0 && r->last.ts_us - x->at.ts_us >= SURVIVED_LINES_US &&
           lines_after(s, r, &x->at) >= SURVIVED_LINES;
}

/* ---- signs ---- */

static void sign_of_group(const struct scene *s, const struct digest_group *g,
                          const struct digest_group_rank *gr, struct sign *x)
{
    const struct clock_of *c;

    *x = (struct sign){.rank = gr->rank,
                       .replica = gr->replica,
                       .cause = (enum cause)g->cause,
                       .group = g,
                       .at = gr->first};
    x->nature = cause_nature(x->cause);
    /* a traceback that was cut off before it said what it is about says little */
    x->is_weak = x->cause == CAUSE_NONE || !g->title || !*g->title;
    /* the last occurrence is nearer to the end than the first */
    if (gr->count > 1 && g->last_rank == gr->rank &&
        (gr->rank >= 0 || g->last_replica == gr->replica))
        x->at = g->last;
    x->when_us = scene__when(s, x->rank, x->replica, &x->at);
    c = scene__clock(s, x->rank, x->replica);
    x->error_us = c ? c->error_us : CLOCK_SERVER_US;
}

static int sign_of_ending(const struct scene *s, const struct ending *e, struct sign *x)
{
    const struct digest_rank *r = digest_rank_of(s->d, e->rank, 0);

    *x = (struct sign){
        .rank = e->rank, .error_us = CLOCK_SERVER_US, .when_us = e->when_us, .at.seq = e->seq};
    if (r)
        x->replica = r->replica;
    if (e->is_known)
        x->cause = cause_of_exit(e->exit_code, e->signal);
    else if (e->is_lost && s->lost_count <= 1 + s->world / LOST_SHARE)
        x->cause = CAUSE_LOST;
    if (x->cause == CAUSE_NONE)
        return 0;
    if (x->cause == CAUSE_LOST && r) { /* gone after its last line */
        x->at = r->last;
        x->when_us = scene__when(s, e->rank, r->replica, &r->last);
    }
    x->nature = cause_nature(x->cause);
    return 1;
}

/* Does a later error say what the earlier one only announced? A lost peer announces nothing. */
static int is_told_by(const struct sign *earlier, const struct sign *later)
{
    return later->nature == CAUSE_PRIMARY && earlier->nature != CAUSE_PRIMARY &&
           later->when_us - earlier->when_us < UPGRADE_US &&
           (earlier->nature != CAUSE_CASCADE || !earlier->group->is_block);
}

/* How much a sign says of its rank: more than another one? */
static int says_more(const struct sign *a, const struct sign *b)
{
    int a_end = !a->group, b_end = !b->group;

    if (a->is_weak !=
        b->is_weak) { /* an error line without a name is less than all but an exit code */
        const struct sign *named = a->is_weak ? b : a;
        if (named->group || named->cause != CAUSE_EXIT_CODE)
            return b->is_weak;
        return a->is_weak;
    }
    if (a_end != b_end)
        return !a_end;
    return a->when_us < b->when_us || (a->when_us == b->when_us && a->at.seq < b->at.seq)
               ? !is_told_by(a, b)
               : is_told_by(b, a);
}

static void represent(struct scene *s, const struct sign *x)
{
    uint32_t *at = x->rank < 0 ? &s->nameless_at[x->replica < s->nameless_count ? x->replica : 0]
                               : &s->sign_at[x->rank];

    if (!*at) {
        s->signs[s->sign_count++] = *x;
        *at = s->sign_count;
    } else if (says_more(x, &s->signs[*at - 1])) {
        s->signs[*at - 1] = *x;
    }
}

static int by_when(const void *a, const void *b)
{
    const struct sign *x = a, *y = b;

    if (x->when_us != y->when_us)
        return x->when_us < y->when_us ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

void scene__signs(struct scene *s)
{
    const struct digest *d = s->d;
    uint64_t max = s->ending_count + 1;
    struct sign x;

    for (uint32_t i = 0; i < d->group_count; i++)
        max += d->groups[i].rank_listed;
    s->signs = must_calloc(max, sizeof *s->signs);
    s->sign_at = must_calloc(RECORD_RANK_MAX + 1, sizeof *s->sign_at);
    s->nameless_count = d->replica_count ? d->replica_count : 1;
    s->nameless_at = must_calloc(s->nameless_count, sizeof *s->nameless_at);
    for (uint32_t i = 0; i < d->group_count; i++) {
        const struct digest_group *g = &d->groups[i];
        if (cause_nature((enum cause)g->cause) == CAUSE_NOTICE) {
            s->launcher = g;
            continue;
        }
        if (g->level < LEVEL_ERROR && g->cause == CAUSE_NONE)
            continue;
        for (uint32_t k = 0; k < g->rank_listed; k++) {
            sign_of_group(s, g, &g->ranks[k], &x);
            if (!survived(s, &x))
                represent(s, &x);
        }
    }
    for (uint32_t i = 0; i < s->ending_count; i++)
        if (sign_of_ending(s, &s->endings[i], &x))
            represent(s, &x);
    qsort(s->signs, s->sign_count, sizeof *s->signs, by_when);
    free(s->sign_at);
    free(s->nameless_at);
}

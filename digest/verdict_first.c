/*
 * digest/verdict_first.c -- which rank failed first, and how sure that is.
 *
 * Candidates are the signs that are reasons of their own. One: it is the first. Several: their order must be
 * wider than the clocks' error. None: what is left are consequences, and the question becomes who is missing among
 * those that complain (scene__peers_only).
 */
#include "digest/verdict_int.h"

#include "base/check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CERTAIN_MARGIN_US                                                                          \
    100000 /* a second reason so much later does not make the first one doubtful */
#define ABRUPT_US                                                                                  \
    (2 * SECOND_US)       /* the end of a process that could say nothing is reported within this */
#define SAME_US SECOND_US /* ranks that fail the same way within this have no first */

struct first {
    const struct sign **own; /* candidates, by time */
    uint32_t count;
    const struct sign *first;
};

static int is_abrupt(const struct sign *x)
{
    return !x->group &&
           (x->cause == CAUSE_SIGKILL || x->cause == CAUSE_SEGFAULT || x->cause == CAUSE_BUS_ERROR);
}

/* The earliest sign of another rank; own: of those that are no reasons of their own, 0, or that are, 1; -1: any. */
static const struct sign *earliest_other(const struct scene *s, const struct sign *but, int own)
{
    for (uint32_t i = 0; i < s->sign_count; i++) {
        const struct sign *x = &s->signs[i];
        if (x == but || (x->rank == but->rank && x->replica == but->replica))
            continue;
        if (own < 0 || (own == sign_is_own(x) && !x->is_weak) || (!own && x->is_weak))
            return x;
    }
    return NULL;
}

/* An end that came long after the first sign of all is no reason: the rank was killed for it. */
static int came_later(const struct scene *s, const struct sign *x)
{
    return !x->group && x->cause != CAUSE_LOST && s->sign_count &&
           x->when_us - s->signs[0].when_us > EXIT_LATE_US;
}

static void gather(struct scene *s, struct first *f)
{
    for (int rest = 0; rest < 3 && !f->count;
         rest++) /* named reasons; else who is lost; else nameless errors */
        for (uint32_t i = 0; i < s->sign_count; i++) {
            const struct sign *x = &s->signs[i];
            int kind = x->is_weak ? 2 : x->cause == CAUSE_LOST ? 1 : 0;
            if (sign_is_own(x) && kind == rest && !came_later(s, x))
                f->own[f->count++] = x;
        }
}

/* The same nameless error on several ranks: more likely their answer to something than its reason. */
static int is_shared(const struct sign *x)
{
    return x->nature != CAUSE_PRIMARY && x->group && x->group->rank_count > 1;
}

/* The earliest is not always the first to be believed. */
static void choose(const struct scene *s, struct first *f)
{
    f->first = f->own[0];
    for (uint32_t i = 1; i < f->count; i++) {
        const struct sign *x = f->own[i], *old = f->first;
        int64_t later = x->when_us - old->when_us;
        int is_close = later <= scene__pair_error(s, old, x);
        if (old->rank < 0 && x->rank >= 0 && old->group == x->group)
            f->first = x; /* the same, with its rank */
        else if (is_close && x->nature == CAUSE_PRIMARY && is_shared(old) && !is_shared(x))
            f->first = x;
        else if (is_abrupt(x) && !is_abrupt(old) && old->nature != CAUSE_PRIMARY &&
                 later < ABRUPT_US)
            f->first = x;
        else if (!old->group && !x->group && x->rank == s->root_rank && old->rank != s->root_rank &&
                 later <= CLOCK_SERVER_US)
            f->first = x; /* ends told by one report: it says which was first */
    }
}

static int same_way(const struct sign *a, const struct sign *b)
{
    return a->cause == b->cause && (a->group == b->group || !a->group == !b->group) &&
           (a->group == b->group || a->nature == CAUSE_PRIMARY);
}

/* How many candidates failed as the first one did, and at about the same time. */
static uint32_t count_same(const struct first *f, uint32_t *ret_near)
{
    uint32_t same = 0;

    *ret_near = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        if (!same_way(f->first, f->own[i]))
            continue;
        same++;
        *ret_near += f->own[i]->when_us - f->first->when_us <= SAME_US;
    }
    return same;
}

static void name_ranks(const struct first *f, const struct sign *like, struct buf *out)
{
    int32_t *ranks = must_malloc(f->count * sizeof *ranks);
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->count; i++)
        if (f->own[i]->rank >= 0 && (!like || same_way(like, f->own[i])))
            ranks[n++] = f->own[i]->rank;
    words__ranks(out, ranks, n);
    free(ranks);
}

/* ---- what is said ---- */

static const char *replica_of(const struct scene *s, const struct sign *x)
{
    return x->replica < s->d->replica_count ? s->d->replicas[x->replica] : "";
}

static void take(struct scene *s, const struct sign *x, enum verdict_confidence c)
{
    struct verdict *v = s->v;

    v->kind = VERDICT_KIND_FAILED;
    v->rank = x->rank;
    v->replica = replica_of(s, x);
    v->cause = x->cause;
    v->group = x->group;
    v->confidence = c;
    if (v->rank < 0 && s->world && s->root_rank >= 0 &&
        s->root_is_alone) { /* lines without ranks, and a launcher that tells */
        v->rank = s->root_rank;
        if (c == VERDICT_CERTAIN)
            v->confidence = VERDICT_LIKELY;
    }
}

static void margin_of(struct scene *s, const struct sign *x)
{
    const struct sign *next = earliest_other(s, x, -1);
    struct verdict *v = s->v;

    if (!next)
        return;
    v->clock_error_us = scene__pair_error(s, x, next);
    v->has_clock_error = 1;
    if (!x->group && x->cause != CAUSE_LOST)
        return; /* the end is known by its report only, which came later */
    v->margin_us = next->when_us - x->when_us;
    v->has_margin = 1;
}

/* "Ranks 0-2 failed in consequence." */
static void say_consequences(struct scene *s, const struct sign *x)
{
    int32_t *ranks = must_malloc((s->sign_count + 1) * sizeof *ranks);
    struct buf out = BUF_INIT;
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->sign_count; i++)
        if (s->signs[i].rank >= 0 && s->signs[i].rank != s->v->rank && (&s->signs[i] != x))
            ranks[n++] = s->signs[i].rank;
    if (n) {
        words__ranks(&out, ranks, n);
        out.data[0] = 'R';
        words__say(s->v, " %s failed in consequence.",
                   out.len < 120 ? buf_cstr(&out) : "The other ranks");
    }
    free(ranks);
    buf_release(&out);
}

static void say_ending(struct scene *s, const struct sign *x)
{
    const struct ending *e = scene__ending(s, x->rank);
    char sig[24];

    if (!e || !e->is_known || (!e->exit_code && !e->signal))
        return;
    if (e->signal)
        words__evidence(s->v, e->seq, "its process was ended by %s", words__signal(e->signal, sig));
    else
        words__evidence(s->v, e->seq, "its process ended with exit code %d", e->exit_code);
}

static void say_launcher(struct scene *s)
{
    if (s->root_rank < 0)
        return;
    if (s->root_rank == s->v->rank)
        words__evidence(s->v, s->root_seq,
                        "the launcher's report names rank %d as the first failure it saw",
                        (int)s->root_rank);
    else if (s->v->rank < 0)
        words__evidence(
            s->v, s->root_seq,
            "the launcher's report names rank %d first, of several that had failed when it looked",
            (int)s->root_rank);
    else
        words__evidence(s->v, s->root_seq,
                        "the launcher's report names rank %d, the first it looked at; that rank's "
                        "own error is a consequence",
                        (int)s->root_rank);
}

static void say_first(struct scene *s, const struct sign *x)
{
    struct verdict *v = s->v;
    char what[400], margin[32], error[32];
    const char *sure = v->confidence == VERDICT_CERTAIN  ? ""
                       : v->confidence == VERDICT_LIKELY ? "most likely "
                                                         : "perhaps ";

    margin_of(s, x);
    words__what(x->cause, x->group, what, sizeof what);
    if (v->rank >= 0 && s->world > 1) {
        words__say(v, "Rank %d %sfailed first", (int)v->rank, sure);
        if (v->has_margin && v->margin_us > v->clock_error_us)
            words__say(v, ", %s before any other (clock error %s)",
                       words__time(v->margin_us, margin), words__time(v->clock_error_us, error));
        words__say(v, ": %s.", what);
    } else if (s->world > 1) {
        words__say(v, "A rank whose number its lines do not tell %sfailed first: %s.", sure, what);
    } else {
        words__say(v, "The job failed%s: %s.",
                   v->confidence == VERDICT_CERTAIN ? "" : ", most likely of this", what);
    }
    if (x->group)
        words__evidence(v, x->at.seq, "%s", what);
    else if (x->cause == CAUSE_LOST)
        words__evidence(v, x->at.seq,
                        "its last line; nothing was heard of it afterwards, and its agent never "
                        "said how it ended");
    say_ending(s, x);
    say_launcher(s);
    say_consequences(s, x);
}

/* ---- several reasons ---- */

static void say_same(struct scene *s, const struct first *f, uint32_t same)
{
    const struct sign *x = f->first;
    struct verdict *v = s->v;
    struct buf ranks = BUF_INIT;
    char what[400];

    take(s, x, VERDICT_CERTAIN);
    v->rank = RECORD_RANK_NONE;
    v->replica = "";
    words__what(x->cause, x->group, what, sizeof what);
    name_ranks(f, x, &ranks);
    ranks.data[0] = 'R';
    if (same >= s->world && same == 2)
        words__say(v, "Both ranks failed the same way: %s.", what);
    else if (same >= s->world)
        words__say(v, "All %u ranks failed the same way: %s.", (unsigned)s->world, what);
    else
        words__say(v, "%s failed the same way at the same time: %s.", buf_cstr(&ranks), what);
    words__evidence(v, x->at.seq, "%s, here on rank %d", what, (int)x->rank);
    buf_release(&ranks);
}

static void say_tie(struct scene *s, const struct sign *x, const struct sign *y)
{
    struct verdict *v = s->v;
    char a[320], b[320], margin[32], error[32];

    v->kind = VERDICT_KIND_CANNOT_TELL;
    v->confidence = VERDICT_UNSURE;
    v->has_margin = v->has_clock_error = 1;
    v->margin_us = y->when_us - x->when_us;
    v->clock_error_us = scene__pair_error(s, x, y);
    words__what(x->cause, x->group, a, 160);
    words__what(y->cause, y->group, b, 160);
    words__say(v,
               "Cannot tell: rank %d (%s) and rank %d (%s) failed %s apart, which the clocks do "
               "not order (error %s).",
               (int)x->rank, a, (int)y->rank, b,
               words__time(v->margin_us < 0 ? -v->margin_us : v->margin_us, margin),
               words__time(v->clock_error_us, error));
    words__evidence(v, x->at.seq, "rank %d: %s", (int)x->rank, a);
    words__evidence(v, y->at.seq, "rank %d: %s", (int)y->rank, b);
}

/* The next candidate of another rank that did not fail in the same way. */
static const struct sign *second_of(const struct first *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->own[i] != f->first && f->own[i]->group != f->first->group &&
            f->own[i]->rank != f->first->rank)
            return f->own[i];
    return NULL;
}

static enum verdict_confidence confidence_of(const struct scene *s, const struct sign *x,
                                             const struct sign *second)
{
    enum verdict_confidence c = VERDICT_CERTAIN;
    const struct sign *before = earliest_other(s, x, 0);

    if (x->is_weak || x->cause == CAUSE_LOST ||
        (!x->group && x->cause == CAUSE_EXIT_CODE && s->sign_count > 1))
        c = VERDICT_LIKELY;
    if (second) {
        int64_t margin = second->when_us - x->when_us;
        if (margin < CERTAIN_MARGIN_US + 3 * scene__pair_error(s, x, second))
            c = VERDICT_LIKELY;
    }
    if (before && x->group && x->when_us - before->when_us > scene__pair_error(s, x, before))
        c = x->when_us - before->when_us > ABRUPT_US ? VERDICT_UNSURE : VERDICT_LIKELY;
    return c;
}

static void several(struct scene *s, struct first *f)
{
    const struct sign *x, *second;
    uint32_t near, same;
    int64_t margin;

    choose(s, f);
    x = f->first;
    same = count_same(f, &near);
    if (same > 1 && x->rank >= 0 && near == same && (same >= s->world || same == f->count)) {
        const struct sign *next = earliest_other(s, x, 1);
        if (same >= s->world || !next ||
            next->when_us - x->when_us <= scene__pair_error(s, x, next)) {
            say_same(s, f, same);
            return;
        }
    }
    second = second_of(f);
    margin = second ? second->when_us - x->when_us : 0;
    if (second && second->rank >= 0 && x->rank >= 0 && margin <= scene__pair_error(s, x, second) &&
        !(is_shared(second) && !is_shared(x)) && !is_abrupt(x) && x->rank != s->root_rank) {
        say_tie(s, x, second);
        return;
    }
    take(s, x, confidence_of(s, x, second));
    say_first(s, x);
}

/* ---- consequences only ---- */

static int is_told(const struct sign *x)
{
    return x->cause == CAUSE_TERMINATED || x->cause == CAUSE_INTERRUPTED;
}

/* Ranks without a complaint of their own while everybody else complains of a peer; the number of them. */
static uint32_t absent(const struct scene *s, const struct digest_rank **ret)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->d->rank_count; i++) {
        const struct digest_rank *r = &s->d->ranks[i];
        int complains = 0;
        if (r->rank < 0)
            continue;
        for (uint32_t k = 0; k < s->sign_count && !complains; k++)
            complains = s->signs[k].rank == r->rank && !is_told(&s->signs[k]) &&
                        !came_later(s, &s->signs[k]);
        if (complains)
            continue;
        *ret = r;
        if (++n > 1)
            break;
    }
    return n;
}

static void say_stuck(struct scene *s, const struct digest_rank *r, const struct sign *complaint)
{
    struct verdict *v = s->v;
    int64_t silent = complaint->when_us - scene__when(s, r->rank, r->replica, &r->last);
    char what[400], text[32];

    v->kind = VERDICT_KIND_FAILED;
    v->rank = r->rank;
    v->replica = r->replica < s->d->replica_count ? s->d->replicas[r->replica] : "";
    v->cause = CAUSE_STUCK;
    v->confidence = silent > STUCK_US ? VERDICT_LIKELY : VERDICT_UNSURE;
    words__what(complaint->cause, complaint->group, what, sizeof what);
    words__say(v,
               "Rank %d %s stuck: its peers waited for it in vain, while it shows no error of its "
               "own and said nothing for %s "
               "before the first of them gave up: %s.",
               (int)r->rank, v->confidence == VERDICT_LIKELY ? "was most likely" : "was perhaps",
               words__time(silent, text), what);
    words__evidence(v, r->last.seq, "the last line of rank %d", (int)r->rank);
    words__evidence(v, complaint->at.seq, "rank %d: %s", (int)complaint->rank, what);
    say_ending(s, &(struct sign){.rank = r->rank});
}

static void say_told(struct scene *s, const struct sign *x, uint32_t told)
{
    char what[400];

    words__what(x->cause, x->group, what, sizeof what);
    if (told == 1 && s->world > 1) {
        take(s, x, s->sign_count > 1 ? VERDICT_LIKELY : VERDICT_CERTAIN);
        say_first(s, x);
        return;
    }
    take(s, x, VERDICT_LIKELY);
    if (s->world > 1) {
        s->v->rank = RECORD_RANK_NONE;
        s->v->replica = "";
        words__say(s->v,
                   "%u ranks were ended from outside, and none shows a reason of its own: %s.",
                   (unsigned)told, what);
    } else {
        words__say(s->v, "The job was ended from outside: %s.", what);
    }
    words__evidence(s->v, x->at.seq, "%s", what);
    say_ending(s, x);
}

static void say_peers(struct scene *s)
{
    const struct sign *x = &s->signs[0], *next = earliest_other(s, x, -1);
    struct verdict *v = s->v;
    char what[400];

    words__what(x->cause, x->group, what, sizeof what);
    if (s->world < 2 || (next && x->cause != CAUSE_NCCL_TIMEOUT && x->rank >= 0 &&
                         next->when_us - x->when_us > scene__pair_error(s, x, next))) {
        take(s, x, s->world < 2 ? VERDICT_LIKELY : VERDICT_UNSURE);
        say_first(s, x);
        return;
    }
    v->kind = VERDICT_KIND_CANNOT_TELL;
    v->cause = x->cause;
    v->confidence = VERDICT_UNSURE;
    words__say(v,
               "Cannot tell which rank was first: all errors are what peers say when another one "
               "is gone or stuck; the "
               "earliest is of rank %d: %s.",
               (int)x->rank, what);
    words__evidence(v, x->at.seq, "%s", what);
    if (!next)
        return;
    v->has_margin = v->has_clock_error = 1;
    v->margin_us = next->when_us - x->when_us;
    v->clock_error_us = scene__pair_error(s, x, next);
}

static void peers_only(struct scene *s)
{
    const struct digest_rank *missing = NULL;
    const struct sign *complaint = NULL, *told_first = NULL;
    uint32_t told = 0, complaints = 0;

    for (uint32_t i = 0; i < s->sign_count; i++) {
        const struct sign *x = &s->signs[i];
        if (is_told(x)) {
            told++;
            if (!told_first || (!x->group && told_first->group))
                told_first = x;
        } else if (!came_later(s, x)) {
            complaints++;
            if (!complaint)
                complaint = x;
        }
    }
    if (complaint && complaint->rank >= 0 && complaints >= 2 &&
        complaint->cause != CAUSE_CONNECTION && absent(s, &missing) == 1)
        say_stuck(s, missing, complaint);
    else if (told_first && told_first->rank >= 0 && complaints && told == 1)
        say_told(s, told_first, told);
    else if (told_first && !complaints)
        say_told(s, told_first, told);
    else
        say_peers(s);
}

/* No sign at all: the state says that it failed, nothing says why. */
static void nothing(struct scene *s)
{
    struct verdict *v = s->v;

    v->kind = VERDICT_KIND_CANNOT_TELL;
    v->confidence = VERDICT_NONE;
    if (s->launcher) {
        v->cause = (enum cause)s->launcher->cause;
        words__evidence(v, s->launcher->first.seq, "%s", s->launcher->title);
    }
    if (s->info->error_message && *s->info->error_message)
        words__say(v,
                   "Cannot tell why: the job was marked failed with \"%.200s\", and no line of the "
                   "log shows an error.",
                   s->info->error_message);
    else
        words__say(
            v,
            "Cannot tell why: the job was marked failed, and no line of the log shows an error.");
}

void scene__first(struct scene *s)
{
    struct first f = {.own = must_calloc(s->sign_count + 1, sizeof *f.own)};

    gather(s, &f);
    if (f.count)
        several(s, &f);
    else if (s->sign_count)
        peers_only(s);
    else
        nothing(s);
    free(f.own);
}

/*
 * digest/verdict_table.c -- what surrounds the sentence: roles of errors, causes, the table of ranks, the timeline.
 */
#include "digest/verdict_int.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_US (30 * SECOND_US) /* a rank's pause of this length is an event, when it is … */
#define PAUSE_SHARE 10            /* … a tenth of the job's time */
#define CAUSE_GROUP_EVENTS 60

/* ---- roles ---- */

static const struct sign *sign_of_rank(const struct scene *s, int32_t rank)
{
    for (uint32_t i = 0; i < s->sign_count; i++)
        if (s->signs[i].rank == rank)
            return &s->signs[i];
    return NULL;
}

static int is_failure(const struct verdict *v)
{
    return v->kind == VERDICT_KIND_FAILED || v->kind == VERDICT_KIND_CANNOT_TELL ||
           v->kind == VERDICT_KIND_HUNG;
}

/* A group is a consequence when it is one by nature, or began on other ranks after the culprit's error. */
static enum verdict_role role_of(const struct scene *s, const struct digest_group *g)
{
    const struct verdict *v = s->v;
    enum cause_nature nature = cause_nature((enum cause)g->cause);
    int64_t first_us = scene__when(s, g->first_rank, g->first_replica, &g->first), culprit_us;

    if (g == v->group)
        return VERDICT_ROLE_PRIMARY;
    if (!is_failure(v))
        return VERDICT_ROLE_OTHER;
    if (nature == CAUSE_NOTICE)
        return VERDICT_ROLE_CASCADE;
    for (uint32_t i = 0; i < s->sign_count; i++) {
        if (s->signs[i].group != g)
            continue;
        if (v->kind == VERDICT_KIND_CANNOT_TELL)
            return sign_is_own(&s->signs[i]) ? VERDICT_ROLE_PRIMARY : VERDICT_ROLE_CASCADE;
        if (nature == CAUSE_CASCADE)
            return VERDICT_ROLE_CASCADE;
        if (g->cause == (uint32_t)v->cause && nature == CAUSE_PRIMARY &&
            s->signs[i].rank == v->rank)
            return VERDICT_ROLE_PRIMARY;
        return VERDICT_ROLE_CASCADE;
    }
    if (!v->group)
        return nature == CAUSE_CASCADE ? VERDICT_ROLE_CASCADE : VERDICT_ROLE_OTHER;
    culprit_us = scene__when(s, v->rank, 0, &v->group->first);
    if (first_us < culprit_us - CLOCK_STEP_US)
        return VERDICT_ROLE_OTHER;
    return g->level >= LEVEL_ERROR || nature == CAUSE_CASCADE ? VERDICT_ROLE_CASCADE
                                                              : VERDICT_ROLE_OTHER;
}

static void roles(struct scene *s)
{
    s->v->group_roles =
        must_calloc(s->d->group_count ? s->d->group_count : 1, sizeof *s->v->group_roles);
    for (uint32_t i = 0; i < s->d->group_count; i++)
        s->v->group_roles[i] = role_of(s, &s->d->groups[i]);
}

/* ---- causes ---- */

static struct verdict_cause *cause_entry(struct verdict *v, enum cause c, enum verdict_role role)
{
    for (uint32_t i = 0; i < v->cause_count; i++)
        if (v->causes[i].cause == c && v->causes[i].role == role)
            return &v->causes[i];
    v->causes[v->cause_count] =
        (struct verdict_cause){.cause = c, .role = role, .rank = RECORD_RANK_NONE};
    return &v->causes[v->cause_count++];
}

static int role_order(enum verdict_role r)
{
    return r == VERDICT_ROLE_PRIMARY ? 0 : r == VERDICT_ROLE_CASCADE ? 1 : 2;
}

static int by_role(const void *a, const void *b)
{
    const struct verdict_cause *x = a, *y = b;

    if (x->role != y->role)
        return role_order(x->role) - role_order(y->role);
    return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

/* Ranks of all groups of this cause and role. */
static void name_cause_ranks(const struct scene *s, struct verdict_cause *c)
{
    int32_t *ranks = NULL;
    uint32_t n = 0, last = 0;

    for (uint32_t i = 0; i < s->d->group_count; i++)
        if (8 * s->d->groups[i].rank_bits_bytes > last)
            last = 8 * s->d->groups[i].rank_bits_bytes;
    ranks = must_malloc((last + 1) * sizeof *ranks);
    for (uint32_t r = 0; r < last; r++)
        for (uint32_t i = 0; i < s->d->group_count; i++)
            if ((enum cause)s->d->groups[i].cause == c->cause && s->v->group_roles[i] == c->role &&
                digest_group_has_rank(&s->d->groups[i], (int32_t)r)) {
                ranks[n++] = (int32_t)r;
                break;
            }
    if (n) {
        words__ranks(&c->ranks, ranks, n);
        buf_consume(&c->ranks, n == 1 ? 5 : 6); /* "rank ", "ranks " */
    }
    free(ranks);
}

static void causes(struct scene *s)
{
    struct verdict *v = s->v;

    v->causes = must_calloc(s->d->group_count + 2, sizeof *v->causes);
    for (uint32_t i = 0; i < s->d->group_count; i++) {
        const struct digest_group *g = &s->d->groups[i];
        struct verdict_cause *c;
        if (g->cause == CAUSE_NONE)
            continue;
        c = cause_entry(v, (enum cause)g->cause, v->group_roles[i]);
        c->count += g->count;
        if (c->first.seq && !(g == v->group))
            continue;
        c->first = g->first;
        c->rank = g->first_rank;
        c->at_us = scene__when(s, g->first_rank, g->first_replica, &g->first);
        c->line = g->title;
    }
    for (uint32_t i = 0; i < v->cause_count; i++)
        name_cause_ranks(s, &v->causes[i]);
    if (is_failure(v) && v->cause != CAUSE_NONE && !v->group &&
        v->kind != VERDICT_KIND_CANNOT_TELL) { /* told by the process' end */
        struct verdict_cause *c = cause_entry(v, v->cause, VERDICT_ROLE_PRIMARY);
        const struct sign *x = sign_of_rank(s, v->rank);
        if (!c->count) {
            c->count = 1;
            c->rank = v->rank;
            c->line = "";
            if (x)
                c->first = x->at, c->at_us = x->when_us;
            if (v->rank >= 0)
                must_have(buf_addf(&c->ranks, "%d", (int)v->rank));
        }
    }
    qsort(v->causes, v->cause_count, sizeof *v->causes, by_role);
}

/* ---- ranks ---- */

static enum verdict_status status_of(const struct scene *s, const struct verdict_rank *r)
{
    const struct verdict *v = s->v;
    const struct sign *x = sign_of_rank(s, r->rank);
    const struct ending *e = scene__ending(s, r->rank);

    if (!r->entry && !e)
        return VERDICT_STATUS_NEVER_STARTED;
    if (v->kind == VERDICT_KIND_HUNG && v->hung.kind != VERDICT_HUNG_NEVER_STARTED &&
        r->rank == v->rank)
        return VERDICT_STATUS_SILENT;
    if (v->kind == VERDICT_KIND_FAILED && r->rank == v->rank && (r->rank >= 0 || s->world < 2))
        return VERDICT_STATUS_FAILED_FIRST;
    if (r->has_exit_code && !r->exit_code && !r->signal)
        return VERDICT_STATUS_OK;
    if (x && (s->is_over || x->group || r->has_exit_code)) {
        if (!x->group && r->signal)
            return VERDICT_STATUS_KILLED;
        if (!sign_is_own(x))
            return v->rank >= 0 || v->kind == VERDICT_KIND_CANNOT_TELL ? VERDICT_STATUS_CASCADE
                                                                       : VERDICT_STATUS_FAILED;
        if (v->kind == VERDICT_KIND_FAILED && v->rank >= 0 &&
            (x->is_weak || x->nature != CAUSE_PRIMARY))
            return VERDICT_STATUS_CASCADE;
        return VERDICT_STATUS_FAILED;
    }
    if (s->is_over && s->info->state == STATE_COMPLETED)
        return VERDICT_STATUS_OK;
    if (v->is_live) {
        if (v->kind == VERDICT_KIND_HUNG && v->hung.kind != VERDICT_HUNG_NEVER_STARTED &&
            (v->hung.kind == VERDICT_HUNG_ALL_SILENT || r->rank == v->rank ||
             r->silent_us >= v->hung.silent_us))
            return VERDICT_STATUS_SILENT;
        return VERDICT_STATUS_RUNNING;
    }
    return e && e->when_us && !e->is_lost ? VERDICT_STATUS_OK : VERDICT_STATUS_SILENT;
}

static void fill_rank(struct scene *s, struct verdict_rank *r, int32_t rank,
                      const struct digest_rank *entry)
{
    const struct ending *e = scene__ending(s, rank);

    *r = (struct verdict_rank){.rank = rank,
                               .replica = "",
                               .entry = entry,
                               .age_at_end_us = -1,
                               .silent_us = -1,
                               .step = -1,
                               .step_lag = -1};
    if (entry) {
        r->replica = entry->replica < s->d->replica_count ? s->d->replicas[entry->replica] : "";
        r->errors = (uint64_t)entry->levels[LEVEL_ERROR] + entry->levels[LEVEL_FATAL];
        r->last_us = scene__when(s, rank, entry->replica, &entry->last);
        r->age_at_end_us = s->end_us > r->last_us ? s->end_us - r->last_us : 0;
        if (s->v->is_live)
            r->silent_us = s->now_us > entry->last.recv_us ? s->now_us - entry->last.recv_us : 0;
        r->step = entry->step;
        if (entry->step >= 0)
            r->step_lag = s->step_max - entry->step;
        r->skew_us = scene__skew(s, entry);
    }
    if (e) {
        r->has_exit_code = e->is_known;
        r->exit_code = e->exit_code;
        r->signal = e->signal;
        r->exit_us = e->when_us;
    }
    r->status = status_of(s, r);
}

static void ranks(struct scene *s)
{
    struct verdict *v = s->v;
    const struct digest *d = s->d;
    uint32_t declared =
        s->info->ranks_declared > JOB_RANKS_MAX ? JOB_RANKS_MAX : s->info->ranks_declared;
    uint32_t all = d->rank_count + declared, next = 0;

    v->ranks =
        must_calloc((all < VERDICT_RANKS_MAX ? all : VERDICT_RANKS_MAX) + 1, sizeof *v->ranks);
    for (uint32_t i = 0; i < d->rank_count || next < declared;) {
        const struct digest_rank *entry = i < d->rank_count ? &d->ranks[i] : NULL;
        int32_t rank;
        if (entry && (entry->rank < 0 || (uint32_t)entry->rank <= next || next >= declared)) {
            i++;
            rank = entry->rank;
            if (rank >= 0 && (uint32_t)rank >= next)
                next = (uint32_t)rank + 1;
        } else {
            rank = (int32_t)next++;
            entry = NULL;
        }
        if (!entry && !s->has_ranks && d->lines)
            continue; /* lines without ranks: who is missing is not known */
        if (v->rank_count < VERDICT_RANKS_MAX ||
            (rank == v->rank && v->rank_count == VERDICT_RANKS_MAX))
            fill_rank(s, &v->ranks[v->rank_count++], rank, entry);
        else
            v->ranks_omitted++;
    }
}

/* ---- timeline ---- */

static void event(struct verdict *v, int64_t at_us, uint64_t seq, enum verdict_event_what what,
                  int32_t rank, const char *text)
{
    struct verdict_event *e;

    if (v->event_count == VERDICT_EVENTS_MAX) {
        v->events_omitted++;
        return;
    }
    e = &v->events[v->event_count++];
    *e = (struct verdict_event){.at_us = at_us, .seq = seq, .what = what, .rank = rank};
    words__set(e->text, sizeof e->text, "%s", text);
}

static void state_events(struct scene *s)
{
    char text[VERDICT_TEXT_BYTES];

    for (uint32_t i = 0; i < s->info->history_count; i++) {
        const struct job_history *h = &s->info->history[i];
        words__set(text, sizeof text, "%s%s%s", state_short(h->state),
                   h->message && *h->message ? ": " : "", h->message ? h->message : "");
        event(s->v, h->at_us, h->seq,
              state_is_terminal(h->state) ? VERDICT_EVENT_END : VERDICT_EVENT_STATE, h->rank, text);
    }
}

static void error_events(struct scene *s)
{
    char text[VERDICT_TEXT_BYTES];
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->d->group_count && n < CAUSE_GROUP_EVENTS; i++) {
        const struct digest_group *g = &s->d->groups[i];
        if (g->level < LEVEL_ERROR && g->cause == CAUSE_NONE)
            continue;
        words__set(text, sizeof text, "%.*s%s", (int)strcspn(g->title ? g->title : "", "\r\n"),
                   g->title ? g->title : "",
                   s->v->group_roles[i] == VERDICT_ROLE_CASCADE && g->rank_count > 1
                       ? " (and on other ranks)"
                       : "");
        event(s->v, scene__when(s, g->first_rank, g->first_replica, &g->first), g->first.seq,
              VERDICT_EVENT_ERROR, g->first_rank, text);
        n++;
    }
}

static void pause_events(struct scene *s)
{
    const struct digest *d = s->d;
    int64_t all = d->last.ts_us - d->first.ts_us;
    char text[64], span[32];

    for (uint32_t i = 0; i < d->rank_count && i < DIGEST_DETAILS_MAX; i++) {
        const struct digest_rank *r = &d->ranks[i];
        const struct clock_of *c = &s->clocks[i];
        int64_t pause = r->detail ? r->detail->silence.to_us - r->detail->silence.from_us : 0;
        if (pause < PAUSE_US || pause * PAUSE_SHARE < all)
            continue;
        words__set(text, sizeof text, "silent for %s", words__time(pause, span));
        event(s->v, r->detail->silence.from_us + c->offset_us, r->detail->silence.from_seq,
              VERDICT_EVENT_SILENCE, r->rank, text);
        event(s->v, r->detail->silence.to_us + c->offset_us, 0, VERDICT_EVENT_RESUME, r->rank,
              "talks again");
    }
    if (s->v->kind == VERDICT_KIND_HUNG && s->v->hung.since_us)
        event(s->v, s->v->hung.since_us, 0, VERDICT_EVENT_SILENCE, s->v->rank,
              "silent from here on");
}

static void gap_events(struct scene *s)
{
    char text[VERDICT_TEXT_BYTES];

    for (uint32_t i = 0; i < s->d->gap_count; i++) {
        const struct digest_gap *g = &s->d->gaps[i];
        words__set(text, sizeof text, "%llu %s lost%s%s", (unsigned long long)(g->to - g->from + 1),
                   g->is_lost ? "records" : "lines", g->reason && *g->reason ? ": " : "",
                   g->reason ? g->reason : "");
        event(s->v, g->at.recv_us ? g->at.recv_us : s->end_us, g->at.seq, VERDICT_EVENT_GAP,
              g->rank, text);
    }
}

static void end_events(struct scene *s)
{
    char text[64], sig[24];

    for (uint32_t i = 0; i < s->ending_count; i++) {
        const struct ending *e = &s->endings[i];
        if (!e->is_known || !e->when_us || (!e->exit_code && !e->signal && s->ending_count > 16))
            continue;
        if (e->signal)
            words__set(text, sizeof text, "process ended by %s", words__signal(e->signal, sig));
        else
            words__set(text, sizeof text, "process ended with exit code %d", e->exit_code);
        event(s->v, e->when_us, e->seq, VERDICT_EVENT_END, e->rank, text);
    }
}

static int by_time(const void *a, const void *b)
{
    const struct verdict_event *x = a, *y = b;

    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

void scene__tables(struct scene *s)
{
    roles(s);
    causes(s);
    ranks(s);
    s->v->events = must_calloc(VERDICT_EVENTS_MAX, sizeof *s->v->events);
    state_events(s);
    error_events(s);
    pause_events(s);
    gap_events(s);
    end_events(s);
    qsort(s->v->events, s->v->event_count, sizeof *s->v->events, by_time);
}

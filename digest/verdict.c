/*
 * digest/verdict.c -- the verdict by the job's state; failures and hangs are weighed in verdict_first.c and _hung.c.
 */
#include "digest/verdict_int.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* How many ranks there are: declared, else the highest seen + 1; 0 when lines have none. */
static uint32_t world_of(const struct digest *d, const struct job_info *info, int *ret_has_ranks)
{
    int32_t highest = -1;

    for (uint32_t i = 0; i < d->rank_count; i++)
        if (d->ranks[i].rank > highest)
            highest = d->ranks[i].rank;
    for (uint32_t i = 0; i < info->producer_count; i++)
        if (info->producers[i].rank > highest)
            highest = info->producers[i].rank;
    *ret_has_ranks = highest >= 0;
    for (uint32_t i = 0; i < d->report_count; i++)
        if (d->reports[i].rank > highest)
            highest = d->reports[i].rank;
    return info->ranks_declared > (uint32_t)(highest + 1) ? info->ranks_declared
                                                          : (uint32_t)(highest + 1);
}

static const struct job_history *terminal(const struct job_info *info)
{
    for (uint32_t i = info->history_count; i > 0; i--)
        if (state_is_terminal(info->history[i - 1].state))
            return &info->history[i - 1];
    return NULL;
}

static void say_duration(struct scene *s)
{
    int64_t from = s->info->started_us ? s->info->started_us : s->info->created_us;
    char text[32];

    if (s->end_us > from)
        words__say(s->v, " after %s", words__time(s->end_us - from, text));
}

static void deploy_failed(struct scene *s)
{
    const struct job_history *h = terminal(s->info);
    const char *message = h && h->message && *h->message ? h->message : s->info->error_message;
    struct verdict *v = s->v;

    v->kind = VERDICT_KIND_DEPLOY_FAILED;
    v->confidence = VERDICT_CERTAIN;
    v->cause = CAUSE_DEPLOY_FAILED;
    if (message && cause_of_line(message, strlen(message), 1) != CAUSE_NONE)
        v->cause = cause_of_line(message, strlen(message), 1);
    for (uint32_t i = 0; i < s->d->group_count && v->cause == CAUSE_DEPLOY_FAILED; i++) {
        const struct digest_group *g = &s->d->groups[i];
        if (g->cause == CAUSE_NONE || cause_nature((enum cause)g->cause) != CAUSE_PRIMARY)
            continue;
        v->cause = (enum cause)g->cause;
    }
    for (uint32_t i = 0; i < s->d->group_count && !v->group; i++)
        if ((enum cause)s->d->groups[i].cause == v->cause)
            v->group = &s->d->groups[i];
    words__say(v, "The job never ran: its deployment failed");
    say_duration(s);
    if (v->cause != CAUSE_DEPLOY_FAILED)
        words__say(v, ": %s", cause_title(v->cause));
    if (message && *message)
        words__say(v, ": %.300s", message);
    else if (v->group)
        words__say(v, ": %.300s", v->group->title);
    words__say(v, ".");
    if (h && h->seq)
        words__evidence(v, h->seq, "%s", message && *message ? message : "the state DEPLOY_FAILED");
    if (v->group)
        words__evidence(v, v->group->first.seq, "%s", v->group->title);
}

/* The earliest reason of its own that came before t. */
static const struct sign *reason_before(const struct scene *s, int64_t t)
{
    for (uint32_t i = 0; i < s->sign_count; i++)
        if (sign_is_own(&s->signs[i]) && !s->signs[i].is_weak && s->signs[i].group &&
            s->signs[i].when_us < t)
            return &s->signs[i];
    return NULL;
}

static void stopped(struct scene *s)
{
    const struct job_history *h = terminal(s->info);
    const struct sign *x = reason_before(s, s->end_us - SECOND_US);
    struct verdict *v = s->v;
    char what[400], text[32];

    v->kind = VERDICT_KIND_STOPPED;
    v->confidence = VERDICT_CERTAIN;
    words__say(v, "Stopped, not failed: somebody ended the job");
    say_duration(s);
    if (h && h->message && *h->message)
        words__say(v, " (%.200s)", h->message);
    words__say(v, ".");
    if (h && h->seq)
        words__evidence(v, h->seq, "the state STOPPED");
    if (!x)
        return;
    words__what(x->cause, x->group, what, sizeof what);
    words__say(v, " But %s before that rank %d had failed: %s.",
               words__time(s->end_us - x->when_us, text), (int)x->rank, what);
    words__evidence(v, x->at.seq, "%s", what);
}

static uint64_t error_lines(const struct digest *d)
{
    return d->levels[LEVEL_ERROR] + d->levels[LEVEL_FATAL];
}

static void completed(struct scene *s)
{
    struct verdict *v = s->v;
    uint64_t errors = error_lines(s->d);

    v->kind = VERDICT_KIND_COMPLETED;
    v->confidence = VERDICT_CERTAIN;
    if (s->world > 1)
        words__say(v, "Completed: all %u ranks ended in order", (unsigned)s->world);
    else
        words__say(v, "Completed");
    say_duration(s);
    words__say(v, ".");
    if (errors)
        words__say(v, " %llu line%s of errors came on the way; none ended it.",
                   (unsigned long long)errors, errors == 1 ? "" : "s");
}

static void running(struct scene *s)
{
    struct verdict *v = s->v;
    const struct sign *x = reason_before(s, INT64_MAX);
    int64_t last = s->d->last.recv_us;
    char what[400], text[32];

    v->kind = VERDICT_KIND_RUNNING;
    v->confidence = VERDICT_CERTAIN;
    words__say(v, "%s", s->info->state == STATE_RUNNING ? "Running" : state_short(s->info->state));
    if (!s->d->lines) {
        words__say(v, ": no line has come yet.");
        return;
    }
    words__say(v, ": the last line came %s ago", words__time(s->now_us - last, text));
    if (s->step_max >= 0)
        words__say(v, ", at step %lld", (long long)s->step_max);
    words__say(v, ".");
    if (!x)
        return;
    words__what(x->cause, x->group, what, sizeof what);
    words__say(v, " But rank %d shows an error it has not moved past: %s.", (int)x->rank, what);
    v->rank = x->rank;
    v->cause = x->cause;
    v->group = x->group;
    v->confidence = VERDICT_UNSURE;
    words__evidence(v, x->at.seq, "%s", what);
}

static void weigh(struct scene *s)
{
    switch (s->info->state) {
    case STATE_DEPLOY_FAILED:
        deploy_failed(s);
        break;
    case STATE_STOPPED:
        stopped(s);
        break;
    case STATE_COMPLETED:
        completed(s);
        break;
    case STATE_FAILED:
        scene__first(s);
        break;
    default:
        if (!scene__hung(s))
            running(s);
    }
}

static void note_gaps(struct scene *s)
{
    struct verdict *v = s->v;

    if (v->kind != VERDICT_KIND_FAILED || (!s->d->gap_count && !s->d->gaps_omitted))
        return;
    if (v->confidence == VERDICT_CERTAIN)
        v->confidence = VERDICT_LIKELY;
    words__say(v, " Parts of the log are lost: an earlier error may have been in them.");
}

void verdict_make(struct verdict *v, const struct digest *d, const struct job_info *info,
                  int64_t now_us)
{
    const struct job_history *h = terminal(info);
    struct scene s = {.v = v, .d = d, .info = info, .now_us = now_us, .step_max = -1};

    memset(v, 0, sizeof *v);
    v->rank = RECORD_RANK_NONE;
    v->replica = "";
    s.is_over = state_is_terminal(info->state);
    v->is_live = !s.is_over;
    s.end_us = !s.is_over       ? now_us
               : info->ended_us ? info->ended_us
               : h              ? h->at_us
                                : d->last.recv_us;
    s.world = world_of(d, info, &s.has_ranks);
    for (uint32_t i = 0; i < d->rank_count; i++)
        if (d->ranks[i].step > s.step_max)
            s.step_max = d->ranks[i].step;
    scene__clocks(&s);
    scene__endings(&s);
    scene__signs(&s);
    weigh(&s);
    note_gaps(&s);
    scene__tables(&s);
    free(s.clocks);
    free(s.endings);
    free(s.ending_at);
    free(s.signs);
}

int64_t verdict_when(const struct digest *d, int32_t rank, uint32_t replica,
                     const struct digest_at *at)
{
    const struct digest_rank *r = digest_rank_of(d, rank, replica);
    int64_t when = r ? at->ts_us + (r->skew_count ? r->skew_min_us : 0) : at->recv_us;

    return at->recv_us && when > at->recv_us ? at->recv_us : when;
}

void verdict_release(struct verdict *v)
{
    for (uint32_t i = 0; i < v->cause_count; i++)
        buf_release(&v->causes[i].ranks);
    free(v->causes);
    free(v->events);
    free(v->ranks);
    free(v->group_roles);
    buf_release(&v->hung.ranks);
    memset(v, 0, sizeof *v);
}

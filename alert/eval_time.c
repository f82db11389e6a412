/*
 * alert/eval_time.c -- rules on states and on what does not come: state, silence, absence, stall, the end of a rate.
 */
#include "alert/eval_int.h"

#include "base/check.h"
#include "digest/fingerprint.h"

#include <string.h>

static void lower(int64_t *deadline, int64_t at)
{
    if (at < *deadline)
        *deadline = at;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- states ---- */

void eval__state(struct eval *e, const struct record_view *v)
{
    struct eval_match m = {.seq = v->seq,
                           .rank = v->rank,
                           .v = v,
                           .has_exit_code = v->has_exit_code,
                           .exit_code = v->exit_code};
    const char *reason = state_is_terminal(v->state) ? EVAL_ENDED : "the state is another one";

    e->state = v->state;
    e->state_us = e->now_us;
    e->running_us = v->state == STATE_RUNNING ? e->now_us : 0;
    buf_clear(&e->text);
    if (record_msg(v, &e->text) == 0) {
        m.message = buf_cstr(&e->text);
        m.message_len = e->text.len;
    }
    for (uint32_t i = 0; i < e->rule_count; i++) {
        struct eval_rule *r = &e->rules[i];
        int is_in = r->rule->kind == RULE_STATE && (r->rule->state_mask & 1u << v->state);
        struct eval_group *g;
        if (e->recv_us < r->rule->enabled_us)
            continue;
        if (r->rule->kind == RULE_STATE && !rule_is_lasting(r->rule)) {
            if (is_in)
                eval__happened(e, r, eval__group(e, r, 0, 1, &m), &m);
        } else if (r->rule->kind == RULE_STATE) {
            g = eval__group(e, r, 0, is_in, &m);
            if (is_in)
                eval__is_true(e, r, g, g->holds ? g->since_us : e->now_us, &m);
            else if (g)
                eval__is_false(e, r, g, reason);
        }
    }
    for (uint32_t i = 0; state_is_terminal(v->state) && i < e->rule_count;
         i++) { /* nothing lasts longer than the job */
        struct eval_rule *r = &e->rules[i];
        for (uint32_t k = 0; k < r->count; k++)
            if (rule_is_lasting(r->rule) && !(r->rule->kind == RULE_STATE && r->groups[k].holds))
                eval__resolve(e, r, &r->groups[k], EVAL_ENDED);
    }
}

/* ---- who says something ---- */

static void rank_spoke(struct eval *e, int32_t rank)
{
    if (rank < 0)
        return;
    if ((uint32_t)rank >= e->rank_count) {
        uint32_t count = (uint32_t)rank + 1;
        e->ranks = must_realloc(e->ranks, count * sizeof *e->ranks);
        memset(e->ranks + e->rank_count, 0, (count - e->rank_count) * sizeof *e->ranks);
        e->rank_count = count;
    }
    e->ranks[rank].last_us = e->now_us;
}

void eval__activity(struct eval *e, const struct eval_frame *f)
{
    const char *at = f->text, *end = f->text + f->len;

    e->line_us = e->now_us;
    if (!e->needs_ranks)
        return;
    if (f->sum && f->sum->rank_lo == f->sum->rank_hi) {
        rank_spoke(e, f->sum->rank_lo);
        return;
    }
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        if (!nl)
            nl = end;
        rank_spoke(e, record_line_rank(at, (size_t)(nl - at)));
        at = nl + 1;
    }
}

/* ---- the whole job as one group ---- */

/* True since at_us, unless it was true before. */
static void job_is_true(struct eval *e, struct eval_rule *r, int64_t at_us)
{
    struct eval_group *g = eval__group(e, r, 0, 1, NULL);

    if (!g->holds)
        eval__is_true(e, r, g, at_us, NULL);
}

/* What may be (or else is over, and why) is true from at_us on. */
static void job_from(struct eval *e, struct eval_rule *r, int may, int64_t at_us, const char *over)
{
    struct eval_group *g;

    if (may && e->now_us >= at_us) {
        job_is_true(e, r, at_us);
        return;
    }
    g = eval__group(e, r, 0, 0, NULL);
    if (g && g->holds)
        eval__is_false(e, r, g, over);
    if (may)
        lower(&e->deadline_us, at_us);
}

/* ---- silence ---- */

static void job_silence(struct eval *e, struct eval_rule *r)
{
    int64_t from = later(later(e->line_us, e->running_us), r->since_us);

    job_from(e, r, e->running_us != 0, from + r->rule->span_us, e->running_us ? "it says something again" : EVAL_ENDED);
}

/* The hash of a rank's own group, or that of the job when the rule is not grouped by rank. */
static uint64_t rank_group(const struct eval_rule *r, int32_t rank)
{
    struct eval_match m = {.rank = rank};

    return eval__group_hash(r, &m);
}

/* Is it silent by this rule? Else *deadline is when it would be. */
static int is_silent(const struct eval *e, const struct eval_rule *r, uint32_t rank, int64_t latest,
                     int64_t *deadline)
{
    const struct eval_rank *k = &e->ranks[rank];
    int64_t at = later(later(k->last_us, e->running_us), r->since_us) + r->rule->span_us;

    if (!k->last_us || k->is_done || !e->running_us)
        return 0;
    if (e->now_us < at) {
        lower(deadline, at);
        return 0;
    }
    return r->rule->silence_of == SILENCE_OF_RANK || latest > e->now_us - r->rule->span_us;
}

/* Groups of one rank each: peers that fall silent too do not end it, only the rank itself, or the job. */
static void end_rank_silence(struct eval *e, struct eval_rule *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct eval_group *g = &r->groups[i];
        int64_t never = INT64_MAX;
        if (!g->holds || g->hash == 0 || g->rank < 0 || (uint32_t)g->rank >= e->rank_count)
            continue;
        if (e->ranks[g->rank].is_done)
            eval__is_false(e, r, g, "the rank is done");
        else if (!e->running_us || !is_silent(e, r, (uint32_t)g->rank, INT64_MAX, &never))
            eval__is_false(e, r, g, e->running_us ? "the rank says something again" : EVAL_ENDED);
    }
}

static void rank_silence(struct eval *e, struct eval_rule *r)
{
    uint32_t last = 0;
    int64_t first = 0, second = 0; /* the two latest times: of others than rank is one of them */
    struct eval_group *all;
    int any = 0;

    end_rank_silence(e, r);
    for (uint32_t i = 0; i < e->rank_count; i++) {
        int64_t t = e->ranks[i].last_us;
        if (t > first) {
            second = first;
            first = t;
            last = i;
        } else if (t > second) {
            second = t;
        }
    }
    for (uint32_t i = 0; i < e->rank_count; i++) {
        struct eval_match m = {.rank = (int32_t)i};
        struct eval_group *g;
        if (!is_silent(e, r, i, i == last ? second : first, &e->deadline_us))
            continue;
        any = 1;
        g = eval__group(e, r, rank_group(r, (int32_t)i), 0, NULL);
        if (g && g->holds)
            continue;
        if (e->now_us - e->ranks_us > EVAL_RANKS_US) { /* is it done? Redis knows */
            e->wants_ranks = 1;
            lower(&e->deadline_us, e->now_us);
            return;
        }
        g = eval__group(e, r, rank_group(r, (int32_t)i), 1, &m);
        eval__is_true(e, r, g, e->ranks[i].last_us + r->rule->span_us, &m);
    }
    all = eval__group(e, r, 0, 0, NULL); /* not grouped by rank: over when none is silent */
    if (all && all->holds && !any)
        eval__is_false(e, r, all, e->running_us ? "every rank says something again" : EVAL_ENDED);
}

/* ---- state with `for`, absence, stall, rate ---- */

/* It may have been in the state when the rule came. */
static void state_lasts(struct eval *e, struct eval_rule *r)
{
    if (rule_is_lasting(r->rule) && (r->rule->state_mask & 1u << e->state))
        job_is_true(e, r, e->state_us);
}

static void absence(struct eval *e, struct eval_rule *r)
{
    int64_t from = later(e->running_us, r->since_us);

    if (!r->rule->lines.is_set && e->running_us && e->line_us >= from && e->line_us > 0)
        r->is_seen = 1;
    job_from(e, r, e->running_us && !r->is_seen, from + r->rule->span_us, r->is_seen ? "the line has come" : EVAL_ENDED);
}

static void stall(struct eval *e, struct eval_rule *r)
{
    int64_t from = later(later(e->step_us, e->running_us), r->since_us);
    int may = e->running_us && e->step >= 0;

    job_from(e, r, may, from + r->rule->span_us, may ? "the step moves again" : EVAL_ENDED);
}

static void rate(struct eval *e, struct eval_rule *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct eval_group *g = &r->groups[i];
        int64_t until;
        if (!g->holds)
            continue;
        if (eval__rate_holds(r, g, e->now_us, &until))
            lower(&e->deadline_us, until);
        else
            eval__is_false(e, r, g, EVAL_OVER);
    }
}

void eval__time(struct eval *e)
{
    e->deadline_us = INT64_MAX;
    e->wants_ranks = 0;
    for (uint32_t i = 0; i < e->rule_count; i++) {
        struct eval_rule *r = &e->rules[i];
        switch (r->rule->kind) {
        case RULE_SILENCE:
            r->rule->silence_of == SILENCE_OF_JOB ? job_silence(e, r) : rank_silence(e, r);
            break;
        case RULE_ABSENCE:
            absence(e, r);
            break;
        case RULE_STALL:
            stall(e, r);
            break;
        case RULE_RATE:
            rate(e, r);
            break;
        case RULE_STATE:
            state_lasts(e, r);
            break;
        default:
            break;
        }
        for (uint32_t k = 0; k < r->count;) {
            if (eval__group_tick(e, r, &r->groups[k], &e->deadline_us))
                eval__group_drop(e, r, &r->groups[k]);
            else
                k++;
        }
    }
}

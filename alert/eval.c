/*
 * alert/eval.c -- an evaluator's life: which rules it looks at, and how it is fed.
 */
#include "alert/eval_int.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define EVAL_TICK_US                                                                               \
    200000 /* after records came, time is looked at this soon, not at every frame */
#define STATE_KEY "\"state\":\""
#define STATE_KEY_LEN (sizeof STATE_KEY - 1)

struct eval *eval_new(const struct job_info *info)
{
    struct eval *e = must_calloc(1, sizeof *e);

    e->key = info->key;
    e->epoch = info->epoch;
    e->step = -1;
    e->deadline_us = INT64_MAX;
    e->scan = matcher_scan_new();
    e->labels_json = must_strdup(info->labels_json ? info->labels_json : "{}");
    json_tree_parse(info->labels_json ? info->labels_json : "{}",
                    strlen(info->labels_json ? info->labels_json : "{}"), &e->labels, NULL);
    for (uint32_t i = 0; i < info->history_count; i++) {
        e->history[i].state = info->history[i].state;
        e->history[i].at_us = info->history[i].at_us;
        e->history[i].seq = info->history[i].seq;
    }
    e->history_count = info->history_count;
    e->state = info->state;
    return e;
}

static void forget_rules(struct eval *e)
{
    for (uint32_t i = 0; i < e->rule_count; i++)
        eval__groups_free(e, &e->rules[i]);
    free(e->rules);
    free(e->place);
    e->rules = NULL;
    e->place = NULL;
    e->rule_count = 0;
}

void eval_free(struct eval **eval)
{
    struct eval *e = *eval;

    *eval = NULL;
    if (!e)
        return;
    forget_rules(e);
    matcher_scan_free(&e->scan);
    json_tree_free(&e->labels);
    free(e->labels_json);
    buf_release(&e->scratch);
    buf_release(&e->text);
    eval_alerts_free(&e->alerts, e->alert_count);
    free(e->ranks);
    free(e);
}

/* ---- rules ---- */

/* A project's own rule stands in for that of all projects. */
static int looks_at(const struct eval *e, const struct ruleset *s, const struct rule *r)
{
    if (!r->enabled || !rule_covers(r, &e->key, e->labels))
        return 0;
    return r->project[0] || !ruleset_rule(s, e->key.project, r->id);
}

static struct eval_rule *find_old(struct eval_rule *old, uint32_t count, const struct rule *r,
                                  uint64_t condition)
{
    for (uint32_t i = 0; i < count; i++)
        if (old[i].condition == condition && strcmp(old[i].rule->id, r->id) == 0 &&
            strcmp(old[i].rule->project, r->project) == 0)
            return &old[i];
    return NULL;
}

static void note_needs(struct eval *e, const struct rule *r)
{
    e->needs_lines |= r->lines.is_set;
    e->needs_metrics |= r->kind == RULE_METRIC || r->kind == RULE_STALL;
    e->needs_ranks |= r->kind == RULE_SILENCE && r->silence_of != SILENCE_OF_JOB;
    e->has_lasting |= rule_is_lasting(r);
}

/* What fires of a rule that is not looked at any more ends; what it looked for is forgotten. */
static void end_rule(struct eval *e, struct eval_rule *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        eval__resolve(e, r, &r->groups[i], EVAL_CHANGED);
    eval__groups_free(e, r);
}

void eval_set_rules(struct eval *e, const struct ruleset *s, int64_t now_us)
{
    struct eval_rule *old = e->rules;
    uint32_t old_count = e->rule_count;

    free(e->place);
    e->now_us = now_us > e->now_us ? now_us : e->now_us;
    e->set = s;
    e->place = must_calloc(s->rule_count + 1, sizeof *e->place);
    e->rules = must_calloc(s->enabled_count + 1, sizeof *e->rules);
    e->rule_count = 0;
    e->needs_lines = e->needs_metrics = e->needs_ranks = e->has_lasting = 0;
    for (uint32_t i = 0; i < s->rule_count; i++) {
        const struct rule *r = s->rules[i];
        struct eval_rule *before, *now = &e->rules[e->rule_count];
        e->place[i] = -1;
        if (!looks_at(e, s, r))
            continue;
        e->place[i] = (int32_t)e->rule_count++;
        now->condition = rule_condition_hash(r);
        now->since_us = e->now_us;
        before = find_old(old, old_count, r, now->condition);
        if (before) { /* its states go over */
            *now = *before;
            before->groups = NULL;
            before->count = before->cap = 0;
        }
        now->rule = r;
        note_needs(e, r);
    }
    for (uint32_t i = 0; i < old_count; i++)
        end_rule(e, &old[i]);
    free(old);
    e->deadline_us = 0; /* look at all of them soon */
}

uint32_t eval_rule_count(const struct eval *e)
{
    return e->rule_count;
}

int64_t eval_since_us(const struct eval *e)
{
    int64_t since = INT64_MAX;

    for (uint32_t i = 0; i < e->rule_count; i++)
        if (e->rules[i].rule->enabled_us < since)
            since = e->rules[i].rule->enabled_us;
    return since;
}

/* ---- feeding ---- */

static void set_state(struct eval *e, enum job_state state, int64_t at_us)
{
    e->state = state;
    e->state_us = at_us;
    e->running_us = state == STATE_RUNNING ? at_us : 0;
}

void eval_begin(struct eval *e, uint64_t after)
{
    e->upto = after;
    for (uint32_t i = 0; i < e->history_count; i++)
        if (e->history[i].seq <= after)
            set_state(e, e->history[i].state, e->history[i].at_us);
    if (after == 0 && e->history_count &&
        e->history[0].seq == 0) { /* made by its first lines: no record says so */
        struct record_view v = {
            .is_state = 1, .state = e->history[0].state, .rank = RECORD_RANK_NONE, .msg_json = ""};
        e->recv_us = e->history[0].at_us;
        e->now_us = e->recv_us > e->now_us ? e->recv_us : e->now_us;
        eval__state(e, &v);
    } else if (after == 0 && e->history_count) {
        set_state(e, STATE_CREATED, e->history[0].at_us);
    }
}

static void feed_lines(struct eval *e, const struct eval_frame *f)
{
    if (f->len == 0)
        return;
    eval__activity(e, f);
    eval__lines(e, f);
    eval__metrics(e, f);
}

static void feed_state(struct eval *e, const char *line, size_t len)
{
    struct record_view v;

    if (record_parse(line, len, &v) == 0 && v.is_state && v.seq > e->upto)
        eval__state(e, &v);
}

/* Does a state record begin at line? Its "state" stands before its message. */
static int is_state_line(const char *line, size_t len)
{
    struct record_view v;
    const char *key = memmem(line, len < 512 ? len : 512, STATE_KEY, STATE_KEY_LEN);

    return key && record_parse(line, len, &v) == 0 && v.is_state;
}

/* Lines and states of unknown mixture: cut at the states. */
static uint64_t feed_mixed(struct eval *e, const struct eval_frame *f)
{
    struct eval_frame run = *f;
    const char *at = f->text, *end = f->text + f->len;
    uint64_t seq = f->first_seq;

    run.len = 0;
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t len = nl ? (size_t)(nl - at) : (size_t)(end - at);
        if (is_state_line(at, len)) {
            feed_lines(e, &run);
            feed_state(e, at, len);
            run.text = at + len + 1;
            run.len = 0;
            run.first_seq = seq + 1;
        } else {
            run.len = (size_t)(at - run.text) + len + 1;
        }
        at += len + 1;
        seq++;
    }
    feed_lines(e, &run);
    return seq - 1;
}

void eval_feed(struct eval *e, const struct eval_frame *f)
{
    uint64_t last = f->sum ? f->first_seq + f->sum->count - 1 : 0;

    if (f->len == 0 || (f->sum && last <= e->upto))
        return;
    e->recv_us = f->recv_us;
    if (f->recv_us > e->now_us)
        e->now_us = f->recv_us;
    if (f->recv_us <= e->skip_us) {
        if (!last)
            for (const char *at = f->text; (at = memchr(at, '\n', (size_t)(f->text + f->len - at)));
                 at++)
                last = last ? last + 1 : f->first_seq;
    } else if (!f->sum) {
        last = feed_mixed(e, f);
    } else if (f->sum->is_state) {
        feed_state(e, f->text, f->len);
    } else {
        feed_lines(e, f);
    }
    if (last > e->upto)
        e->upto = last;
    if (e->has_lasting && e->ticked_us + EVAL_TICK_US < e->deadline_us)
        e->deadline_us = e->ticked_us + EVAL_TICK_US;
}

void eval_tick(struct eval *e, int64_t now_us)
{
    if (now_us > e->now_us)
        e->now_us = now_us;
    e->ticked_us = e->now_us;
    eval__time(e);
}

int64_t eval_now_us(const struct eval *e)
{
    return e->now_us;
}

int64_t eval_deadline(const struct eval *e)
{
    return e->deadline_us;
}

int64_t eval_grace_us(const struct eval *e, int64_t max_us)
{
    int64_t us = max_us;

    for (uint32_t i = 0; i < e->rule_count; i++) {
        const struct rule *r = e->rules[i].rule;
        if ((r->kind == RULE_SILENCE || r->kind == RULE_ABSENCE || r->kind == RULE_STALL) &&
            r->span_us < us)
            us = r->span_us;
    }
    return us;
}

int eval_wants_ranks(const struct eval *e)
{
    return e->wants_ranks;
}

static struct eval_rank *rank_at(struct eval *e, int32_t rank)
{
    if ((uint32_t)rank >= e->rank_count) {
        uint32_t count = (uint32_t)rank + 1;
        e->ranks = must_realloc(e->ranks, count * sizeof *e->ranks);
        memset(e->ranks + e->rank_count, 0, (count - e->rank_count) * sizeof *e->ranks);
        e->rank_count = count;
    }
    return &e->ranks[rank];
}

void eval_ranks(struct eval *e, const struct job_info *info)
{
    for (uint32_t i = 0; i < info->rank_count; i++) {
        const struct job_rank *k = &info->ranks[i];
        if (k->last_recv_us > e->line_us)
            e->line_us = k->last_recv_us;
        if (k->rank >= 0 && e->needs_ranks && k->last_recv_us > rank_at(e, k->rank)->last_us)
            e->ranks[k->rank].last_us = k->last_recv_us;
    }
    for (uint32_t i = 0; i < info->producer_count; i++)
        if (info->producers[i].rank >= 0 && (uint32_t)info->producers[i].rank < e->rank_count)
            e->ranks[info->producers[i].rank].is_done = 1;
    for (uint32_t i = 0; i < info->producer_count;
         i++) { /* one that is not done keeps its rank alive */
        const struct job_producer *p = &info->producers[i];
        if (p->rank >= 0 && (uint32_t)p->rank < e->rank_count && !(p->has_fin && p->last >= p->fin))
            e->ranks[p->rank].is_done = 0;
    }
    e->ranks_us = e->now_us;
}

void eval_reset(struct eval *e, uint64_t epoch)
{
    e->epoch = epoch;
    e->upto = 0;
    e->skip_us = e->now_us;
    e->step = -1;
}

/* ---- what is said ---- */

uint32_t eval_take(struct eval *e, struct eval_alert **ret)
{
    uint32_t count = e->alert_count;

    *ret = e->alerts;
    e->alerts = NULL;
    e->alert_count = e->alert_cap = 0;
    return count;
}

void eval_alerts_free(struct eval_alert **alerts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free((*alerts)[i].json);
    free(*alerts);
    *alerts = NULL;
}

uint64_t eval_upto(const struct eval *e)
{
    return e->upto;
}

uint64_t eval_dropped(struct eval *e)
{
    uint64_t n = e->dropped;

    e->dropped = 0;
    return n;
}

/*
 * alert/eval_lines.c -- rules on lines: line, rate, absence.
 */
#include "alert/eval_int.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

/* The frame at work. */
struct reading {
    struct eval *e;
    const struct eval_frame *f;
};

/* ---- rate ---- */

static void note_time(const struct eval_rule *r, struct eval_group *g, int64_t now_us)
{
    uint32_t n = r->rule->rate_count;

    if (!g->times)
        g->times = must_calloc(n, sizeof *g->times);
    if (g->used == n) {
        g->times[g->head] = now_us;
        g->head = (g->head + 1) % n;
    } else {
        g->times[(g->head + g->used++) % n] = now_us;
    }
}

int eval__rate_holds(const struct eval_rule *r, const struct eval_group *g, int64_t now_us,
                     int64_t *ret_until_us)
{
    if (!g->times || g->used < r->rule->rate_count)
        return 0;
    *ret_until_us = g->times[g->head] + r->rule->span_us; /* the oldest of the last rate_count */
    return *ret_until_us > now_us;
}

static void on_rate(struct eval *e, struct eval_rule *r, struct eval_group *g,
                    const struct eval_match *m)
{
    int64_t until;

    note_time(r, g, e->now_us);
    if (eval__rate_holds(r, g, e->now_us, &until)) {
        eval__is_true(e, r, g, e->now_us, m);
    } else if (g->phase == EVAL_QUIET) {
        g->seq = m->seq;
        g->last_us = e->now_us;
    }
}

/* ---- one line, one rule ---- */

static void on_match(struct eval *e, struct eval_rule *r, const struct eval_match *m)
{
    struct eval_group *g;

    switch (r->rule->kind) {
    case RULE_LINE:
        g = eval__group(e, r, eval__group_hash(r, m), 1, m);
        eval__happened(e, r, g, m);
        break;
    case RULE_RATE:
        g = eval__group(e, r, eval__group_hash(r, m), 1, m);
        on_rate(e, r, g, m);
        break;
    case RULE_ABSENCE:
        r->is_seen = 1;
        if ((g = eval__group(e, r, 0, 0, NULL)))
            eval__is_false(e, r, g, "the line has come");
        break;
    default:
        break;
    }
}

static void try_rule(struct eval *e, struct eval_rule *r, const struct record_view *v,
                     int64_t recv_us)
{
    struct pattern_span spans[PATTERN_GROUPS_MAX];
    struct eval_match m = {.seq = v->seq, .rank = v->rank, .v = v};

    if (recv_us < r->rule->enabled_us || (r->rule->kind == RULE_ABSENCE && r->is_seen) ||
        (rule_is_lasting(r->rule) && state_is_terminal(e->state)))
        return;
    if (!filter_match(&r->rule->lines.filter, v, &e->scratch))
        return;
    buf_clear(&e->text);
    if (record_msg(v, &e->text) < 0)
        return;
    m.line = buf_cstr(&e->text);
    m.line_len = e->text.len;
    if (r->rule->lines.pattern && pattern_group_count(r->rule->lines.pattern) &&
        pattern_groups(r->rule->lines.pattern, m.line, m.line_len, spans))
        m.spans = spans;
    on_match(e, r, &m);
}

static int is_gap(const struct record_view *v)
{
    return v->fields_json && v->fields_json_len > 8 && memcmp(v->fields_json, "{\"gap\":{", 8) == 0;
}

static void on_hit(void *user, const struct matcher_hit *h)
{
    const struct reading *in = user;
    struct eval *e = in->e;
    struct record_view v;
    int is_read = 0;

    if (in->f->first_seq + h->index <= e->upto)
        return;
    for (unsigned i = 0; i < h->rule_count; i++) {
        int32_t at = e->place[h->rules[i]];
        if (at < 0)
            continue;
        if (!is_read && (record_parse(h->line, h->len, &v) < 0 || v.is_state || is_gap(&v)))
            return;
        is_read = 1;
        try_rule(e, &e->rules[at], &v, in->f->recv_us);
    }
}

void eval__lines(struct eval *e, const struct eval_frame *f)
{
    struct reading in = {e, f};

    if (e->needs_lines)
        matcher_run(e->set->matcher, e->scan, f->text, f->len, on_hit, &in);
}

/*
 * alert/eval_metric.c -- rules on values read from lines: metric, and the steps that stall watches.
 */
#include "alert/eval_int.h"

#include "base/check.h"
#include "base/err.h"
#include "digest/metric.h"
#include "digest/plain.h"
#include "digest/prefix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "loss" is the name of loss, train/loss, train.loss and "lm loss", not of val_loss. */
static int is_named(const struct metric_value *v, const char *name)
{
    size_t len = strlen(name);
    char before;

    if (v->name_len < len || strncasecmp(v->name + v->name_len - len, name, len) != 0)
        return 0;
    if (v->name_len == len)
        return 1;
    before = v->name[v->name_len - len - 1];
    return before == '/' || before == '.' || before == ' ';
}

/* ---- the running median ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Of what came before; 0 while there is too little. */
static int median(const struct eval_group *g, double *ret)
{
    double sorted[EVAL_VALUES_MAX];

    if (g->used < EVAL_VALUES_MIN)
        return 0;
    memcpy(sorted, g->values, g->used * sizeof *sorted);
    qsort(sorted, g->used, sizeof *sorted, by_value);
    *ret = sorted[g->used / 2];
    return 1;
}

static void note_value(struct eval_group *g, double v)
{
    if (!isfinite(v))
        return;
    if (!g->values)
        g->values = must_calloc(EVAL_VALUES_MAX, sizeof *g->values);
    if (g->used == EVAL_VALUES_MAX) {
        g->values[g->head] = v;
        g->head = (g->head + 1) % EVAL_VALUES_MAX;
    } else {
        g->values[(g->head + g->used++) % EVAL_VALUES_MAX] = v;
    }
}

static int holds(const struct rule *r, const struct eval_group *g, double v)
{
    double middle;

    switch (r->metric_test) {
    case METRIC_NAN:
        return isnan(v);
    case METRIC_ABOVE:
        return v > r->metric_value;
    case METRIC_BELOW:
        return v < r->metric_value;
    default:
        return median(g, &middle) && v < middle * r->metric_value / 100;
    }
}

/* ---- one line ---- */

static void on_value(struct eval *e, struct eval_rule *r, struct eval_match *m)
{
    struct eval_group *g = eval__group(e, r, eval__group_hash(r, m), 1, m);
    int is_true = holds(r->rule, g, m->value);

    if (r->rule->metric_test == METRIC_BELOW_MEDIAN)
        note_value(g, m->value);
    g->has_value = 1;
    g->value = m->value;
    if (is_true)
        eval__is_true(e, r, g, e->now_us, m);
    else
        eval__is_false(e, r, g, EVAL_OVER);
}

static void on_step(struct eval *e, int64_t step)
{
    if (step <= e->step)
        return;
    e->step = step;
    e->step_us = e->now_us;
}

static void on_line(struct eval *e, const struct eval_frame *f, const char *line, size_t len)
{
    struct record_view v;
    struct metric found;
    struct prefix p;
    const char *text;
    size_t text_len;

    if (record_parse(line, len, &v) < 0 || v.is_state || v.seq <= e->upto ||
        plain_from_json(&e->text, v.msg_json, v.msg_json_len, &text, &text_len) < 0)
        return;
    prefix_read(text, text_len, &p);
    if (!metric_read(text + p.bytes, text_len - p.bytes, &found))
        return;
    if (found.step >= 0)
        on_step(e, found.step);
    for (uint32_t i = 0; i < e->rule_count; i++) {
        struct eval_rule *r = &e->rules[i];
        struct eval_match m = {.seq = v.seq,
                               .rank = v.rank,
                               .v = &v,
                               .line = text,
                               .line_len = text_len,
                               .has_value = 1};
        if (r->rule->kind != RULE_METRIC || f->recv_us < r->rule->enabled_us)
            continue;
        for (uint32_t k = 0; k < found.count; k++) {
            if (!is_named(&found.values[k], r->rule->metric_name))
                continue;
            m.value = found.values[k].value;
            on_value(e, r, &m);
            break;
        }
    }
}

void eval__metrics(struct eval *e, const struct eval_frame *f)
{
    const char *at = f->text, *end = f->text + f->len;

    if (!e->needs_metrics || state_is_terminal(e->state))
        return;
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        if (!nl)
            nl = end;
        on_line(e, f, at, (size_t)(nl - at));
        at = nl + 1;
    }
}

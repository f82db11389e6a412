/*
 * alert/eval_save.c -- an evaluator's state as JSON, and back.
 *
 *     {"v":1,"epoch":E,"state":"RUNNING","state_us":…,"line_us":…,"step":7,"step_us":…,"now_us":…,
 *      "rules":{"<rule key>":{"h":"<condition>","since":…,"seen":1,"groups":[{"k":"<hash>","p":2,…}]}}}
 *
 * Whom a rank last heard from is not in it: Redis knows (eval_ranks). Numbers are microseconds below 2^53.
 */
#include "alert/eval_int.h"

#include "base/check.h"
#include "base/err.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

static void put_hash(struct json *j, const char *key, uint64_t h)
{
    char text[17];

    snprintf(text, sizeof text, "%016llx", (unsigned long long)h);
    json_kstr(j, key, text);
}

static void put_ring(struct json *j, const struct eval_rule *r, const struct eval_group *g,
                     int64_t now_us)
{
    uint32_t n = g->times ? r->rule->rate_count : EVAL_VALUES_MAX;

    if (!g->used)
        return;
    json_key(j, g->times ? "times" : "values");
    json_arr(j);
    for (uint32_t i = 0; i < g->used; i++) {
        uint32_t at = (g->head + i) % n;
        if (g->times)
            json_i64(j, now_us - g->times[at]);
        else
            json_double(j, g->values[at]);
    }
    json_end(j);
}

static void put_group(struct json *j, const struct eval_rule *r, const struct eval_group *g,
                      int64_t now_us)
{
    json_obj(j);
    put_hash(j, "k", g->hash);
    json_ki64(j, "p", g->phase);
    json_ki64(j, "holds", g->holds);
    json_ki64(j, "since", g->since_us);
    json_ki64(j, "last", g->last_us);
    json_ki64(j, "told", g->told_us);
    json_ku64(j, "seq", g->seq);
    json_ku64(j, "count", g->count);
    json_ki64(j, "rank", g->rank);
    if (g->replica)
        json_kstr(j, "replica", g->replica);
    if (g->captures)
        json_kstr(j, "captures", g->captures);
    if (g->has_value && isfinite(g->value)) {
        json_key(j, "value");
        json_double(j, g->value);
    }
    put_ring(j, r, g, now_us);
    json_end(j);
}

int eval_save(const struct eval *e, struct buf *out)
{
    char key[RULE_KEY_BYTES];
    struct json j;

    json_init_may_fail(&j, out);
    json_obj(&j);
    json_ku64(&j, "v", 1);
    json_ku64(&j, "epoch", e->epoch);
    json_kstr(&j, "state", state_short(e->state));
    json_ki64(&j, "state_us", e->state_us);
    json_ki64(&j, "line_us", e->line_us);
    json_ki64(&j, "step", e->step);
    json_ki64(&j, "step_us", e->step_us);
    json_ki64(&j, "now_us", e->now_us);
    json_key(&j, "rules");
    json_obj(&j);
    for (uint32_t i = 0; i < e->rule_count; i++) {
        const struct eval_rule *r = &e->rules[i];
        if (!r->count && r->rule->kind != RULE_SILENCE && r->rule->kind != RULE_ABSENCE &&
            r->rule->kind != RULE_STALL)
            continue; /* it is as if it had just begun */
        json_key(&j, rule_key(r->rule->project, r->rule->id, key));
        json_obj(&j);
        put_hash(&j, "h", r->condition);
        json_ki64(&j, "since", r->since_us);
        json_ki64(&j, "seen", r->is_seen);
        if (r->count) {
            json_key(&j, "groups");
            json_arr(&j);
            for (uint32_t k = 0; k < r->count; k++)
                put_group(&j, r, &r->groups[k], e->now_us);
            json_end(&j);
        }
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    return json_err(&j);
}

/* ---- reading: what is missing is 0, what is absurd is left out ---- */

static int64_t number(const struct json_tree *v, const char *key)
{
    int64_t n = 0;

    return json_tree_get_i64(v, key, &n) > 0 ? n : 0;
}

static int64_t amount(const struct json_tree *v, const char *key, int64_t max)
{
    int64_t n = number(v, key);

    return n < 0 || n > max ? 0 : n;
}

static uint64_t hash(const struct json_tree *v, const char *key)
{
    const char *s = NULL;

    return json_tree_get_str(v, key, &s) > 0 ? strtoull(s, NULL, 16) : 0;
}

static char *text(const struct json_tree *v, const char *key, size_t max)
{
    const char *s = NULL;

    return json_tree_get_str(v, key, &s) > 0 && *s && strlen(s) <= max ? must_strdup(s) : NULL;
}

/* Times are ages at saved_us. */
static void read_ring(const struct eval_rule *r, struct eval_group *g, const struct json_tree *v,
                      int64_t saved_us)
{
    const struct json_tree *times = json_tree_get(v, "times"), *values = json_tree_get(v, "values");
    int64_t age;
    uint32_t n = r->rule->kind == RULE_RATE ? r->rule->rate_count : EVAL_VALUES_MAX;

    if (r->rule->kind == RULE_RATE && json_tree_is_arr(times)) {
        g->times = must_calloc(n, sizeof *g->times);
        for (const struct json_tree *t = json_tree_first(times); t && g->used < n;
             t = json_tree_next(t))
            if (json_tree_i64(t, &age) == 0)
                g->times[g->used++] = saved_us - age;
    }
    if (r->rule->kind == RULE_METRIC && json_tree_is_arr(values)) {
        g->values = must_calloc(n, sizeof *g->values);
        for (const struct json_tree *t = json_tree_first(values); t && g->used < n;
             t = json_tree_next(t))
            if (json_tree_is_num(t))
                g->values[g->used++] = json_tree_double(t);
    }
}

static void read_group(struct eval *e, struct eval_rule *r, const struct json_tree *v,
                       int64_t saved_us)
{
    struct eval_match m = {.rank = (int32_t)number(v, "rank")};
    const struct json_tree *value = json_tree_get(v, "value");
    uint64_t k = hash(v, "k");
    struct eval_group *g;
    struct json_tree *captures = NULL;
    int64_t phase = number(v, "p");

    if (phase < EVAL_QUIET || phase > EVAL_FIRING || eval__group(e, r, k, 0, NULL) ||
        r->count == EVAL_STATES_PER_RULE || e->states == EVAL_STATES_PER_JOB ||
        m.rank < RECORD_RANK_NONE || m.rank > RECORD_RANK_MAX)
        return;
    g = eval__group(e, r, k, 1, &m);
    g->phase = (enum eval_phase)phase;
    g->holds = number(v, "holds") != 0;
    g->since_us = number(v, "since");
    g->last_us = number(v, "last");
    g->told_us = number(v, "told");
    g->seq = (uint64_t)amount(v, "seq", INT64_MAX);
    g->count = (uint32_t)amount(v, "count", UINT32_MAX);
    g->replica = text(v, "replica", ID_BYTES_MAX);
    g->captures = text(v, "captures", RULE_BYTES_MAX);
    if (g->captures && (json_tree_parse_own(g->captures, strlen(g->captures), &captures) < 0 ||
                        !json_tree_is_obj(captures))) {
        free(g->captures);
        g->captures = NULL;
    }
    json_tree_free(&captures);
    if (json_tree_is_num(value)) {
        g->has_value = 1;
        g->value = json_tree_double(value);
    }
    read_ring(r, g, v, saved_us);
}

int eval_load(struct eval *e, const char *json, size_t len, uint64_t upto)
{
    struct json_tree *root = NULL;
    const struct json_tree *rules;
    const char *state = NULL;
    char key[RULE_KEY_BYTES];
    int err = json_tree_parse(json, len, &root, NULL);

    if (err == 0 && (number(root, "v") != 1 || json_tree_get_str(root, "state", &state) <= 0 ||
                     state_parse(state, strlen(state), &e->state) < 0))
        err = ERR_INVALID;
    if (err < 0)
        goto out;
    e->upto = upto;
    e->epoch = (uint64_t)amount(root, "epoch", INT64_MAX);
    e->state_us = number(root, "state_us");
    e->running_us = e->state == STATE_RUNNING ? e->state_us : 0;
    e->line_us = number(root, "line_us");
    e->step = number(root, "step");
    e->step_us = number(root, "step_us");
    if (number(root, "now_us") > e->now_us)
        e->now_us = number(root, "now_us");
    rules = json_tree_get(root, "rules");
    for (uint32_t i = 0; i < e->rule_count; i++) {
        struct eval_rule *r = &e->rules[i];
        const struct json_tree *v =
            json_tree_get(rules, rule_key(r->rule->project, r->rule->id, key));
        if (!v || hash(v, "h") != r->condition)
            continue;
        r->since_us = number(v, "since");
        r->is_seen = number(v, "seen") != 0;
        for (const struct json_tree *g = json_tree_first(json_tree_get(v, "groups")); g;
             g = json_tree_next(g))
            read_group(e, r, g, number(root, "now_us"));
    }
out:
    json_tree_free(&root);
    return err < 0 && err != ERR_NOMEM ? ERR_INVALID : err;
}

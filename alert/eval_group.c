/*
 * alert/eval_group.c -- groups of a rule: pending, firing, told, resolved.
 *
 *     instantaneous   match -> FIRING, told; again after dedup; gone keep_firing_for (at least dedup) after the last
 *     lasting         true -> PENDING for `for` -> FIRING, told -> false (and dedup and keep_firing_for over) -> resolved
 *
 * An alert says what is known here; evidence and words are added when it is published.
 */
#include "alert/eval_int.h"

#include "base/check.h"
#include "base/json.h"
#include "digest/fingerprint.h"
#include "digest/plain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which group ---- */

static const struct pattern_span *capture(const struct rule *r, const struct eval_match *m,
                                          const char *name)
{
    const struct pattern *p = r->lines.pattern;

    for (unsigned i = 0; m->spans && i < pattern_group_count(p); i++)
        if (strcmp(pattern_group_name(p, i), name) == 0)
            return &m->spans[i];
    return NULL;
}

uint64_t eval__group_hash(const struct eval_rule *r, const struct eval_match *m)
{
    const struct rule *rule = r->rule;
    uint64_t h = FINGERPRINT_START;
    char text[32];

    if (rule->group_count == 0)
        return 0;
    for (uint32_t i = 0; i < rule->group_count; i++) {
        const struct rule_group *g = &rule->groups[i];
        const struct pattern_span *span =
            g->by == GROUP_CAPTURE ? capture(rule, m, g->capture) : NULL;
        if (g->by == GROUP_RANK)
            h = fingerprint_bytes(h, text, (size_t)snprintf(text, sizeof text, "%d", m->rank));
        else if (g->by == GROUP_REPLICA && m->v)
            h = fingerprint_bytes(h, m->v->replica, m->v->replica_len);
        else if (g->by == GROUP_FINGERPRINT && m->line)
            h = fingerprint_text(h, m->line, m->line_len);
        else if (span && span->text)
            h = fingerprint_bytes(h, span->text, span->len);
        h = fingerprint_bytes(h, "\0", 1);
    }
    h = fingerprint_end(h);
    return h > EVAL_OTHER ? h : h + 2;
}

/* Object text of the named groups that took part; NULL: none. */
static char *captures_json(const struct rule *r, const struct eval_match *m)
{
    const struct pattern *p = r->lines.pattern;
    struct buf out = BUF_INIT;
    struct json j;
    int n = 0;

    json_init(&j, &out);
    json_obj(&j);
    for (unsigned i = 0; m && m->spans && i < pattern_group_count(p); i++) {
        if (!m->spans[i].text)
            continue;
        json_kstrn(&j, pattern_group_name(p, i), m->spans[i].text,
                   plain_cut(m->spans[i].text, m->spans[i].len, EVAL_CAPTURE_BYTES_MAX));
        n++;
    }
    json_end(&j);
    if (n)
        return buf_steal(&out, NULL);
    buf_release(&out);
    return NULL;
}

static void release(struct eval_group *g)
{
    free(g->replica);
    free(g->captures);
    free(g->times);
    free(g->values);
}

void eval__group_drop(struct eval *e, struct eval_rule *r, struct eval_group *g)
{
    release(g);
    *g = r->groups[--r->count];
    e->states--;
}

void eval__groups_free(struct eval *e, struct eval_rule *r)
{
    while (r->count)
        eval__group_drop(e, r, &r->groups[r->count - 1]);
    free(r->groups);
    r->groups = NULL;
    r->cap = 0;
}

/* Room for one more: the quiet one that was true longest ago goes. 0: all are firing. */
static int make_room(struct eval *e, struct eval_rule *r)
{
    struct eval_group *oldest = NULL;

    if (r->count < EVAL_STATES_PER_RULE && e->states < EVAL_STATES_PER_JOB)
        return 1;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->groups[i].phase != EVAL_FIRING &&
            (!oldest || r->groups[i].last_us < oldest->last_us))
            oldest = &r->groups[i];
    if (!oldest)
        return 0;
    eval__group_drop(e, r, oldest);
    return 1;
}

static struct eval_group *find(struct eval_rule *r, uint64_t hash)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->groups[i].hash == hash)
            return &r->groups[i];
    return NULL;
}

struct eval_group *eval__group(struct eval *e, struct eval_rule *r, uint64_t hash, int make,
                               const struct eval_match *m)
{
    struct eval_group *g = find(r, hash);

    if (g || !make)
        return g;
    if (!make_room(e, r)) {
        if ((g = find(r, EVAL_OTHER)))
            return g;
        hash = EVAL_OTHER; /* one over the limit */
    }
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 4;
        r->groups = must_realloc(r->groups, r->cap * sizeof *r->groups);
    }
    g = &r->groups[r->count++];
    memset(g, 0, sizeof *g);
    g->hash = hash;
    g->rank = m ? m->rank : RECORD_RANK_NONE;
    if (m && m->v && m->v->replica_len)
        g->replica = must_strndup(m->v->replica, m->v->replica_len);
    g->captures = captures_json(r->rule, m);
    e->states++;
    return g;
}

/* ---- saying it ---- */

static void put_number(struct json *j, const char *key, double v)
{
    char text[40];

    if (isfinite(v))
        snprintf(text, sizeof text, "%.6g", v);
    else
        snprintf(text, sizeof text, "%s", isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
    json_kstr(j, key, text);
}

static void put_threshold(struct json *j, const struct rule *r)
{
    char text[64], span[FIELDS_SPAN_BYTES];

    switch (r->kind) {
    case RULE_METRIC:
        if (r->metric_test == METRIC_NAN)
            return;
        snprintf(text, sizeof text,
                 r->metric_test == METRIC_BELOW_MEDIAN ? "%.6g%% of the median" : "%.6g",
                 r->metric_value);
        break;
    case RULE_RATE:
        snprintf(text, sizeof text, "%u in %s", r->rate_count, fields_span_text(r->span_us, span));
        break;
    case RULE_SILENCE:
    case RULE_ABSENCE:
    case RULE_STALL:
        snprintf(text, sizeof text, "%s", fields_span_text(r->span_us, span));
        break;
    default:
        return;
    }
    json_kstr(j, "threshold", text);
}

/* What tells it apart for Alertmanager and people: of the rule, and what was captured. */
static void put_labels(struct json *j, const struct rule *r, const struct eval_group *g)
{
    struct json_tree *captures = NULL;

    json_key(j, "labels");
    json_obj(j);
    for (uint32_t i = 0; i < r->label_count; i++)
        json_kstr(j, r->labels[i].name, r->labels[i].value);
    if (g->captures && json_tree_parse_own(g->captures, strlen(g->captures), &captures) == 0)
        for (const struct json_tree *c = json_tree_first(captures); c; c = json_tree_next(c)) {
            uint32_t i = 0;
            while (i < r->label_count && strcmp(r->labels[i].name, json_tree_key(c)) != 0)
                i++;
            if (i == r->label_count)
                json_kstr(j, json_tree_key(c), json_tree_str(c));
        }
    json_end(j);
    json_tree_free(&captures);
}

/* To whom, and how often at most: as it was when it fired. */
static void put_sending(struct json *j, const struct rule *r)
{
    if (r->has_receivers) {
        json_key(j, "receivers");
        json_arr(j);
        for (uint32_t i = 0; i < r->receiver_count; i++)
            json_str(j, r->receivers[i]);
        json_end(j);
    }
    json_ku64(j, "max_per_hour", r->max_per_hour);
}

static void put_record(struct json *j, const struct eval_match *m)
{
    if (m->v && m->v->stream_len)
        json_kstrn(j, "stream", m->v->stream, m->v->stream_len);
    if (m->v && !m->v->is_state && m->v->level != LEVEL_NONE)
        json_kstr(j, "level", level_name(m->v->level));
    if (m->line)
        json_kstrn(j, "line", m->line, plain_cut(m->line, m->line_len, EVAL_LINE_BYTES_MAX));
    if (m->message_len)
        json_kstrn(j, "message", m->message,
                   plain_cut(m->message, m->message_len, EVAL_LINE_BYTES_MAX));
    if (m->has_exit_code)
        json_ki64(j, "exit_code", m->exit_code);
}

static uint64_t alert_group(const struct eval *e, const struct eval_rule *r,
                            const struct eval_group *g)
{
    char key[RULE_KEY_BYTES], job[JOB_KEY_TEXT_BYTES];
    uint64_t h = FINGERPRINT_START;

    rule_key(r->rule->project, r->rule->id, key);
    job_key_text(&e->key, job);
    h = fingerprint_bytes(h, key, strlen(key) + 1);
    h = fingerprint_bytes(h, job, strlen(job) + 1);
    return fingerprint_end(fingerprint_bytes(h, (const char *)&g->hash, sizeof g->hash));
}

/* When an alert that fires now counts as over if nothing more is heard; 0: not before it is resolved. */
static int64_t ends_us(const struct eval_rule *r, int64_t now_us)
{
    const struct rule *rule = r->rule;

    if (rule_is_lasting(rule))
        return 0;
    return now_us + (rule->keep_us > rule->dedup_us ? rule->keep_us : rule->dedup_us);
}

static char *alert_json(const struct eval *e, const struct eval_rule *r, const struct eval_group *g,
                        const struct eval_match *m, const char *reason, size_t *ret_len)
{
    const struct rule *rule = r->rule;
    struct buf out = BUF_INIT;
    struct json j;
    char key[RULE_KEY_BYTES], hex[17];
    int64_t starts = reason || rule_is_lasting(rule) ? g->since_us : g->last_us;

    json_init(&j, &out);
    json_obj(&j);
    json_kstr(&j, "status", reason ? "resolved" : "firing");
    json_kstr(&j, "rule", rule->id);
    json_kstr(&j, "rule_key", rule_key(rule->project, rule->id, key));
    json_kstr(&j, "title", rule->title);
    json_kstr(&j, "severity", severity_name(rule->severity));
    json_kstr(&j, "project", e->key.project);
    json_kstr(&j, "job", e->key.job);
    json_kstr(&j, "state", state_name(e->state));
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)alert_group(e, r, g));
    json_kstr(&j, "fingerprint", hex);
    fields_put_time(&j, "at", e->now_us);
    fields_put_time(&j, "starts_at", starts);
    fields_put_time(&j, "ends_at", reason ? e->now_us : ends_us(r, e->now_us));
    json_ku64(&j, "seq", g->seq ? g->seq : e->upto);
    if (g->rank != RECORD_RANK_NONE)
        json_ki64(&j, "rank", g->rank);
    if (g->replica)
        json_kstr(&j, "replica", g->replica);
    if (g->captures) {
        json_key(&j, "captures");
        json_raw(&j, g->captures, strlen(g->captures));
    }
    json_key(&j, "job_labels");
    json_raw(&j, e->labels_json, strlen(e->labels_json));
    put_labels(&j, rule, g);
    put_sending(&j, rule);
    if (m)
        put_record(&j, m);
    if (g->has_value)
        put_number(&j, "value", g->value);
    put_threshold(&j, rule);
    json_ku64(&j, "count", g->count);
    if (e->step >= 0)
        json_ki64(&j, "step", e->step);
    if (reason)
        json_kstr(&j, "reason", reason);
    json_end(&j);
    CHECK(out.len > 2);
    out.data[--out.len] = '\0'; /* the last brace: more members follow */
    memmove(out.data, out.data + 1, out.len);
    *ret_len = out.len - 1;
    return buf_steal(&out, NULL);
}

static void say(struct eval *e, struct eval_rule *r, struct eval_group *g,
                const struct eval_match *m, const char *reason)
{
    struct eval_alert *a;

    if (e->alert_count == EVAL_ALERTS_MAX) {
        e->dropped++;
        return;
    }
    if (e->alert_count == e->alert_cap) {
        e->alert_cap = e->alert_cap ? e->alert_cap * 2 : 8;
        e->alerts = must_realloc(e->alerts, e->alert_cap * sizeof *e->alerts);
    }
    a = &e->alerts[e->alert_count++];
    *a = (struct eval_alert){.rule = r->rule,
                             .is_resolved = reason != NULL,
                             .at_us = e->now_us,
                             .seq = g->seq ? g->seq : e->upto,
                             .group = alert_group(e, r, g),
                             .rank = g->rank};
    a->json = alert_json(e, r, g, m, reason, &a->json_len);
}

/* ---- moves ---- */

static void tell(struct eval *e, struct eval_rule *r, struct eval_group *g,
                 const struct eval_match *m)
{
    if (rule_is_muted(r->rule, e->now_us))
        return; /* told when the mute is over, if it still fires */
    say(e, r, g, m, NULL);
    g->told_us = e->now_us;
    g->count = 0;
}

static void take_match(struct eval *e, struct eval_group *g, const struct eval_match *m)
{
    g->last_us = e->now_us;
    if (g->count < UINT32_MAX)
        g->count++;
    if (!m)
        return;
    if (m->seq)
        g->seq = m->seq;
    if (m->has_value) {
        g->has_value = 1;
        g->value = m->value;
    }
}

void eval__happened(struct eval *e, struct eval_rule *r, struct eval_group *g,
                    const struct eval_match *m)
{
    take_match(e, g, m);
    if (g->phase != EVAL_FIRING) {
        g->phase = EVAL_FIRING;
        g->since_us = e->now_us;
    }
    if (!g->told_us || e->now_us - g->told_us >= r->rule->dedup_us)
        tell(e, r, g, m);
}

/* It has held for long enough. */
static void fire_if_due(struct eval *e, struct eval_rule *r, struct eval_group *g,
                        const struct eval_match *m)
{
    if (g->phase != EVAL_PENDING || e->now_us - g->since_us < r->rule->for_us)
        return;
    g->phase = EVAL_FIRING;
    tell(e, r, g, m);
}

void eval__is_true(struct eval *e, struct eval_rule *r, struct eval_group *g, int64_t since_us,
                   const struct eval_match *m)
{
    take_match(e, g, m);
    g->holds = 1;
    if (g->phase == EVAL_QUIET) {
        g->phase = EVAL_PENDING;
        g->since_us = since_us;
    }
    fire_if_due(e, r, g, m);
}

void eval__resolve(struct eval *e, struct eval_rule *r, struct eval_group *g, const char *reason)
{
    if (g->phase == EVAL_FIRING && g->told_us >= g->since_us && rule_is_lasting(r->rule))
        say(e, r, g, NULL, reason);
    g->phase = EVAL_QUIET;
    g->holds = 0;
    g->count = 0;
}

/* A lasting alert ends at once, but never before dedup and keep_firing_for are over: flapping is one alert. */
static int64_t resolve_at(const struct eval_rule *r, const struct eval_group *g)
{
    int64_t at = g->last_us + r->rule->keep_us;

    return g->told_us + r->rule->dedup_us > at ? g->told_us + r->rule->dedup_us : at;
}

void eval__is_false(struct eval *e, struct eval_rule *r, struct eval_group *g, const char *reason)
{
    g->holds = 0;
    if (g->phase == EVAL_PENDING)
        g->phase = EVAL_QUIET;
    if (g->phase == EVAL_FIRING && e->now_us >= resolve_at(r, g))
        eval__resolve(e, r, g, reason);
}

static void lower(int64_t *deadline, int64_t at)
{
    if (at < *deadline)
        *deadline = at;
}

/* Is it kept for what came before? */
static int has_history(const struct eval_rule *r, const struct eval_group *g, int64_t now_us)
{

    if (r->rule->kind == RULE_RATE)
        return g->used &&
               g->times[(g->head + g->used - 1) % r->rule->rate_count] + r->rule->span_us > now_us;
    return r->rule->kind == RULE_METRIC && g->used > 0;
}

static void tick_lasting(struct eval *e, struct eval_rule *r, struct eval_group *g,
                         int64_t *deadline)
{
    if (g->phase == EVAL_PENDING) {
        fire_if_due(e, r, g, NULL);
        lower(deadline, g->since_us + r->rule->for_us);
    }
    if (g->phase != EVAL_FIRING)
        return;
    if (g->told_us < g->since_us) { /* it was muted when it fired */
        if (!rule_is_muted(r->rule, e->now_us))
            tell(e, r, g, NULL);
        else
            lower(deadline, r->rule->muted_until_us);
    }
    if (g->holds)
        return;
    if (e->now_us >= resolve_at(r, g))
        eval__resolve(e, r, g, EVAL_OVER);
    else
        lower(deadline, resolve_at(r, g));
}

int eval__group_tick(struct eval *e, struct eval_rule *r, struct eval_group *g, int64_t *deadline)
{
    const struct rule *rule = r->rule;
    int64_t over;

    if (rule_is_lasting(rule)) {
        tick_lasting(e, r, g, deadline);
    } else if (g->phase == EVAL_FIRING) {
        over = ends_us(r, g->last_us);
        if (e->now_us >= over)
            return 1;
        lower(deadline, over);
    }
    return g->phase == EVAL_QUIET && e->now_us >= g->told_us + rule->dedup_us &&
           !has_history(r, g, e->now_us);
}

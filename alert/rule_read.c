/*
 * alert/rule_read.c -- a rule from JSON, checked whole.
 */
#include "alert/rule_int.h"

#include "base/check.h"
#include "base/err.h"
#include "job/info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEDUP_US_DEFAULT                                                                           \
    INT64_C(600000000) /* of instantaneous rules; lasting ones resolve instead */
#define KEEP_US_DEFAULT INT64_C(3600000000) /* how long Alertmanager shows an instantaneous alert */
#define MAX_PER_HOUR_DEFAULT 60
#define MAX_PER_HOUR_MAX 100000

static const char *const rule_members[] = {
    "id", "project", "title", "enabled", "state", "line", "silence", "absence", "rate", "stall",
    "metric", "jobs", "job_labels", "for", "group_by", "dedup", "keep_firing_for", "max_per_hour",
    "severity", "labels", "annotations", "receivers", "muted_until",
    /* kept by the store; what a client sends there is not taken (alert/store.c) */
    "created_at", "updated_at", "enabled_at", "revision", "source", NULL};

int rule__read_pairs(const struct fields *f, const char *name, int is_label, size_t value_max,
                     struct rule_pair *pairs, uint32_t *ret_count)
{
    char path[FIELDS_PATH_BYTES];
    struct fields o;
    uint32_t count = 0;
    int n = fields_object(f, name, path, &o);

    if (n <= 0)
        return n;
    for (const struct json_tree *v = json_tree_first(o.v); v; v = json_tree_next(v)) {
        const char *key = json_tree_key(v), *value = NULL;
        size_t len = strlen(key);
        if (len == 0 || len > RULE_NAME_BYTES_MAX)
            return fields_fail(&o, key, "a name has 1 to %d bytes", RULE_NAME_BYTES_MAX);
        if (is_label &&
            (strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
                 len ||
             (key[0] >= '0' && key[0] <= '9') || strncmp(key, "__", 2) == 0))
            return fields_fail(&o, key,
                               "a name has letters, digits and '_', and no digit or '__' in front");
        if (count == RULE_PAIRS_MAX)
            return fields_fail(&o, NULL, "at most %d are taken", RULE_PAIRS_MAX);
        if (fields_str(&o, key, value_max, &value) < 0)
            return ERR_INVALID;
        if (json_tree_get(o.v, key) != v)
            return fields_fail(&o, key, "it is there twice");
        strcpy(pairs[count].name, key);
        pairs[count].value = must_strdup(value ? value : "");
        *ret_count = ++count;
    }
    return 1;
}

void rule__free_pairs(struct rule_pair *pairs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(pairs[i].value);
}

/* ---- scope ---- */

static int read_scope(struct rule *r, const struct fields *f)
{
    const char *s = NULL;
    int n;

    if ((n = fields_id(f, "id", &s)) <= 0)
        return n < 0 ? n : fields_fail(f, "id", "it is missing");
    strcpy(r->id, s);
    if ((n = fields_id(f, "project", &s)) < 0)
        return n;
    if (n)
        strcpy(r->project, s);
    if ((n = fields_str(f, "title", RULE_TITLE_BYTES_MAX, &s)) < 0)
        return n;
    r->title = must_strdup(n ? s : "");
    if ((n = fields_str(f, "jobs", ID_BYTES_MAX, &s)) < 0)
        return n;
    r->jobs = must_strdup(n ? s : "");
    return rule__read_pairs(f, "job_labels", 0, JOB_LABEL_VALUE_BYTES_MAX, r->job_labels,
                            &r->job_label_count);
}

/* ---- what makes two of its alerts the same ---- */

static int has_capture(const struct rule *r, const char *name)
{
    const struct pattern *p = r->lines.pattern;

    for (unsigned i = 0; p && i < pattern_group_count(p); i++)
        if (strcmp(pattern_group_name(p, i), name) == 0)
            return 1;
    return 0;
}

static int read_group(struct rule *r, const struct fields *f, const char *at, const char *s)
{
    struct rule_group *g = &r->groups[r->group_count];
    int of_lines = r->kind == RULE_LINE || r->kind == RULE_RATE;

    if (strcmp(s, "job") == 0)
        return 1; /* always so */
    if (r->group_count == RULE_GROUP_MAX)
        return fields_fail(f, at, "at most %d are taken", RULE_GROUP_MAX);
    if (strcmp(s, "rank") == 0 && (of_lines || r->kind == RULE_METRIC ||
                                   (r->kind == RULE_SILENCE && r->silence_of != SILENCE_OF_JOB)))
        g->by = GROUP_RANK;
    else if (strcmp(s, "replica") == 0 && of_lines)
        g->by = GROUP_REPLICA;
    else if (strcmp(s, "fingerprint") == 0 && of_lines)
        g->by = GROUP_FINGERPRINT;
    else if (strncmp(s, "captures.", 9) == 0 && of_lines && has_capture(r, s + 9)) {
        g->by = GROUP_CAPTURE;
        strcpy(g->capture, s + 9);
    } else {
        return fields_fail(f, at,
                           "this condition cannot be grouped by it (job, rank, replica, "
                           "fingerprint, captures.NAME)");
    }
    r->group_count++;
    return 1;
}

static int read_groups(struct rule *r, const struct fields *f)
{
    const struct json_tree *list = json_tree_get(f->v, "group_by");
    char at[48];
    int i = 0;

    if (!list || json_tree_is_null(list)) { /* defaults */
        if (r->kind == RULE_LINE)
            r->groups[r->group_count++].by = GROUP_FINGERPRINT;
        else if (r->kind == RULE_SILENCE && r->silence_of != SILENCE_OF_JOB)
            r->groups[r->group_count++].by = GROUP_RANK;
        return 0;
    }
    if (!json_tree_is_arr(list))
        return fields_fail(f, "group_by", "a list is wanted");
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v), i++) {
        const char *s = json_tree_str(v);
        snprintf(at, sizeof at, "group_by[%d]", i);
        if (!s)
            return fields_fail(f, at, "a string is wanted");
        if (read_group(r, f, at, s) < 0)
            return ERR_INVALID;
    }
    return 1;
}

static int read_firing(struct rule *r, const struct fields *f)
{
    int lasting, severity = SEVERITY_WARNING;
    int64_t most = MAX_PER_HOUR_DEFAULT;

    if (read_groups(r, f) < 0)
        return ERR_INVALID;
    lasting = rule_is_lasting(r);
    r->dedup_us = lasting ? 0 : DEDUP_US_DEFAULT;
    r->keep_us = lasting ? 0 : KEEP_US_DEFAULT;
    if (fields_span(f, "dedup", 0, RULE_SPAN_US_MAX, &r->dedup_us) < 0 ||
        fields_span(f, "keep_firing_for", 0, RULE_SPAN_US_MAX, &r->keep_us) < 0 ||
        fields_count(f, "max_per_hour", 0, MAX_PER_HOUR_MAX, &most) < 0 ||
        fields_choice(f, "severity", "info|warning|error|critical", &severity) < 0)
        return ERR_INVALID;
    r->max_per_hour = (uint32_t)most;
    r->severity = (enum severity)severity;
    return 0;
}

/* ---- words ---- */

static int knows_capture(const void *user, const char *x)
{
    return has_capture(user, x);
}

static int knows_label(const void *user, const char *x)
{
    const struct rule *r = user;

    for (uint32_t i = 0; i < r->label_count; i++)
        if (strcmp(r->labels[i].name, x) == 0)
            return 1;
    return has_capture(r, x);
}

static int read_words(struct rule *r, const struct fields *f)
{
    struct template_names names = {knows_capture, knows_label, NULL, r};
    char why[FIELDS_WHY_BYTES], at[FIELDS_PATH_BYTES];

    if (rule__read_pairs(f, "labels", 1, RULE_VALUE_BYTES_MAX, r->labels, &r->label_count) < 0 ||
        rule__read_pairs(f, "annotations", 1, TEMPLATE_BYTES_MAX, r->annotations,
                         &r->annotation_count) < 0)
        return ERR_INVALID;
    for (uint32_t i = 0; i < r->annotation_count; i++) {
        if (template_new(r->annotations[i].value, &names, &r->templates[i], why, sizeof why) < 0) {
            snprintf(at, sizeof at, "annotations.%s", r->annotations[i].name);
            return fields_fail(f, at, "%s", why);
        }
    }
    return 0;
}

static int read_receivers(struct rule *r, const struct fields *f)
{
    const struct json_tree *list = json_tree_get(f->v, "receivers");
    char at[48];
    int i = 0;

    if (!list || json_tree_is_null(list))
        return 0;
    if (!json_tree_is_arr(list))
        return fields_fail(f, "receivers", "a list of ids is wanted");
    r->has_receivers = 1;
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v), i++) {
        const char *s = json_tree_str(v);
        snprintf(at, sizeof at, "receivers[%d]", i);
        if (i == RULE_RECEIVERS_MAX)
            return fields_fail(f, at, "at most %d are taken", RULE_RECEIVERS_MAX);
        if (!s || !id_valid(s, strlen(s)))
            return fields_fail(f, at, "the id of a receiver is wanted");
        strcpy(r->receivers[r->receiver_count++], s);
    }
    return 1;
}

/* ---- the face ---- */

static int read_all(struct rule *r, const struct fields *f)
{
    int64_t revision = 0;

    if (fields_check(f, rule_members) < 0 || read_scope(r, f) < 0 ||
        rule__read_condition(r, f) < 0 || read_firing(r, f) < 0 || read_words(r, f) < 0 ||
        read_receivers(r, f) < 0 || fields_bool(f, "enabled", &r->enabled) < 0 ||
        fields_time(f, "muted_until", &r->muted_until_us) < 0 ||
        fields_time(f, "created_at", &r->created_us) < 0 ||
        fields_time(f, "updated_at", &r->updated_us) < 0 ||
        fields_time(f, "enabled_at", &r->enabled_us) < 0 ||
        fields_count(f, "revision", 0, INT64_C(1) << 52, &revision) < 0)
        return ERR_INVALID;
    r->revision = (uint64_t)revision;
    return 0;
}

int rule_read(const struct json_tree *v, struct rule **ret_rule, struct fields_why *why)
{
    struct fields f = {v, "$", why};
    struct rule *r = must_calloc(1, sizeof *r);
    int err;

    r->enabled = 1;
    filter_init(&r->lines.filter);
    err = read_all(r, &f);
    if (err < 0)
        rule_free(&r);
    else
        *ret_rule = r;
    return err;
}

int rule_parse(const char *text, size_t len, struct rule **ret_rule, struct fields_why *why)
{
    struct fields f = {NULL, "$", why};
    struct json_tree *root = NULL;
    size_t at = 0;
    int err;

    if (len > RULE_BYTES_MAX)
        return fields_fail(&f, NULL, "a rule has at most %d bytes", RULE_BYTES_MAX);
    err = must_have(json_tree_parse(text, len, &root, &at)); /* no mistake, for which a stored one would be left out */
    if (err < 0)
        return fields_fail(&f, NULL, "not JSON: it cannot be read from byte %zu on", at);
    err = rule_read(root, ret_rule, why);
    json_tree_free(&root);
    return err;
}

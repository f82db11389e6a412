/*
 * alert/rule.c -- what a rule is called, whom it covers, how it is written.
 */
#include "alert/rule.h"

#include "alert/rule_int.h"
#include "base/check.h"
#include "base/err.h"
#include "digest/fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rule_kind_name(enum rule_kind k)
{
    static const char *const names[] = {
#define X(name, word) #word,
        RULE_KIND_TABLE(X)
#undef X
    };
    CHECK((unsigned)k < RULE_KIND_COUNT);
    return names[k];
}

const char *severity_name(enum severity s)
{
    static const char *const names[] = {"info", "warning", "error", "critical"};

    CHECK((unsigned)s < 4);
    return names[s];
}

const char *source_name(enum rule_source s)
{
    static const char *const names[] = {"api", "file", "starter"};

    CHECK((unsigned)s < 3);
    return names[s];
}

int rule_is_lasting(const struct rule *r)
{
    return r->kind != RULE_LINE && (r->kind != RULE_STATE || r->for_us > 0);
}

int rule_is_muted(const struct rule *r, int64_t now_us)
{
    return r->muted_until_us > now_us;
}

const char *rule_key(const char *project, const char *id, char out[RULE_KEY_BYTES])
{
    snprintf(out, RULE_KEY_BYTES, "%s/%s", *project ? project : "*", id);
    return out;
}

/* ---- scope ---- */

/* '*' stands for any run of characters. */
static int glob_match(const char *glob, const char *s)
{
    const char *star = NULL, *back = NULL;

    while (*s) {
        if (*glob == '*') {
            star = ++glob;
            back = s;
        } else if (*glob == *s) {
            glob++;
            s++;
        } else if (star) {
            glob = star;
            s = ++back;
        } else {
            return 0;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

int rule_covers(const struct rule *r, const struct job_key *key, const struct json_tree *labels)
{
    if (r->project[0] && strcmp(r->project, key->project) != 0)
        return 0;
    if (*r->jobs && !glob_match(r->jobs, key->job))
        return 0;
    for (uint32_t i = 0; i < r->job_label_count; i++) {
        const char *value = json_tree_str(json_tree_get(labels, r->job_labels[i].name));
        if (!value || strcmp(value, r->job_labels[i].value) != 0)
            return 0;
    }
    return 1;
}

/* ---- writing ---- */

static void put_pairs(struct json *j, const char *key, const struct rule_pair *pairs,
                      uint32_t count)
{
    if (!count)
        return;
    json_key(j, key);
    json_obj(j);
    for (uint32_t i = 0; i < count; i++)
        json_kstr(j, pairs[i].name, pairs[i].value);
    json_end(j);
}

static void put_groups(struct json *j, const struct rule *r)
{
    static const char *const names[] = {"rank", "replica", "fingerprint"};
    char text[RULE_NAME_BYTES_MAX + 16];

    json_key(j, "group_by");
    json_arr(j);
    json_str(j, "job");
    for (uint32_t i = 0; i < r->group_count; i++) {
        const struct rule_group *g = &r->groups[i];
        snprintf(text, sizeof text, "captures.%s", g->capture);
        json_str(j, g->by == GROUP_CAPTURE ? text : names[g->by]);
    }
    json_end(j);
}

static void put_condition(struct json *j, const struct rule *r)
{
    rule__write_condition(j, r);
    if (*r->jobs)
        json_kstr(j, "jobs", r->jobs);
    put_pairs(j, "job_labels", r->job_labels, r->job_label_count);
    if (r->for_us)
        fields_put_span(j, "for", r->for_us);
    put_groups(j, r);
}

int rule_write(struct buf *out, const struct rule *r)
{
    struct json j;

    json_init(&j, out);
    json_obj(&j);
    json_kstr(&j, "id", r->id);
    json_kstr(&j, "project", r->project[0] ? r->project : NULL);
    json_kstr(&j, "title", r->title);
    json_kbool(&j, "enabled", r->enabled);
    put_condition(&j, r);
    fields_put_span(&j, "dedup", r->dedup_us);
    fields_put_span(&j, "keep_firing_for", r->keep_us);
    json_ku64(&j, "max_per_hour", r->max_per_hour);
    json_kstr(&j, "severity", severity_name(r->severity));
    put_pairs(&j, "labels", r->labels, r->label_count);
    put_pairs(&j, "annotations", r->annotations, r->annotation_count);
    if (r->has_receivers) {
        json_key(&j, "receivers");
        json_arr(&j);
        for (uint32_t i = 0; i < r->receiver_count; i++)
            json_str(&j, r->receivers[i]);
        json_end(&j);
    }
    fields_put_time(&j, "muted_until", r->muted_until_us);
    fields_put_time(&j, "created_at", r->created_us);
    fields_put_time(&j, "updated_at", r->updated_us);
    fields_put_time(&j, "enabled_at", r->enabled_us);
    json_ku64(&j, "revision", r->revision);
    json_kstr(&j, "source", source_name(r->source));
    json_end(&j);
    return json_err(&j);
}

uint64_t rule_condition_hash(const struct rule *r)
{
    struct buf text = BUF_INIT;
    struct json j;
    uint64_t h;

    json_init(&j, &text);
    json_obj(&j);
    put_condition(&j, r);
    json_end(&j);
    h = fingerprint_end(fingerprint_bytes(FINGERPRINT_START, buf_cstr(&text), text.len));
    buf_release(&text);
    return h;
}

void rule_free(struct rule **rule)
{
    struct rule *r = *rule;

    *rule = NULL;
    if (!r)
        return;
    free(r->title);
    free(r->jobs);
    free(r->lines.contains);
    free(r->lines.pattern_text);
    free(r->lines.rank_text);
    if (r->lines.pattern)
        pattern_free(&r->lines.pattern);
    for (uint32_t i = 0; i < r->annotation_count; i++)
        template_free(&r->templates[i]);
    rule__free_pairs(r->job_labels, r->job_label_count);
    rule__free_pairs(r->labels, r->label_count);
    rule__free_pairs(r->annotations, r->annotation_count);
    free(r);
}

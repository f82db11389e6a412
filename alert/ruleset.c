/*
 * alert/ruleset.c -- drafts of rules from several sources, and the set they become.
 */
#include "alert/ruleset.h"

#include "base/check.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* make runs in the root */
__asm__(".pushsection .rodata\n"
        ".global ruleset_starter\n"
        ".type ruleset_starter, @object\n"
        "ruleset_starter:\n"
        ".incbin \"alert/starter.json\"\n"
        ".byte 0\n"
        ".size ruleset_starter, . - ruleset_starter\n"
        ".popsection\n");

/* ---- drafts ---- */

/* By project, then id; "" first. */
static int compare_keys(const char *project_a, const char *id_a, const char *project_b,
                        const char *id_b)
{
    int d = strcmp(project_a, project_b);

    return d ? d : strcmp(id_a, id_b);
}

int ruleset_draft_rule(struct ruleset_draft *d, struct rule **r)
{
    for (uint32_t i = 0; i < d->rule_count; i++) {
        if (compare_keys(d->rules[i]->project, d->rules[i]->id, (*r)->project, (*r)->id) == 0) {
            rule_free(r);
            return 0;
        }
    }
    if (d->rule_count == d->rule_cap) {
        d->rule_cap = d->rule_cap ? d->rule_cap * 2 : 16;
        d->rules = must_realloc(d->rules, d->rule_cap * sizeof(struct rule *));
    }
    d->rules[d->rule_count++] = *r;
    *r = NULL;
    return 1;
}

int ruleset_draft_receiver(struct ruleset_draft *d, struct receiver **r)
{
    for (uint32_t i = 0; i < d->receiver_count; i++) {
        if (compare_keys(d->receivers[i]->project, d->receivers[i]->id, (*r)->project, (*r)->id) ==
            0) {
            receiver_free(r);
            return 0;
        }
    }
    if (d->receiver_count == d->receiver_cap) {
        d->receiver_cap = d->receiver_cap ? d->receiver_cap * 2 : 16;
        d->receivers = must_realloc(d->receivers, d->receiver_cap * sizeof(struct receiver *));
    }
    d->receivers[d->receiver_count++] = *r;
    *r = NULL;
    return 1;
}

void ruleset_draft_release(struct ruleset_draft *d)
{
    for (uint32_t i = 0; i < d->rule_count; i++)
        rule_free(&d->rules[i]);
    for (uint32_t i = 0; i < d->receiver_count; i++)
        receiver_free(&d->receivers[i]);
    free(d->rules);
    free(d->receivers);
    memset(d, 0, sizeof *d);
}

/* ---- the set ---- */

static int by_rule_key(const void *a, const void *b)
{
    const struct rule *x = *(struct rule *const *)a, *y = *(struct rule *const *)b;

    return compare_keys(x->project, x->id, y->project, y->id);
}

static int by_receiver_key(const void *a, const void *b)
{
    const struct receiver *x = *(struct receiver *const *)a, *y = *(struct receiver *const *)b;

    return compare_keys(x->project, x->id, y->project, y->id);
}

struct ruleset *ruleset_make(struct ruleset_draft *d)
{
    static uint64_t made;
    struct ruleset *s = must_calloc(1, sizeof *s);

    s->refs = 1;
    s->number = ++made;
    s->rules = d->rules;
    s->rule_count = d->rule_count;
    s->receivers = d->receivers;
    s->receiver_count = d->receiver_count;
    memset(d, 0, sizeof *d);
    if (s->rule_count)
        qsort(s->rules, s->rule_count, sizeof(struct rule *), by_rule_key);
    if (s->receiver_count)
        qsort(s->receivers, s->receiver_count, sizeof(struct receiver *), by_receiver_key);
    for (uint32_t i = 0; i < s->rule_count; i++)
        s->enabled_count += s->rules[i]->enabled != 0;
    s->matcher = matcher_new((const struct rule *const *)s->rules, s->rule_count);
    return s;
}

struct ruleset *ruleset_ref(struct ruleset *s)
{
    CHECK(s->refs > 0);
    s->refs++;
    return s;
}

void ruleset_unref(struct ruleset **set)
{
    struct ruleset *s = *set;
    struct ruleset_draft d;

    *set = NULL;
    if (!s || --s->refs > 0)
        return;
    matcher_free(&s->matcher);
    d = (struct ruleset_draft){s->rules, s->receivers, s->rule_count, 0, s->receiver_count, 0};
    ruleset_draft_release(&d);
    free(s);
}

const struct rule *ruleset_rule(const struct ruleset *s, const char *project, const char *id)
{
    for (uint32_t i = 0; i < s->rule_count; i++)
        if (compare_keys(s->rules[i]->project, s->rules[i]->id, project, id) == 0)
            return s->rules[i];
    return NULL;
}

const struct receiver *ruleset_receiver(const struct ruleset *s, const char *project,
                                        const char *id)
{
    for (uint32_t i = 0; i < s->receiver_count; i++)
        if (compare_keys(s->receivers[i]->project, s->receivers[i]->id, project, id) == 0)
            return s->receivers[i];
    return NULL;
}

/* ---- a file ---- */

/* Put "$.rules[3]" in front of "$.line". */
static void place(struct fields_why *why, const char *list, int i)
{
    char path[FIELDS_PATH_BYTES];

    snprintf(path, sizeof path, "$.%s[%d]%.100s", list, i,
             why->path[0] == '$' ? why->path + 1 : "");
    strcpy(why->path, path);
}

static int parse_rules(const struct json_tree *list, enum rule_source source, int64_t enabled_us,
                       struct ruleset_draft *d, struct fields_why *why)
{
    int i = 0;

    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v), i++) {
        struct rule *r = NULL;
        if (rule_read(v, &r, why) < 0) {
            place(why, "rules", i);
            return ERR_INVALID;
        }
        r->source = source;
        if (!r->enabled_us)
            r->enabled_us = enabled_us;
        if (!ruleset_draft_rule(d, &r) && source == SOURCE_FILE) {
            snprintf(why->path, sizeof why->path, "$.rules[%d].id", i);
            snprintf(why->text, sizeof why->text, "there is a rule of this id and project already");
            return ERR_INVALID;
        }
        if (d->rule_count > RULES_MAX) {
            snprintf(why->path, sizeof why->path, "$.rules");
            snprintf(why->text, sizeof why->text, "at most %d rules are taken", RULES_MAX);
            return ERR_INVALID;
        }
    }
    return 0;
}

static int parse_receivers(const struct json_tree *list, enum rule_source source,
                           struct ruleset_draft *d, struct fields_why *why)
{
    int i = 0;

    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v), i++) {
        struct receiver *r = NULL;
        if (receiver_read(v, &r, why) < 0) {
            place(why, "receivers", i);
            return ERR_INVALID;
        }
        r->source = source;
        if (!ruleset_draft_receiver(d, &r)) {
            snprintf(why->path, sizeof why->path, "$.receivers[%d].id", i);
            snprintf(why->text, sizeof why->text,
                     "there is a receiver of this id and project already");
            return ERR_INVALID;
        }
        if (d->receiver_count > RECEIVERS_MAX) {
            snprintf(why->path, sizeof why->path, "$.receivers");
            snprintf(why->text, sizeof why->text, "at most %d receivers are taken", RECEIVERS_MAX);
            return ERR_INVALID;
        }
    }
    return 0;
}

int ruleset_parse(const char *text, size_t len, enum rule_source source, int64_t enabled_us,
                  struct ruleset_draft *d, struct fields_why *why)
{
    static const char *const members[] = {"rules", "receivers", NULL};
    struct json_tree *root = NULL;
    struct fields f = {NULL, "$", why};
    const struct json_tree *rules, *receivers;
    size_t at = 0;
    int err = json_tree_parse(text, len, &root, &at);

    if (err == ERR_NOMEM) {
        fields_fail(&f, NULL, "there is no memory to read it");
        return err;
    }
    if (err == ERR_TOO_BIG)
        return fields_fail(&f, NULL, "it is larger than %lu bytes or nested too deep",
                           JSON_TREE_BYTES_MAX);
    if (err < 0)
        return fields_fail(&f, NULL, "not JSON: it cannot be read from byte %zu on", at);
    f.v = root;
    err = fields_check(&f, members);
    rules = json_tree_get(root, "rules");
    receivers = json_tree_get(root, "receivers");
    if (err == 0 && rules && !json_tree_is_arr(rules))
        err = fields_fail(&f, "rules", "a list is wanted");
    if (err == 0 && receivers && !json_tree_is_arr(receivers))
        err = fields_fail(&f, "receivers", "a list is wanted");
    if (err == 0)
        err = parse_rules(rules, source, enabled_us, d, why);
    if (err == 0)
        err = parse_receivers(receivers, source, d, why);
    json_tree_free(&root);
    return err;
}

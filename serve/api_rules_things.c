/*
 * serve/api_rules_things.c -- rules and receivers as the verbs of serve/api_rules.c handle them.
 */
#include "serve/api_rules_int.h"

#include <string.h>

/* ---- rules ---- */

static uint32_t rules_count(const struct ruleset *s)
{
    return s->rule_count;
}
static const void *rules_at(const struct ruleset *s, uint32_t i)
{
    return s->rules[i];
}
static const char *rules_id(const void *v)
{
    return ((const struct rule *)v)->id;
}
static const char *rules_project(const void *v)
{
    return ((const struct rule *)v)->project;
}
static enum rule_source rules_source(const void *v)
{
    return ((const struct rule *)v)->source;
}
static uint64_t rules_revision(const void *v)
{
    return ((const struct rule *)v)->revision;
}
static int rules_write(struct buf *out, const void *v)
{
    return rule_write(out, v);
}
static int rules_read(const struct json_tree *v, void **ret, struct fields_why *why)
{
    struct rule *r = NULL;
    int err = rule_read(v, &r, why);
    *ret = r;
    return err;
}
static int rules_patch(const void *old, const struct json_tree *patch, void **ret,
                       struct fields_why *why)
{
    struct rule *r = NULL;
    int err = rule_patch(old, patch, &r, why);
    *ret = r;
    return err;
}
static void rules_set_project(void *v, const char *project)
{
    strcpy(((struct rule *)v)->project, project);
}
static void rules_put(struct alert *a, void **v, uint64_t expected, alert_put_fn *done, void *user)
{
    struct rule *r = *v;
    *v = NULL;
    alert_put_rule(a, &r, expected, done, user);
}
static void rules_free(void **v)
{
    struct rule *r = *v;
    *v = NULL;
    rule_free(&r);
}
const struct thing_ops api__rules = {"rule",
                                     "rules",
                                     1,
                                     rules_count,
                                     rules_at,
                                     rules_id,
                                     rules_project,
                                     rules_source,
                                     rules_revision,
                                     rules_write,
                                     rules_read,
                                     rules_patch,
                                     rules_set_project,
                                     rules_put,
                                     alert_delete_rule,
                                     rules_free};

/* ---- receivers ---- */

static uint32_t receivers_count(const struct ruleset *s)
{
    return s->receiver_count;
}
static const void *receivers_at(const struct ruleset *s, uint32_t i)
{
    return s->receivers[i];
}
static const char *receivers_id(const void *v)
{
    return ((const struct receiver *)v)->id;
}
static const char *receivers_project(const void *v)
{
    return ((const struct receiver *)v)->project;
}
static enum rule_source receivers_source(const void *v)
{
    return ((const struct receiver *)v)->source;
}
static uint64_t receivers_revision(const void *v)
{
    return ((const struct receiver *)v)->revision;
}
static int receivers_write(struct buf *out, const void *v)
{
    return receiver_write(out, v, 0);
}
static int receivers_read(const struct json_tree *v, void **ret, struct fields_why *why)
{
    struct receiver *r = NULL;
    int err = receiver_read(v, &r, why);
    *ret = r;
    return err;
}
static int receivers_patch(const void *old, const struct json_tree *patch, void **ret,
                           struct fields_why *why)
{
    struct receiver *r = NULL;
    int err = receiver_patch(old, patch, &r, why);
    *ret = r;
    return err;
}
static void receivers_set_project(void *v, const char *project)
{
    strcpy(((struct receiver *)v)->project, project);
}
static void receivers_put(struct alert *a, void **v, uint64_t expected, alert_put_fn *done,
                          void *user)
{
    struct receiver *r = *v;
    *v = NULL;
    alert_put_receiver(a, &r, expected, done, user);
}
static void receivers_free(void **v)
{
    struct receiver *r = *v;
    *v = NULL;
    receiver_free(&r);
}
const struct thing_ops api__receivers = {"receiver",
                                         "receivers",
                                         0,
                                         receivers_count,
                                         receivers_at,
                                         receivers_id,
                                         receivers_project,
                                         receivers_source,
                                         receivers_revision,
                                         receivers_write,
                                         receivers_read,
                                         receivers_patch,
                                         receivers_set_project,
                                         receivers_put,
                                         alert_delete_receiver,
                                         receivers_free};

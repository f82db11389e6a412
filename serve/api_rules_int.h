/*
 * serve/api_rules_int.h -- what the verbs of serve/api_rules.c need of a rule or a receiver.
 */
#ifndef SERVE_API_RULES_INT_H
#define SERVE_API_RULES_INT_H

#include "alert/alert.h"
#include "http/http.h"

struct thing_ops {
    const char *word, *list; /* "rule", "rules" */
    int is_shared;           /* those of all projects may be looked at from any */
    uint32_t (*count)(const struct ruleset *s);
    const void *(*at)(const struct ruleset *s, uint32_t i);
    const char *(*id)(const void *thing);
    const char *(*project)(const void *thing);
    enum rule_source (*source)(const void *thing);
    uint64_t (*revision)(const void *thing);
    int (*write)(struct buf *out, const void *thing);
    int (*read)(const struct json_tree *v, void **ret, struct fields_why *why);
    int (*patch)(const void *old, const struct json_tree *patch, void **ret,
                 struct fields_why *why);
    void (*set_project)(void *thing, const char *project);
    void (*put)(struct alert *a, void **thing, uint64_t expected, alert_put_fn *done, void *user);
    void (*del)(struct alert *a, const char *project, const char *id, alert_put_fn *done,
                void *user);
    void (*free)(void **thing);
};

/* 400 `bad_<word>` with the place of the mistake. */
void api__reply_mistake(const char *word, struct http *x, const struct fields_why *why);

extern const struct thing_ops api__rules, api__receivers;

#endif

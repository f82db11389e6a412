/*
 * alert/ruleset.h -- all rules and receivers of a service at one moment: never changed, only replaced.
 *
 * Made of three sources: the starter set (shipped, off), the rules file (read-only), what the API wrote. One
 * (scope, id) is there once: the file beats the API beats the starter set.
 *
 * Threads    Reference-counted on the loop thread; other threads read it while the loop holds a reference.
 */
#ifndef ALERT_RULESET_H
#define ALERT_RULESET_H

#include "alert/matcher.h"
#include "alert/receiver.h"
#include "alert/rule.h"

struct ruleset {
    int refs;
    uint64_t number;     /* unique in this process, from 1 */
    struct rule **rules; /* by key */
    uint32_t rule_count;
    struct receiver **receivers; /* by key */
    uint32_t receiver_count;
    uint32_t enabled_count;  /* of rules */
    struct matcher *matcher; /* over the enabled ones, by their place in rules */
};

/* Rules and receivers as they come, to be made a set. */
struct ruleset_draft {
    struct rule **rules;
    struct receiver **receivers;
    uint32_t rule_count, rule_cap, receiver_count, receiver_cap;
};
/* Takes and NULLs. What is there under the same key already stays. 1: taken; 0: dropped. */
int ruleset_draft_rule(struct ruleset_draft *d, struct rule **r);
int ruleset_draft_receiver(struct ruleset_draft *d, struct receiver **r);
void ruleset_draft_release(struct ruleset_draft *d);
/* Empties the draft. One reference. */
struct ruleset *ruleset_make(struct ruleset_draft *d);
struct ruleset *ruleset_ref(struct ruleset *s);
void ruleset_unref(struct ruleset **s);

/* project "": the one of all projects. NULL. Borrowed. */
const struct rule *ruleset_rule(const struct ruleset *s, const char *project, const char *id);
const struct receiver *ruleset_receiver(const struct ruleset *s, const char *project,
                                        const char *id);

/* {"rules":[…],"receivers":[…]} into the draft, all of source. enabled_us: of rules that do not say.
 * ERR_INVALID with the place; ERR_LIMIT; ERR_NOMEM with a sentence. */
int ruleset_parse(const char *text, size_t len, enum rule_source source, int64_t enabled_us,
                  struct ruleset_draft *d, struct fields_why *why);
/* The shipped set: the text of alert/starter.json. */
extern const char ruleset_starter[];

#endif

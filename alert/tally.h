/*
 * alert/tally.h -- what this node has put into the feed, by rule and by state: counters for Prometheus.
 *
 * Each alert and each change of a state is counted by the one node whose call put it there, once.
 * Limits     TALLY_RULES_MAX rules by name since the start, further ones are "other".
 */
#ifndef ALERT_TALLY_H
#define ALERT_TALLY_H

#include "alert/alert.h"
#include "job/state.h"

#define TALLY_RULES_MAX 2000

struct tally_rule {
    uint64_t firing, resolved, suppressed /* over the rule's limit: of firing */;
};
/* Start with *pos = 0; NULL at the end. key: "scope/id", borrowed. */
const struct tally_rule *tally_rules(const struct alert *a, size_t *pos, const char **ret_key,
                                     size_t *ret_key_len);
uint64_t tally_state(const struct alert *a, enum job_state s);

/* alert.c, publish.c, feed.c */
struct tally;
struct tally *tally_new(void);
void tally_free(struct tally **t);
void tally_alert(struct alert *a, const char *rule_key, int is_firing, int is_suppressed);
void tally_add_state(struct alert *a, enum job_state s);

#endif

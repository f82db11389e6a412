/*
 * alert/tally.c -- counters by rule and by state.
 */
#include "alert/tally.h"

#include "alert/alert_int.h"
#include "base/check.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#define OTHER "other"

struct tally {
    struct map *rules; /* key -> struct tally_rule */
    uint64_t states[STATE_COUNT];
};

struct tally *tally_new(void)
{
    struct tally *t = must_calloc(1, sizeof *t);

    t->rules = map_new();
    return t;
}

void tally_free(struct tally **tally)
{
    struct tally *t = *tally;
    struct tally_rule *r;
    size_t pos = 0;

    *tally = NULL;
    if (!t)
        return;
    while ((r = map_next(t->rules, &pos, NULL, NULL)))
        free(r);
    map_free(&t->rules);
    free(t);
}

void tally_alert(struct alert *a, const char *rule_key, int is_firing, int is_suppressed)
{
    struct map *rules = a->tally->rules;
    struct tally_rule *r = map_get(rules, rule_key, strlen(rule_key));

    if (!r && map_count(rules) >= TALLY_RULES_MAX) {
        rule_key = OTHER;
        r = map_get(rules, rule_key, strlen(rule_key));
    }
    if (!r) {
        r = must_calloc(1, sizeof *r);
        map_put(rules, rule_key, strlen(rule_key), r);
    }
    is_firing ? r->firing++ : r->resolved++;
    r->suppressed += is_suppressed != 0;
}

void tally_add_state(struct alert *a, enum job_state s)
{
    a->tally->states[s]++;
}

const struct tally_rule *tally_rules(const struct alert *a, size_t *pos, const char **ret_key,
                                     size_t *ret_key_len)
{
    return map_next(a->tally->rules, pos, ret_key, ret_key_len);
}

uint64_t tally_state(const struct alert *a, enum job_state s)
{
    return a->tally->states[s];
}

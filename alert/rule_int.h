/*
 * alert/rule_int.h -- what the files of a rule share.
 *
 * rule.c: names, scope, writing. rule_read.c: the whole rule. rule_condition.c: its condition.
 */
#ifndef ALERT_RULE_INT_H
#define ALERT_RULE_INT_H

#include "alert/rule.h"

/* The member named after r->kind, and `for`, which not every kind takes. */
int rule__read_condition(struct rule *r, const struct fields *f);
/* {"name":"value"} into pairs. is_label: names must be usable as Prometheus labels. */
int rule__read_pairs(const struct fields *f, const char *name, int is_label, size_t value_max,
                     struct rule_pair *pairs, uint32_t *ret_count);
void rule__free_pairs(struct rule_pair *pairs, uint32_t count);
/* The condition as a member of the open object. */
void rule__write_condition(struct json *j, const struct rule *r);

#endif

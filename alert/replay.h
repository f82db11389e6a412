/*
 * alert/replay.h -- what a rule would have said of a job: its log told again to an evaluator, record by record.
 *
 * Time is that of the records (their own, it never goes back); what time alone does happens between them. A rank
 * counts as done from its last record on, when its producers said so. max_per_hour, mutes and receivers
 * play no part. Pure; one thread at a time.
 */
#ifndef ALERT_REPLAY_H
#define ALERT_REPLAY_H

#include "alert/rule.h"
#include "job/info.h"

struct replay;

/* rule: taken and NULLed; looked at as if it had always been enabled. info: with detail; borrowed until replay_free(). */
struct replay *replay_new(const struct job_info *info, struct rule **rule);
void replay_free(struct replay **r);
/* Records in their order, whole lines. Alerts are appended to out, one object a line. ERR_NOMEM. */
int replay_feed(struct replay *r, const char *text, size_t len, struct buf *out);
/* {"type":"done","records":…,"firing":…,"resolved":…,"from":…,"to":…} */
int replay_end(struct replay *r, struct buf *out);

#endif

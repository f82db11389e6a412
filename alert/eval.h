/*
 * alert/eval.h -- the rules of a service over one job: records and time in, alerts out.
 *
 * A deterministic state machine without I/O. Fed the records of a job in their order and told the time, it
 * says what fires and what is resolved. Its whole state can be written down after any call and read back: what went in
 * before must not go in again. Live evaluation (alert/watch.c) and `rules test` (alert/replay.c) are the same code.
 *
 * Time       Microseconds, handed in: of a frame when it was received. It never goes back; a call with an
 *            earlier time counts as the latest seen.
 * Silence    of ranks is known from the frames and from eval_ranks(): which ranks are done only Redis knows, so a
 *            silent rank fires only in an eval_tick() at most EVAL_RANKS_US after an eval_ranks().
 * Limits     EVAL_* below. Over the states of a rule its oldest quiet one is forgotten; when all are firing,
 *            further groups are one, "other".
 * Threads    One at a time. The ruleset is read only.
 */
#ifndef ALERT_EVAL_H
#define ALERT_EVAL_H

#include "alert/ruleset.h"
#include "job/info.h"

#define EVAL_STATES_PER_RULE 64
#define EVAL_STATES_PER_JOB 128
#define EVAL_LINE_BYTES_MAX 4096   /* of a line kept in an alert */
#define EVAL_CAPTURE_BYTES_MAX 255 /* of a named group */
#define EVAL_VALUES_MAX 101        /* of a metric, for its running median */
#define EVAL_VALUES_MIN 20         /* before a median counts */
#define EVAL_RANKS_US 2000000
#define EVAL_ALERTS_MAX 1000 /* of one call; further ones are counted and dropped */

struct eval;

/* What is to be said. */
struct eval_alert {
    const struct rule *rule; /* in the ruleset of the call */
    int is_resolved;
    int64_t at_us;
    uint64_t seq;   /* the record it is about; 0: none */
    uint64_t group; /* what it is the same as */
    int32_t rank;
    char *json; /* the members that are known here, an object without braces: docs/alerting.md */
    size_t json_len;
};

/* info: key, labels, state and its history; borrowed. */
struct eval *eval_new(const struct job_info *info);
void eval_free(struct eval **e);
/* Evaluate these rules from now on. What fires of rules that are gone (or look for something else now) is resolved.
 * The set must outlive the evaluator or the next call. */
void eval_set_rules(struct eval *e, const struct ruleset *s, int64_t now_us);
/* How many of them look at this job: 0: it need not be fed. */
uint32_t eval_rule_count(const struct eval *e);
/* The earliest time from which on a rule of it looks; lines received before need not be fed. */
int64_t eval_since_us(const struct eval *e);

struct eval_frame {
    const char *text; /* numbered canonical lines */
    size_t len;
    uint64_t first_seq;
    int64_t recv_us;
    const struct frame_summary *sum; /* NULL: not known */
};
/* All its records; those at or before what was fed already are passed over. */
void eval_feed(struct eval *e, const struct eval_frame *f);
/* Nothing that was received up to now has not been fed. */
void eval_tick(struct eval *e, int64_t now_us);
/* The latest time seen: of a tick, a record, the saved state. */
int64_t eval_now_us(const struct eval *e);
/* When eval_tick() may do something next; INT64_MAX: never. */
int64_t eval_deadline(const struct eval *e);
/* After taking over, so long producers are given to come back before time alone fires: the shortest time a rule waits for,
 * at most max_us. */
int64_t eval_grace_us(const struct eval *e, int64_t max_us);
/* 1: a rank may be silent; eval_ranks() with fresh info (detail) is wanted before the next tick. */
int eval_wants_ranks(const struct eval *e);
void eval_ranks(struct eval *e, const struct job_info *info);
/* The log was reset: it begins again with record 1. What was received before the latest time seen counts as fed. */
void eval_reset(struct eval *e, uint64_t epoch);

/* Alerts since the last call, in order: *ret is malloc'd, each json too; the caller frees (eval_alerts_free). */
uint32_t eval_take(struct eval *e, struct eval_alert **ret);
void eval_alerts_free(struct eval_alert **alerts, uint32_t count);
uint64_t eval_upto(const struct eval *e); /* last record fed */
/* Begin after this record, without a saved state: after eval_set_rules(). */
void eval_begin(struct eval *e, uint64_t after);
uint64_t eval_dropped(struct eval *e); /* since the last call */

/* One JSON object. */
int eval_save(const struct eval *e, struct buf *out);
/* After eval_set_rules(), instead of eval_begin(); states of rules that are gone are left out. ERR_INVALID,
 * ERR_NOMEM: nothing was taken. upto: what had been fed then. */
int eval_load(struct eval *e, const char *text, size_t len, uint64_t upto);

#endif

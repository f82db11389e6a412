/*
 * alert/eval_int.h -- the evaluator's own structures.
 *
 *     eval ── rules (those that cover the job) ── states (one per group that is being looked at)
 *
 * A state is PENDING (true, but not for long enough), FIRING, or QUIET (kept for its history: a rate's matches, a
 * metric's values, when it was last told).
 * eval.c: life, rules, frames. eval_lines.c: line, rate, absence. eval_metric.c: metrics and steps. eval_time.c: what
 * time alone does. eval_group.c: states and what they say. eval_save.c: writing and reading them.
 */
#ifndef ALERT_EVAL_INT_H
#define ALERT_EVAL_INT_H

#include "alert/eval.h"

#include "base/pattern.h"
#include "job/record.h"

#define EVAL_OVER "the condition is over"
#define EVAL_ENDED "the job has ended"
#define EVAL_CHANGED "the rule was changed or switched off"
#define EVAL_OTHER UINT64_C(1) /* hash of the group that takes what does not fit */

enum eval_phase { EVAL_QUIET, EVAL_PENDING, EVAL_FIRING };

struct eval_group {
    uint64_t hash; /* of the group's values; 0: the job */
    enum eval_phase phase;
    uint8_t holds, has_value; /* holds: a lasting condition is true now */
    int64_t since_us;         /* true since (PENDING), fired at (FIRING) */
    int64_t last_us;          /* last match, or when it was last true */
    int64_t told_us;          /* last alert; 0: none */
    double value;             /* of a metric, the last one */
    uint64_t seq;             /* of the last match */
    uint32_t count;           /* matches since the last alert */
    int32_t rank;
    char *replica;       /* NULL: none */
    char *captures;      /* object text of the first match; NULL: none */
    int64_t *times;      /* rate: the last rate_count matches, a ring */
    double *values;      /* below_median: the last EVAL_VALUES_MAX, a ring */
    uint32_t used, head; /* of the ring */
};

struct eval_rule {
    const struct rule *rule;
    uint64_t condition; /* hash */
    int64_t since_us;   /* looked at since: absence and stall count from here */
    int is_seen;        /* absence: a line has come */
    struct eval_group *groups;
    uint32_t count, cap;
};

struct eval_rank {
    int64_t last_us; /* 0: never heard of */
    uint8_t is_done;
};

struct eval {
    struct job_key key;
    struct json_tree *labels; /* NULL: none */
    char *labels_json;
    const struct ruleset *set;
    struct eval_rule *rules;
    uint32_t rule_count;
    int32_t *place; /* by number in the set: in rules, -1: not looked at */
    struct matcher_scan *scan;
    struct buf scratch, text; /* unescaped messages */
    /* what is known of the job */
    uint64_t epoch, upto;
    struct {
        enum job_state state;
        int64_t at_us;
        uint64_t seq;
    } history[JOB_HISTORY_MAX];
    uint32_t history_count;
    enum job_state state;
    int64_t state_us;      /* in it since */
    int64_t running_us;    /* RUNNING since; 0: not RUNNING */
    int64_t line_us;       /* last line */
    int64_t step, step_us; /* highest, when it came; step -1: none */
    struct eval_rank *ranks;
    uint32_t rank_count;
    int64_t now_us;    /* latest time seen */
    int64_t recv_us;   /* of the frame at work */
    int64_t ticked_us; /* last eval__time() */
    int needs_lines, has_lasting, needs_metrics, needs_ranks, wants_ranks;
    int64_t ranks_us; /* last eval_ranks() */
    int64_t skip_us;  /* after a reset: received before this was fed already */
    uint32_t states;  /* over all rules */
    int64_t deadline_us;
    struct eval_alert *alerts;
    uint32_t alert_count, alert_cap;
    uint64_t dropped;
};

/* What made a condition true. */
struct eval_match {
    uint64_t seq;
    int32_t rank;
    const struct record_view *v; /* NULL: no record */
    const char *line;            /* its message; NULL */
    size_t line_len;
    const struct pattern_span *spans; /* of the rule's pattern; NULL */
    int has_value;
    double value;
    const char *message; /* of a state change */
    size_t message_len;
    int has_exit_code;
    int64_t exit_code;
};

/* ---- eval_group.c ---- */
uint64_t eval__group_hash(const struct eval_rule *r, const struct eval_match *m);
/* make: a new one when there is none (never NULL then). */
struct eval_group *eval__group(struct eval *e, struct eval_rule *r, uint64_t hash, int make,
                               const struct eval_match *m);
void eval__group_drop(struct eval *e, struct eval_rule *r, struct eval_group *g);
void eval__groups_free(struct eval *e, struct eval_rule *r);
/* Something happened (instantaneous): fires, or counts while the group is fresh. */
void eval__happened(struct eval *e, struct eval_rule *r, struct eval_group *g,
                    const struct eval_match *m);
/* A lasting condition is true or false now. m may be NULL. since_us: since when it is true. */
void eval__is_true(struct eval *e, struct eval_rule *r, struct eval_group *g, int64_t since_us,
                   const struct eval_match *m);
void eval__is_false(struct eval *e, struct eval_rule *r, struct eval_group *g, const char *reason);
/* What time does to it; lowers *deadline to when it has to be looked at again. 1: it may be dropped. */
int eval__group_tick(struct eval *e, struct eval_rule *r, struct eval_group *g, int64_t *deadline);
void eval__resolve(struct eval *e, struct eval_rule *r, struct eval_group *g, const char *reason);

/* ---- eval_lines.c ---- */
void eval__lines(struct eval *e, const struct eval_frame *f);
/* A rate's matches: does it hold, and until when? */
int eval__rate_holds(const struct eval_rule *r, const struct eval_group *g, int64_t now_us,
                     int64_t *ret_until_us);
/* ---- eval_metric.c ---- */
void eval__metrics(struct eval *e, const struct eval_frame *f);
/* ---- eval_time.c ---- */
void eval__state(struct eval *e, const struct record_view *v);
void eval__activity(struct eval *e, const struct eval_frame *f);
/* Everything that time and what was fed so far decide; sets the deadline. */
void eval__time(struct eval *e);

#endif

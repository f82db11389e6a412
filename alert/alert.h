/*
 * alert/alert.h -- alerts: rules over the log of every job, and what they say delivered.
 *
 * The room's face. Rules and receivers are kept in Redis for all nodes (store.c) beside a read-only
 * file; docs/alerting.md tells what they mean, docs/decisions/009-alerting.md how it works.
 *
 * Promises   Every callback comes once, from the loop, never from inside the call.
 * Threads    The loop thread; one thread of its own reads lines.
 */
#ifndef ALERT_ALERT_H
#define ALERT_ALERT_H

#include "alert/address.h"
#include "alert/ruleset.h"

#include <uv.h>

struct alert;
struct stream;

/* What lies outside of Redis, given by who knows it (serve/alert_past.h). Each callback once, from the loop, never
 * from inside the call. */
struct alert_past;
struct alert_summary;
struct alert_past_ops {
    /* Records with after < seq <= upto as canonical NDJSON, in order; upto UINT64_MAX: to what is held now. */
    struct alert_past *(*open)(void *user, const struct job_key *key, uint64_t epoch,
                               uint64_t after, uint64_t upto, void (*wake)(void *wake_user),
                               void *wake_user);
    /* 1: the next piece, whole lines, borrowed until the next call. 0: wake() follows. ERR_CLOSED: the end; other ERR_*: it
     * cannot go on. Ranges that are lost are left out. */
    int (*next)(struct alert_past *p, const char **ret_data, size_t *ret_len);
    void (*close)(struct alert_past **p);
    /* The first record received at us or later; the job's last + 1 when there is none. */
    void (*find)(void *user, const struct job_key *key, int64_t us,
                 void (*done)(void *done_user, int err, uint64_t seq), void *done_user);
    /* What became of a job that has ended: an object like {"verdict":…,"sentence":…,…}, borrowed. err < 0: it cannot be
     * said. cancel: done() will not be called; takes and NULLs, NULL is fine, not after done(). */
    struct alert_summary *(*summarize)(void *user, const struct job_key *key,
                                       void (*done)(void *done_user, int err, const char *json),
                                       void *done_user);
    void (*cancel)(struct alert_summary **s);
};

struct alert_options {
    uv_loop_t *loop;
    struct stream *stream;
    const char *rules_file;             /* NULL: none */
    const char *node;                   /* this node's own name, the same after a restart */
    const char *public_url;             /* of the page, for links; NULL or "": none */
    const struct address_list *allowed; /* deliveries may go to these too; copied; NULL: none */
    const char *ca_file;                /* authorities of receivers; NULL or "": the system's */
    int64_t retry_us, retry_max_us; /* the first pause after a failed attempt, the longest one */
    const struct alert_past_ops *past;
    void *past_user;
};

/* ERR_INVALID with why: the rules file, its place and mistake. */
int alert_open(const struct alert_options *o, char *why, size_t why_size, struct alert **ret_alert);
/* Read the rules file again; on a mistake the old rules stay: ERR_INVALID with why. */
int alert_reload(struct alert *a, char *why, size_t why_size);
/* Evaluate nothing new; states are written down and leases given back. */
void alert_stop(struct alert *a);
/* After alert_stop(): all is written. */
int alert_idle(const struct alert *a);
/* done(user) when all handles are closed; before the stream is closed. Takes and NULLs. */
void alert_close(struct alert **a, void (*done)(void *user), void *user);

/* ---- rules and receivers ---- */
/* What holds now; borrowed until the loop turns. NULL before Redis has been asked for the first time. */
const struct ruleset *alert_ruleset(const struct alert *a);

/* err 0; ERR_EXISTS (expected ALERT_NEW), ERR_NOT_FOUND, ERR_ORDER (the revision is another one now), ERR_LIMIT,
 * ERR_READONLY (it comes from the rules file), ERR_UNAVAILABLE and the like. */
typedef void alert_put_fn(void *user, int err, uint64_t revision);
#define ALERT_NEW 0          /* must not be there */
#define ALERT_ANY UINT64_MAX /* whatever is there is replaced */
/* Keep r: taken and NULLed. Its times are set by joblog. On success this node's ruleset holds it already. */
void alert_put_rule(struct alert *a, struct rule **r, uint64_t expected, alert_put_fn *done,
                    void *user);
void alert_put_receiver(struct alert *a, struct receiver **r, uint64_t expected, alert_put_fn *done,
                        void *user);
void alert_delete_rule(struct alert *a, const char *project, const char *id, alert_put_fn *done,
                       void *user);
void alert_delete_receiver(struct alert *a, const char *project, const char *id, alert_put_fn *done,
                           void *user);

/* The rule (receiver) with the members of patch in place of its own (RFC 7396, the first level). ERR_INVALID. */
int rule_patch(const struct rule *r, const struct json_tree *patch, struct rule **ret_rule,
               struct fields_why *why);
int receiver_patch(const struct receiver *r, const struct json_tree *patch,
                   struct receiver **ret_receiver, struct fields_why *why);

struct alert_stats {
    uint32_t rules, rules_enabled, receivers;
    uint32_t jobs_evaluated; /* now, by this node */
    uint64_t frames, records, alerts, commits, fenced, dropped /* alerts over EVAL_ALERTS_MAX */,
        events, capped;
    uint64_t dead_letters; /* in Redis, as of a few seconds ago */
};
void alert_stats(const struct alert *a, struct alert_stats *ret);

#endif

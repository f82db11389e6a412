/*
 * alert/watch.h -- which jobs this node evaluates, and their evaluation.
 *
 *     IDLE -> LOOKUP -> (LEASE -> DETAIL -> FIND) -> LIVE -> OVER -> IDLE or forgotten
 *
 * A job is looked at when this node appends to it, when its state changes here, and in sweeps over the active jobs and
 * over those somebody evaluates or evaluated (jl:{alert}:watched). It stays IDLE while no rule covers it or another node
 * has its lease. LIVE it is followed through the hub; frames go to the worker's thread and come back as alerts and a state, which
 * are committed under the lease, then published (alert/publish.h).
 *
 * Promises   An alert is committed with the state that has fired it, or neither is. Whoever has lost the lease commits
 *            nothing more. A committed alert is published, by this node or the next.
 * Limits     WATCH_* below.
 */
#ifndef ALERT_WATCH_H
#define ALERT_WATCH_H

#include "alert/alert_int.h"

#define WATCH_JOBS_MAX 20000 /* jobs one node looks after; the newest active ones */
#define WATCH_SWEEP_US 5000000
#define WATCH_LEASE_US 15000000 /* a job whose node died is taken over after this */
#define WATCH_RENEW_US 5000000
#define WATCH_COMMIT_US 2000000 /* a state that has moved is written at least this often */
#define WATCH_RETRY_US 1000000
#define WATCH_GRACE_US                                                                             \
    10000000 /* after taking over, before time alone fires: producers come back first */
#define WATCH_FRAMES_MAX 64    /* on their way through the thread, of a job */
#define WATCH_STARTING_MAX 256 /* jobs in LOOKUP to FIND at a time */

void watch_open(struct alert *a);
/* Stop: commit what is there and give the leases back. */
void watch_stop(struct alert *a);
int watch_idle(const struct alert *a);
/* Everything pending has ended (the connection is closed): free all. */
void watch_close(struct alert *a);
void watch_tick(struct alert *a);
void watch_ruleset_changed(struct alert *a);
/* Look at the job soon. decided(user, err): 0: it is evaluated, by this node or another one, or need not be;
 * ERR_*: not known. May be NULL. */
void watch_consider(struct alert *a, const struct job_key *key,
                    void (*decided)(void *user, int err), void *user);

#endif

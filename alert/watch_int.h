/*
 * alert/watch_int.h -- one job that is looked after.
 *
 * watch.c: the table, sweeps, ticks. watch_start.c: from IDLE to LIVE. watch_live.c: following, the thread.
 * watch_commit.c: what is written to Redis.
 */
#ifndef ALERT_WATCH_INT_H
#define ALERT_WATCH_INT_H

#include "alert/eval.h"
#include "alert/watch.h"
#include "alert/worker.h"
#include "base/map.h"
#include "stream/hub.h"

#include <sys/queue.h>

#define WATCHED_KEY "jl:{alert}:watched" /* zset of jobs somebody evaluates; score: since when */
#define WATCH_KEY_BYTES (JOB_KEY_TEXT_BYTES + 16)

enum watch_phase {
    WATCH_IDLE,
    WATCH_LOOKUP,
    WATCH_LEASE,
    WATCH_DETAIL,
    WATCH_FIND,
    WATCH_LIVE,
    WATCH_OVER
};

struct decided {
    SLIST_ENTRY(decided) link;
    void (*fn)(void *user, int err);
    void *user;
};

/* A committed alert on its way to the feed. */
struct pending {
    STAILQ_ENTRY(pending) link;
    uint64_t n;
    char *json; /* an object */
};
STAILQ_HEAD(pending_queue, pending);

/* What a commit holds; kept until its answer is known, so that it can be sent again as it was. */
struct commit {
    uint64_t c, upto, epoch, pub;
    int is_final, is_under_way;
    char *state;
    struct pending_queue alerts;
    int64_t retry_us;
};

struct watched {
    struct alert *a;
    struct job_key key;
    enum watch_phase phase;
    uint32_t calls;          /* callbacks due */
    uint32_t sweep;          /* the last one that listed it */
    int64_t not_before_us;   /* IDLE: another node has it until then */
    uint64_t no_rule_number; /* IDLE: no rule of this ruleset covers it */
    int is_starting;         /* counted in WATCH_STARTING_MAX */
    SLIST_HEAD(, decided) decided;
    /* from LEASE on */
    struct ruleset *set;
    struct eval *eval;
    uint64_t token, c, n, pub;
    int64_t created_us, renewed_us, committed_us, started_us;
    uint64_t epoch;
    int is_fresh; /* no state was there */
    /* LIVE */
    struct hub_sub *sub;
    struct alert_past *past; /* while behind what the hub holds */
    struct buf past_text;
    int is_pulling, is_awake, is_ended, is_caught_up;
    int64_t skew_us;
    struct work work;
    int in_thread, wants_ranks, is_asking /* which ranks are done; nothing is fed meanwhile */,
        is_final_sent;
    int may_stand, is_refreshing; /* some alert may stand at an Alertmanager; it is being told again */
    int64_t refreshed_us;
    int64_t no_tick_us; /* loop time before which time is not looked at: Redis did not say */
    struct frame *frames[WATCH_FRAMES_MAX];
    uint32_t frame_count;
    const char *piece; /* of history, instead of frames */
    size_t piece_len;
    int64_t tick_us;          /* of the thread: time to look at; 0: not */
    struct eval_alert *found; /* by the thread */
    uint32_t found_count;
    struct buf state; /* after the last turn of the thread that was worth it */
    uint64_t state_upto, fed_upto;
    int state_is_new;
    struct pending_queue fresh; /* not committed */
    uint32_t fresh_count;
    struct commit commit;
    struct pending_queue committed; /* not published */
    struct publish *publish;        /* of the first of them (publish.c) */
};

struct watch {
    struct map *jobs; /* project/job -> struct watched */
    struct worker *worker;
    uint32_t sweep, starting, live;
    int sweeping, stopping;
    int64_t next_sweep_us;
    int64_t base_wall_us, base_mono_us;
    uint64_t frames, records, alerts, commits, fenced, dropped;
};

/* A wall clock that never jumps while the process lives. */
int64_t watch__now_us(const struct alert *a);
/* "jl:{project/job}:alert" */
const char *watch__key(const struct job_key *key, char out[WATCH_KEY_BYTES]);
struct watched *watch__find(const struct alert *a, const struct job_key *key);
/* Tell who waits for a decision. */
void watch__decide(struct watched *w, int err);
/* A callback is due / has come: the job may be freed by the latter, when it is OVER and nothing more
 * is due. 1: it is still there. */
void watch__call(struct watched *w);
int watch__called(struct watched *w);
/* Let go of everything: back to IDLE (not before then_us) or forgotten. */
void watch__over(struct watched *w, int64_t then_us);
/* The same for good, of a job that was deleted: its state and its place on the list go. */
void watch__gone(struct watched *w);
/* Off the list of jobs that somebody evaluates. */
void watch__unlist(const struct watched *w);

/* ---- watch_start.c ---- */
void watch__start(struct watched *w);
/* ---- watch_live.c ---- */
void watch__live(struct watched *w, uint64_t after);
/* Pull, feed, commit, end: whatever can be done now. */
void watch__go(struct watched *w);
void watch__live_tick(struct watched *w, int64_t now_us);
void watch__live_release(struct watched *w);
/* ---- watch_commit.c ---- */
/* Alerts that the thread has found: ids are made here. */
void watch__take_alerts(struct watched *w, struct eval_alert *found, uint32_t count);
void watch__commit(struct watched *w, int is_final);
void watch__commit_tick(struct watched *w, int64_t now_us);
void watch__give_back(struct watched *w);
void watch__pending_free(struct pending_queue *q);

#endif

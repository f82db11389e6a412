/*
 * stream/hub_int.h -- the hub's own structures: jobs followed, their rings, their subscribers.
 *
 *     hub ── jobs (by "project/job") ── ring [f][f][f]end
 *      │                             ├─ idle    subscribers that have pulled to the end: wake them on news
 *      │                             └─ waking  news is there, wake() not called yet
 *      ├─ waking   jobs with a non-empty waking list; emptied by on_idle() in slices
 *      ├─ resting  jobs whose last round of wake() calls was long: their news gathers for a while
 *      ├─ reads    jobs that want a read, HUB_READS_MAX in flight at a time
 *      ├─ loads    jobs that want their info, HUB_LOADS_MAX in flight at a time
 *      ├─ polls    every job, next safety poll first
 *      └─ lingering jobs without subscribers, first to be freed first
 *
 * A woken subscriber is in neither list until it has pulled to the end: news for 10,000 busy
 * subscribers costs one splice of an empty list.
 * hub.c: subscribers and waking. hub_follow.c: offers, bells, polls. hub_ask.c: reads and loads. hub_ring.c: the ring.
 */
#ifndef STREAM_HUB_INT_H
#define STREAM_HUB_INT_H

#include "base/map.h"
#include "stream/hub_ring.h"
#include "stream/hub_source.h"
#include "stream/jobs_int.h"
#include "base/link.h"
#include "stream/stream_int.h"

#define HUB_JOB_MAGIC 0x484a4f42u
#define HUB_POLL_US 1000000      /* safety poll of a followed job … */
#define HUB_POLL_EACH_US 2000    /* … but at most one poll every 2 ms over all jobs */
#define HUB_LINGER_US 5000000    /* a ring without subscribers is kept so long */
#define HUB_TICK_MS 100
#define HUB_READS_MAX 16         /* reads in flight, each at most about 4 MiB */
#define HUB_LOADS_MAX 32         /* info loads in flight */
#define HUB_READ_FRAMES 64
#define HUB_RING_BYTES_MIN (64 * 1024) /* what a ring may keep however many jobs are followed */
#define HUB_WAKE_SLICE_US 1000   /* wake() calls in one turn of the loop stop after this: an append takes three or four turns */
#define HUB_REST_US_MIN 1000     /* a round of wake() calls shorter than this is followed by no rest … */
#define HUB_REST_US_MAX 20000    /* … a longer one by a rest half as long as itself, at most this */
#define HUB_BELL_WAIT_MS 4       /* a bell of our own append is left to the offer that follows it */
#define HUB_OWN_US 2000000       /* … when this node has appended within this time */

struct hub_job;
struct hub;

/* ---- hub_ring.c ---- */
/* The next frame of a job that is loaded: into its ring, within the caps; wakes. */
void hub__push(struct hub_job *job, struct frame *f);
/* Start the ring again, empty, at end. */
void hub__clear_ring(struct hub_job *job, uint64_t end);
void hub__evict(struct hub *hub, struct hub_job *job);

/* What the last frame looked like: enough to see that Redis holds another one there now. */
struct hub_mark {
    uint64_t first, last; /* last 0: not known */
    int64_t recv_us, ts_min_us;
    size_t text_bytes;
};

struct hub_job {
    uint32_t magic;
    struct hub *hub; /* NULL: forgotten, waits for its last reply */
    struct job_key key;
    struct link polls, reads, loads, waking_jobs, resting, lingering, delayed; /* in the hub's lists */
    struct link subs, idle, waking;                              /* own lists */
    struct link *iter;                                           /* next of on_progress' walk over subs */
    uint32_t sub_count;
    int64_t round_us;      /* spent so far in the wake() calls of this round */
    int64_t rest_until_us; /* the next round begins no sooner */
    int news;              /* came during the round or the rest: the idle ones are woken after it */
    int64_t linger_until_us, next_poll_us, offered_us;
    int loaded; /* what stands below is what Redis said; 0: ask again before giving anything */
    int exists;
    uint32_t expects, load_expects; /* counts who knew that it exists; as it was when the load in flight was sent */
    int unseen; /* Redis holds records and none of their frames was read yet: nothing is given, history neither */
    int lost; /* stored history went back: nothing is given before the epoch has changed */
    uint64_t generation; /* counts resets; a subscriber of an older one gets ERR_RESET */
    uint64_t epoch;
    uint64_t tail; /* highest seq heard of, bells included: worth a read */
    uint64_t sure; /* highest seq that Redis has answered in this epoch: less than this is history lost */
    struct hub_ring ring;
    struct job_info *info; /* NULL unless exists */
    int info_dirty;        /* records came since it was loaded */
    int want_read, want_load, read_inflight, load_inflight, bump_inflight;
    int verify;     /* compare the last frame with what Redis holds at the next read */
    int ahead;      /* a subscriber stands after the end: tell it when a read has ended */
    struct hub_mark mark;        /* of the frame at ring.end, in the ring or not */
    uint64_t read_sure, load_sure, read_tail; /* as they were when the call in flight was sent */
    uint64_t read_ring, load_ring, ring_number; /* which ring that was */
    struct hub_mark read_mark;   /* to be compared; last 0: nothing */
    uint64_t reads_sent, reads_done; /* numbers of reads */
};

struct hub_sub {
    uint32_t magic;
    struct hub_job *job; /* NULL: the hub is closed */
    struct link all;     /* in job->subs */
    struct link link;    /* in job->idle or job->waking, else alone */
    const struct hub_sub_ops *ops;
    void *user;
    uint64_t cursor, generation;
    uint64_t seek_read; /* job->reads_sent at the last seek: a later read tells whether the cursor exists */
    int was_lagged;
};

struct hub {
    struct stream *st;
    const struct hub_source *source;
    struct map *jobs;
    struct link polls, reads, loads, waking, resting, lingering, delayed;
    uv_timer_t tick, bell_wait, rest;
    int64_t rest_until_us; /* what the rest timer waits for */
    uv_idle_t idle;
    int ticking, idling, closing;
    uint32_t handles;
    uint32_t reads_inflight, loads_inflight;
    struct frame **trash_frames; /* taken out of rings; freed when the loop has turned */
    size_t trash_frame_count, trash_frame_cap;
    struct job_info **trash_infos;
    size_t trash_info_count, trash_info_cap;
    struct hub_stats stats;
    void (*close_done)(void *user);
    void *close_user;
};

/* ---- hub.c ---- */
struct hub *hub__new(struct stream *st, uv_loop_t *loop, const struct hub_source *source);
void hub__free(struct hub **hub, void (*done)(void *user), void *user);
void hub__subscribe(struct hub *hub, const struct job_key *key, uint64_t after_seq, const struct hub_sub_ops *ops, void *user,
                    struct hub_sub **ret_sub);
struct hub_job *hub__find(const struct hub *hub, const struct job_key *key);
/* Wake every subscriber of the job that has pulled to the end: now, or after the round under way and its rest. */
void hub__wake_all(struct hub_job *job);
void hub__trash_frame(struct hub *hub, struct frame **f);
void hub__trash_info(struct hub *hub, struct job_info **info);

/* ---- hub_ask.c ---- */
struct hub_job *hub__job_check(void *user);
void hub__mark(struct hub_mark *m, const struct frame *f);
int hub__mark_is(const struct hub_mark *m, const struct frame *f);
/* Redis has lost records that were seen: the epoch must change, so that no cursor of the lost history
 * is ever taken for one of the new. */
void hub__history_lost(struct hub_job *job, uint64_t tail);
void hub__want_read(struct hub_job *job);
void hub__want_load(struct hub_job *job);
/* Nothing known can be trusted: give nothing before Redis has been asked again. */
void hub__distrust(struct hub_job *job);

/* ---- hub_follow.c ---- */
struct hub_job *hub__follow(struct hub *hub, const struct job_key *key);
/* Out of all lists; freed now or with its last reply. */
void hub__forget(struct hub_job **job);
void hub__offer_to(struct hub *hub, const struct job_key *key, uint64_t epoch, struct frame *f);
/* Polls and lingering jobs that are due. */
void hub__tick(struct hub *hub);

#endif

/*
 * stream/hub_ask.c -- the hub asks Redis, and what the answers change.
 *
 * Per job one read and one info load in flight; over all jobs HUB_READS_MAX and HUB_LOADS_MAX, the
 * others queue. A ring is only ever extended by the record that follows its end. History that went
 * back (another epoch, a tail below what was seen, another last frame after a reconnect) ends in on_loaded(),
 * the one place where a job's epoch and generation change.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/hub_int.h"

#include <string.h>

struct hub_job *hub__job_check(void *user)
{
    struct hub_job *job = user;
    CHECK(job && job->magic == HUB_JOB_MAGIC);
    return job;
}

/* ---- asking ---- */

static void on_read(void *user, int err, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail,
                    uint64_t epoch);
static void on_loaded(void *user, int err, struct job_info **info);

static void send_read(struct hub_job *job)
{
    struct hub *hub = job->hub;
    uint64_t after = job->ring.end;
    job->want_read = 0;
    job->read_inflight = 1;
    job->read_end = job->ring.end;
    job->read_ring = job->ring_number;
    job->read_verifies = job->verify && job->ring.count > 0;
    if (job->read_verifies)
        after = hub_ring__at(&job->ring, job->ring.count - 1)->first_seq - 1;
    job->verify = 0;
    job->reads_sent++;
    hub->reads_inflight++;
    hub->source->read(hub->st, &job->key, after, HUB_READ_FRAMES, on_read, job);
}

static void send_load(struct hub_job *job)
{
    struct hub *hub = job->hub;
    job->want_load = 0;
    job->info_dirty = 0;
    job->load_inflight = 1;
    job->load_end = job->ring.end;
    job->load_ring = job->ring_number;
    hub->loads_inflight++;
    hub->source->load(hub->st, &job->key, on_loaded, job);
}

/* A read is of use only to a job that is known to exist. */
static int may_read(const struct hub_job *job)
{
    return job->want_read && !job->read_inflight && job->loaded && job->exists;
}

static int may_load(const struct hub_job *job)
{
    return job->want_load && !job->load_inflight && !job->bump_inflight;
}

static void send_wanted(struct hub *hub)
{
    while (!link_empty(&hub->loads) && hub->loads_inflight < HUB_LOADS_MAX) {
        struct hub_job *job = LINK_OF(hub->loads.next, struct hub_job, loads);
        link_del(&job->loads);
        if (may_load(job))
            send_load(job);
    }
    while (!link_empty(&hub->reads) && hub->reads_inflight < HUB_READS_MAX) {
        struct hub_job *job = LINK_OF(hub->reads.next, struct hub_job, reads);
        link_del(&job->reads);
        if (may_read(job))
            send_read(job);
    }
}

/* Queue what the job may ask for now. Called whenever one of the conditions may have become true. */
static void ask(struct hub_job *job)
{
    if (may_load(job) && link_empty(&job->loads))
        link_add_tail(&job->hub->loads, &job->loads);
    if (may_read(job) && link_empty(&job->reads))
        link_add_tail(&job->hub->reads, &job->reads);
    send_wanted(job->hub);
}

void hub__want_read(struct hub_job *job)
{
    job->want_read = 1;
    ask(job);
}

void hub__want_load(struct hub_job *job)
{
    job->want_load = 1;
    ask(job);
}

void hub__distrust(struct hub_job *job)
{
    job->loaded = 0;
    hub__want_load(job);
}

static void on_bumped(void *user, int err, uint64_t epoch)
{
    struct hub_job *job = hub__job_check(user);
    (void)epoch;
    job->bump_inflight = 0;
    if (!job->hub) {
        hub__forget(&job);
        return;
    }
    if (err >= 0) /* else the next poll tries again */
        hub__want_load(job);
}

/* Redis has lost records that were seen: the epoch must change, so that no cursor of the lost history
 * is ever taken for one of the new. */
static void history_lost(struct hub_job *job, uint64_t tail)
{
    char text[JOB_KEY_TEXT_BYTES];
    if (!job->lost)
        log_warn("stream", "history went back", "job=%s seen=%llu tail=%llu epoch=%llu", job_key_text(&job->key, text),
                 (unsigned long long)job->ring.end, (unsigned long long)tail, (unsigned long long)job->epoch);
    job->loaded = 0;
    job->lost = 1;
    if (job->bump_inflight)
        return;
    job->bump_inflight = 1;
    job->hub->source->bump(job->hub->st, &job->key, job->epoch, on_bumped, job);
}

/* ---- what a read brings ---- */

/* Is the ring's last frame still what Redis holds? 1 yes or no longer held, 0 history went back. */
static int still_same(const struct hub_job *job, struct frame *const *frames, uint32_t count, uint64_t first_held)
{
    for (uint32_t i = 0; i < job->ring.count; i++) { /* from the end: the ring may have grown meanwhile */
        const struct frame *mine = hub_ring__at(&job->ring, job->ring.count - 1 - i);
        if (frame_last_seq(mine) != job->read_end)
            continue;
        if (mine->first_seq < first_held)
            return 1;
        return count > 0 && frames[0]->first_seq == mine->first_seq && frames[0]->recv_us == mine->recv_us &&
               frames[0]->text_bytes == mine->text_bytes && memcmp(frames[0]->text, mine->text, mine->text_bytes) == 0;
    }
    return 1;
}

/* 0, or ERR_RESET when the frames contradict the ring. */
static int take_frames(struct hub_job *job, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail)
{
    for (uint32_t i = 0; i < count; i++) {
        struct frame *f = frames[i];
        if (frame_last_seq(f) <= job->ring.end)
            continue;
        if (f->first_seq <= job->ring.end)
            return ERR_RESET;
        if (f->first_seq > job->ring.end + 1) /* trimmed while we were away: history has it, or knows the gap */
            hub__clear_ring(job, f->first_seq - 1);
        hub__push(job, f);
    }
    if (!count && tail > job->ring.end && first_held > tail) {
        hub__clear_ring(job, tail); /* all of it is archived and trimmed */
        hub__wake_all(job);
    }
    return 0;
}

static void take_read(struct hub_job *job, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail)
{
    uint64_t number = job->reads_sent;
    if (tail < job->read_end || (job->read_verifies && !still_same(job, frames, count, first_held))) {
        history_lost(job, tail);
        return;
    }
    uint64_t end = job->ring.end;
    if (take_frames(job, frames, count, first_held, tail) < 0) {
        history_lost(job, tail);
        return;
    }
    job->reads_done = number;
    if (job->tail < tail)
        job->tail = tail;
    if (job->ring.end < job->tail && job->ring.end > end)
        job->want_read = 1; /* it was cut at its limits. Nothing new at all: the poll tries again, not we in a circle */
    if (job->ahead) {
        job->ahead = 0;
        hub__wake_all(job);
    }
}

static void on_read(void *user, int err, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail,
                    uint64_t epoch)
{
    struct hub_job *job = hub__job_check(user);
    struct hub *hub = job->hub;
    job->read_inflight = 0;
    if (!hub) {
        hub__forget(&job);
        return;
    }
    hub->reads_inflight--;
    if (job->loaded && job->read_ring == job->ring_number) {
        if (err == ERR_NOT_FOUND || (err >= 0 && epoch != job->epoch))
            hub__distrust(job);
        else if (err >= 0)
            take_read(job, frames, count, first_held, tail);
        else if (job->read_verifies)
            job->verify = 1; /* not answered: still to be done */
    }
    ask(job);
}

/* ---- what a load brings ---- */

static void job_gone(struct hub_job *job)
{
    job->loaded = 1;
    job->lost = 0;
    if (!job->exists)
        return;
    job->exists = 0;
    job->generation++;
    job->epoch = 0;
    job->tail = 0;
    hub__clear_ring(job, 0);
    hub__trash_info(job->hub, &job->info);
    hub__wake_all(job);
}

static int info_is_news(const struct job_info *old, const struct job_info *fresh)
{
    return !old || old->state != fresh->state || old->sealed != fresh->sealed || old->epoch != fresh->epoch ||
           old->has_exit_code != fresh->has_exit_code;
}

/* A new log (first seen, or reset): the ring starts empty at its end. */
static void start_log(struct hub_job *job, const struct job_info *info)
{
    if (job->exists)
        job->generation++;
    job->exists = 1;
    job->lost = 0;
    job->epoch = info->epoch;
    job->tail = info->seq;
    hub__clear_ring(job, info->seq);
}

static void on_loaded(void *user, int err, struct job_info **info)
{
    struct hub_job *job = hub__job_check(user);
    struct hub *hub = job->hub;
    job->load_inflight = 0;
    if (!hub) {
        hub__forget(&job);
        return;
    }
    hub->loads_inflight--;
    if (err == ERR_NOT_FOUND) {
        job_gone(job);
    } else if (err >= 0) {
        int fresh = !job->exists || (*info)->epoch != job->epoch;
        if (fresh) {
            start_log(job, *info);
        } else if (job->lost || (job->load_ring == job->ring_number && (*info)->seq < job->load_end)) {
            history_lost(job, (*info)->seq);
            goto out;
        }
        int news = fresh || !job->loaded || info_is_news(job->info, *info);
        if (job->tail < (*info)->seq)
            job->tail = (*info)->seq;
        if ((*info)->seq < job->ring.end) /* pushed since it was asked for */
            (*info)->seq = job->ring.end;
        hub__trash_info(hub, &job->info);
        job->info = *info;
        *info = NULL;
        job->loaded = 1;
        if (job->tail > job->ring.end)
            hub__want_read(job);
        if (news)
            hub__wake_all(job);
    }
out:
    ask(job);
}

/* ---- Redis ---- */

static void redis_load(struct stream *st, const struct job_key *key, jobs__loaded_fn *done, void *user)
{
    jobs__load(st, key, 0, done, user);
}

static void redis_subscribe(struct stream *st, const struct job_key *key, const struct conn_channel_ops *ops, void *user)
{
    char channel[STREAM_KEY_BYTES];
    conn_subscribe(st->bell, stream__key(channel, key, "bell"), ops, user);
}

static void redis_unsubscribe(struct stream *st, const struct job_key *key)
{
    char channel[STREAM_KEY_BYTES];
    conn_unsubscribe(st->bell, stream__key(channel, key, "bell"));
}

const struct hub_source hub_source_redis = {stream_read, redis_load, redis_subscribe, redis_unsubscribe, stream__bump_epoch};

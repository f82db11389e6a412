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
#include "stream/recover.h"

#include <stdlib.h>

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
    job->read_sure = job->sure;
    job->read_tail = job->tail;
    job->read_ring = job->ring_number;
    job->read_mark = (struct hub_mark){0};
    if (job->verify && job->mark.last) {
        CHECK(job->mark.last == job->ring.end);
        job->read_mark = job->mark;
        after = job->mark.first - 1;
    }
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
    job->load_sure = job->sure;
    job->load_ring = job->ring_number;
    job->load_expects = job->expects;
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

void hub__history_lost(struct hub_job *job, uint64_t tail)
{
    char text[JOB_KEY_TEXT_BYTES];
    if (!job->lost)
        log_warn("stream", "history went back", "job=%s seen=%llu tail=%llu epoch=%llu", job_key_text(&job->key, text),
                 (unsigned long long)job->sure, (unsigned long long)tail, (unsigned long long)job->epoch);
    job->loaded = 0;
    job->lost = 1;
    if (job->bump_inflight)
        return;
    job->bump_inflight = 1;
    job->hub->source->bump(job->hub->st, &job->key, job->epoch, on_bumped, job);
}

/* ---- what a read brings ---- */

void hub__mark(struct hub_mark *m, const struct frame *f)
{
    *m = (struct hub_mark){f->first_seq, frame_last_seq(f), f->recv_us, f->sum.ts_min_us, f->text_bytes};
}

int hub__mark_is(const struct hub_mark *m, const struct frame *f)
{
    return m->first == f->first_seq && m->last == frame_last_seq(f) && m->recv_us == f->recv_us &&
           m->ts_min_us == f->sum.ts_min_us && m->text_bytes == f->text_bytes;
}

/* Known, and no longer held by Redis. */
static int is_trimmed(const struct hub_mark *m, uint64_t first_held)
{
    return m->last && m->first < first_held;
}

/* Is the last frame still what Redis holds? 1 yes, or it was not asked, or it is no longer held; 0 history went back. */
static int still_same(const struct hub_mark *m, struct frame *const *frames, uint32_t count, uint64_t first_held)
{
    return !m->last || is_trimmed(m, first_held) || (count > 0 && hub__mark_is(m, frames[0]));
}

/* While this node was away the last frame it had seen was archived and trimmed: whether it was that one nobody can
 * tell. The node's own subscribers begin anew; other nodes and the epoch are not touched. */
static void begin_anew(struct hub_job *job, struct frame *const *frames, uint32_t count, uint64_t tail)
{
    char text[JOB_KEY_TEXT_BYTES];
    log_warn("stream", "what was seen last before redis was away is trimmed by now: tails begin anew",
             "job=%s seen=%llu tail=%llu", job_key_text(&job->key, text), (unsigned long long)job->mark.last,
             (unsigned long long)tail);
    job->generation++;
    hub__clear_ring(job, count ? frames[0]->first_seq - 1 : tail);
    hub__wake_all(job);
}

/* 0, or ERR_RESET when the frames contradict the ring. */
static int take_frames(struct hub_job *job, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail)
{
    for (uint32_t i = 0; i < count; i++) {
        struct frame *f = frames[i];
        if (frame_last_seq(f) <= job->ring.end) {
            if (frame_last_seq(f) == job->mark.last && !hub__mark_is(&job->mark, f))
                return ERR_RESET; /* the end came by an offer while this read was on its way */
            continue;
        }
        if (f->first_seq <= job->ring.end) {
            if (job->mark.last)
                return ERR_RESET;
            job->ring.end = f->first_seq - 1; /* the frame that the log ended with when it was first seen */
        }
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
    if (tail < job->read_sure || !still_same(&job->read_mark, frames, count, first_held)) {
        hub__history_lost(job, tail);
        return;
    }
    if (is_trimmed(&job->read_mark, first_held) || (job->verify && is_trimmed(&job->mark, first_held)))
        begin_anew(job, frames, count, tail);
    uint64_t end = job->ring.end;
    if (take_frames(job, frames, count, first_held, tail) < 0) {
        hub__history_lost(job, tail);
        return;
    }
    job->reads_done = job->reads_sent;
    if (job->unseen) {
        job->unseen = 0;
        hub__wake_all(job);
    }
    if (job->sure < tail)
        job->sure = tail;
    if (job->tail < job->sure || job->tail == job->read_tail) /* a bell that told more than there is was of an older log */
        job->tail = job->sure;
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
        else if (job->read_mark.last)
            job->verify = 1; /* not answered: still to be done */
    }
    ask(job);
}

/* ---- what a load brings ---- */

static void job_gone(struct hub_job *job)
{
    if (!job->exists && job->expects != job->load_expects) { /* somebody has seen it since this was asked */
        hub__distrust(job);
        return;
    }
    job->loaded = 1;
    job->lost = 0;
    if (!job->exists && !job->expects)
        return;
    job->expects = 0;
    job->exists = 0;
    job->generation++;
    job->epoch = 0;
    job->tail = job->sure = 0;
    job->unseen = 0;
    hub__clear_ring(job, 0);
    hub__trash_info(job->hub, &job->info);
    hub__wake_all(job);
}

static int info_is_news(const struct job_info *old, const struct job_info *fresh)
{
    return !old || old->state != fresh->state || old->sealed != fresh->sealed || old->epoch != fresh->epoch ||
           old->has_exit_code != fresh->has_exit_code;
}

/* A new log (first seen, or reset): the ring starts empty at its end, less one record, so that the
 * next read brings the last frame: without it nobody could tell later whether it is still there. */
static void start_log(struct hub_job *job, const struct job_info *info)
{
    if (job->exists)
        job->generation++;
    job->exists = 1;
    job->expects = 0;
    job->lost = 0;
    job->epoch = info->epoch;
    job->tail = job->sure = info->seq;
    job->unseen = info->seq >= info->first_in_stream;
    hub__clear_ring(job, info->seq - (uint64_t)job->unseen);
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
        } else if (job->lost || (job->load_ring == job->ring_number && (*info)->seq < job->load_sure)) {
            hub__history_lost(job, (*info)->seq);
            goto out;
        }
        int news = fresh || !job->loaded || info_is_news(job->info, *info);
        if (job->sure < (*info)->seq)
            job->sure = (*info)->seq;
        if (job->tail < job->sure)
            job->tail = job->sure;
        (*info)->seq = job->sure; /* more came since it was asked for */
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
    jobs__load_sound(st, key, 0, done, user);
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

struct bump {
    void (*done)(void *user, int err, uint64_t epoch);
    void *user;
};

static void on_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct bump *b = user;
    b->done(b->user, err, epoch);
    free(b);
}

static void redis_bump(struct stream *st, const struct job_key *key, uint64_t old_epoch,
                       void (*done)(void *user, int err, uint64_t epoch), void *user)
{
    struct bump *b = must_malloc(sizeof *b);
    *b = (struct bump){done, user};
    recover__start(st, key, old_epoch, on_recovered, b);
}

const struct hub_source hub_source_redis = {stream_read, redis_load, redis_subscribe, redis_unsubscribe, redis_bump};

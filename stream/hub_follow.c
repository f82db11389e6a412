/*
 * stream/hub_follow.c -- what tells the hub that a job has news: offers of this node, bells, polls.
 *
 *     offer ──────────────┐ the next one? push        else │
 *     bell "<seq>" ───────┤ after the ring's end?          ├─> read after the end (hub_ask.c) -> push
 *     poll, subscribed ───┘                                │
 *     bell "S" "E" "D", state record, first look ──────────┴─> load the info
 */
#include "base/check.h"
#include "base/clock.h"
#include "stream/hub_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- news ---- */

void hub__offer_to(struct hub *hub, const struct job_key *key, uint64_t epoch, struct frame *f)
{
    struct hub_job *job = hub__find(hub, key);
    if (!job)
        return;
    job->offered_us = clock_mono_us();
    if (!job->loaded || !job->exists || epoch != job->epoch) {
        /* What is being loaded may be older than this: read after it. */
        job->want_read = 1;
        if (job->loaded && (!job->exists || epoch > job->epoch))
            hub__distrust(job);
        return;
    }
    if (f->first_seq == job->ring.end + 1) {
        hub__push(job, f);
    } else if (frame_last_seq(f) > job->ring.end) {
        if (job->tail < frame_last_seq(f))
            job->tail = frame_last_seq(f);
        hub__want_read(job);
    } else if (frame_last_seq(f) == job->mark.last && !hub__mark_is(&job->mark, f)) {
        hub__history_lost(job, f->first_seq - 1);
    }
}

/* The bells that no offer has answered. */
static void on_bell_wait(uv_timer_t *handle)
{
    struct hub *hub = handle->data;
    while (!link_empty(&hub->delayed)) {
        struct hub_job *job = LINK_OF(hub->delayed.next, struct hub_job, delayed);
        link_del(&job->delayed);
        if (job->tail > job->ring.end)
            hub__want_read(job);
    }
}

static void hear_seq(struct hub_job *job, uint64_t seq)
{
    if (!job->loaded || !job->exists) {
        job->want_read = 1;
        hub__distrust(job);
        return;
    }
    if (seq <= job->ring.end)
        return;
    if (job->tail < seq)
        job->tail = seq;
    if (clock_mono_us() - job->offered_us > HUB_OWN_US) {
        hub__want_read(job);
        return;
    }
    if (link_empty(&job->delayed))
        link_add_tail(&job->hub->delayed, &job->delayed);
    if (!uv_is_active((uv_handle_t *)&job->hub->bell_wait))
        CHECK(uv_timer_start(&job->hub->bell_wait, on_bell_wait, HUB_BELL_WAIT_MS, 0) == 0);
}

static void hear_progress(struct hub_job *job, const char *text, size_t len)
{
    struct hub *hub = job->hub;
    char *rest = NULL;
    long rank = strtol(text, &rest, 10);
    if (rest == text || *rest != ' ')
        return;
    rest++;
    size_t rest_len = len - (size_t)(rest - text);
    for (struct link *l = job->subs.next; l != &job->subs; l = job->iter) {
        struct hub_sub *sub = LINK_OF(l, struct hub_sub, all);
        job->iter = l->next;
        if (sub->ops->progress)
            sub->ops->progress(sub->user, (int32_t)rank, rest, rest_len);
        if (hub->closing)
            return;
    }
    job->iter = NULL;
}

static void on_bell(void *user, const char *text, size_t len)
{
    struct hub_job *job = hub__job_check(user);
    job->hub->stats.doorbells++;
    if (len == 0)
        return;
    switch (text[0]) {
    case 'P':
        hear_progress(job, text + 1, len - 1);
        break;
    case 'D': /* also when it has been made again meanwhile */
    case 'E':
        hub__distrust(job);
        break;
    case 'S':
        hear_seq(job, strtoull(text + 1, NULL, 10));
        hub__want_load(job);
        break;
    default:
        if (text[0] >= '0' && text[0] <= '9')
            hear_seq(job, strtoull(text, NULL, 10));
        break;
    }
}

/* First time, and after each reconnect: bells were missed, and Redis may have come back with less. */
static void on_subscribed(void *user)
{
    struct hub_job *job = hub__job_check(user);
    job->verify = 1;
    hub__want_read(job);
    if (!job->loaded || !job->exists)
        hub__distrust(job);
}

static const struct conn_channel_ops bell_ops = {on_bell, on_subscribed};

void hub__poke(struct stream *st, const struct job_key *key)
{
    struct hub_job *job = st->hub ? hub__find(st->hub, key) : NULL;
    if (job)
        hub__want_load(job);
}

int hub__follows(const struct stream *st, const struct job_key *key)
{
    return st->hub && hub__find(st->hub, key) != NULL;
}

void hub__offer(struct stream *st, const struct job_key *key, uint64_t epoch, struct frame *f)
{
    if (st->hub)
        hub__offer_to(st->hub, key, epoch, f);
}

/* ---- polls and life ---- */

static int64_t poll_us(const struct hub *hub)
{
    int64_t all_us = (int64_t)map_count(hub->jobs) * HUB_POLL_EACH_US;
    return all_us > HUB_POLL_US ? all_us : HUB_POLL_US;
}

static void poll_job(struct hub_job *job)
{
    job->hub->stats.polls++;
    if (!job->loaded || !job->exists) {
        hub__want_load(job);
        return;
    }
    if (job->info_dirty || (state_is_terminal(job->info->state) && !job->info->sealed))
        hub__want_load(job);
    hub__want_read(job);
}

void hub__tick(struct hub *hub)
{
    int64_t now_us = clock_mono_us();
    while (!link_empty(&hub->lingering)) {
        struct hub_job *job = LINK_OF(hub->lingering.next, struct hub_job, lingering);
        if (job->linger_until_us > now_us)
            break;
        hub__forget(&job);
    }
    while (!link_empty(&hub->polls)) {
        struct hub_job *job = LINK_OF(hub->polls.next, struct hub_job, polls);
        if (job->next_poll_us > now_us)
            break;
        link_del(&job->polls);
        job->next_poll_us = now_us + poll_us(hub);
        link_add_tail(&hub->polls, &job->polls);
        poll_job(job);
    }
}

struct hub_job *hub__follow(struct hub *hub, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];
    struct hub_job *job = must_calloc(1, sizeof(*job));
    job->magic = HUB_JOB_MAGIC;
    job->hub = hub;
    job->key = *key;
    link_init(&job->reads);
    link_init(&job->loads);
    link_init(&job->waking_jobs);
    link_init(&job->resting);
    link_init(&job->lingering);
    link_init(&job->delayed);
    link_init(&job->subs);
    link_init(&job->idle);
    link_init(&job->waking);
    job_key_text(key, text);
    map_put(hub->jobs, text, strlen(text), job);
    job->next_poll_us = clock_mono_us() + poll_us(hub);
    link_add_tail(&hub->polls, &job->polls);
    hub->source->subscribe(hub->st, &job->key, &bell_ops, job);
    hub__want_load(job);
    return job;
}

void hub__forget(struct hub_job **job_ref)
{
    struct hub_job *job = *job_ref;
    struct hub *hub = job->hub;
    *job_ref = NULL;
    if (hub) {
        char text[JOB_KEY_TEXT_BYTES];
        CHECK(link_empty(&job->subs));
        hub->source->unsubscribe(hub->st, &job->key);
        job_key_text(&job->key, text);
        if (!hub->closing) /* else the map is being walked */
            map_del(hub->jobs, text, strlen(text));
        while (job->ring.count)
            hub__evict(hub, job);
        hub__trash_info(hub, &job->info);
        link_del(&job->polls);
        link_del(&job->reads);
        link_del(&job->loads);
        link_del(&job->waking_jobs);
        link_del(&job->resting);
        link_del(&job->lingering);
        link_del(&job->delayed);
        hub->reads_inflight -= (uint32_t)job->read_inflight;
        hub->loads_inflight -= (uint32_t)job->load_inflight;
        job->hub = NULL;
    }
    if (job->read_inflight || job->load_inflight || job->bump_inflight)
        return; /* freed by its last reply */
    hub_ring__release(&job->ring);
    job->magic = 0;
    free(job);
}

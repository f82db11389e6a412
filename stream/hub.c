/*
 * stream/hub.c -- subscribers: where each one stands, and who is to be woken.
 *
 * News moves a job's idle subscribers to its waking list in one splice; on_idle() then calls wake()
 * for HUB_WAKE_SLICE_US in each turn of the loop, job by job in turns, so that a broadcast to thousands
 * never holds the sockets. A job whose round took long rests half as long before the next one: with few
 * followers a record goes out at once, with thousands what came meanwhile leaves in one message each.
 * What leaves a ring or is replaced lies in the trash until the loop has turned: borrowed frames and
 * infos stay valid in the callback that got them.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "stream/hub_int.h"

#include <stdlib.h>
#include <string.h>

#define SUB_MAGIC 0x48535542u
#define WAKES_IN_A_ROW 32

static struct hub_sub *sub_check(const struct hub_sub *sub)
{
    CHECK(sub && sub->magic == SUB_MAGIC);
    return (struct hub_sub *)(uintptr_t)sub;
}

/* ---- the trash ---- */

static void need_idle(struct hub *hub);

void hub__trash_frame(struct hub *hub, struct frame **f)
{
    if (hub->trash_frame_count == hub->trash_frame_cap) {
        hub->trash_frame_cap = hub->trash_frame_cap ? hub->trash_frame_cap * 2 : 64;
        hub->trash_frames = must_realloc(hub->trash_frames, hub->trash_frame_cap * sizeof(struct frame *));
    }
    hub->trash_frames[hub->trash_frame_count++] = *f;
    *f = NULL;
    need_idle(hub);
}

void hub__trash_info(struct hub *hub, struct job_info **info)
{
    if (!*info)
        return;
    if (hub->trash_info_count == hub->trash_info_cap) {
        hub->trash_info_cap = hub->trash_info_cap ? hub->trash_info_cap * 2 : 16;
        hub->trash_infos = must_realloc(hub->trash_infos, hub->trash_info_cap * sizeof(struct job_info *));
    }
    hub->trash_infos[hub->trash_info_count++] = *info;
    *info = NULL;
    need_idle(hub);
}

static void empty_trash(struct hub *hub)
{
    while (hub->trash_frame_count)
        frame_unref(&hub->trash_frames[--hub->trash_frame_count]);
    while (hub->trash_info_count)
        job_info_free(&hub->trash_infos[--hub->trash_info_count]);
}

/* ---- waking ---- */

static void on_rested(uv_timer_t *timer);

static void need_waking(struct hub_job *job)
{
    if (link_empty(&job->waking) || !link_empty(&job->waking_jobs))
        return;
    link_add_tail(&job->hub->waking, &job->waking_jobs);
    need_idle(job->hub);
}

static void begin_round(struct hub_job *job)
{
    job->news = 0;
    link_splice(&job->waking, &job->idle);
    need_waking(job);
}

static void set_rest_timer(struct hub *hub, int64_t until_us)
{
    int64_t left_us = until_us - clock_mono_us();
    uv_update_time(hub->rest.loop);
    CHECK(uv_timer_start(&hub->rest, on_rested, left_us > 0 ? (uint64_t)(left_us + 999) / 1000 : 0, 0) == 0);
}

/* News waits until the rest is over, or begins a round. */
static void rest_or_begin(struct hub_job *job)
{
    struct hub *hub = job->hub;
    if (job->rest_until_us <= clock_mono_us()) {
        begin_round(job);
    } else if (link_empty(&job->resting)) {
        link_add_tail(&hub->resting, &job->resting);
        if (!uv_is_active((uv_handle_t *)&hub->rest) || job->rest_until_us < hub->rest_until_us)
            set_rest_timer(hub, hub->rest_until_us = job->rest_until_us);
    }
}

static void on_rested(uv_timer_t *timer)
{
    struct hub *hub = timer->data;
    int64_t now_us = clock_mono_us();
    struct link *next;
    hub->rest_until_us = INT64_MAX;
    for (struct link *l = hub->resting.next; l != &hub->resting; l = next) {
        struct hub_job *job = LINK_OF(l, struct hub_job, resting);
        next = l->next;
        if (job->rest_until_us <= now_us) {
            link_del(&job->resting);
            begin_round(job);
        } else if (job->rest_until_us < hub->rest_until_us) {
            hub->rest_until_us = job->rest_until_us;
        }
    }
    if (!link_empty(&hub->resting))
        set_rest_timer(hub, hub->rest_until_us);
}

static int64_t rest_us(int64_t round_us)
{
    return round_us / 2 < HUB_REST_US_MAX ? round_us / 2 : HUB_REST_US_MAX;
}

/* The round is over when nobody is left to be woken. */
static void note_round(struct hub_job *job, int64_t began_us, int64_t now_us)
{
    job->round_us += now_us - began_us;
    if (!link_empty(&job->waking))
        return;
    if (job->round_us >= HUB_REST_US_MIN)
        job->rest_until_us = now_us + rest_us(job->round_us);
    job->round_us = 0;
    if (job->news)
        rest_or_begin(job);
}

/* Wake a few of the job's; 0 when the slice is over or the hub was closed by a callback. */
static int wake_some(struct hub *hub, struct hub_job *job, int64_t until_us)
{
    int64_t began_us = clock_mono_us(), now_us;
    for (int n = 0; n < WAKES_IN_A_ROW && !link_empty(&job->waking); n++) {
        struct hub_sub *sub = LINK_OF(job->waking.next, struct hub_sub, link);
        link_del(&sub->link);
        sub->ops->wake(sub->user);
        if (hub->closing)
            return 0;
    }
    now_us = clock_mono_us();
    note_round(job, began_us, now_us);
    return now_us < until_us;
}

static void on_idle(uv_idle_t *handle)
{
    struct hub *hub = handle->data;
    empty_trash(hub);
    int64_t until_us = clock_mono_us() + HUB_WAKE_SLICE_US;
    while (!link_empty(&hub->waking)) {
        struct hub_job *job = LINK_OF(hub->waking.next, struct hub_job, waking_jobs);
        link_del(&job->waking_jobs);
        int more = wake_some(hub, job, until_us);
        if (hub->closing)
            return;
        if (!link_empty(&job->waking) && link_empty(&job->waking_jobs))
            link_add_tail(&hub->waking, &job->waking_jobs);
        if (!more)
            break;
    }
    if (link_empty(&hub->waking) && !hub->trash_frame_count && !hub->trash_info_count) {
        uv_idle_stop(&hub->idle);
        hub->idling = 0;
    }
}

static void need_idle(struct hub *hub)
{
    if (hub->idling || hub->closing)
        return;
    CHECK(uv_idle_start(&hub->idle, on_idle) == 0);
    hub->idling = 1;
}

void hub__wake_all(struct hub_job *job)
{
    job->news = 1;
    if (link_empty(&job->waking)) /* else after this round */
        rest_or_begin(job);
}

/* ---- subscribers ---- */

struct hub_job *hub__find(const struct hub *hub, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];
    job_key_text(key, text);
    return map_get(hub->jobs, text, strlen(text));
}

void hub__subscribe(struct hub *hub, const struct job_key *key, uint64_t after_seq, const struct hub_sub_ops *ops, void *user,
                    struct hub_sub **ret_sub)
{
    CHECK(hub && !hub->closing && ops && ops->wake);
    struct hub_job *job = hub__find(hub, key);
    if (!job)
        job = hub__follow(hub, key);
    struct hub_sub *sub = must_calloc(1, sizeof(*sub));
    sub->magic = SUB_MAGIC;
    sub->job = job;
    sub->ops = ops;
    sub->user = user;
    sub->cursor = after_seq;
    sub->generation = job->generation;
    sub->seek_read = job->reads_sent;
    link_init(&sub->link);
    link_add_tail(&job->subs, &sub->all);
    job->sub_count++;
    hub->stats.subscribers++;
    link_del(&job->lingering);
    /* What is known already is news to it. */
    link_add_tail(job->loaded && job->exists ? &job->waking : &job->idle, &sub->link);
    need_waking(job);
    *ret_sub = sub;
}

void hub_subscribe(struct stream *st, const struct job_key *key, uint64_t after_seq, const struct hub_sub_ops *ops, void *user,
                   struct hub_sub **ret_sub)
{
    hub__subscribe(st->hub, key, after_seq, ops, user, ret_sub);
}

void hub_unsubscribe(struct hub_sub **sub_ref)
{
    if (!*sub_ref)
        return;
    struct hub_sub *sub = sub_check(*sub_ref);
    struct hub_job *job = sub->job;
    *sub_ref = NULL;
    if (job) {
        if (job->iter == &sub->all)
            job->iter = sub->all.next;
        job->hub->stats.subscribers--;
        if (--job->sub_count == 0) {
            job->linger_until_us = clock_mono_us() + HUB_LINGER_US;
            link_add_tail(&job->hub->lingering, &job->lingering);
        }
    }
    link_del(&sub->all);
    link_del(&sub->link);
    sub->magic = 0;
    free(sub);
}

void hub_sub_expect(struct hub_sub *sub)
{
    struct hub_job *job = sub_check(sub)->job;
    if (!job || job->exists)
        return;
    job->expects++;
    if (job->loaded)
        hub__distrust(job); /* that there is none was answered before */
}

/* It has pulled to the end: the next news wakes it. */
static int at_end(struct hub_sub *sub)
{
    link_del(&sub->link);
    link_add_tail(&sub->job->idle, &sub->link);
    return 0;
}

/* The cursor lies after the last record known. A read sent after it was set decides whether the
 * record exists; until then it waits. */
static int stands_ahead(struct hub_sub *sub)
{
    struct hub_job *job = sub->job;
    if (sub->cursor <= job->tail)
        return at_end(sub);
    if (job->reads_done > sub->seek_read) {
        sub->cursor = 0;
        job->hub->stats.resets++;
        return ERR_RESET;
    }
    job->ahead = 1;
    hub__want_read(job);
    return at_end(sub);
}

int hub_sub_next(struct hub_sub *sub, struct frame **ret_frame)
{
    sub_check(sub);
    struct hub_job *job = sub->job;
    if (!job)
        return 0;
    if (!job->loaded)
        return at_end(sub);
    if (sub->generation != job->generation) {
        sub->generation = job->generation;
        sub->cursor = 0;
        sub->seek_read = job->reads_sent;
        job->hub->stats.resets++;
        return ERR_RESET;
    }
    if (!job->exists || job->unseen || sub->cursor == job->ring.end)
        return at_end(sub);
    if (sub->cursor > job->ring.end)
        return stands_ahead(sub);
    if (sub->cursor < hub_ring__start(&job->ring)) {
        if (!sub->was_lagged)
            job->hub->stats.ring_misses++;
        sub->was_lagged = 1;
        return ERR_LAGGED;
    }
    struct frame *f = hub_ring__find(&job->ring, sub->cursor);
    sub->was_lagged = 0;
    sub->cursor = frame_last_seq(f);
    *ret_frame = f;
    return 1;
}

uint64_t hub_sub_cursor(const struct hub_sub *sub)
{
    return sub_check(sub)->cursor;
}

uint64_t hub_sub_end(const struct hub_sub *sub)
{
    sub_check(sub);
    return sub->job ? sub->job->ring.end : 0;
}

int hub_sub_holds(const struct hub_sub *sub, uint64_t seq)
{
    sub_check(sub);
    const struct hub_job *job = sub->job;
    return job && job->loaded && job->exists && sub->generation == job->generation && seq >= hub_ring__start(&job->ring) &&
           seq <= job->ring.end;
}

void hub_sub_seek(struct hub_sub *sub, uint64_t after_seq)
{
    sub_check(sub);
    sub->cursor = after_seq;
    if (sub->job)
        sub->seek_read = sub->job->reads_sent;
}

const struct job_info *hub_sub_info(const struct hub_sub *sub)
{
    sub_check(sub);
    return sub->job ? sub->job->info : NULL;
}

int hub_sub_ended(const struct hub_sub *sub)
{
    sub_check(sub);
    const struct hub_job *job = sub->job;
    return job && job->loaded && job->exists && sub->generation == job->generation && job->info->sealed &&
           sub->cursor >= job->info->sealed_seq;
}

/* ---- life ---- */

static void on_tick(uv_timer_t *handle)
{
    hub__tick(handle->data);
}

struct hub *hub__new(struct stream *st, uv_loop_t *loop, const struct hub_source *source)
{
    struct hub *hub = must_calloc(1, sizeof(*hub));
    hub->st = st;
    hub->source = source;
    hub->jobs = map_new();
    link_init(&hub->polls);
    link_init(&hub->reads);
    link_init(&hub->loads);
    link_init(&hub->waking);
    link_init(&hub->resting);
    link_init(&hub->lingering);
    link_init(&hub->delayed);
    CHECK(uv_timer_init(loop, &hub->tick) == 0 && uv_timer_init(loop, &hub->bell_wait) == 0 &&
          uv_timer_init(loop, &hub->rest) == 0);
    CHECK(uv_idle_init(loop, &hub->idle) == 0);
    hub->tick.data = hub->bell_wait.data = hub->rest.data = hub->idle.data = hub;
    hub->handles = 4;
    CHECK(uv_timer_start(&hub->tick, on_tick, HUB_TICK_MS, HUB_TICK_MS) == 0);
    return hub;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct hub *hub = handle->data;
    if (--hub->handles)
        return;
    void (*done)(void *user) = hub->close_done;
    void *user = hub->close_user;
    free(hub);
    if (done)
        done(user);
}

void hub__free(struct hub **hub_ref, void (*done)(void *user), void *user)
{
    struct hub *hub = *hub_ref;
    *hub_ref = NULL;
    hub->closing = 1;
    hub->close_done = done;
    hub->close_user = user;
    size_t pos = 0;
    for (struct hub_job *job; (job = map_next(hub->jobs, &pos, NULL, NULL)) != NULL;) {
        while (!link_empty(&job->subs)) { /* its owner still holds it: it stays silent from now on */
            struct hub_sub *sub = LINK_OF(job->subs.next, struct hub_sub, all);
            link_del(&sub->all);
            link_del(&sub->link);
            sub->job = NULL;
        }
        hub__forget(&job);
    }
    map_free(&hub->jobs);
    empty_trash(hub);
    free(hub->trash_frames);
    free(hub->trash_infos);
    uv_close((uv_handle_t *)&hub->tick, on_handle_closed);
    uv_close((uv_handle_t *)&hub->bell_wait, on_handle_closed);
    uv_close((uv_handle_t *)&hub->rest, on_handle_closed);
    uv_close((uv_handle_t *)&hub->idle, on_handle_closed);
}

void hub__open(struct stream *st)
{
    st->hub = hub__new(st, st->loop, &hub_source_redis);
}

void hub__close(struct stream *st, void (*done)(void *user), void *user)
{
    hub__free(&st->hub, done, user);
}

void hub_stats(const struct stream *st, struct hub_stats *ret)
{
    *ret = (struct hub_stats){0};
    if (!st->hub)
        return;
    *ret = st->hub->stats;
    ret->jobs = map_count(st->hub->jobs);
}

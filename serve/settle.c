/*
 * serve/settle.c -- which job is settled, and the way of one through lease, thread and worker.
 */
#include "serve/settle.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "serve/pump.h"
#include "serve/settle_thread.h"
#include "storage/archive_settle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_RENEW_US 10000000 /* it lasts 30 s */
#define GIVEN_UP_MAX 256        /* jobs with damage, remembered so that their whole parts are not packed every hour */

enum step { STEP_NONE, STEP_SCAN, STEP_ASK, STEP_WRITE, STEP_PUBLISH, STEP_HELD };

struct settle {
    struct settle_options o;
    uv_timer_t timer;
    uv_work_t work;
    struct settle_thread *thread;
    enum step step;
    unsigned pending; /* calls and worker steps under way */
    int stopping, closed, timer_closed, thread_gone;
    int stop; /* atomic: the thread is to give up what it does */
    int64_t pause_until_us, scan_at_us;
    struct job_key queue[SETTLE_QUEUE_MAX];
    uint32_t queue_at, queue_count;
    struct job_key given_up[GIVEN_UP_MAX];
    uint32_t given_up_count;
    /* the thread's during STEP_SCAN */
    struct archive_scan *scan;
    struct job_key found[SETTLE_QUEUE_MAX];
    uint32_t found_count;
    int scan_more;
    /* the job */
    struct job_key key;
    uint64_t token;
    int64_t leased_us, held_since_us;
    int is_renewing;
    uint64_t cpu_before_us;
    struct settle_stats job; /* its part of stats */
    int err;                 /* of the thread or worker step */
    struct archive_settling *settling;
    struct archive_settled_stats settled;
    struct settle_stats stats;
};

static void next(struct settle *s);

/* ---- life ---- */

static void free_settle(struct settle *s)
{
    if (s->pending || !s->closed || !s->timer_closed || !s->thread_gone)
        return;
    archive_scan_close(&s->scan);
    archive_settle_close(&s->settling);
    free(s);
}

static void done(struct settle *s)
{
    CHECKF(s->pending > 0, "pending=%u", s->pending);
    s->pending--;
    free_settle(s);
}

static void set_stop(struct settle *s, int stop)
{
    __atomic_store_n(&s->stop, stop, __ATOMIC_RELAXED);
}

/* ---- the queue ---- */

static int is_given_up(const struct settle *s, const struct job_key *key)
{
    for (uint32_t i = 0; i < s->given_up_count; i++)
        if (job_key_equal(&s->given_up[i], key))
            return 1;
    return 0;
}

void settle_job(struct settle *s, const struct job_key *key)
{
    if (s->queue_count == SETTLE_QUEUE_MAX) {
        if (s->scan_at_us > clock_mono_us() + SETTLE_PAUSE_US)
            s->scan_at_us = clock_mono_us() + SETTLE_PAUSE_US;
        return;
    }
    for (uint32_t i = 0; i < s->queue_count; i++)
        if (job_key_equal(&s->queue[(s->queue_at + i) % SETTLE_QUEUE_MAX], key))
            return;
    s->queue[(s->queue_at + s->queue_count++) % SETTLE_QUEUE_MAX] = *key;
}

/* Nothing for a while; the job, if one is given, comes again. */
static void pause_for(struct settle *s, const struct job_key *again)
{
    s->pause_until_us = clock_mono_us() + SETTLE_PAUSE_US;
    s->stats.paused = 1;
    if (again)
        settle_job(s, again);
}

/* ---- the look through the archive ---- */

static void run_scan(void *user)
{
    struct settle *s = user;
    struct archive_scanned one;
    uint32_t count = 0;

    s->err = s->scan ? 0 : archive_scan_open(s->o.archive, 0, &s->scan);
    s->found_count = 0;
    s->scan_more = s->err < 0 ? 0 : 1;
    while (s->scan_more == 1 && s->found_count < SETTLE_QUEUE_MAX / 2 && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        s->scan_more = archive_scan_next(s->scan, &one, 1, &count);
        if (count && archive_settle_due(s->o.archive, &one.key) == 1)
            s->found[s->found_count++] = one.key;
    }
    if (s->scan_more < 0)
        s->err = s->scan_more;
}

static void on_scanned(struct settle *s)
{
    for (uint32_t i = 0; i < s->found_count; i++)
        if (!is_given_up(s, &s->found[i]))
            settle_job(s, &s->found[i]);
    if (s->scan_more == 1 && !s->stopping)
        return; /* goes on when the queue is empty */
    archive_scan_close(&s->scan);
    s->scan_at_us = clock_mono_us() + SETTLE_SCAN_US;
    if (s->err < 0)
        log_warn("storage", "the archive cannot be looked through", "error=%s", err_name(s->err));
}

/* ---- one job ---- */

static void end_job(struct settle *s, int err)
{
    char text[JOB_KEY_TEXT_BYTES];

    s->step = STEP_NONE;
    s->stats.active = 0;
    if (s->closed)
        return;
    s->stats.cpu_us = settle_thread_cpu_us(s->thread);
    if (s->job.replaced) {
        s->stats.jobs++;
        log_info("storage", "a job was settled",
                 "job=%s segments_before=%" PRIu64 " segments=%" PRIu64 " bytes_before=%" PRIu64 " bytes=%" PRIu64
                 " cpu_ms=%" PRIu64,
                 job_key_text(&s->key, text), s->job.replaced, s->job.segments, s->job.bytes_before, s->job.bytes_after,
                 (s->stats.cpu_us - s->cpu_before_us) / 1000);
    }
    if (err >= 0 || err == ERR_NOT_FOUND || err == ERR_CLOSED || err == ERR_BUSY)
        return; /* done, deleted, stopping, another node's */
    s->stats.errors++;
    if (err == ERR_CORRUPT && s->given_up_count < GIVEN_UP_MAX)
        s->given_up[s->given_up_count++] = s->key;
    if (err != ERR_CORRUPT)
        pause_for(s, &s->key);
    log_warn("storage", "a job could not be settled; its segments stay as they are", "job=%s error=%s again=%s",
             job_key_text(&s->key, text), err_name(err), err == ERR_CORRUPT ? "no" : "yes");
}

static void run_write(void *user)
{
    struct settle *s = user;
    const struct archive_settle_options o = {
        .level = s->o.level, .reserve_bytes = PUMP_RESERVE_BYTES, .stop = &s->stop};

    s->err = archive_settle_write(s->o.archive, &s->key, &o, &s->settling);
}

static void write_segment(struct settle *s)
{
    s->step = STEP_WRITE;
    settle_thread_start(s->thread, run_write);
}

static void work_publish(uv_work_t *req)
{
    struct settle *s = req->data;

    s->err = __atomic_load_n(&s->stop, __ATOMIC_RELAXED) ? ERR_CLOSED : archive_settle_publish(s->settling, &s->settled);
    if (s->err == ERR_BUSY && clock_mono_us() - s->held_since_us < SETTLE_HELD_US)
        return;
    archive_settle_close(&s->settling);
}

static void note_segment(struct settle *s)
{
    struct settle_stats *both[] = {&s->stats, &s->job};

    for (int i = 0; i < 2; i++) {
        both[i]->segments += s->settled.is_new ? 1 : 0;
        both[i]->replaced += s->settled.files_before;
        both[i]->bytes_before += s->settled.bytes_before;
        both[i]->bytes_after += s->settled.bytes_after;
    }
}

static void on_published(uv_work_t *req, int status)
{
    struct settle *s = req->data;

    if (s->err == 0) {
        note_segment(s);
        if (s->closed || s->stopping)
            end_job(s, 0);
        else
            write_segment(s);
    } else if (s->err == ERR_BUSY && s->settling && !s->closed) {
        s->step = STEP_HELD; /* the tick tries again */
    } else {
        s->stats.held += s->err == ERR_BUSY;
        end_job(s, s->err);
    }
    done(s);
}

static void publish(struct settle *s)
{
    s->step = STEP_PUBLISH;
    s->pending++;
    CHECK(uv_queue_work(s->o.loop, &s->work, work_publish, on_published) == 0);
}

static void on_thread_done(void *user)
{
    struct settle *s = user;
    enum step was = s->step;

    s->step = STEP_NONE;
    if (was == STEP_SCAN) {
        on_scanned(s);
        next(s);
    } else if (s->err == 1) {
        s->held_since_us = clock_mono_us();
        publish(s);
    } else {
        end_job(s, s->err);
        next(s);
    }
}

/* ---- the lease ---- */

static void on_lease(void *user, int err, uint64_t token)
{
    struct settle *s = user;
    int is_first = s->step == STEP_ASK;

    s->is_renewing = 0;
    if (err >= 0) {
        s->token = token;
        s->leased_us = clock_mono_us();
    }
    if (is_first && (err < 0 || s->closed || s->stopping))
        end_job(s, err < 0 ? err : ERR_CLOSED);
    else if (is_first)
        write_segment(s);
    else if (err == ERR_BUSY || err == ERR_FENCED || err == ERR_NOT_FOUND)
        set_stop(s, 1); /* another node's now, or nobody's */
    done(s);
}

static void lease(struct settle *s)
{
    s->is_renewing = 1;
    s->pending++;
    stream_lease(s->o.stream, &s->key, s->token, on_lease, s);
}

static void on_info(void *user, int err, const struct job_info *info)
{
    struct settle *s = user;

    if (err >= 0 && !s->closed && !s->stopping && info->sealed && info->archived_upto == info->seq)
        lease(s);
    else
        end_job(s, err < 0 ? err : ERR_CLOSED); /* not over: the pump will say when it is */
    done(s);
}

static void start_job(struct settle *s)
{
    s->key = s->queue[s->queue_at];
    s->queue_at = (s->queue_at + 1) % SETTLE_QUEUE_MAX;
    s->queue_count--;
    s->token = 0;
    memset(&s->job, 0, sizeof s->job);
    s->cpu_before_us = settle_thread_cpu_us(s->thread);
    s->step = STEP_ASK;
    s->stats.active = 1;
    s->stats.paused = 0;
    set_stop(s, 0);
    s->pending++;
    stream_job_get(s->o.stream, &s->key, 0, on_info, s);
}

/* ---- the tick ---- */

static void next(struct settle *s)
{
    int64_t now_us = clock_mono_us();

    if (s->closed || s->stopping || s->step != STEP_NONE || s->is_renewing || now_us < s->pause_until_us)
        return;
    if (s->queue_count) {
        start_job(s);
    } else if (s->scan || now_us >= s->scan_at_us) {
        s->step = STEP_SCAN;
        set_stop(s, 0);
        settle_thread_start(s->thread, run_scan);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct settle *s = timer->data;

    if (s->closed)
        return;
    if (s->step == STEP_HELD)
        publish(s);
    if ((s->step == STEP_WRITE || s->step == STEP_PUBLISH) && !s->is_renewing &&
        clock_mono_us() - s->leased_us > LEASE_RENEW_US)
        lease(s);
    next(s);
}

/* ---- the face ---- */

void settle_open(const struct settle_options *o, struct settle **ret_settle)
{
    struct settle *s = must_calloc(1, sizeof *s);

    s->o = *o;
    s->work.data = s->timer.data = s;
    s->scan_at_us = clock_mono_us() + SETTLE_FIRST_SCAN_US;
    settle_thread_new(o->loop, on_thread_done, s, &s->thread);
    CHECK(uv_timer_init(o->loop, &s->timer) == 0);
    CHECK(uv_timer_start(&s->timer, on_tick, SETTLE_TICK_MS, SETTLE_TICK_MS) == 0);
    *ret_settle = s;
}

void settle_stop(struct settle *s)
{
    if (!s)
        return;
    s->stopping = 1;
    set_stop(s, 1);
}

int settle_idle(const struct settle *s)
{
    return !s || (!s->pending && !settle_thread_busy(s->thread));
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct settle *s = handle->data;

    s->timer_closed = 1;
    free_settle(s);
}

static void on_thread_gone(void *user)
{
    struct settle *s = user;

    s->thread_gone = 1;
    free_settle(s);
}

int settle_close(struct settle **sp)
{
    struct settle *s = *sp;

    *sp = NULL;
    if (!s)
        return 0;
    s->closed = 1;
    settle_stop(s);
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
    return settle_thread_free(&s->thread, on_thread_gone);
}

void settle_stats(const struct settle *s, struct settle_stats *ret)
{
    memset(ret, 0, sizeof *ret);
    if (!s)
        return;
    *ret = s->stats;
    ret->cpu_us = settle_thread_cpu_us(s->thread);
    ret->waiting = s->queue_count;
}

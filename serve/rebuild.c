/*
 * serve/rebuild.c -- the scan of the archive against Redis.
 */
#include "serve/rebuild.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define LOG_SLOW_US 1000000
#define TEMP_AGE_US (INT64_C(3600) * 1000000) /* older temp files in the archive are a crash's */

struct rebuild {
    uv_loop_t *loop;
    struct stream *stream;
    struct archive *archive;
    uv_timer_t timer;
    uv_work_t work;
    struct archive_scan *scan; /* the worker's during a step */
    struct archive_scanned jobs[REBUILD_STEP];
    uint32_t count, next; /* of jobs; next to be restored */
    uint64_t seqs[REBUILD_STEP]; /* in Redis */
    int more;             /* the scan has more after this step */
    int step_err;
    uint32_t round, done_round;
    unsigned recovering, pending; /* restores, and all calls and steps, under way */
    int stopping, closed, timer_closed;
    int64_t started_us, retry_us;
    uint64_t round_errors;
    struct rebuild_stats stats;
};

static void step(struct rebuild *r);
static void restore_some(struct rebuild *r);

static void free_rebuild(struct rebuild *r)
{
    archive_scan_close(&r->scan);
    free(r);
}

static void done(struct rebuild *r)
{
    CHECK(r->pending > 0);
    if (--r->pending == 0 && r->closed && r->timer_closed)
        free_rebuild(r);
}

static void end_round(struct rebuild *r)
{
    int64_t took_us = clock_mono_us() - r->started_us;

    archive_scan_close(&r->scan);
    r->stats.running = 0;
    if (r->closed || r->stopping)
        return;
    if (r->round_errors) {
        r->stats.errors += r->round_errors;
        r->retry_us = clock_mono_us() + REBUILD_RETRY_US;
        log_error("storage", "not all archived jobs could be brought back: tried again later", "jobs=%" PRIu64
                  " restored=%" PRIu64 " errors=%" PRIu64, r->stats.scanned, r->stats.restored, r->round_errors);
        return;
    }
    r->done_round = r->round;
    r->stats.rounds++;
    stream_note_whole(r->stream, r->round);
    if (r->stats.restored || took_us > LOG_SLOW_US)
        log_info("storage", "the archive and redis agree on the jobs", "jobs=%" PRIu64 " restored=%" PRIu64 " took_ms=%" PRId64,
                 r->stats.scanned, r->stats.restored, took_us / 1000);
}

/* ---- restoring what a step has found ---- */

struct restore {
    struct rebuild *r;
    struct job_key key;
};

static void on_recovered(void *user, int err)
{
    struct restore *one = user;
    struct rebuild *r = one->r;

    r->recovering--;
    if (err == 0) {
        r->stats.restored++;
    } else if (err != ERR_NOT_FOUND) { /* deleted meanwhile, or nothing in it after all */
        if (!r->round_errors++)
            log_error("storage", "an archived job could not be brought back", "job=%s/%s err=%s", one->key.project,
                      one->key.job, err_name(err));
    }
    free(one);
    if (!r->closed)
        restore_some(r);
    done(r);
}

static int needs_restore(const struct rebuild *r, uint32_t i)
{
    return r->seqs[i] == UINT64_MAX || r->seqs[i] < r->jobs[i].last_seq;
}

static void restore_some(struct rebuild *r)
{
    for (; r->next < r->count && r->recovering < REBUILD_RECOVERIES_MAX; r->next++) {
        struct restore *one;

        if (!needs_restore(r, r->next))
            continue;
        one = must_malloc(sizeof *one);
        *one = (struct restore){r, r->jobs[r->next].key};
        r->recovering++;
        r->pending++;
        FAULT_POINT("rebuild.restore");
        stream_recover(r->stream, &one->key, on_recovered, one);
    }
    if (r->next == r->count && !r->recovering)
        step(r);
}

static void on_seqs(void *user, int err, const uint64_t *seqs)
{
    struct rebuild *r = user;

    if (r->closed) {
        done(r);
        return;
    }
    if (err < 0) { /* Redis is away: the round begins again when it is back */
        r->round_errors++;
        r->more = 0;
        r->count = 0;
    }
    for (uint32_t i = 0; i < r->count; i++)
        r->seqs[i] = seqs[i];
    r->next = 0;
    restore_some(r);
    done(r);
}

/* ---- steps ---- */

static void work_step(uv_work_t *req)
{
    struct rebuild *r = req->data;

    r->step_err = r->scan ? 0 : archive_scan_open(r->archive, TEMP_AGE_US, &r->scan);
    r->count = 0;
    r->more = 0;
    if (r->step_err < 0)
        return;
    r->more = archive_scan_next(r->scan, r->jobs, REBUILD_STEP, &r->count);
    if (r->more < 0) {
        r->step_err = r->more;
        r->more = 0;
    }
}

static void on_stepped(uv_work_t *req, int status)
{
    struct rebuild *r = req->data;
    struct job_key keys[REBUILD_STEP];

    if (r->closed)
        goto out;
    if (r->step_err < 0) {
        r->round_errors++;
        log_error("storage", "the archive cannot be read through", "err=%s", err_name(r->step_err));
    }
    r->stats.scanned += r->count;
    r->next = 0;
    if (!r->count) {
        step(r);
        goto out;
    }
    for (uint32_t i = 0; i < r->count; i++)
        keys[i] = r->jobs[i].key;
    r->pending++;
    stream_job_seqs(r->stream, keys, r->count, on_seqs, r);
out:
    done(r);
}

/* The next step of the scan, or the end of the round. */
static void step(struct rebuild *r)
{
    if (!r->more || r->stopping || r->round != stream_redis_round(r->stream)) {
        if (r->more)
            r->round_errors++; /* left in the middle */
        end_round(r);
        return;
    }
    FAULT_POINT("rebuild.step");
    r->pending++;
    CHECK(uv_queue_work(r->loop, &r->work, work_step, on_stepped) == 0);
}

static void on_tick(uv_timer_t *timer)
{
    struct rebuild *r = timer->data;
    uint32_t round = stream_redis_round(r->stream);
    char why[8];

    if (r->stats.running || r->stopping || !round || round == r->done_round || stream_ready(r->stream, why, sizeof why) < 0)
        return;
    if (round == r->round && clock_mono_us() < r->retry_us)
        return;
    r->round = round;
    r->round_errors = 0;
    r->stats.running = 1;
    r->stats.scanned = r->stats.restored = 0;
    r->started_us = clock_mono_us();
    r->more = 1;
    step(r);
}

/* ---- the face ---- */

void rebuild_open(uv_loop_t *loop, struct stream *st, struct archive *a, struct rebuild **ret_rebuild)
{
    struct rebuild *r = must_calloc(1, sizeof *r);

    r->loop = loop;
    r->stream = st;
    r->archive = a;
    r->work.data = r->timer.data = r;
    CHECK(uv_timer_init(loop, &r->timer) == 0);
    CHECK(uv_timer_start(&r->timer, on_tick, 0, REBUILD_TICK_MS) == 0);
    *ret_rebuild = r;
}

void rebuild_stop(struct rebuild *r)
{
    r->stopping = 1;
}

int rebuild_idle(const struct rebuild *r)
{
    return !r->pending;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct rebuild *r = handle->data;

    r->timer_closed = 1;
    if (!r->pending)
        free_rebuild(r);
}

void rebuild_close(struct rebuild **rp)
{
    struct rebuild *r = *rp;

    *rp = NULL;
    if (!r)
        return;
    r->closed = r->stopping = 1;
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

void rebuild_stats(const struct rebuild *r, struct rebuild_stats *ret)
{
    *ret = r->stats;
}

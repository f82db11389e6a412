/*
 * serve/pump.c -- when which job is archived: the tick, the looks, backing off.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/pump_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct look {
    struct pump *p;
    struct job_key key;
    int64_t since_us;
};

void pump__begin(struct pump *p)
{
    p->pending++;
}

static void free_pump(struct pump *p)
{
    struct pump_known *k;
    const char *key;
    size_t pos = 0, len;

    while ((k = map_next(p->known, &pos, &key, &len)))
        free(k);
    map_free(&p->known);
    free(p);
}

void pump__done(struct pump *p)
{
    CHECKF(p->pending > 0, "pending=%u", p->pending);
    if (--p->pending == 0 && p->closed && p->timer_closed)
        free_pump(p);
}

struct pump_known *pump__known(struct pump *p, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];
    size_t len = strlen(job_key_text(key, text));
    struct pump_known *k = map_get(p->known, text, len);

    if (k)
        return k;
    k = must_calloc(1, sizeof *k);
    map_put(p->known, text, len, k);
    return k;
}

static void forget_old(struct pump *p, int64_t now_us)
{
    struct pump_known *k;
    const char *key;
    size_t pos = 0, len;

    while ((k = map_next(p->known, &pos, &key, &len))) {
        char text[JOB_KEY_TEXT_BYTES];

        if (k->is_active || now_us - k->seen_us < PUMP_KNOWN_US)
            continue;
        CHECK(len < sizeof text);
        memcpy(text, key, len);
        free(map_del(p->known, text, len));
    }
}

/* Errors of the world's state: waiting helps, trying the next job does not. */
static int is_everywhere(int err)
{
    return err == ERR_FULL || err == ERR_READONLY || err == ERR_IO || err == ERR_UNAVAILABLE ||
           err == ERR_TIMEOUT || err == ERR_NOMEM;
}

void pump__note(struct pump *p, const struct job_key *key, const char *step, int err)
{
    char text[JOB_KEY_TEXT_BYTES];
    uint64_t silent;

    if (err >= 0) {
        p->backoff_us = 0;
        p->stats.backing_off = 0;
        p->stats.last_error[0] = '\0';
        return;
    }
    if (err == ERR_NOT_FOUND)
        return; /* deleted meanwhile */
    if (err == ERR_FENCED)
        p->stats.fenced++;
    p->stats.errors++;
    snprintf(p->stats.last_error, sizeof p->stats.last_error, "%s: %s", step, err_text(err));
    if (is_everywhere(err)) {
        p->backoff_us = p->backoff_us ? p->backoff_us * 2 : PUMP_BACKOFF_US_MIN;
        if (p->backoff_us > PUMP_BACKOFF_US_MAX)
            p->backoff_us = PUMP_BACKOFF_US_MAX;
        p->backoff_until_us = clock_mono_us() + p->backoff_us;
        p->stats.backing_off = 1;
    }
    if (log_every(&p->quiet, PUMP_LOG_US, &silent))
        log_error("storage", "archiving failed; nothing is trimmed, it is tried again",
                  "job=%s step=" LOG_Q("%s") " error=%s silent=%" PRIu64, job_key_text(key, text),
                  step, err_name(err), silent);
}

uint64_t pump__bytes(const struct job_info *info, uint64_t records)
{
    uint64_t each = info->lines ? info->bytes / info->lines + PUMP_RECORD_BYTES_AROUND
                                : PUMP_RECORD_BYTES_DEFAULT;

    return records > UINT64_MAX / each ? UINT64_MAX : records * each;
}

/* ---- looks ---- */

static int is_due(const struct pump *p, const struct job_info *info, int64_t since_us)
{
    uint64_t left = info->seq > info->archived_upto ? info->seq - info->archived_upto : 0;
    int64_t age_us = clock_wall_us() - since_us;
    int is_old = since_us && (age_us >= p->o.age_us || age_us < -PUMP_CLOCK_SLACK_US);

    if (info->sealed)
        return 1;
    return left && (is_old || pump__bytes(info, left) >= p->o.segment_bytes);
}

static void on_look(void *user, int err, const struct job_info *info)
{
    struct look *l = user;
    struct pump *p = l->p;

    p->looking--;
    if (!p->closed && !p->stopping && err >= 0 && p->active < PUMP_JOBS_MAX &&
        is_due(p, info, l->since_us)) {
        struct pump_known *k = pump__known(p, &l->key);

        if (!k->is_active)
            pump__run(p, info);
    }
    free(l);
    pump__done(p);
}

static void on_hot(void *user, int err, const struct job_key *keys, const int64_t *since_us,
                   uint32_t count)
{
    struct pump *p = user;
    int64_t now_us = clock_mono_us();

    p->asked_hot = 0;
    if (p->closed || err < 0)
        goto out;
    p->stats.hot_jobs = count;
    p->stats.oldest_unarchived_us = count && since_us[0] ? clock_wall_us() - since_us[0] : 0;
    if (p->stats.oldest_unarchived_us < 0)
        p->stats.oldest_unarchived_us = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pump_known *k = pump__known(p, &keys[i]);
        struct look *l;

        k->seen_us = now_us;
        if (p->stopping || k->is_active || k->next_us > now_us || p->active >= PUMP_JOBS_MAX ||
            p->looking >= PUMP_LOOKS_MAX)
            continue;
        k->next_us = now_us + PUMP_LOOK_US;
        l = must_calloc(1, sizeof *l);
        l->p = p;
        l->key = keys[i];
        l->since_us = since_us[i];
        p->looking++;
        pump__begin(p);
        stream_job_get(p->o.stream, &keys[i], 0, on_look, l);
    }
    forget_old(p, now_us);
out:
    pump__done(p);
}

static void on_tick(uv_timer_t *timer)
{
    struct pump *p = timer->data;

    if (p->asked_hot || p->stopping || clock_mono_us() < p->backoff_until_us)
        return;
    p->asked_hot = 1;
    pump__begin(p);
    stream_hot_jobs(p->o.stream, PUMP_HOT_MAX, on_hot, p);
}

/* ---- the face ---- */

void pump_open(const struct pump_options *o, struct pump **ret_pump)
{
    struct pump *p = must_calloc(1, sizeof *p);

    p->o = *o;
    if (!p->o.segment_bytes)
        p->o.segment_bytes = PUMP_SEGMENT_BYTES_DEFAULT;
    if (!p->o.age_us)
        p->o.age_us = PUMP_AGE_US_DEFAULT;
    if (!p->o.hot_bytes)
        p->o.hot_bytes = PUMP_HOT_BYTES_DEFAULT;
    if (!p->o.level)
        p->o.level = SEGMENT_LEVEL_DEFAULT;
    p->known = map_new();
    CHECK(uv_timer_init(o->loop, &p->timer) == 0);
    p->timer.data = p;
    CHECK(uv_timer_start(&p->timer, on_tick, PUMP_TICK_US / 1000, PUMP_TICK_US / 1000) == 0);
    *ret_pump = p;
}

void pump_stop(struct pump *p)
{
    p->stopping = 1;
}

int pump_idle(const struct pump *p)
{
    return !p->pending && !p->active;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct pump *p = handle->data;

    p->timer_closed = 1;
    if (!p->pending)
        free_pump(p);
}

void pump_close(struct pump **pp)
{
    struct pump *p = *pp;

    *pp = NULL;
    if (!p)
        return;
    p->closed = p->stopping = 1;
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

void pump_stats(const struct pump *p, struct pump_stats *ret)
{
    *ret = p->stats;
    ret->jobs_active = p->active;
}

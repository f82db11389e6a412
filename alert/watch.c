/*
 * alert/watch.c -- the table of jobs that are looked after: sweeps, ticks, comings and goings.
 */
#include "alert/publish.h"
#include "alert/watch_int.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t watch__now_us(const struct alert *a)
{
    return a->watch->base_wall_us + clock_mono_us() - a->watch->base_mono_us;
}

const char *watch__key(const struct job_key *key, char out[WATCH_KEY_BYTES])
{
    char text[JOB_KEY_TEXT_BYTES];

    snprintf(out, WATCH_KEY_BYTES, "jl:{%s}:alert", job_key_text(key, text));
    return out;
}

struct watched *watch__find(const struct alert *a, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];

    job_key_text(key, text);
    return map_get(a->watch->jobs, text, strlen(text));
}

static struct watched *make(struct alert *a, const struct job_key *key)
{
    struct watched *w = watch__find(a, key);
    char text[JOB_KEY_TEXT_BYTES];

    if (w || map_count(a->watch->jobs) >= WATCH_JOBS_MAX)
        return w;
    w = must_calloc(1, sizeof *w);
    w->a = a;
    w->key = *key;
    w->sweep = a->watch->sweep;
    SLIST_INIT(&w->decided);
    STAILQ_INIT(&w->fresh);
    STAILQ_INIT(&w->committed);
    STAILQ_INIT(&w->commit.alerts);
    job_key_text(key, text);
    map_put(a->watch->jobs, text, strlen(text), w);
    return w;
}

static void forget(struct watched *w)
{
    char text[JOB_KEY_TEXT_BYTES];

    CHECK(w->phase == WATCH_IDLE && !w->calls && !w->in_thread);
    watch__decide(w, ERR_CANCELLED);
    job_key_text(&w->key, text);
    map_del(w->a->watch->jobs, text, strlen(text));
    free(w);
}

/* ---- decisions ---- */

void watch__decide(struct watched *w, int err)
{
    struct decided *d;

    while ((d = SLIST_FIRST(&w->decided)) != NULL) {
        SLIST_REMOVE_HEAD(&w->decided, link);
        d->fn(d->user, err);
        free(d);
    }
}

/* Is there anything to do for it now? */
static int may_start(const struct watched *w)
{
    const struct watch *t = w->a->watch;
    const struct ruleset *s = store_ruleset(w->a);

    return w->phase == WATCH_IDLE && !w->calls && !t->stopping && s && s->enabled_count &&
           w->no_rule_number != s->number && clock_mono_us() >= w->not_before_us &&
           t->starting < WATCH_STARTING_MAX;
}

static int is_leased(const struct watched *w)
{
    return w->phase == WATCH_DETAIL || w->phase == WATCH_FIND || w->phase == WATCH_LIVE;
}

void watch_consider(struct alert *a, const struct job_key *key,
                    void (*decided)(void *user, int err), void *user)
{
    const struct ruleset *s = store_ruleset(a);
    struct watched *w = NULL;
    struct decided *d;

    if (s && s->enabled_count)
        w = make(a, key);
    if (decided && w && !is_leased(w) && s->number != w->no_rule_number) {
        d = must_calloc(1, sizeof *d);
        d->fn = decided;
        d->user = user;
        SLIST_INSERT_HEAD(&w->decided, d, link);
        w->not_before_us = 0;
        decided = NULL;
    }
    if (w && may_start(w))
        watch__start(w);
    if (decided)
        decided(user, s ? 0 : ERR_UNAVAILABLE);
}

/* ---- letting go ---- */

void watch__call(struct watched *w)
{
    w->calls++;
    w->a->calls++;
}

int watch__called(struct watched *w)
{
    CHECK(w->calls > 0 && w->a->calls > 0);
    w->calls--;
    w->a->calls--;
    if (w->phase != WATCH_OVER)
        return 1;
    if (w->calls || w->in_thread)
        return 0;
    w->phase = WATCH_IDLE;
    if (w->not_before_us == INT64_MAX)
        forget(w);
    return 0;
}

void watch__over(struct watched *w, int64_t then_us)
{
    struct watch *t = w->a->watch;

    if (w->is_starting) {
        w->is_starting = 0;
        t->starting--;
    }
    if (w->phase == WATCH_LIVE)
        t->live--;
    w->not_before_us = then_us;
    w->phase = WATCH_OVER;
    watch__live_release(w);
    publish_drop(&w->publish);
    watch__pending_free(&w->fresh);
    watch__pending_free(&w->committed);
    watch__pending_free(&w->commit.alerts);
    free(w->commit.state);
    memset(&w->commit, 0, sizeof w->commit);
    STAILQ_INIT(&w->commit.alerts);
    w->fresh_count = 0;
    w->token = w->c = w->n = w->pub = 0;
    if (!w->in_thread) {
        eval_free(&w->eval);
        ruleset_unref(&w->set);
    }
    watch__call(w);
    watch__called(w);
}

void watch__unlist(const struct watched *w)
{
    char text[JOB_KEY_TEXT_BYTES];

    conn_words(w->a->cmd, CONN_IDEMPOTENT, NULL, NULL, "ZREM", WATCHED_KEY, job_key_text(&w->key, text), NULL);
}

void watch__gone(struct watched *w)
{
    char key[WATCH_KEY_BYTES];

    conn_words(w->a->cmd, CONN_IDEMPOTENT, NULL, NULL, "DEL", watch__key(&w->key, key), NULL);
    watch__unlist(w);
    watch__over(w, INT64_MAX);
}

/* ---- sweeps ---- */

struct sweep {
    struct alert *a;
    int parts;
};

static void consider_reply(struct alert *a, const struct reply *list)
{
    struct job_key key;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct reply *m = reply_at(list, i);
        struct watched *w;
        if (job_key_parse(&key, m->str, m->len) < 0 || !(w = make(a, &key)))
            continue;
        w->sweep = a->watch->sweep; /* the next tick starts it */
    }
}

/* Idle jobs that no list names any more. */
static void forget_unlisted(struct alert *a)
{
    struct watched *w;
    size_t pos = 0;

    while ((w = map_next(a->watch->jobs, &pos, NULL, NULL)))
        if (w->phase == WATCH_IDLE && !w->calls && w->sweep != a->watch->sweep &&
            SLIST_EMPTY(&w->decided))
            forget(w);
}

static void on_listed(void *user, int err, const struct reply *reply)
{
    struct alert *a = user;
    struct watch *t = a->watch;

    if (err == ERR_CANCELLED)
        return;
    t->sweeping = 0;
    if (err < 0 || t->stopping)
        return;
    t->sweep++;
    consider_reply(a, reply_at(reply, 0));
    consider_reply(a, reply_at(reply, 1));
    forget_unlisted(a);
}

static void sweep(struct alert *a)
{
    const struct ruleset *s = store_ruleset(a);
    struct conn_request *r;
    static const char *const keys[] = {"jl:active", WATCHED_KEY};

    if (!s || (!s->enabled_count && !a->watch->live) || !conn_is_open(a->cmd))
        return;
    r = conn_request_new(0);
    for (int i = 0; i < 2; i++) {
        conn_request_begin(r, 4);
        conn_request_str(r, "ZREVRANGE");
        conn_request_str(r, keys[i]);
        conn_request_str(r, "0");
        conn_request_i64(r, WATCH_JOBS_MAX - 1);
    }
    a->watch->sweeping = 1;
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_listed, a);
}

void watch_ruleset_changed(struct alert *a)
{
    struct watched *w;
    size_t pos = 0;

    a->watch->next_sweep_us = 0;
    while ((w = map_next(a->watch->jobs, &pos, NULL, NULL)))
        if (w->phase == WATCH_LIVE)
            watch__go(w);
}

void watch_tick(struct alert *a)
{
    struct watch *t = a->watch;
    int64_t now_us = clock_mono_us();
    struct watched *w;
    size_t pos = 0;

    if (!t->stopping && !t->sweeping && now_us >= t->next_sweep_us) {
        t->next_sweep_us = now_us + WATCH_SWEEP_US;
        sweep(a);
    }
    while ((w = map_next(t->jobs, &pos, NULL, NULL)))
        if (w->phase == WATCH_LIVE)
            watch__live_tick(w, now_us);
        else if (may_start(w))
            watch__start(w);
}

/* ---- life ---- */

void watch_open(struct alert *a)
{
    struct watch *t = must_calloc(1, sizeof *t);

    t->jobs = map_new();
    t->base_wall_us = clock_wall_us();
    t->base_mono_us = clock_mono_us();
    worker_open(a->loop, &t->worker);
    a->watch = t;
}

void watch_stop(struct alert *a)
{
    struct watched *w;
    size_t pos = 0;

    a->watch->stopping = 1;
    while ((w = map_next(a->watch->jobs, &pos, NULL, NULL)))
        if (w->phase == WATCH_LIVE)
            watch__go(w);
}

int watch_idle(const struct alert *a)
{
    struct watched *w;
    size_t pos = 0;

    while ((w = map_next(a->watch->jobs, &pos, NULL, NULL)))
        if (w->phase != WATCH_IDLE || w->calls || w->in_thread)
            return 0;
    return 1;
}

void watch_close(struct alert *a)
{
    struct watch *t = a->watch;
    struct watched *w;
    size_t pos = 0;

    while ((w = map_next(t->jobs, &pos, NULL, NULL))) {
        if (w->phase != WATCH_IDLE)
            watch__over(w, INT64_MAX);
        else
            forget(w);
    }
    map_free(&t->jobs);
    free(t);
    a->watch = NULL;
}

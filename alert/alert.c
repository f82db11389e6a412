/*
 * alert/alert.c -- the room's life: its connections, its timer, its end.
 */
#include "alert/alert_int.h"

#include "alert/deliver.h"
#include "alert/events.h"
#include "alert/feed.h"
#include "alert/script.h"
#include "alert/tally.h"
#include "alert/watch_int.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END_TICK_MS 10

void alert__script_begin(struct alert *a, struct conn_request *r, const char *key, const char *op,
                         uint32_t argc)
{
    conn_request_begin(r, 5 + argc);
    conn_request_str(r, "EVALSHA");
    conn_request_str(r, conn_script_sha(a->cmd));
    conn_request_str(r, "1");
    conn_request_str(r, key);
    conn_request_str(r, op);
}

/* ---- the bell ---- */

static void on_bell(void *user, const char *text, size_t len)
{
    struct alert *a = user;

    if (len && text[0] == 'v')
        store_look(a, 0);
    if (len > 1 && (text[0] == 'e' || text[0] == 'd'))
        events_heard(a, strtoull(text + 1, NULL, 10));
    if (len && text[0] == 'd')
        deliver_poke(a);
}

static void on_subscribed(void *user)
{
    store_look(user, 0);
    events_heard(user, 0);
    deliver_poke(user);
}

static const struct conn_channel_ops bell_ops = {on_bell, on_subscribed};

/* ---- life ---- */

static void on_open(void *user)
{
    struct alert *a = user;
    char now[24];

    /* the feed has an epoch before it has an event */
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_us());
    conn_words(a->cmd, CONN_IDEMPOTENT, NULL, NULL, "SETNX", "jl:{alert}:epoch", now, NULL);
    store_look(a, 1);
}

static void on_tick(uv_timer_t *timer)
{
    struct alert *a = timer->data;

    store_tick(a);
    watch_tick(a);
    feed_tick(a);
    events_tick(a);
    deliver_tick(a);
}

void alert__ruleset_changed(struct alert *a)
{
    if (a->watch)
        watch_ruleset_changed(a);
    if (a->deliver)
        deliver_poke(a); /* a receiver may be back */
}

/* ---- what this node does ---- */

static void on_lines(void *user, const struct job_key *key)
{
    watch_consider(user, key, NULL, NULL);
}

static void on_states(void *user, const struct job_key *key)
{
    watch_consider(user, key, NULL, NULL);
    feed_poke(user);
}

static const struct stream_observer observer = {on_lines, on_states};

int alert_open(const struct alert_options *o, char *why, size_t why_size, struct alert **ret_alert)
{
    struct alert *a = must_calloc(1, sizeof *a);
    struct conn_options c = {.loop = o->loop,
                             .url = stream_url(o->stream),
                             .script = alert__script,
                             .inflight_bytes_max = ALERT_INFLIGHT_BYTES_MAX,
                             .on_open = on_open,
                             .user = a};
    int err;

    a->loop = o->loop;
    a->stream = o->stream;
    a->past = o->past;
    a->past_user = o->past_user;
    a->node = must_strdup(o->node);
    a->public_url = must_strdup(o->public_url ? o->public_url : "");
    err = store_open(a, o->rules_file, why, why_size);
    if (err < 0) {
        free(a->node);
        free(a->public_url);
        free(a);
        return err;
    }
    a->tally = tally_new();
    watch_open(a);
    feed_open(a);
    events_open(a);
    deliver_open(a, o);
    err = conn_open(&c, why, why_size, &a->cmd);
    CHECKF(err == 0, "the URL is good for the stream: %s", why);
    c.script = NULL;
    c.subscriber = 1;
    c.on_open = NULL;
    err = conn_open(&c, why, why_size, &a->bell);
    CHECKF(err == 0, "the same URL was good a moment ago");
    conn_subscribe(a->bell, ALERT_BELL, &bell_ops, a);
    uv_timer_init(a->loop, &a->tick);
    a->tick.data = a;
    uv_timer_start(&a->tick, on_tick, ALERT_TICK_MS, ALERT_TICK_MS);
    stream_observe(a->stream, &observer, a);
    *ret_alert = a;
    return 0;
}

int alert_reload(struct alert *a, char *why, size_t why_size)
{
    return store_reload(a, why, why_size);
}

const struct ruleset *alert_ruleset(const struct alert *a)
{
    return store_ruleset(a);
}

void alert_stats(const struct alert *a, struct alert_stats *ret)
{
    const struct ruleset *s = store_ruleset(a);
    const struct watch *t = a->watch;

    memset(ret, 0, sizeof *ret);
    if (s) {
        ret->rules = s->rule_count;
        ret->rules_enabled = s->enabled_count;
        ret->receivers = s->receiver_count;
    }
    ret->jobs_evaluated = t->live;
    ret->frames = t->frames;
    ret->records = t->records;
    ret->alerts = t->alerts;
    ret->commits = t->commits;
    ret->fenced = t->fenced;
    ret->dropped = t->dropped;
    ret->events = a->events;
    ret->capped = a->capped;
    ret->dead_letters = deliver_dead_letters(a);
}

/* ---- the end: the thread, the connections, calls of others that are still due, the rest ---- */

static void on_tick_closed(uv_handle_t *handle)
{
    struct alert *a = handle->data;
    void (*done)(void *user) = a->close_done;
    void *user = a->close_user;

    watch_close(a);
    feed_close(a);
    events_close(a);
    deliver_release(a);
    tally_free(&a->tally);
    store_close(a);
    free(a->node);
    free(a->public_url);
    free(a);
    if (done)
        done(user);
}

static void on_end_tick(uv_timer_t *timer)
{
    struct alert *a = timer->data;

    if (a->close_parts == 0 && a->calls == 0)
        uv_close((uv_handle_t *)timer, on_tick_closed);
}

static void on_part_closed(void *user)
{
    struct alert *a = user;

    a->close_parts--;
}

static void on_worker_closed(void *user)
{
    struct alert *a = user;

    a->close_parts--;
    conn_close(&a->bell, on_part_closed, a);
    conn_close(&a->cmd, on_part_closed, a);
}

void alert_stop(struct alert *a)
{
    feed_stop(a);
    watch_stop(a);
    deliver_stop(a);
}

int alert_idle(const struct alert *a)
{
    return watch_idle(a) && feed_idle(a) && deliver_idle(a);
}

void alert_close(struct alert **alert, void (*done)(void *user), void *user)
{
    struct alert *a = *alert;

    *alert = NULL;
    if (!a) {
        if (done)
            done(user);
        return;
    }
    stream_observe(a->stream, NULL, NULL);
    alert_stop(a);
    a->closing = 1;
    a->close_done = done;
    a->close_user = user;
    a->close_parts = 4;
    deliver_close(a, on_part_closed);
    worker_close(&a->watch->worker, on_worker_closed, a);
    uv_timer_start(&a->tick, on_end_tick, END_TICK_MS, END_TICK_MS);
}

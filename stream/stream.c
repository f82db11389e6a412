/*
 * stream/stream.c -- the room's life: open, ready, counters, close.
 *
 * Close walks four steps: no new calls -> what is queued ends (STREAM_CLOSE_US_MAX) -> hub, sealer and
 * connections -> the embedded server -> our timers.
 */
#include "stream/stream.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/known.h"
#include "stream/recover.h"
#include "stream/script.h"
#include "stream/stream_int.h"
#include "stream/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TICK_MS 2000
#define AWAY_TOLD_US 60000000 /* while Redis is away: one line so often */
#define WAIT_MS "500" /* for a replica, class replicated */

static const char *const durability_names[] = {"accepted", "durable", "replicated"};

const char *durability_name(enum durability d)
{
    CHECK((unsigned)d < 3);
    return durability_names[d];
}

int durability_parse(const char *s, enum durability *ret)
{
    for (int i = 0; i < 3; i++) {
        if (strcasecmp(s, durability_names[i]) == 0) {
            *ret = (enum durability)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

enum durability stream_durability(const struct stream *st)
{
    return st->durability;
}

/* ---- class replicated ---- */

int stream__replicates(const struct stream *st)
{
    return st->durability_asked == DURABILITY_REPLICATED;
}

void stream__add_wait(struct stream *st, struct conn_request *r)
{
    if (!stream__replicates(st))
        return;
    conn_request_begin(r, 3);
    conn_request_str(r, "WAIT");
    conn_request_str(r, "1");
    conn_request_str(r, WAIT_MS);
}

int stream__note_wait(struct stream *st, const struct reply *wait)
{
    static struct log_every every;
    int is_held = wait->kind == REPLY_INT && wait->num >= 1;
    uint64_t silent;

    st->durability = is_held ? DURABILITY_REPLICATED : st->durability_local;
    st->lacks_replica = !is_held;
    if (!is_held && log_every(&every, 60000000, &silent))
        log_error("stream", "no replica confirms in time: lines are not acknowledged until one does",
                  "wait_ms=" WAIT_MS " silent=%llu", (unsigned long long)silent);
    return is_held;
}

static void on_replica_look(void *user, int err, const struct reply *reply)
{
    if (err == 0)
        stream__note_wait(user, reply);
}

int64_t stream_heard_us(const struct stream *st, uint64_t *ret_round)
{
    struct conn_stats s;

    conn_stats(st->cmd, &s);
    *ret_round = s.reconnects;
    return conn_heard_us(st->cmd);
}

const char *stream_url(const struct stream *st)
{
    return st->url;
}

/* ---- what Redis is set to ---- */

static void on_config(void *user, int err, const struct reply *reply)
{
    struct stream *st = user;
    int appendonly, always;
    const char *policy;

    if (err < 0) {
        st->durability_local = DURABILITY_ACCEPTED;
        if (err != ERR_CANCELLED)
            log_warn("stream", "redis does not tell its configuration: acks are named accepted", "err=%s", err_name(err));
        goto out;
    }
    appendonly = strcmp(reply_field(reply_at(reply, 0), "appendonly")->str, "yes") == 0;
    always = strcmp(reply_field(reply_at(reply, 1), "appendfsync")->str, "always") == 0;
    policy = reply_field(reply_at(reply, 2), "maxmemory-policy")->str;
    st->durability_local = appendonly && always ? DURABILITY_DURABLE : DURABILITY_ACCEPTED;
    if (st->durability_asked > st->durability_local && st->durability_local == DURABILITY_ACCEPTED)
        log_warn("stream", "redis reaches less than the durability asked for",
                 "asked=%s reached=accepted appendonly=%s appendfsync=%s", durability_name(st->durability_asked),
                 appendonly ? "yes" : "no", reply_field(reply_at(reply, 1), "appendfsync")->str);
    if (*policy && strcmp(policy, "noeviction") != 0)
        log_error("stream", "redis may evict whole logs: set maxmemory-policy noeviction", "policy=%s", policy);
out:
    st->durability = st->durability_local;
}

static void ask_config(struct stream *st)
{
    static const char *const names[] = {"appendonly", "appendfsync", "maxmemory-policy"};
    struct conn_request *r = conn_request_new(0);

    for (int i = 0; i < 3; i++) {
        conn_request_begin(r, 3);
        conn_request_str(r, "CONFIG");
        conn_request_str(r, "GET");
        conn_request_str(r, names[i]);
    }
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_config, st);
}

static void on_info(void *user, int err, const struct reply *reply)
{
    struct stream *st = user;
    size_t len;

    if (err < 0)
        return;
    headroom__note_memory(st, strtoll(reply_info(reply, "used_memory", &len), NULL, 10),
                          strtoll(reply_info(reply, "maxmemory", &len), NULL, 10));
}

/* ---- which Redis this is ---- */

/* Another history than before: every job is looked at again before its next use. 1: there was one before. */
static int note_history(struct stream *st, const char *history)
{
    int had_one = st->history[0] != '\0';

    if (strcmp(history, st->history) == 0)
        return 0;
    if (had_one)
        log_info("stream", "redis was started again or taken over", "history=%s before=%s", history, st->history);
    snprintf(st->history, sizeof st->history, "%s", history);
    known__new_round(st);
    return had_one;
}

/* [INFO replication, GET jl:store]. Its history was told at the greeting; it changes under an open connection when the server is
 * made a replica and a master again. */
static void on_identity(void *user, int err, const struct reply *reply)
{
    struct stream *st = user;
    const struct reply *mark;
    const char *id;
    char history[41];
    size_t len;
    int has_mark;

    if (err < 0)
        return;
    mark = reply_at(reply, 1);
    id = reply_info(reply_at(reply, 0), "master_replid", &len);
    snprintf(history, sizeof history, "%.*s", (int)len, id);
    has_mark = mark->kind == REPLY_STR;
    if (!note_history(st, history) && st->has_mark && !has_mark) {
        log_error("stream", "redis was emptied: its jobs are brought back from the archive", NULL);
        known__new_round(st);
    }
    st->has_mark = has_mark;
}

static void ask_identity(struct stream *st)
{
    struct conn_request *r = conn_request_new(0);

    conn_request_begin(r, 2);
    conn_request_str(r, "INFO");
    conn_request_str(r, "replication");
    conn_request_begin(r, 2);
    conn_request_str(r, "GET");
    conn_request_str(r, STREAM_KEY_STORE);
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_identity, st);
}

struct mark_look {
    struct stream *st;
    void (*then)(void *arg);
    void *arg;
};

static void on_mark(void *user, int err, const struct reply *reply)
{
    struct mark_look *look = user;
    struct stream *st = look->st;

    if (err == 0 && reply->kind == REPLY_NIL && stream_is_whole(st)) {
        log_error("stream", "redis was emptied: its jobs are brought back from the archive", NULL);
        known__new_round(st);
        st->has_mark = 0;
    }
    look->then(look->arg);
    free(look);
}

void stream__look_for_mark(struct stream *st, void (*then)(void *arg), void *arg)
{
    struct mark_look *look = must_malloc(sizeof *look);

    *look = (struct mark_look){st, then, arg};
    conn_words(st->cmd, CONN_IDEMPOTENT, on_mark, look, "GET", STREAM_KEY_STORE, NULL);
}

uint32_t stream_redis_round(const struct stream *st)
{
    return st->history[0] ? st->known_round : 0;
}

int stream_is_whole(const struct stream *st)
{
    return !st->past || st->whole_round == st->known_round;
}

void stream_note_whole(struct stream *st, uint32_t round)
{
    char now[24];

    if (round != st->known_round)
        return;
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_us());
    st->whole_round = round;
    conn_words(st->cmd, CONN_IDEMPOTENT, NULL, NULL, "SET", STREAM_KEY_STORE, now, NULL);
}

static void on_tick(uv_timer_t *timer)
{
    struct stream *st = timer->data;

    if (conn_is_open(st->cmd)) {
        conn_words(st->cmd, CONN_IDEMPOTENT, on_info, st, "INFO", "memory", NULL);
        ask_identity(st);
        headroom__look(st);
        if (stream__replicates(st))
            conn_words(st->cmd, CONN_IDEMPOTENT, on_replica_look, st, "WAIT", "1", "100", NULL);
    }
    else if (st->embedded) {
        embedded_check(st->embedded);
    }
}

/* ---- the connections and the server ---- */

static void on_open(void *user)
{
    struct stream *st = user;

    log_info("stream", "connected to redis", NULL);
    st->away_told = (struct log_every){0};
    /* What waits was prepared for what the other one held: its floors hold, but other nodes may have shown more than this one
     * knows. With the embedded one there are no other nodes. */
    if (note_history(st, conn_history(st->cmd)) && !st->embedded)
        conn_refuse_waiting(st->cmd);
    ask_config(st);
    ask_identity(st);
    conn_words(st->cmd, CONN_IDEMPOTENT, on_info, st, "INFO", "memory", NULL);
}

static void on_lost(void *user, const char *why)
{
    struct stream *st = user;
    uint64_t silent;

    if (log_every(&st->away_told, AWAY_TOLD_US, &silent))
        log_warn("stream", "no connection to redis", "why=" LOG_Q("%s") " suppressed=%llu", why, (unsigned long long)silent);
    if (st->embedded)
        embedded_check(st->embedded);
}

static void on_server_up(void *user)
{
    struct stream *st = user;

    if (st->cmd)
        conn_kick(st->cmd);
    if (st->bell)
        conn_kick(st->bell);
}

static int open_connections(struct stream *st, const char *url, char *why, size_t why_size)
{
    struct conn_options o = {.loop = st->loop,
                             .url = url,
                             .script = stream__script,
                             .inflight_bytes_max = STREAM_INFLIGHT_BYTES_MAX,
                             .on_open = on_open,
                             .on_lost = on_lost,
                             .user = st};
    int err = conn_open(&o, why, why_size, &st->cmd);

    if (err < 0)
        return err;
    o.script = NULL;
    o.subscriber = 1;
    o.on_open = NULL;
    o.on_lost = NULL;
    err = conn_open(&o, why, why_size, &st->bell);
    CHECKF(err == 0, "the same URL was good a moment ago");
    return 0;
}

int stream_open(const struct stream_options *opts, char *why, size_t why_size, struct stream **ret_stream)
{
    struct stream *st = must_calloc(1, sizeof *st);
    const char *url = opts->url;
    int err = 0;

    st->loop = opts->loop;
    st->durability_asked = opts->durability;
    st->drain_us = opts->drain_us;
    st->call_us_max = STREAM_CALL_US_MAX;
    st->past = opts->past;
    st->past_user = opts->past_user;
    snprintf(st->node, sizeof st->node, "%s", opts->node ? opts->node : "");
    if (!url) {
        struct embedded_options e = {.loop = opts->loop,
                                     .data_dir = opts->data_dir,
                                     .redis_server = opts->redis_server,
                                     .memory_bytes = opts->redis_memory_bytes,
                                     .fsync_always = opts->durability >= DURABILITY_DURABLE,
                                     .on_up = on_server_up,
                                     .user = st};
        err = embedded_open(&e, why, why_size, &st->embedded);
        if (err == 0) {
            url = embedded_url(st->embedded);
            embedded_take_note(st->embedded, st->clean_history, sizeof st->clean_history);
        }
    }
    if (err == 0)
        err = open_connections(st, url, why, why_size);
    if (err < 0) {
        free(st); /* with an embedded server its own URL is always good: nothing else is open here */
        return err;
    }
    st->url = must_strdup(url);
    STAILQ_INIT(&st->later);
    uv_timer_init(st->loop, &st->tick);
    uv_timer_init(st->loop, &st->close_limit);
    uv_timer_init(st->loop, &st->later_timer);
    st->tick.data = st->close_limit.data = st->later_timer.data = st;
    uv_timer_start(&st->tick, on_tick, TICK_MS, TICK_MS);
    known__open(st);
    recover__open(st);
    st->lanes = map_new();
    st->groups = map_new();
    st->unreadable = map_new();
    hub__open(st);
    sealer__open(st);
    *ret_stream = st;
    return 0;
}

int stream_ready(const struct stream *st, char *why, size_t why_size)
{
    const struct conn *bad = !conn_is_open(st->cmd) ? st->cmd : !conn_is_open(st->bell) ? st->bell : NULL;

    if (st->closing || bad) {
        if (st->closing || !st->embedded || !embedded_fails(st->embedded, why, why_size))
            snprintf(why, why_size, "%s", bad ? conn_why(bad) : "shutting down");
        return ERR_UNAVAILABLE;
    }
    if (headroom__state(st)) {
        snprintf(why, why_size, "%s", headroom__why(st));
        return headroom__state(st);
    }
    if (st->lacks_replica) {
        snprintf(why, why_size, "no replica of Redis confirms in time (--durability replicated)");
        return ERR_UNAVAILABLE;
    }
    return 0;
}

void stream_stats(const struct stream *st, struct stream_stats *ret)
{
    struct conn_stats c, b;

    conn_stats(st->cmd, &c);
    conn_stats(st->bell, &b);
    *ret = st->stats;
    ret->redis_errors_loading = c.errors_loading + b.errors_loading;
    ret->redis_errors_misconf = c.errors_misconf;
    ret->redis_errors_oom = c.errors_oom;
    ret->redis_errors_readonly = c.errors_readonly;
    ret->redis_errors_noscript = c.errors_noscript;
    ret->redis_errors_busy = c.errors_busy;
    ret->redis_errors_other = c.errors_other + b.errors_other;
    ret->reconnects = c.reconnects + b.reconnects;
    ret->timeouts = c.timeouts;
    ret->inflight_bytes = c.inflight_bytes;
    ret->inflight_calls = c.inflight_calls;
    ret->connected = c.open;
    ret->loading = c.loading;
    ret->embedded_restarts = st->embedded ? embedded_restarts(st->embedded) : 0;
}

/* ---- close ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct stream *st = handle->data;
    void (*done)(void *user) = st->close_done;
    void *user = st->close_user;

    if (--st->close_parts > 0)
        return;
    known__close(st);
    recover__close(st);
    map_free(&st->lanes);
    map_free(&st->groups);
    map_free(&st->unreadable);
    free(st->url);
    free(st);
    if (done)
        done(user);
}

static void on_server_gone(void *user)
{
    struct stream *st = user;

    st->server_gone = 1;
    if (st->past_calls)
        return;
    stream__run_later(st);
    st->close_parts = 3;
    uv_close((uv_handle_t *)&st->tick, on_timer_closed);
    uv_close((uv_handle_t *)&st->close_limit, on_timer_closed);
    uv_close((uv_handle_t *)&st->later_timer, on_timer_closed);
}

void stream__past_begin(struct stream *st)
{
    st->past_calls++;
}

void stream__past_done(struct stream *st)
{
    CHECK(st->past_calls > 0);
    if (--st->past_calls == 0 && st->server_gone)
        on_server_gone(st);
}

static void on_part_closed(void *user)
{
    struct stream *st = user;

    if (--st->close_parts > 0)
        return;
    if (st->embedded)
        embedded_close(&st->embedded, on_server_gone, st);
    else
        on_server_gone(st);
}

static void close_parts(struct stream *st)
{
    if (st->close_parts)
        return;
    uv_timer_stop(&st->tick);
    uv_timer_stop(&st->close_limit);
    st->close_parts = 4;
    hub__close(st, on_part_closed, st);
    sealer__close(st, on_part_closed, st);
    conn_close(&st->bell, on_part_closed, st);
    conn_close(&st->cmd, on_part_closed, st);
}

static void on_close_limit(uv_timer_t *timer)
{
    struct stream *st = timer->data;

    if (st->calls)
        log_warn("stream", "closing with calls unanswered", "calls=%u", st->calls);
    close_parts(st);
}

void stream__call_begin(struct stream *st)
{
    st->calls++;
}

void stream__call_end(struct stream *st)
{
    CHECK(st->calls > 0);
    st->calls--;
    if (st->closing && st->calls == 0 && !st->close_parts) /* not from inside the call's own callback */
        uv_timer_start(&st->close_limit, on_close_limit, 0, 0);
}

void stream_close(struct stream **stream, void (*done)(void *user), void *user)
{
    struct stream *st = *stream;

    *stream = NULL;
    if (!st)
        return;
    st->closing = 1;
    st->close_done = done;
    st->close_user = user;
    if (st->embedded)
        embedded_leave_note(st->embedded, st->history);
    uv_timer_start(&st->close_limit, on_close_limit, st->calls ? STREAM_CLOSE_US_MAX / 1000 : 0, 0);
}

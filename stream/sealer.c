/*
 * stream/sealer.c -- ends what has ended: seals terminal jobs whose drain time is over.
 *
 * Every node looks at jl:draining; sealing is a script op that any of them may repeat. Every FAR_US it looks as well at
 * jobs whose end lies further ahead than a drain time: when the clock was set back meanwhile, the script dates them anew.
 * When the clock jumps ahead nothing is sealed for a drain time: producers have not had theirs.
 * Every SWEEP_US the list of active jobs is walked as well: it finds jobs whose node died between the terminal state and
 * jl:draining, sealed jobs still listed, and index entries of jobs that were never created.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "stream/recover.h"
#include "stream/stream_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS 200
#define SWEEP_US 60000000
#define POLL_JOBS "64"
#define FAR_US 5000000
/* What clocks of nodes may differ by. A job that is further ahead than its drain time and this was ended by another clock. */
#define CLOCK_SLACK_US 10000000
#define SWEEP_JOBS 128
/* An index entry without a job: its creation may still be on its way for so long. */
#define ORPHAN_AGE_US 60000000

struct sealer {
    struct stream *st;
    uv_timer_t timer;
    int polling;         /* ZRANGEBYSCORE is out */
    uint32_t sealing;    /* seal calls out */
    int sweeping;        /* a step of the sweep is out */
    int64_t next_sweep_us, next_far_us;
    struct clock_watch clock;
    int64_t not_before_us; /* nothing is sealed by its drain time */
    int64_t sweep_offset; /* -1: no sweep running */
    void (*closed)(void *user);
    void *closed_user;
};

struct seal_call {
    struct stream *st;
    struct job_key key;
    int64_t listed_us; /* sweep: score in jl:active */
};

static void add_draining(struct stream *st, const struct job_key *key, int64_t until_us, const char *mode)
{
    char text[JOB_KEY_TEXT_BYTES], score[24];

    snprintf(score, sizeof score, "%" PRId64, until_us);
    conn_words(st->cmd, CONN_IDEMPOTENT, NULL, NULL, "ZADD", STREAM_KEY_DRAINING, mode, score, job_key_text(key, text),
               NULL);
}

static void drop_from(struct stream *st, const struct job_key *key, const char *zset)
{
    char text[JOB_KEY_TEXT_BYTES];

    conn_words(st->cmd, CONN_IDEMPOTENT, NULL, NULL, "ZREM", zset, job_key_text(key, text), NULL);
}

void sealer__note(struct stream *st, const struct job_key *key, int64_t until_us)
{
    add_draining(st, key, until_us, "NX");
}

void sealer__sealed(struct stream *st, const struct job_key *key)
{
    stream__observe_state(st, key);
    drop_from(st, key, STREAM_KEY_DRAINING);
    drop_from(st, key, STREAM_KEY_ACTIVE);
    hub__poke(st, key);
}

/* ---- due jobs ---- */

static void on_seal(void *user, int err, const struct reply *r)
{
    struct seal_call *call = user;
    struct stream *st = call->st;
    const char *word = err < 0 ? "" : reply_at(r, 0)->str;

    FAULT_POINT("stream.seal.reply");
    if (st->sealer)
        st->sealer->sealing--;
    if (strcmp(word, "SEALED") == 0)
        sealer__sealed(st, &call->key);
    else if (strcmp(word, "LATER") == 0)
        add_draining(st, &call->key, reply_i64(reply_at(r, 1)), "XX");
    else if (strcmp(word, "BACK") == 0) /* mended first; it stays on the list */
        recover__start(st, &call->key, reply_u64(reply_at(r, 2)), NULL, NULL);
    else if (strcmp(word, "GONE") == 0 || strcmp(word, "LIVE") == 0)
        drop_from(st, &call->key, STREAM_KEY_DRAINING);
    free(call);
}

static void seal(struct stream *st, const struct job_key *key)
{
    struct seal_call *call = must_calloc(1, sizeof *call);
    struct conn_request *r = conn_request_new(0);

    call->st = st;
    call->key = *key;
    st->sealer->sealing++;
    stream__script_begin(st, r, key, "seal", 2);
    conn_request_i64(r, clock_wall_us());
    conn_request_i64(r, CLOCK_SLACK_US);
    FAULT_POINT("stream.seal.send");
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_seal, call);
}

static void on_due(void *user, int err, const struct reply *reply)
{
    struct stream *st = user;
    struct job_key key;

    if (!st->sealer)
        return;
    st->sealer->polling = 0;
    for (uint32_t i = 0; err == 0 && i < reply->count; i++) {
        const struct reply *member = reply_at(reply, i);

        if (job_key_parse(&key, member->str, member->len) == 0)
            seal(st, &key);
    }
}

/* ---- the sweep ---- */

static void drop_orphan(struct stream *st, const struct job_key *key)
{
    char name[STREAM_IDS_KEY_BYTES];

    log_warn("stream", "dropping index entries of a job that was never created", "job=%s/%s", key->project, key->job);
    drop_from(st, key, STREAM_KEY_ACTIVE);
    drop_from(st, key, STREAM_KEY_HOT);
    drop_from(st, key, STREAM_KEY_JOBS);
    drop_from(st, key, stream__project_key(name, key->project));
}

static void on_swept(void *user, int err, const struct reply *r)
{
    struct seal_call *call = user;
    struct stream *st = call->st;

    if (st->sealer && err == 0) {
        if (reply_at(r, 0)->kind != REPLY_STR) {
            if (clock_wall_us() - call->listed_us > ORPHAN_AGE_US)
                drop_orphan(st, &call->key);
        } else if (reply_at(r, 1)->kind == REPLY_STR) {
            sealer__sealed(st, &call->key);
        } else if (reply_at(r, 2)->kind == REPLY_STR) {
            add_draining(st, &call->key, reply_i64(reply_at(r, 2)), "NX");
        }
    }
    free(call);
}

static void sweep_one(struct stream *st, const struct job_key *key, int64_t listed_us)
{
    struct seal_call *call = must_calloc(1, sizeof *call);
    char name[STREAM_KEY_BYTES];

    call->st = st;
    call->key = *key;
    call->listed_us = listed_us;
    conn_words(st->cmd, CONN_IDEMPOTENT, on_swept, call, "HMGET", stream__key(name, key, "meta"), "state", "sealed",
               "drain_until_us", NULL);
}

static void on_sweep_step(void *user, int err, const struct reply *reply)
{
    struct stream *st = user;
    struct sealer *s = st->sealer;
    struct job_key key;

    if (!s)
        return;
    s->sweeping = 0;
    if (err < 0)
        return; /* the same step again */
    for (uint32_t i = 0; i + 1 < reply->count; i += 2) {
        const struct reply *member = reply_at(reply, i);

        if (job_key_parse(&key, member->str, member->len) == 0)
            sweep_one(st, &key, reply_i64(reply_at(reply, i + 1)));
    }
    s->sweep_offset = reply->count / 2 < SWEEP_JOBS ? -1 : s->sweep_offset + SWEEP_JOBS;
}

static void sweep_step(struct stream *st)
{
    struct sealer *s = st->sealer;
    char from[24], to[24];

    snprintf(from, sizeof from, "%" PRId64, s->sweep_offset);
    snprintf(to, sizeof to, "%" PRId64, s->sweep_offset + SWEEP_JOBS - 1);
    s->sweeping = 1;
    conn_words(st->cmd, CONN_IDEMPOTENT, on_sweep_step, st, "ZRANGE", STREAM_KEY_ACTIVE, from, to, "WITHSCORES", NULL);
}

/* ---- time ---- */

/* Those that are due, or now and then those that cannot be due so late, the latest first: jobs of a node with a longer drain time
 * lie ahead, too, and must not hide them. */
static void poll(struct stream *st)
{
    struct sealer *s = st->sealer;
    int is_far = clock_mono_us() >= s->next_far_us;
    char at[24];

    if (!is_far && clock_mono_us() < s->not_before_us)
        return;
    if (is_far)
        s->next_far_us = clock_mono_us() + FAR_US;
    snprintf(at, sizeof at, "%" PRId64, clock_wall_us() + (is_far ? st->drain_us + CLOCK_SLACK_US : 0));
    s->polling = 1;
    conn_words(st->cmd, CONN_IDEMPOTENT, on_due, st, is_far ? "ZREVRANGEBYSCORE" : "ZRANGEBYSCORE", STREAM_KEY_DRAINING,
               is_far ? "+inf" : "-inf", at, "LIMIT", "0", POLL_JOBS, NULL);
}

static void look_at_clocks(struct stream *st)
{
    struct sealer *s = st->sealer;
    int64_t jump_us = clock_watch_jump(&s->clock);

    if (!jump_us)
        return;
    s->not_before_us = clock_mono_us() + st->drain_us;
    log_warn("stream", "the clock jumped ahead: jobs that have ended get their drain time anew", "seconds=%" PRId64,
             jump_us / 1000000);
}

static void on_timer(uv_timer_t *timer)
{
    struct stream *st = timer->data;
    struct sealer *s = st->sealer;

    if (!s)
        return;
    look_at_clocks(st);
    if (!conn_is_open(st->cmd))
        return;
    if (!s->polling && !s->sealing)
        poll(st);
    if (s->sweep_offset < 0 && clock_mono_us() >= s->next_sweep_us) {
        s->sweep_offset = 0;
        s->next_sweep_us = clock_mono_us() + SWEEP_US;
    }
    if (s->sweep_offset >= 0 && !s->sweeping)
        sweep_step(st);
}

void sealer__open(struct stream *st)
{
    struct sealer *s = must_calloc(1, sizeof *s);

    s->st = st;
    clock_watch_init(&s->clock);
    s->sweep_offset = -1;
    s->timer.data = st;
    uv_timer_init(st->loop, &s->timer);
    uv_timer_start(&s->timer, on_timer, POLL_MS, POLL_MS);
    st->sealer = s;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct sealer *s = (struct sealer *)(void *)((char *)handle - offsetof(struct sealer, timer));

    s->closed(s->closed_user);
    free(s);
}

void sealer__close(struct stream *st, void (*done)(void *user), void *user)
{
    struct sealer *s = st->sealer;

    st->sealer = NULL;
    s->closed = done;
    s->closed_user = user;
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

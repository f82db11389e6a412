/*
 * stream/keys.c -- names of keys, index entries, the script's command line, answers for later.
 */
#include "base/check.h"
#include "base/err.h"
#include "stream/known.h"
#include "stream/stream_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *stream__key(char out[STREAM_KEY_BYTES], const struct job_key *key, const char *part)
{
    int n = snprintf(out, STREAM_KEY_BYTES, "jl:{%s/%s}:%s", key->project, key->job, part);

    CHECKF(n > 0 && n < STREAM_KEY_BYTES, "part=%s", part);
    return out;
}

const char *stream__ids_key(char out[STREAM_IDS_KEY_BYTES], const char *job)
{
    snprintf(out, STREAM_IDS_KEY_BYTES, "jl:ids:%s", job);
    return out;
}

const char *stream__project_key(char out[STREAM_IDS_KEY_BYTES], const char *project)
{
    snprintf(out, STREAM_IDS_KEY_BYTES, "jl:project:%s", project);
    return out;
}

void stream__script_begin(struct stream *st, struct conn_request *r, const struct job_key *key, const char *op, uint32_t argc)
{
    static const char *const parts[] = {"log", "meta", "prod", "rank"};
    const struct known *known = known__find(st, key);
    char name[STREAM_KEY_BYTES], floor[64];

    conn_request_begin(r, 3 + 4 + 2 + argc);
    conn_request_str(r, "EVALSHA");
    conn_request_str(r, conn_script_sha(st->cmd));
    conn_request_str(r, "4");
    for (int i = 0; i < 4; i++)
        conn_request_str(r, stream__key(name, key, parts[i]));
    if (known && known->floor) {
        snprintf(floor, sizeof floor, "%s %" PRIu64 " %" PRIu64, op, known->floor, known->epoch);
        op = floor;
    }
    conn_request_str(r, op);
    conn_request_str(r, stream__key(name, key, "bell"));
}

/* ---- index entries ---- */

static void add_scored(struct conn_request *r, const char *zset, int64_t score, const char *member)
{
    conn_request_begin(r, 5);
    conn_request_str(r, "ZADD");
    conn_request_str(r, zset);
    conn_request_str(r, "NX");
    conn_request_i64(r, score);
    conn_request_str(r, member);
}

static void add_member(struct conn_request *r, const char *set, const char *member)
{
    conn_request_begin(r, 3);
    conn_request_str(r, "SADD");
    conn_request_str(r, set);
    conn_request_str(r, member);
}

void stream__index_add_cold(struct conn_request *r, const struct job_key *key, int64_t created_us)
{
    char text[JOB_KEY_TEXT_BYTES], name[STREAM_IDS_KEY_BYTES];

    job_key_text(key, text);
    add_scored(r, STREAM_KEY_JOBS, created_us, text);
    add_scored(r, stream__project_key(name, key->project), created_us, text);
    add_member(r, stream__ids_key(name, key->job), key->project);
    add_member(r, STREAM_KEY_PROJECTS, key->project);
    conn_request_begin(r, 4);
    conn_request_str(r, "HSETNX");
    conn_request_str(r, STREAM_KEY_PROJECT_META);
    conn_request_str(r, key->project);
    snprintf(text, sizeof text, "%lld ", (long long)created_us);
    conn_request_str(r, text);
}

void stream__mark_unfed(struct conn_request *r, const struct job_key *key, int64_t now_us)
{
    char text[JOB_KEY_TEXT_BYTES];

    conn_request_begin(r, 4);
    conn_request_str(r, "ZADD");
    conn_request_str(r, STREAM_KEY_UNFED);
    conn_request_i64(r, now_us);
    conn_request_str(r, job_key_text(key, text));
}

void stream_observe(struct stream *st, const struct stream_observer *ops, void *user)
{
    st->observer = ops;
    st->observer_user = user;
}

void stream__observe_lines(struct stream *st, const struct job_key *key)
{
    if (st->observer)
        st->observer->lines(st->observer_user, key);
}

void stream__observe_state(struct stream *st, const struct job_key *key)
{
    if (st->observer)
        st->observer->states(st->observer_user, key);
}

void stream__index_add(struct conn_request *r, const struct job_key *key, int64_t created_us)
{
    char text[JOB_KEY_TEXT_BYTES];

    job_key_text(key, text);
    stream__index_add_cold(r, key, created_us);
    add_scored(r, STREAM_KEY_ACTIVE, created_us, text);
    add_scored(r, STREAM_KEY_HOT, created_us, text);
    stream__mark_unfed(r, key, created_us);
}

/* ---- later ---- */

struct stream_later {
    STAILQ_ENTRY(stream_later) link;
    void (*fn)(void *user);
    void *user;
};

void stream__run_later(struct stream *st)
{
    struct stream_later *l;

    while ((l = STAILQ_FIRST(&st->later)) != NULL) {
        STAILQ_REMOVE_HEAD(&st->later, link);
        l->fn(l->user);
        free(l);
    }
}

static void on_later(uv_timer_t *timer)
{
    stream__run_later(timer->data);
}

void stream__later(struct stream *st, void (*fn)(void *user), void *user)
{
    struct stream_later *l = must_calloc(1, sizeof *l);

    l->fn = fn;
    l->user = user;
    STAILQ_INSERT_TAIL(&st->later, l, link);
    uv_timer_start(&st->later_timer, on_later, 0, 0);
}

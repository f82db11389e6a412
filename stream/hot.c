/*
 * stream/hot.c -- for the pump: which jobs hold unarchived records, who archives them, how far it got.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "stream/recover.h"
#include "stream/stream_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_US 30000000

struct hot {
    struct stream *st;
    struct job_key key;
    stream_hot_fn *done_hot;
    stream_lease_fn *done_lease;
    void (*done_commit)(void *user, int err);
    void *user;
};

static struct hot *new_hot(struct stream *st, const struct job_key *key, void *user)
{
    struct hot *h = must_calloc(1, sizeof *h);

    h->st = st;
    if (key)
        h->key = *key;
    h->user = user;
    stream__call_begin(st);
    return h;
}

static void free_hot(struct hot *h)
{
    struct stream *st = h->st;

    free(h);
    stream__call_end(st);
}

/* ---- the list ---- */

static void on_hot(void *user, int err, const struct reply *reply)
{
    struct hot *h = user;
    uint32_t n = 0, max = err < 0 ? 0 : reply->count / 2;
    struct job_key *keys = must_calloc(max + 1, sizeof *keys);
    int64_t *since = must_calloc(max + 1, sizeof *since);

    for (uint32_t i = 0; i < max; i++) {
        const struct reply *member = reply_at(reply, 2 * i);

        if (job_key_parse(&keys[n], member->str, member->len) == 0)
            since[n++] = reply_i64(reply_at(reply, 2 * i + 1));
    }
    h->done_hot(h->user, err, keys, since, n);
    free(keys);
    free(since);
    free_hot(h);
}

void stream_hot_jobs(struct stream *st, uint32_t count_max, stream_hot_fn *done, void *user)
{
    struct hot *h = new_hot(st, NULL, user);
    char to[12];

    CHECK(count_max > 0);
    h->done_hot = done;
    snprintf(to, sizeof to, "%u", count_max - 1);
    conn_words(st->cmd, CONN_IDEMPOTENT, on_hot, h, "ZRANGE", STREAM_KEY_HOT, "0", to, "WITHSCORES", NULL);
}

/* What an answer other than OK means. A log that went back is mended before it is archived any further. */
static int read_refusal(struct hot *h, const struct reply *r)
{
    const char *word = reply_at(r, 0)->str;

    if (strcmp(word, "BACK") == 0) {
        recover__start(h->st, &h->key, reply_u64(reply_at(r, 2)), NULL, NULL);
        return ERR_BUSY;
    }
    return strcmp(word, "BUSY") == 0     ? ERR_BUSY
           : strcmp(word, "FENCED") == 0 ? ERR_FENCED
           : strcmp(word, "RESET") == 0  ? ERR_RESET
           : strcmp(word, "GONE") == 0   ? ERR_NOT_FOUND
                                         : ERR_PROTOCOL;
}

/* ---- the lease ---- */

static void on_lease(void *user, int err, const struct reply *r)
{
    struct hot *h = user;
    const char *word = err < 0 ? "" : reply_at(r, 0)->str;
    uint64_t token = 0;

    FAULT_POINT("stream.lease.reply");
    if (strcmp(word, "OK") == 0)
        token = reply_u64(reply_at(r, 1));
    else if (err == 0)
        err = read_refusal(h, r);
    h->done_lease(h->user, err, token);
    free_hot(h);
}

void stream_lease(struct stream *st, const struct job_key *key, uint64_t token, stream_lease_fn *done, void *user)
{
    struct hot *h = new_hot(st, key, user);
    struct conn_request *r = conn_request_new(0);

    h->done_lease = done;
    stream__script_begin(st, r, key, "lease", 4);
    conn_request_i64(r, clock_wall_us());
    conn_request_u64(r, token);
    conn_request_i64(r, LEASE_US);
    conn_request_str(r, st->node);
    /* A lease taken without our knowing would keep everybody out for its time: ask once only. */
    conn_send(st->cmd, &r, token ? CONN_IDEMPOTENT : 0, 0, on_lease, h);
}

/* ---- the marks ---- */

/* Looked at: to the end of the queue, or off the list. */
static void move_mark(struct stream *st, const struct job_key *key, int cold)
{
    char text[JOB_KEY_TEXT_BYTES], score[24];

    job_key_text(key, text);
    if (cold) {
        conn_words(st->cmd, CONN_IDEMPOTENT, NULL, NULL, "ZREM", STREAM_KEY_HOT, text, NULL);
        return;
    }
    snprintf(score, sizeof score, "%lld", (long long)clock_wall_us());
    conn_words(st->cmd, CONN_IDEMPOTENT, NULL, NULL, "ZADD", STREAM_KEY_HOT, "XX", score, text, NULL);
}

static void on_committed(void *user, int err, const struct reply *r)
{
    struct hot *h = user;
    const char *word = err < 0 ? "" : reply_at(r, 0)->str;

    FAULT_POINT("stream.commit.reply");
    if (strcmp(word, "OK") == 0)
        move_mark(h->st, &h->key, reply_i64(reply_at(r, 3)) != 0);
    else if (err == 0)
        err = read_refusal(h, r);
    h->done_commit(h->user, err);
    free_hot(h);
}

void stream_commit_archived(struct stream *st, const struct job_key *key, uint64_t token, uint64_t epoch, uint64_t upto,
                            uint64_t trim_upto, int cold, void (*done)(void *user, int err), void *user)
{
    struct hot *h = new_hot(st, key, user);
    struct conn_request *r = conn_request_new(0);

    CHECKF(trim_upto <= upto, "trim_upto=%llu upto=%llu", (unsigned long long)trim_upto, (unsigned long long)upto);
    h->done_commit = done;
    stream__script_begin(st, r, key, "archived", 6);
    conn_request_i64(r, clock_wall_us());
    conn_request_u64(r, token);
    conn_request_u64(r, upto);
    conn_request_u64(r, trim_upto);
    conn_request_str(r, cold ? "1" : "0");
    conn_request_u64(r, epoch);
    FAULT_POINT("stream.commit.send");
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_committed, h);
}

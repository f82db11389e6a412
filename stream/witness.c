/*
 * stream/witness.c -- may Redis have lost records of a job that this process has not seen, but readers have?
 */
#include "stream/witness.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/recover.h"
#include "stream/stream_int.h"

#include <stdlib.h>
#include <string.h>

/* Never makes the hash of a job that was deleted meanwhile. */
#define NOTE "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'run', ARGV[1]) end return 1"

struct look {
    struct stream *st;
    struct job_key key;
    int64_t until_us;
    witness_then_fn *then;
    void *arg;
};

int witness__wanted(const struct stream *st)
{
    return !st->embedded || st->durability_asked == DURABILITY_ACCEPTED;
}

void witness__note(struct stream *st, const struct job_key *key)
{
    char name[STREAM_KEY_BYTES];

    if (witness__wanted(st) && st->history[0])
        conn_words(st->cmd, CONN_IDEMPOTENT, NULL, NULL, "EVAL", NOTE, "1", stream__key(name, key, "meta"), st->history, NULL);
}

static void end(struct look *l, int err)
{
    struct stream *st = l->st;

    l->then(l->arg, err);
    free(l);
    stream__call_end(st);
}

static void on_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct look *l = user;

    if (err == 0)
        witness__note(l->st, &l->key);
    end(l, err == ERR_NOT_FOUND ? 0 : err);
}

static void look(struct look *l);

static void on_look(void *user, int err, const struct reply *reply)
{
    struct look *l = user;
    struct stream *st = l->st;
    const struct reply *epoch = reply_at(reply, 0), *run = reply_at(reply, 1);

    if (err < 0) {
        end(l, err);
    } else if (!st->history[0]) { /* this Redis has not told yet who it is: its answer is on the way */
        if (clock_mono_us() < l->until_us)
            look(l);
        else
            end(l, ERR_UNAVAILABLE);
    } else if (epoch->kind != REPLY_STR) {
        end(l, 0);
    } else if (run->kind == REPLY_STR && strcmp(run->str, st->history) == 0) {
        end(l, 0);
    } else if (run->kind == REPLY_STR && strcmp(run->str, st->clean_history) == 0) {
        witness__note(st, &l->key);
        end(l, 0);
    } else {
        recover__start(st, &l->key, reply_u64(epoch), on_recovered, l);
    }
}

static void look(struct look *l)
{
    char name[STREAM_KEY_BYTES];

    conn_words(l->st->cmd, CONN_IDEMPOTENT, on_look, l, "HMGET", stream__key(name, &l->key, "meta"), "epoch", "run", NULL);
}

void witness__check(struct stream *st, const struct job_key *key, witness_then_fn *then, void *arg)
{
    struct look *l = must_calloc(1, sizeof *l);

    l->st = st;
    l->key = *key;
    l->until_us = clock_mono_us() + st->call_us_max;
    l->then = then;
    l->arg = arg;
    stream__call_begin(st);
    look(l);
}

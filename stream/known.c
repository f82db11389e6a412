/*
 * stream/known.c -- the jobs this node has used.
 */
#include "stream/known.h"

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/stream_int.h"
#include "stream/witness.h"

#include <stdlib.h>
#include <string.h>

struct known_wait {
    struct known_wait *next;
    known_then_fn *then;
    void *arg;
};

struct ask {
    struct stream *st;
    struct job_key key;
};

void known__open(struct stream *st)
{
    st->known = map_new();
    st->known_round = 1;
}

static void run_waits(struct known_wait *w, int err)
{
    while (w) {
        struct known_wait *next = w->next;

        w->then(w->arg, err);
        free(w);
        w = next;
    }
}

void known__close(struct stream *st)
{
    struct known *k;
    size_t pos = 0;

    while ((k = map_next(st->known, &pos, NULL, NULL)) != NULL) {
        CHECK(!k->waits);
        free(k);
    }
    map_free(&st->known);
}

void known__new_round(struct stream *st)
{
    st->known_round++;
}

static struct known *find(const struct stream *st, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];

    job_key_text(key, text);
    return map_get(st->known, text, strlen(text));
}

/* Those at rest go; the map is small again unless thousands are being asked for at once. */
static void forget_resting(struct stream *st)
{
    struct map *kept = map_new();
    struct known *k;
    const char *key;
    size_t pos = 0, len;

    while ((k = map_next(st->known, &pos, &key, &len)) != NULL) {
        if (k->asking)
            map_put(kept, key, len, k);
        else
            free(k);
    }
    map_free(&st->known);
    st->known = kept;
}

static struct known *get(struct stream *st, const struct job_key *key)
{
    struct known *k = find(st, key);
    char text[JOB_KEY_TEXT_BYTES];

    if (k)
        return k;
    if (map_count(st->known) >= KNOWN_JOBS_MAX)
        forget_resting(st);
    k = must_calloc(1, sizeof *k);
    job_key_text(key, text);
    map_put(st->known, text, strlen(text), k);
    return k;
}

const struct known *known__find(const struct stream *st, const struct job_key *key)
{
    return find(st, key);
}

int known__exists(const struct stream *st, const struct job_key *key)
{
    const struct known *k = find(st, key);

    return k && k->exists && k->round == st->known_round && !k->asking;
}

void known__note(struct stream *st, const struct job_key *key, uint64_t epoch, uint64_t seq)
{
    struct known *k = get(st, key);

    k->exists = 1;
    if (k->epoch && k->epoch != epoch)
        k->floor = 0;
    if (k->floor < seq)
        k->floor = seq;
    k->epoch = epoch;
    /* Only once it was looked at in this round: else the look would find it sound. */
    if (k->noted_round != st->known_round && k->round == st->known_round && !k->asking && st->history[0]) {
        k->noted_round = st->known_round;
        witness__note(st, key);
    }
}

void known__reset(struct stream *st, const struct job_key *key, uint64_t epoch, uint64_t seq)
{
    struct known *k = get(st, key);

    k->exists = 1;
    k->floor = seq;
    k->epoch = epoch;
    k->round = st->known_round;
    k->past_failed = 0;
}

void known__forget(struct stream *st, const struct job_key *key)
{
    struct known *k = find(st, key);

    if (!k)
        return;
    k->floor = k->epoch = 0;
    k->exists = 0;
    k->round = 0;
}

/* ---- asking the past ---- */

static void end_ask(struct ask *ask, int err)
{
    struct stream *st = ask->st;
    struct known *k = find(st, &ask->key);
    struct known_wait *waits = k->waits;

    CHECK(k->asking);
    k->asking = 0;
    k->waits = NULL;
    if (err < 0)
        k->round = 0;
    free(ask);
    run_waits(waits, st->close_parts ? ERR_CANCELLED : err);
}

static void on_witnessed(void *arg, int err)
{
    end_ask(arg, err);
}

static void on_last(void *ctx, int err, uint64_t last_seq)
{
    static struct log_every every;
    struct ask *ask = ctx;
    struct stream *st = ask->st;
    struct known *k = find(st, &ask->key);
    uint64_t silent;

    CHECK(k->asking);
    k->round = st->known_round;
    k->past_failed = err < 0;
    if (err < 0 && log_every(&every, 30000000, &silent))
        log_error("stream", "the archive cannot be asked what it holds: new jobs are refused", "job=%s/%s err=%s silent=%llu",
                  ask->key.project, ask->key.job, err_name(err), (unsigned long long)silent);
    if (err >= 0 && last_seq > k->floor) {
        k->floor = last_seq;
        k->epoch = 0;
    }
    if (witness__wanted(st) && (!k->exists || !st->embedded) && !st->close_parts)
        witness__check(st, &ask->key, on_witnessed, ask);
    else
        end_ask(ask, 0);
    stream__past_done(st);
}

void known__ready(struct stream *st, const struct job_key *key, known_then_fn *then, void *arg)
{
    struct known *k = get(st, key);
    struct known_wait *w, **end;
    struct ask *ask;

    if (!st->past) {
        k->round = st->known_round;
        then(arg, 0);
        return;
    }
    if (k->round == st->known_round && !k->past_failed && !k->asking) {
        then(arg, 0);
        return;
    }
    w = must_calloc(1, sizeof *w);
    w->then = then;
    w->arg = arg;
    for (end = &k->waits; *end; end = &(*end)->next)
        ;
    *end = w;
    if (k->asking)
        return;
    k->asking = 1;
    ask = must_malloc(sizeof *ask);
    *ask = (struct ask){st, *key};
    stream__past_begin(st);
    st->past->last(st->past_user, key, on_last, ask);
}

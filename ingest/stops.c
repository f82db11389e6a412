/*
 * ingest/stops.c -- agents are told when their job is stopped.
 *
 * News come over one channel of Redis (stream/stops.h). After Redis was away news may be missing: then every
 * job that has an agent here is looked up once.
 */
#include "base/check.h"
#include "base/map.h"
#include "ingest/agent.h"
#include "stream/stops.h"

#include <stdlib.h>
#include <string.h>

struct look {
    struct ingest *in;
    struct job_key key;
};

static void stop_agents(struct ingest *i, const struct job_key *key)
{
    for (struct agent *a = i->agents; a; a = a->next)
        if (job_key_equal(&a->key, key)) agent__stop(a);
}

static void on_job(void *user, int err, const struct job_info *info)
{
    struct look *l = user;

    if (err >= 0 && info->state == STATE_STOPPED && !info->sealed) stop_agents(l->in, &l->key);
    ingest__leave(l->in);
    free(l);
}

static void look_at_all(struct ingest *i)
{
    struct map *seen = map_new();
    char text[JOB_KEY_TEXT_BYTES];

    for (struct agent *a = i->agents; a; a = a->next) {
        struct look *l;

        if (a->is_stopped || map_put(seen, text, strlen(job_key_text(&a->key, text)), a)) continue;
        l = must_malloc(sizeof *l);
        *l = (struct look){i, a->key};
        ingest__enter(i);
        stream_job_get(i->o.stream, &a->key, 0, on_job, l);
    }
    map_free(&seen);
}

static void on_stopped(void *user, const struct job_key *key)
{
    if (key)
        stop_agents(user, key);
    else
        look_at_all(user);
}

void stops__open(struct ingest *i)
{
    stream_watch_stops(i->o.stream, on_stopped, i);
}

void stops__close(struct ingest *i)
{
    stream_watch_stops(i->o.stream, NULL, NULL);
}

/*
 * serve/followers.c -- a map of jobs to the time and the reach of their last poll, swept as it is used.
 */
#include "serve/followers.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

struct followed {
    int64_t polled_us;
    uint64_t epoch, seq;
};

struct followers {
    struct map *jobs;
    int64_t swept_us;
};

struct followers *followers_new(void)
{
    struct followers *fs = must_calloc(1, sizeof *fs);

    fs->jobs = map_new();
    return fs;
}

void followers_free(struct followers **fs)
{
    struct followed *f;
    size_t pos = 0;

    if (!*fs)
        return;
    while ((f = map_next((*fs)->jobs, &pos, NULL, NULL)))
        free(f);
    map_free(&(*fs)->jobs);
    free(*fs);
    *fs = NULL;
}

static void sweep(struct followers *fs, int64_t now_us)
{
    char key[JOB_KEY_TEXT_BYTES];
    const char *name;
    struct followed *f;
    size_t pos = 0, len;

    if (now_us - fs->swept_us < FOLLOWERS_US)
        return;
    fs->swept_us = now_us;
    while ((f = map_next(fs->jobs, &pos, &name, &len))) {
        if (now_us - f->polled_us < FOLLOWERS_US)
            continue;
        CHECK(len < sizeof key);
        memcpy(key, name, len);
        free(map_del(fs->jobs, key, len));
    }
}

void followers_note(struct followers *fs, const struct job_key *key, uint64_t epoch, uint64_t seq)
{
    char text[JOB_KEY_TEXT_BYTES];
    size_t len = strlen(job_key_text(key, text));
    int64_t now_us = clock_mono_us();
    struct followed *f;

    sweep(fs, now_us);
    f = map_get(fs->jobs, text, len);
    if (!f) {
        if (map_count(fs->jobs) >= FOLLOWERS_MAX)
            return;
        f = must_calloc(1, sizeof *f);
        map_put(fs->jobs, text, len, f);
    }
    f->polled_us = now_us;
    f->epoch = epoch;
    f->seq = seq;
}

int followers_may_know(const struct followers *fs, const struct job_info *info, int64_t now_wall_us)
{
    char text[JOB_KEY_TEXT_BYTES];
    const struct followed *f;

    job_key_text(&info->key, text);
    f = map_get(fs->jobs, text, strlen(text));
    if (!f || clock_mono_us() - f->polled_us >= FOLLOWERS_US)
        return 1;
    return info->sealed && now_wall_us - info->sealed_us >= FOLLOWERS_LAG_US && f->epoch == info->epoch &&
           f->seq >= info->sealed_seq;
}

/*
 * clients/cli/sampler.c -- the sampling thread, and whose turn it is on this node.
 */
#include "clients/cli/sampler.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/gpus.h"
#include "clients/cli/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

struct sampler {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_int stop;
    struct agent *agent;
    int64_t interval_us;
    char path[PATH_MAX]; /* of the lock file */
    int lock_fd;         /* -1: not ours */
    struct usage usage;
    struct gpus gpus;
};

/* ---- whose turn ---- */

static int same_file(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* 1: this process samples for the node. */
static int is_ours(struct sampler *s)
{
    int fd;

    if (s->lock_fd >= 0)
        return 1;
    fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno != EACCES; /* without a place for the lock every rank samples: better twice than never */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && same_file(fd, s->path)) {
        s->lock_fd = fd;
        return 1;
    }
    close(fd);
    return 0;
}

static void give_up(struct sampler *s)
{
    if (s->lock_fd < 0)
        return;
    unlink(s->path);
    close(s->lock_fd);
    s->lock_fd = -1;
}

/* ---- the thread ---- */

static void take_one(struct sampler *s)
{
    struct node_about about = {0};
    struct node_sample sample = {0};

    usage_take(&s->usage, clock_mono_us(), &about, &sample);
    if (gpus_take(&s->gpus, &about, &sample))
        agent_sample(s->agent, &about, &sample);
}

/* Sleeps the interval; 1: it is over. */
static int pause_is_end(struct sampler *s, int64_t us)
{
    int64_t until = clock_mono_us() + us;
    struct timespec ts = {until / 1000000, until % 1000000 * 1000};
    int stop;

    pthread_mutex_lock(&s->lock);
    while (!s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &ts) == 0)
        ;
    stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void *sample_on(void *arg)
{
    struct sampler *s = arg;
    struct node_about about;
    struct node_sample first;
    int64_t pause_us = s->interval_us < 1000000 ? s->interval_us : 1000000; /* the first one soon */

    usage_take(&s->usage, clock_mono_us(), &about, &first); /* cores used are over a span: it begins here */
    while (!pause_is_end(s, pause_us)) {
        if (is_ours(s))
            take_one(s);
        pause_us = s->interval_us;
    }
    give_up(s);
    return NULL;
}

int sampler_start(struct agent *agent, const char *job, int64_t interval_us, struct sampler **ret_sampler)
{
    struct sampler *s = must_calloc(1, sizeof *s);
    pthread_condattr_t attr;
    char host[HOST_NAME_MAX + 1] = "";

    gethostname(host, sizeof host - 1);
    snprintf(s->path, sizeof s->path, "/tmp/joblog-node-%d-%08lx-%08lx.lock", (int)getuid(),
             crc32(0, (const unsigned char *)job, (unsigned)strlen(job)),
             crc32(0, (const unsigned char *)host, (unsigned)strlen(host)));
    s->agent = agent;
    s->interval_us = interval_us;
    s->lock_fd = -1;
    usage_init(&s->usage);
    gpus_init(&s->gpus);
    s->gpus.stop = &s->stop;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&s->thread, NULL, sample_on, s) != 0) {
        pthread_cond_destroy(&s->wake);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return ERR_LIMIT;
    }
    *ret_sampler = s;
    return 0;
}

void sampler_stop(struct sampler **sp)
{
    struct sampler *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = 1;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    CHECK(pthread_join(s->thread, NULL) == 0);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

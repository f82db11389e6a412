/*
 * clients/cli/watch.c -- the thread, and what it takes of `progress` messages.
 */
#include "clients/cli/watch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "clients/cli/cli.h"
#include "clients/cli/sse.h"
#include "job/id.h"
#include "job/record.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SILENCE_US 60000000
#define AGAIN_US 5000000

struct watch {
    struct http_server server;
    char job[ID_BYTES_MAX + 1];
    struct sse sse;
    pthread_t thread;
    pthread_mutex_t lock;
    atomic_int stop;
    int wake[2];
    struct watch_view view; /* with lock, as the following */
    int32_t rank;           /* whose percent it is */
    int64_t rank_us;
    int64_t heard_us[RECORD_RANK_MAX + 1];
};

static void take(struct watch *w, const struct json_tree *m)
{
    const struct json_tree *percent = json_tree_get(m, "percent");
    int64_t rank = RECORD_RANK_NONE, now_us = clock_mono_us();

    if (json_tree_get_i64(m, "rank", &rank) < 0 || rank > RECORD_RANK_MAX)
        return;
    pthread_mutex_lock(&w->lock);
    w->view.moved_us = now_us;
    if (rank >= 0)
        w->heard_us[rank] = now_us;
    if (json_tree_is_num(percent) &&
        (w->view.percent < 0 || rank <= w->rank || now_us - w->rank_us > WATCH_STALE_US)) {
        w->view.percent = json_tree_double(percent);
        w->rank = (int32_t)rank;
        w->rank_us = now_us;
    }
    pthread_mutex_unlock(&w->lock);
}

static int on_event(void *user, const struct sse_event *e)
{
    struct json_tree *m = NULL;

    if (strcmp(e->type, "progress") != 0)
        return 0;
    if (json_tree_parse_own(e->data, e->len, &m) == 0)
        take(user, m);
    json_tree_free(&m);
    return 0;
}

static int on_data(void *user, const char *data, size_t len)
{
    struct watch *w = user;

    return sse_feed(&w->sse, data, len, on_event, w);
}

static int on_tick(void *user)
{
    struct watch *w = user;

    return atomic_load(&w->stop) ? ERR_CANCELLED : 0;
}

static void *run(void *user)
{
    struct watch *w = user;

    while (!atomic_load(&w->stop)) {
        struct pollfd p = {.fd = w->wake[0], .events = POLLIN};
        struct http_stream o = {.accept = "text/event-stream",
                                .silence_us = SILENCE_US,
                                .wake_fd = w->wake[0],
                                .on_data = on_data,
                                .on_tick = on_tick,
                                .user = w};
        struct http_reply r = {0};
        struct buf path = BUF_INIT;

        cli_job_path(&path, &w->server, w->job, "/tail");
        http_arg(&path, "tail", "0");
        http_arg(&path, "since", "9000-01-01T00:00:00Z"); /* no records */
        sse_init(&w->sse);
        http_stream(&w->server, buf_cstr(&path), &o, &r);
        sse_release(&w->sse);
        buf_release(&path);
        http_reply_release(&r);
        if (!atomic_load(&w->stop))
            poll(&p, 1, AGAIN_US / 1000);
    }
    http_forget();
    return NULL;
}

void watch_start(const struct http_server *server, const char *job, struct watch **ret)
{
    struct watch *w = must_calloc(1, sizeof *w);
    sigset_t all, old;
    int err;

    *ret = NULL;
    w->server = *server;
    w->view.percent = -1;
    snprintf(w->job, sizeof w->job, "%s", job);
    if (pipe2(w->wake, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(w);
        return;
    }
    pthread_mutex_init(&w->lock, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    err = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err) {
        close(w->wake[0]);
        close(w->wake[1]);
        free(w);
        return;
    }
    *ret = w;
}

void watch_look(struct watch *w, struct watch_view *ret)
{
    pthread_mutex_lock(&w->lock);
    *ret = w->view;
    if (clock_mono_us() - w->rank_us > WATCH_STALE_US)
        ret->percent = -1;
    pthread_mutex_unlock(&w->lock);
}

const int64_t *watch_borrow(struct watch *w)
{
    pthread_mutex_lock(&w->lock);
    return w->heard_us;
}

void watch_return(struct watch *w)
{
    pthread_mutex_unlock(&w->lock);
}

void watch_stop(struct watch **wp)
{
    struct watch *w = *wp;

    *wp = NULL;
    if (!w)
        return;
    atomic_store(&w->stop, 1);
    if (write(w->wake[1], "!", 1) < 0)
        atomic_store(&w->stop, 1); /* full: it is awake */
    pthread_join(w->thread, NULL);
    close(w->wake[0]);
    close(w->wake[1]);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

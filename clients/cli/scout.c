/*
 * clients/cli/scout.c -- the thread and the two documents it reads.
 */
#include "clients/cli/scout.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "clients/cli/cli.h"
#include "clients/cli/pace.h"
#include "job/id.h"
#include "job/record.h"
#include "job/state.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SILENCE_US 10000000

struct scout {
    struct http_server server;
    char job[ID_BYTES_MAX + 1];
    pthread_t thread;
    pthread_mutex_t lock;
    atomic_int stop;
    int wake[2];
    struct scout_view view; /* with lock, as heard_us */
    int64_t heard_us[RECORD_RANK_MAX + 1];
    struct pace pace;
    int has_no_stats;
};

static int64_t when(const struct json_tree *v, const char *key)
{
    const char *text = NULL;
    int64_t us = 0;

    if (json_tree_get_str(v, key, &text) <= 0 || clock_parse_rfc3339(text, strlen(text), &us) < 0)
        return 0;
    return us;
}

enum { FINISHED = 1, UNFINISHED = 2, HEARD = 4, SILENT = 8 };

/* Of each rank, what its producers have said. */
static void read_producers(const struct json_tree *page, unsigned char *said)
{
    for (const struct json_tree *p = json_tree_first(json_tree_get(page, "producers")); p;
         p = json_tree_next(p)) {
        int64_t rank, fin;

        if (json_tree_get_i64(p, "rank", &rank) > 0 && rank >= 0 && rank <= RECORD_RANK_MAX)
            said[rank] |= json_tree_get_i64(p, "fin", &fin) > 0 ? FINISHED : UNFINISHED;
    }
}

static void read_ranks(struct scout_view *v, const struct json_tree *page, const int64_t *heard_us,
                       int64_t server_now_us, int64_t now_us)
{
    unsigned char *said = must_calloc(RECORD_RANK_MAX + 1, 1);
    int64_t declared = 0, seen = 0, last_us = 0;

    read_producers(page, said);
    for (const struct json_tree *r = json_tree_first(json_tree_get(page, "by_rank")); r;
         r = json_tree_next(r)) {
        int64_t rank, at_us = when(r, "last_received_at");

        if (at_us > last_us)
            last_us = at_us;
        if (json_tree_get_i64(r, "rank", &rank) <= 0 || rank < 0 || rank > RECORD_RANK_MAX)
            continue;
        said[rank] |= server_now_us - at_us < SCOUT_ALIVE_US ? HEARD : SILENT;
    }
    v->alive = 0;
    v->silent_us = !last_us ? -1 : server_now_us > last_us ? server_now_us - last_us : 0;
    for (size_t r = 0; r <= RECORD_RANK_MAX; r++) {
        if (heard_us && heard_us[r] && now_us - heard_us[r] < SCOUT_ALIVE_US)
            said[r] |= HEARD;
        seen += said[r] != 0;
        if ((said[r] & (FINISHED | UNFINISHED)) != FINISHED)
            v->alive += (said[r] & HEARD) || said[r] == UNFINISHED;
    }
    json_tree_get_i64(page, "ranks", &declared);
    v->ranks = declared > seen ? declared : seen;
    free(said);
}

void scout_read_job(struct scout_view *v, const struct json_tree *page, const int64_t *heard_us,
                    int64_t now_us)
{
    const char *state = NULL;
    int64_t n = 0, start_us = when(page, "started_at");
    enum job_state s;

    if (json_tree_get_str(page, "state", &state) <= 0)
        return;
    v->is_known = 1;
    v->seen_us = now_us;
    snprintf(v->state, sizeof v->state, "%s", state);
    v->has_ended = state_parse(state, strlen(state), &s) >= 0 && state_is_terminal(s);
    v->lasted_us = 0;
    json_tree_us(json_tree_get(page, "duration_s"), &v->lasted_us);
    if (json_tree_get_i64(page, "seq", &n) > 0)
        v->seq = (uint64_t)n;
    if (json_tree_get_i64(page, "lines", &n) > 0)
        v->lines = (uint64_t)n;
    read_ranks(v, page, heard_us,
               (start_us ? start_us : when(page, "created_at")) + v->lasted_us, now_us);
}

void scout_read_stats(struct scout_view *v, const struct json_tree *stats)
{
    int64_t count = 0;

    v->has_slowest = v->has_step = 0;
    for (const struct json_tree *r = json_tree_first(json_tree_get(stats, "ranks")); r;
         r = json_tree_next(r)) {
        int64_t rank, step;

        if (json_tree_get_i64(r, "rank", &rank) <= 0 || json_tree_get_i64(r, "step", &step) <= 0)
            continue;
        if (!count || step < v->slowest_step) {
            v->slowest_step = step;
            v->slowest_rank = rank;
        }
        if (!count || step > v->newest_step)
            v->newest_step = step;
        count++;
    }
    v->has_step = count > 0;
    v->has_slowest = count > 1;
}

/* ---- the thread ---- */

struct fetch {
    struct scout *s;
    struct buf body;
};

static int on_data(void *user, const char *data, size_t len)
{
    struct fetch *f = user;

    return buf_add(&f->body, data, len);
}

static int on_tick(void *user)
{
    struct fetch *f = user;

    return atomic_load(&f->s->stop) ? ERR_CANCELLED : 0;
}

/* GET and parse; the status in *ret_status. */
static int get(struct scout *s, const char *tail, struct json_tree **ret_root, long *ret_status)
{
    struct fetch f = {.s = s};
    struct buf path = BUF_INIT;
    struct http_reply r = {0};
    struct http_stream o = {.accept = "application/json",
                            .compressed = 1,
                            .silence_us = SILENCE_US,
                            .wake_fd = s->wake[0],
                            .on_data = on_data,
                            .on_tick = on_tick,
                            .user = &f};
    int err;

    buf_init(&f.body, JSON_TREE_BYTES_MAX);
    cli_job_path(&path, &s->server, s->job, tail);
    err = http_stream(&s->server, buf_cstr(&path), &o, &r);
    *ret_status = r.status;
    if (err >= 0 && r.status == 200)
        err = json_tree_parse_own(buf_cstr(&f.body), f.body.len, ret_root);
    else if (err >= 0)
        err = ERR_NOT_FOUND;
    buf_release(&f.body);
    buf_release(&path);
    http_reply_release(&r);
    return err;
}

static void look_at_job(struct scout *s)
{
    struct json_tree *page = NULL;
    struct scout_view v;
    long status;

    if (get(s, "", &page, &status) >= 0) {
        pthread_mutex_lock(&s->lock);
        v = s->view;
        scout_read_job(&v, page, s->heard_us, clock_mono_us());
        v.lines_per_s = pace_add(&s->pace, v.seen_us, v.lines);
        s->view = v;
        pthread_mutex_unlock(&s->lock);
    }
    json_tree_free(&page);
}

static void look_at_stats(struct scout *s)
{
    struct json_tree *stats = NULL;
    long status = 0;

    if (get(s, "/stats?buckets=1", &stats, &status) >= 0) {
        pthread_mutex_lock(&s->lock);
        scout_read_stats(&s->view, stats);
        pthread_mutex_unlock(&s->lock);
    }
    s->has_no_stats = status == 404;
    json_tree_free(&stats);
}

static void *run(void *user)
{
    struct scout *s = user;
    int64_t stats_us = 0;

    while (!atomic_load(&s->stop)) {
        struct pollfd p = {.fd = s->wake[0], .events = POLLIN};

        look_at_job(s);
        if (!s->has_no_stats && clock_mono_us() >= stats_us && !atomic_load(&s->stop)) {
            look_at_stats(s);
            stats_us = clock_mono_us() + SCOUT_STATS_US;
        }
        if (!atomic_load(&s->stop))
            poll(&p, 1, SCOUT_US / 1000);
    }
    http_forget();
    return NULL;
}

void scout_start(const struct http_server *server, const char *job, struct scout **ret)
{
    struct scout *s = must_calloc(1, sizeof *s);
    sigset_t all, old;
    int err;

    s->server = *server;
    snprintf(s->job, sizeof s->job, "%s", job);
    pthread_mutex_init(&s->lock, NULL);
    s->view.lines_per_s = -1;
    if (pipe2(s->wake, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(s);
        return;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    err = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err) {
        close(s->wake[0]);
        close(s->wake[1]);
        free(s);
        return;
    }
    *ret = s;
}

void scout_heard(struct scout *s, int32_t rank)
{
    if (!s || rank < 0 || rank > RECORD_RANK_MAX)
        return;
    pthread_mutex_lock(&s->lock);
    s->heard_us[rank] = clock_mono_us();
    pthread_mutex_unlock(&s->lock);
}

void scout_look(struct scout *s, struct scout_view *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = s->view;
    pthread_mutex_unlock(&s->lock);
}

void scout_stop(struct scout **sp)
{
    struct scout *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    atomic_store(&s->stop, 1);
    if (write(s->wake[1], "!", 1) < 0)
        atomic_store(&s->stop, 1); /* full: it is awake */
    pthread_join(s->thread, NULL);
    close(s->wake[0]);
    close(s->wake[1]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

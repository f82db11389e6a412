/*
 * clients/cli/fleet.c -- the looking thread, and what it remembers of each job between looks.
 */
#include "clients/cli/fleet.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "clients/cli/cli.h"
#include "clients/cli/pace.h"
#include "clients/cli/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL_US 10000000

/* One job between looks. */
struct entry {
    struct fleet_job job;
    struct pace pace;
    int64_t stats_us; /* when to ask again */
    struct watch *watch;
    int is_listed;
};

struct fleet {
    struct fleet_options o; /* what it points to is in the two below: a caller may end while a look is under way */
    struct http_server server;
    struct args_list labels;
    struct entry **entries; /* the thread's own, in the order of the list */
    unsigned count, watched;
    pthread_t thread;
    atomic_int stop;
    int wake[2];
    pthread_mutex_t lock;
    struct fleet_view view; /* with lock */
};

/* ---- one job ---- */

static int get(struct fleet *f, const struct entry *e, const char *tail, struct json_tree **ret)
{
    struct http_server s = *f->o.server;
    struct http_reply r = {0};
    struct buf path = BUF_INIT;
    int err;

    s.project = e->job.project;
    cli_job_path(&path, &s, e->job.id, tail);
    err = http_call(&s, "GET", buf_cstr(&path), NULL, CALL_US, &r);
    if (err >= 0)
        err = r.status == 200 ? json_tree_parse_own(r.body.data, r.body.len, ret) : ERR_NOT_FOUND;
    buf_release(&path);
    http_reply_release(&r);
    return err;
}

static void watch_job(struct fleet *f, struct entry *e)
{
    struct http_server s = *f->o.server;

    s.project = e->job.project;
    watch_start(&s, e->job.id, &e->watch);
    f->watched += e->watch != NULL;
}

static void read_page(struct entry *e, const struct json_tree *page)
{
    struct scout_view *v = &e->job.view;
    const int64_t *heard_us = e->watch ? watch_borrow(e->watch) : NULL;
    struct watch_view bars = {.percent = -1};

    scout_read_job(v, page, heard_us, clock_mono_us());
    if (e->watch) {
        watch_return(e->watch);
        watch_look(e->watch, &bars);
    }
    if (bars.moved_us && (v->silent_us < 0 || v->seen_us - bars.moved_us < v->silent_us))
        v->silent_us = v->seen_us > bars.moved_us ? v->seen_us - bars.moved_us : 0;
    v->lines_per_s = pace_add(&e->pace, v->seen_us, v->lines);
    e->job.percent = bars.percent;
}

static void look_at_job(struct fleet *f, struct entry *e)
{
    struct json_tree *page = NULL, *stats = NULL;
    int64_t now_us = clock_mono_us();

    if (!e->watch && f->watched < FLEET_WATCHED_MAX)
        watch_job(f, e);
    if (get(f, e, "", &page) >= 0)
        read_page(e, page);
    json_tree_free(&page);
    if (now_us < e->stats_us)
        return;
    e->stats_us = now_us + FLEET_STATS_US;
    if (get(f, e, "/stats?buckets=1&points=0", &stats) >= 0)
        scout_read_stats(&e->job.view, stats);
    json_tree_free(&stats);
}

/* ---- the list ---- */

static void entry_free(struct fleet *f, struct entry *e)
{
    f->watched -= e->watch != NULL;
    watch_stop(&e->watch);
    free(e);
}

static struct entry *entry_new(const char *id, const char *project)
{
    struct entry *e = must_calloc(1, sizeof *e);

    snprintf(e->job.id, sizeof e->job.id, "%s", id);
    snprintf(e->job.project, sizeof e->job.project, "%s", project);
    e->job.percent = e->job.view.lines_per_s = -1;
    e->job.view.silent_us = -1;
    return e;
}

static struct entry *find(struct fleet *f, const char *id, const char *project)
{
    for (unsigned i = 0; i < f->count; i++)
        if (!strcmp(f->entries[i]->job.id, id) && !strcmp(f->entries[i]->job.project, project))
            return f->entries[i];
    return NULL;
}

/* The entries of a list in its order, new ones made, those that are not there let go. */
static void take_list(struct fleet *f, const struct json_tree *page)
{
    struct entry **now = must_calloc(FLEET_JOBS_MAX, sizeof *now);
    unsigned count = 0;

    for (const struct json_tree *j = json_tree_first(json_tree_get(page, "jobs"));
         j && count < FLEET_JOBS_MAX; j = json_tree_next(j)) {
        const char *id = NULL, *project = NULL;
        struct entry *e;

        if (json_tree_get_str(j, "id", &id) <= 0 || json_tree_get_str(j, "project", &project) <= 0)
            continue;
        e = find(f, id, project);
        if (!e)
            e = entry_new(id, project);
        if (!e->job.view.is_known)
            scout_read_job(&e->job.view, j, NULL, clock_mono_us());
        e->is_listed = 1;
        now[count++] = e;
    }
    for (unsigned i = 0; i < f->count; i++)
        if (!f->entries[i]->is_listed)
            entry_free(f, f->entries[i]);
    free(f->entries);
    f->entries = now;
    f->count = count;
    for (unsigned i = 0; i < count; i++)
        now[i]->is_listed = 0;
}

static void list_path(struct buf *path, const struct fleet_options *o)
{
    char number[16];

    buf_adds(path, "/v1/jobs");
    if (o->server->project)
        http_arg(path, "project", o->server->project);
    http_arg(path, "active", "true");
    if (o->labels)
        CHECK(cli_label_args(path, o->labels) == 0);
    snprintf(number, sizeof number, "%d", FLEET_JOBS_MAX);
    http_arg(path, "limit", number);
}

static void show(struct fleet *f, int is_more)
{
    pthread_mutex_lock(&f->lock);
    f->view.jobs = realloc(f->view.jobs, (f->count + 1) * sizeof *f->view.jobs);
    CHECK(f->view.jobs);
    for (unsigned i = 0; i < f->count; i++)
        f->view.jobs[i] = f->entries[i]->job;
    f->view.count = f->count;
    f->view.is_more = is_more;
    f->view.failed_us = 0;
    f->view.looks++;
    pthread_mutex_unlock(&f->lock);
}

/* r is taken. */
static void show_failure(struct fleet *f, int err, struct http_reply *r)
{
    pthread_mutex_lock(&f->lock);
    if (!f->view.failed_us)
        f->view.failed_us = clock_mono_us();
    f->view.err = err;
    http_reply_release(&f->view.reply);
    f->view.reply = *r;
    f->view.looks++;
    pthread_mutex_unlock(&f->lock);
    memset(r, 0, sizeof *r);
}

static void look(struct fleet *f)
{
    struct http_reply r = {0};
    struct json_tree *page = NULL;
    struct buf path = BUF_INIT;
    const char *next = NULL;
    int err;

    list_path(&path, &f->o);
    err = http_call(f->o.server, "GET", buf_cstr(&path), NULL, CALL_US, &r);
    if (err >= 0 && r.status == 200)
        err = json_tree_parse_max(r.body.data, r.body.len, HTTP_REPLY_BYTES_MAX, &page, NULL);
    if (err < 0 || r.status != 200) {
        show_failure(f, err, &r);
    } else {
        json_tree_get_str(page, "next", &next);
        take_list(f, page);
        for (unsigned i = 0; i < f->count && !atomic_load(&f->stop); i++)
            look_at_job(f, f->entries[i]);
        show(f, next != NULL);
    }
    json_tree_free(&page);
    buf_release(&path);
    http_reply_release(&r);
}

/* ---- the thread ---- */

static void *run(void *user)
{
    struct fleet *f = user;

    while (!atomic_load(&f->stop)) {
        struct pollfd p = {.fd = f->wake[0], .events = POLLIN};
        int64_t begun_us = clock_mono_us(), rest_us, took_us;

        look(f);
        if (f->o.wake_fd >= 0 && write(f->o.wake_fd, "!", 1) < 0)
            continue; /* full, so it is readable; the stop is looked at next */
        took_us = clock_mono_us() - begun_us;
        rest_us = f->o.interval_us - took_us;
        if (rest_us < took_us)
            rest_us = took_us; /* a server with very many jobs: half of the time is its own */
        if (!atomic_load(&f->stop))
            poll(&p, 1, (int)(rest_us / 1000) + 1);
    }
    while (f->count)
        entry_free(f, f->entries[--f->count]);
    http_forget();
    return NULL;
}

static void fleet_free(struct fleet *f)
{
    close(f->wake[0]);
    close(f->wake[1]);
    free(f->entries);
    fleet_view_release(&f->view);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

int fleet_start(const struct fleet_options *o, struct fleet **ret)
{
    struct fleet *f = must_calloc(1, sizeof *f);
    sigset_t all, old;
    int err;

    f->o = *o;
    f->server = *o->server;
    f->o.server = &f->server;
    if (o->labels) {
        f->labels = *o->labels;
        f->o.labels = &f->labels;
    }
    pthread_mutex_init(&f->lock, NULL);
    if (pipe2(f->wake, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(f);
        return ERR_NOMEM;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    err = pthread_create(&f->thread, NULL, run, f);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err) {
        fleet_free(f);
        return ERR_NOMEM;
    }
    *ret = f;
    return 0;
}

void fleet_see(struct fleet *f, struct fleet_view *v)
{
    pthread_mutex_lock(&f->lock);
    v->jobs = realloc(v->jobs, (f->view.count + 1) * sizeof *v->jobs);
    CHECK(v->jobs);
    if (f->view.count)
        memcpy(v->jobs, f->view.jobs, f->view.count * sizeof *v->jobs);
    v->count = f->view.count;
    v->is_more = f->view.is_more;
    v->looks = f->view.looks;
    v->failed_us = f->view.failed_us;
    if (v->failed_us) {
        http_reply_release(&v->reply);
        v->err = f->view.err;
        v->reply = f->view.reply;
        memset(&f->view.reply, 0, sizeof f->view.reply);
    }
    pthread_mutex_unlock(&f->lock);
}

void fleet_view_release(struct fleet_view *v)
{
    free(v->jobs);
    http_reply_release(&v->reply);
    memset(v, 0, sizeof *v);
}

void fleet_stop(struct fleet **fp)
{
    struct fleet *f = *fp;

    *fp = NULL;
    if (!f)
        return;
    atomic_store(&f->stop, 1);
    if (write(f->wake[1], "!", 1) < 0)
        atomic_store(&f->stop, 1); /* full: it is awake */
    pthread_join(f->thread, NULL);
    fleet_free(f);
}

/*
 * alert/worker.c -- the thread: a queue to it, a queue back.
 */
#include "alert/worker.h"

#include "base/check.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORKER_NICE 10
#define WORKER_REST_NS_MAX UINT64_C(10000000) /* it rests as long as it worked, at most so long */

STAILQ_HEAD(work_queue, work);

struct worker {
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t more;
    uv_async_t async;
    struct work_queue todo, done;
    int closing;
    int is_over; /* the thread takes nothing more */
    void (*closed)(void *user);
    void *user;
};

/* Where all cores are busy lines are taken in first and looked at later. It can be refused: then it has the
 * priority of the others. */
static void lower_priority(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), WORKER_NICE);
}

static void run(void *arg)
{
    struct worker *w = arg;
    struct work *work;
    uint64_t began, took;

    lower_priority();
    uv_mutex_lock(&w->lock);
    for (;;) {
        while (!(work = STAILQ_FIRST(&w->todo)) && !w->closing)
            uv_cond_wait(&w->more, &w->lock);
        if (!work)
            break;
        STAILQ_REMOVE_HEAD(&w->todo, link);
        uv_mutex_unlock(&w->lock);
        began = uv_hrtime();
        work->run(work);
        took = uv_hrtime() - began;
        uv_mutex_lock(&w->lock);
        STAILQ_INSERT_TAIL(&w->done, work, link);
        uv_async_send(&w->async);
        for (uint64_t end = uv_hrtime() + (took < WORKER_REST_NS_MAX ? took : WORKER_REST_NS_MAX), now;
             !w->closing && (now = uv_hrtime()) < end;)
            uv_cond_timedwait(&w->more, &w->lock, end - now);
    }
    w->is_over = 1;
    uv_async_send(&w->async);
    uv_mutex_unlock(&w->lock);
}

static void on_closed(uv_handle_t *handle)
{
    struct worker *w = handle->data;
    void (*closed)(void *user) = w->closed;
    void *user = w->user;

    uv_cond_destroy(&w->more);
    uv_mutex_destroy(&w->lock);
    free(w);
    closed(user);
}

static void on_async(uv_async_t *async)
{
    struct worker *w = async->data;
    struct work_queue done;
    struct work *work;
    int is_over;

    STAILQ_INIT(&done);
    uv_mutex_lock(&w->lock);
    STAILQ_CONCAT(&done, &w->done);
    is_over = w->is_over;
    uv_mutex_unlock(&w->lock);
    while ((work = STAILQ_FIRST(&done)) != NULL) {
        STAILQ_REMOVE_HEAD(&done, link);
        work->done(work);
    }
    if (is_over && !uv_is_closing((uv_handle_t *)async)) {
        CHECK(uv_thread_join(&w->thread) == 0);
        uv_close((uv_handle_t *)async, on_closed);
    }
}

void worker_open(uv_loop_t *loop, struct worker **ret_worker)
{
    struct worker *w = must_calloc(1, sizeof *w);

    STAILQ_INIT(&w->todo);
    STAILQ_INIT(&w->done);
    CHECK(uv_mutex_init(&w->lock) == 0 && uv_cond_init(&w->more) == 0);
    CHECK(uv_async_init(loop, &w->async, on_async) == 0);
    w->async.data = w;
    CHECK(uv_thread_create(&w->thread, run, w) == 0);
    *ret_worker = w;
}

void worker_submit(struct worker *w, struct work *work)
{
    uv_mutex_lock(&w->lock);
    CHECK(!w->closing);
    STAILQ_INSERT_TAIL(&w->todo, work, link);
    uv_cond_signal(&w->more);
    uv_mutex_unlock(&w->lock);
}

void worker_close(struct worker **worker, void (*closed)(void *user), void *user)
{
    struct worker *w = *worker;

    *worker = NULL;
    uv_mutex_lock(&w->lock);
    w->closing = 1;
    w->closed = closed;
    w->user = user;
    uv_cond_signal(&w->more);
    uv_mutex_unlock(&w->lock);
}

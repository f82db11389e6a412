/*
 * serve/settle_thread.c -- the settler's thread.
 *
 * SCHED_IDLE yields to everything; where it is refused there is nice 19. Both, and the idle I/O class, need no
 * privilege. They are of one thread in Linux, not of the process.
 */
#include "serve/settle_thread.h"

#include "base/check.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define IOPRIO_WHO_PROCESS 1 /* linux/ioprio.h */
#define IOPRIO_IDLE (3 << 13)

struct settle_thread {
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t wake;
    uv_async_t told;
    void (*run)(void *user); /* under lock: what to do next; NULL: nothing */
    int quit, is_done;       /* under lock */
    uint64_t cpu_us;         /* under lock */
    int busy;                /* the loop's */
    void (*done)(void *user);
    void (*gone)(void *user);
    void *user;
};

static void lower_priority(void)
{
    struct sched_param none = {0};
    id_t tid = (id_t)syscall(SYS_gettid);

    (void)setpriority(PRIO_PROCESS, tid, 19);
    (void)sched_setscheduler(0, SCHED_IDLE, &none);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

static void thread_main(void *arg)
{
    struct settle_thread *t = arg;
    struct timespec cpu = {0};

    lower_priority();
    uv_mutex_lock(&t->lock);
    while (!t->quit) {
        void (*run)(void *user) = t->run;

        if (!run) {
            uv_cond_wait(&t->wake, &t->lock);
            continue;
        }
        uv_mutex_unlock(&t->lock);
        run(t->user);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
        uv_mutex_lock(&t->lock);
        t->run = NULL;
        t->is_done = 1;
        t->cpu_us = (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000;
        if (!t->quit)
            uv_async_send(&t->told);
    }
    uv_mutex_unlock(&t->lock);
}

static void on_told(uv_async_t *told)
{
    struct settle_thread *t = told->data;
    int is_done;

    uv_mutex_lock(&t->lock);
    is_done = t->is_done;
    t->is_done = 0;
    uv_mutex_unlock(&t->lock);
    if (!is_done || t->quit)
        return;
    t->busy = 0;
    t->done(t->user);
}

void settle_thread_new(uv_loop_t *loop, void (*done)(void *user), void *user, struct settle_thread **ret_thread)
{
    struct settle_thread *t = must_calloc(1, sizeof *t);

    t->done = done;
    t->user = user;
    t->told.data = t;
    CHECK(uv_mutex_init(&t->lock) == 0 && uv_cond_init(&t->wake) == 0);
    CHECK(uv_async_init(loop, &t->told, on_told) == 0);
    CHECK(uv_thread_create(&t->thread, thread_main, t) == 0);
    *ret_thread = t;
}

void settle_thread_start(struct settle_thread *t, void (*run)(void *user))
{
    CHECK(!t->busy);
    t->busy = 1;
    uv_mutex_lock(&t->lock);
    t->run = run;
    uv_cond_signal(&t->wake);
    uv_mutex_unlock(&t->lock);
}

int settle_thread_busy(const struct settle_thread *t)
{
    return t->busy;
}

uint64_t settle_thread_cpu_us(const struct settle_thread *t)
{
    uv_mutex_t *lock = (uv_mutex_t *)&t->lock;
    uint64_t us;

    uv_mutex_lock(lock);
    us = t->cpu_us;
    uv_mutex_unlock(lock);
    return us;
}

static void on_told_closed(uv_handle_t *handle)
{
    struct settle_thread *t = handle->data;

    t->gone(t->user);
    uv_cond_destroy(&t->wake);
    uv_mutex_destroy(&t->lock);
    free(t);
}

static void on_told_closed_alone(uv_handle_t *handle)
{
}

int settle_thread_free(struct settle_thread **tp, void (*gone)(void *user))
{
    struct settle_thread *t = *tp;
    int is_left;

    *tp = NULL;
    t->gone = gone;
    uv_mutex_lock(&t->lock);
    t->quit = 1;
    is_left = t->run != NULL;
    uv_cond_signal(&t->wake);
    uv_mutex_unlock(&t->lock);
    if (!is_left)
        CHECK(uv_thread_join(&t->thread) == 0);
    uv_close((uv_handle_t *)&t->told, is_left ? on_told_closed_alone : on_told_closed);
    return is_left;
}

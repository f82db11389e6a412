/*
 * alert/worker.h -- one thread that reads lines, so that the loop goes on taking them.
 *
 * Work is run in the order it was submitted; done() comes on the loop, in the same order. A thread of its own: the pool
 * may be busy with segments for longer than an alert may wait.
 */
#ifndef ALERT_WORKER_H
#define ALERT_WORKER_H

#include <sys/queue.h>
#include <uv.h>

struct work {
    STAILQ_ENTRY(work) link;
    void (*run)(struct work *w);  /* on the thread */
    void (*done)(struct work *w); /* on the loop */
};

struct worker;
void worker_open(uv_loop_t *loop, struct worker **ret_worker);
void worker_submit(struct worker *w, struct work *work);
/* What was submitted is run and done first. closed(user) from the loop. Takes and NULLs. */
void worker_close(struct worker **w, void (*closed)(void *user), void *user);

#endif

/*
 * serve/settle_thread.h -- one thread that does one thing at a time, whenever nobody else wants the processor.
 *
 * Threads    All calls from the loop thread; run() is called on the thread, done() on the loop.
 */
#ifndef SERVE_SETTLE_THREAD_H
#define SERVE_SETTLE_THREAD_H

#include <stdint.h>
#include <uv.h>

struct settle_thread;
void settle_thread_new(uv_loop_t *loop, void (*done)(void *user), void *user, struct settle_thread **ret_thread);
/* Only while it is not busy. */
void settle_thread_start(struct settle_thread *t, void (*run)(void *user));
int settle_thread_busy(const struct settle_thread *t);
uint64_t settle_thread_cpu_us(const struct settle_thread *t); /* of what is done */
/* No done() after this. 0: it has ended, gone() follows from the loop, when the memory it used is free. 1: it is busy
 * and was left to itself: what run() uses must stay. Takes and NULLs. */
int settle_thread_free(struct settle_thread **t, void (*gone)(void *user));

#endif

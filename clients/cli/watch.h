/*
 * clients/cli/watch.h -- the progress bars of a job as they move: percentages, and which ranks are heard by them.
 *
 * A tail of the job that wants no records, only `progress` messages. It comes back by itself.
 * Threads    One of its own; the functions are for one other. What cannot be had is left out: nobody is told.
 */
#ifndef CLIENTS_CLI_WATCH_H
#define CLIENTS_CLI_WATCH_H

#include "clients/cli/http.h"

#include <stdint.h>

#define WATCH_STALE_US 120000000 /* a bar that has not moved for so long says nothing */

struct watch_view {
    int64_t moved_us; /* clock_mono_us() when a bar was last drawn; 0: never */
    double percent;   /* of the lowest rank that draws one; < 0: none says it */
};

struct watch;

/* Starts the thread; *ret is NULL when it cannot be had. server is copied, its strings borrowed; job is copied. */
void watch_start(const struct http_server *server, const char *job, struct watch **ret);
void watch_look(struct watch *w, struct watch_view *ret);
/* When each rank was last heard (RECORD_RANK_MAX + 1 of them), until watch_return(). */
const int64_t *watch_borrow(struct watch *w);
void watch_return(struct watch *w);
/* Takes and NULLs; a request under way is cut short. NULL is fine. */
void watch_stop(struct watch **w);

#endif

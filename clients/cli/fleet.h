/*
 * clients/cli/fleet.h -- all jobs that have not ended, looked at again and again.
 *
 *     every look    GET /v1/jobs?active=true      which there are
 *                   GET /v1/jobs/J of each        states, lines, ranks
 *     FLEET_STATS   GET /v1/jobs/J/stats of each  steps
 *     meanwhile     tails of FLEET_WATCHED_MAX    their progress bars (clients/cli/watch.h)
 *
 * Threads    One of its own looks; fleet_see() may be called from another. What cannot be had of one job is left out; that
 *            the list cannot be had is told by fleet_view.
 */
#ifndef CLIENTS_CLI_FLEET_H
#define CLIENTS_CLI_FLEET_H

#include "clients/cli/args.h"
#include "clients/cli/http.h"
#include "clients/cli/scout.h"
#include "job/id.h"

#define FLEET_JOBS_MAX 500
#define FLEET_WATCHED_MAX 16
#define FLEET_STATS_US 10000000
#define FLEET_LOOKS_A_LIST 2 /* before a table without a terminal: lines/s is known then */

struct fleet_job {
    char id[ID_BYTES_MAX + 1], project[ID_BYTES_MAX + 1];
    struct scout_view view;
    double percent; /* < 0: no bar says it */
};

struct fleet_view {
    struct fleet_job *jobs; /* newest first */
    unsigned count;
    int is_more;       /* than FLEET_JOBS_MAX */
    uint64_t looks;    /* done so far */
    int64_t failed_us; /* clock_mono_us() since which the list cannot be had; 0: it can */
    int err;           /* then: of http_call, */
    struct http_reply reply; /* and what was answered */
};

struct fleet_options {
    const struct http_server *server; /* its project: only that one */
    const struct args_list *labels;   /* K=V, checked */
    int64_t interval_us;
    int wake_fd; /* a byte is written there after every look; -1: none */
};

struct fleet;

/* Starts the thread. Everything in o is borrowed for as long as f lives. ERR_NOMEM. */
int fleet_start(const struct fleet_options *o, struct fleet **ret);
/* What is known, over what v held (zeroed at first). */
void fleet_see(struct fleet *f, struct fleet_view *v);
void fleet_view_release(struct fleet_view *v);
/* Takes and NULLs; a look under way ends before. NULL is fine. */
void fleet_stop(struct fleet **f);

#endif

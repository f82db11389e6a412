/*
 * clients/cli/scout.h -- what the server knows of a job beyond its lines, asked again and again beside a tail.
 *
 * GET /v1/jobs/J every SCOUT_US, GET /v1/jobs/J/stats every SCOUT_STATS_US when there is such a thing.
 * Threads    One of its own; scout_look() may be called from any other. What cannot be had is left out: nobody is told.
 */
#ifndef CLIENTS_CLI_SCOUT_H
#define CLIENTS_CLI_SCOUT_H

#include "clients/cli/http.h"

#include <stdint.h>

#define SCOUT_US 2000000
#define SCOUT_STATS_US 10000000
#define SCOUT_ALIVE_US 60000000 /* a rank that was heard since is alive, unless it has finished */

struct scout_view {
    int is_known;       /* the job was seen once */
    char state[32];     /* full name */
    int64_t seen_us;    /* clock_mono_us() of this view */
    int64_t lasted_us;  /* since it began to run, at seen_us */
    int has_ended;
    uint64_t seq;       /* the last record there */
    uint64_t lines;
    double lines_per_s; /* over the last views; < 0: not known */
    int64_t ranks, alive; /* alive: heard lately, or started and silent so far; 0: there are none */
    int64_t silent_us;  /* at seen_us, since any rank's last line; < 0: there is none */
    int has_step;       /* newest_step is known */
    int has_slowest;
    int64_t slowest_rank, slowest_step, newest_step;
};

struct scout;

/* Starts the thread; *ret is NULL when it cannot be had. server and job are copied, its strings borrowed. */
void scout_start(const struct http_server *server, const char *job, struct scout **ret);
/* The tail saw a rank move its progress bar: the server counts lines only. */
void scout_heard(struct scout *s, int32_t rank);
void scout_look(struct scout *s, struct scout_view *ret);
/* Takes and NULLs; waits for a request under way, which is cut short. NULL is fine. */
void scout_stop(struct scout **s);

/* Exported for tests: what a job's page and its statistics say. */
struct json_tree;
/* heard_us: when each rank was heard by scout_heard, RECORD_RANK_MAX + 1 of them, or NULL. */
void scout_read_job(struct scout_view *v, const struct json_tree *page, const int64_t *heard_us,
                    int64_t now_us);
void scout_read_stats(struct scout_view *v, const struct json_tree *stats);

#endif

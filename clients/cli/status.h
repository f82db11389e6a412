/*
 * clients/cli/status.h -- the line of status below a live tail, as text: pure.
 *
 *     demo RUNNING 1h 02m · live · 1,234 lines/s · 63/64 ranks · rank 5 2 steps behind (118/120)
 *
 * The most important stands first: the line is cut to the width of the terminal.
 */
#ifndef CLIENTS_CLI_STATUS_H
#define CLIENTS_CLI_STATUS_H

#include "base/buf.h"
#include "clients/cli/scout.h"

struct status {
    const char *job;
    int is_connected;
    int64_t broken_us; /* clock_mono_us() when the connection broke; 0: it never did, or stands */
    uint64_t seq;      /* of the last record shown */
    int64_t last_ts_us; /* its time; 0: none yet */
};

/* Append the line. wall_us: what the clock here says. */
void status_add(struct buf *out, const struct status *s, const struct scout_view *v, int64_t now_us,
                int64_t wall_us);

#endif

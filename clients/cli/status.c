/*
 * clients/cli/status.c -- putting the words together.
 */
#include "clients/cli/status.h"

#include "base/clock.h"
#include "clients/cli/cli.h"

#include <stdio.h>

#define CAUGHT_UP_RECORDS 100 /* a view is up to two seconds old: so many fewer are "live" */

/* Whole seconds: "14s", "2m 10s", "1h 02m". */
static const char *lasted(int64_t us, char out[32])
{
    if (us >= 60000000)
        return clock_format_duration(us / 1000000 * 1000000, out);
    snprintf(out, 32, "%ds", us > 0 ? (int)(us / 1000000) : 0);
    return out;
}

static void add_connection(struct buf *out, const struct status *s, const struct scout_view *v,
                           int64_t now_us, int64_t wall_us)
{
    char text[32], number[32];

    if (s->broken_us) {
        buf_addf(out, " · no connection for %s",
                 lasted(now_us - s->broken_us, text));
    } else if (!s->is_connected) {
        buf_adds(out, v->is_known ? " · connecting" : " · waiting for the job");
    } else if (v->is_known && v->seq > s->seq + CAUGHT_UP_RECORDS) {
        buf_addf(out, " · %s lines behind", cli_thousands(v->seq - s->seq, number));
        if (s->last_ts_us && wall_us > s->last_ts_us)
            buf_addf(out, " (%s)",
                     lasted(wall_us - s->last_ts_us, text));
    } else {
        buf_adds(out, " · live");
    }
}

void status_add(struct buf *out, const struct status *s, const struct scout_view *v, int64_t now_us,
                int64_t wall_us)
{
    char text[32];

    buf_adds(out, s->job);
    if (v->is_known) {
        int64_t us = v->lasted_us + (v->has_ended ? 0 : now_us - v->seen_us);

        buf_addf(out, " %s %s", cli_short_state(v->state), lasted(us, text));
    }
    add_connection(out, s, v, now_us, wall_us);
    if (v->is_known && v->lines_per_s >= 0 && !v->has_ended)
        buf_addf(out, " · %s lines/s", cli_thousands((uint64_t)(v->lines_per_s + 0.5), text));
    if (v->ranks > 1 && !v->has_ended)
        buf_addf(out, " · %lld/%lld ranks", (long long)v->alive, (long long)v->ranks);
    if (v->has_slowest && v->newest_step > v->slowest_step && !v->has_ended)
        buf_addf(out, " · rank %lld %lld step%s behind (%lld/%lld)", (long long)v->slowest_rank,
                 (long long)(v->newest_step - v->slowest_step),
                 v->newest_step - v->slowest_step == 1 ? "" : "s", (long long)v->slowest_step,
                 (long long)v->newest_step);
}

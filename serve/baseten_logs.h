/*
 * serve/baseten_logs.h -- the logs of a job in pages of time, as Baseten's clients ask for them.
 *
 * A request names a window of receive times (both ends inclusive, in milliseconds), a direction and maybe a
 * limit. Clients page by milliseconds and stop by rules of their own, so:
 *
 *     no limit      the whole window, at most BASETEN_BYTES_MAX of it: the newest
 *     limit         that many lines, and on to the end of the last one's millisecond: none is ever split;
 *                   a page of a single millisecond takes the next one in, so that every page moves on
 *                   Descending, a full page of nothing but the millisecond that is the window's end, with nothing
 *                   before it, is one line short of the limit: who pages back asks for a page's last
 *                   millisecond again, and takes a full page without anything new for an error
 *     no start      from the job's first record; never empty when there is any
 *     asc, nothing in the window, but later      the window is moved there
 *     end, no limit a minute hand: within BASETEN_END_OPEN_MS of now it is as if it were not given (the
 *                   client's clock may be behind). More than BASETEN_POLL_END_MS after now, but not more than
 *                   that and BASETEN_END_OPEN_MS, it says by how much the client's clock is ahead: the start is
 *                   moved back by as much
 *
 * An ascending page closes the millisecond it may end in (stream/place.h), so lines that arrive while the
 * client turns the page fall behind it.
 *
 * Promises   Streamed with backpressure: memory does not grow with the window. Lost records show as a line.
 *            While Redis is away the request waits (serve/patient.h).
 */
#ifndef SERVE_BASETEN_LOGS_H
#define SERVE_BASETEN_LOGS_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define BASETEN_BYTES_MAX (16u << 20)
#define BASETEN_END_OPEN_MS 600000
#define BASETEN_POLL_END_MS 60000 /* how far beyond its now a poller's end is */

/* is_foreign: answer as if it were missing. */
void baseten_logs(struct serve_ctx *ctx, struct http *x, const struct job_key *key, int is_foreign);

#endif

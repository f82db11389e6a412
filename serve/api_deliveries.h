/*
 * serve/api_deliveries.h -- what waits to be sent to receivers, and what was given up.
 *
 *     GET  /v1/deliveries          {"receivers":[{"receiver","project","enabled","queued","queued_bytes","next_at"}],
 *                                  "dead":N}
 *     GET  /v1/deliveries/dead     {"dead":[{"id","at","receiver","project","job","job_project","alert","why","attempts",
 *                                  "queued_at","rule","status","seq","body"}],"next":ID|null};
 *                                  ?receiver= ?limit=100 (1000) ?after=ID
 *     POST /v1/deliveries/replay   {"ids":[…]} or {"receiver":R} or {"all":true}: sent again, {"replayed":N}
 *     POST /v1/deliveries/drop     the same: thrown away, {"dropped":N}
 *
 * A call replays or drops at most DEAD_REPLAY_MAX. A token of one project sees and moves those of its project's receivers
 * alone; `dead` of the first is told to tokens of all projects.
 * Answers: 400 `bad_argument`, 503.
 */
#ifndef SERVE_API_DELIVERIES_H
#define SERVE_API_DELIVERIES_H

#include "http/http.h"
#include "serve/ctx.h"

void api_deliveries_show(struct serve_ctx *ctx, struct http *x);
void api_deliveries_dead(struct serve_ctx *ctx, struct http *x);
void api_deliveries_replay(struct serve_ctx *ctx, struct http *x);
void api_deliveries_drop(struct serve_ctx *ctx, struct http *x);

#endif

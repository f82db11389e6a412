/*
 * serve/stop.h -- a person stops a job.
 *
 *     POST /v1/jobs/J/stop {"message"?}                    {"state","previous","moved","seq"}
 *     POST /v1/training_projects/P/jobs/J/stop {}          {"training_job":{…}}  (the Baseten view)
 *
 * The job moves to STOPPED; its agents are told at once, wherever they are (stream/stops.h), and end their
 * commands. Stopping a stopped job is 200 and changes nothing; one that has ended otherwise is 409
 * `bad_transition`. A message becomes the record's text.
 */
#ifndef SERVE_STOP_H
#define SERVE_STOP_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

void stop_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);
void stop_baseten(struct serve_ctx *ctx, struct http *x);

#endif

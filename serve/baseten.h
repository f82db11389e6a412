/*
 * serve/baseten.h -- the Baseten training API, as its own clients use it.
 *
 *     GET  /v1/training_projects                          all projects, last touched first
 *     GET  /v1/training_projects/P/jobs                   the jobs of one
 *     POST /v1/training_jobs/search                       jobs by project, id, status
 *     GET  /v1/training_projects/P/jobs/J                 one job
 *     GET, POST …/J/logs                                  serve/baseten_logs.h
 *     GET, POST …/J/metrics                               serve/baseten_metrics.h
 *     POST …/J/stop
 *     GET  …/J/auth_codes, …/J/checkpoints                empty: joblog has none
 *     everything else of the API                          404 or 405 `not_ours`, and says so
 *
 * P is a project's id; clients find ids and names in the first list. Every request waits when Redis is away
 * (serve/patient.h). Errors are {"code","message"}: clients print the message.
 * current_status of a single job turns terminal for a poller only when he can have had the last line
 * (serve/followers.h).
 * Limits     A list holds the newest BASETEN_JOBS_MAX jobs; STREAM_PROJECTS_MAX projects.
 */
#ifndef SERVE_BASETEN_H
#define SERVE_BASETEN_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define BASETEN_JOBS_MAX 10000

void baseten_projects(struct serve_ctx *ctx, struct http *x);
void baseten_project_jobs(struct serve_ctx *ctx, struct http *x);
void baseten_search(struct serve_ctx *ctx, struct http *x);
void baseten_job(struct serve_ctx *ctx, struct http *x);
void baseten_job_logs(struct serve_ctx *ctx, struct http *x);
void baseten_auth_codes(struct serve_ctx *ctx, struct http *x);
void baseten_checkpoints(struct serve_ctx *ctx, struct http *x);
void baseten_not_ours(struct serve_ctx *ctx, struct http *x);

#define BASETEN_NO_PROJECT "there is no such training project"
#define BASETEN_NO_JOB "there is no such training job"
/* The project of a path /v1/training_projects/P…, and the job of …/jobs/J…: 0, or answered as missing.
 * *ret_foreign: it is not the caller's to see; ask for it as for any other, and answer as if it were missing. */
int baseten_path_project(struct http *x, char project[ID_BYTES_MAX + 1], int *ret_foreign);
int baseten_path_key(struct http *x, struct job_key *key, int *ret_foreign);

#endif

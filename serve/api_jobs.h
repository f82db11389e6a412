/*
 * serve/api_jobs.h -- create, list, show and delete jobs over HTTP.
 */
#ifndef SERVE_API_JOBS_H
#define SERVE_API_JOBS_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define API_JOBS_BODY_BYTES_MAX (256 * 1024)
#define API_JOBS_LIMIT_DEFAULT 50
#define API_JOBS_LIMIT_MAX 1000

void api_jobs_create(struct serve_ctx *ctx, struct http *x);
void api_jobs_list(struct serve_ctx *ctx, struct http *x);
void api_jobs_show(struct serve_ctx *ctx, struct http *x, const struct job_key *key);
void api_jobs_delete(struct serve_ctx *ctx, struct http *x, const struct job_key *key);

#endif

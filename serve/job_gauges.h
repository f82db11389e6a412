/*
 * serve/job_gauges.h -- how many jobs are in which state: asked of Redis now and then while somebody scrapes.
 *
 * Jobs that are not over are counted by looking at each, JOB_GAUGES_MAX of them; so that scrapes cost nothing more they are as of
 * the last look, at most JOB_GAUGES_US ago (or of before the scrapes stopped, once).
 */
#ifndef SERVE_JOB_GAUGES_H
#define SERVE_JOB_GAUGES_H

#include "job/state.h"
#include "serve/ctx.h"

#define JOB_GAUGES_US 10000000
#define JOB_GAUGES_MAX 10000

struct job_gauges;
struct job_gauges *job_gauges_new(struct serve_ctx *ctx);
/* A look under way frees it later. Takes and NULLs; NULL is fine. */
void job_gauges_free(struct job_gauges **g);
/* 0: counts[state]; whether there are more jobs than were looked at. ERR_UNAVAILABLE: nobody has looked yet. Looks again
 * when it is time. */
int job_gauges_get(struct job_gauges *g, uint64_t counts[STATE_COUNT], int *ret_is_more);

#endif

/*
 * serve/jobs_query.h -- what a client asks of the list of jobs.
 *
 *     project=P state=RUNNING,FAILED active=true label.KEY=VALUE limit=N cursor=<as the last page said>
 */
#ifndef SERVE_JOBS_QUERY_H
#define SERVE_JOBS_QUERY_H

#include "http/http.h"
#include "stream/jobs.h"

/* All of x's arguments; strings are borrowed from x. ERR_INVALID: x was answered. */
int jobs_query_read(struct http *x, struct job_list_query *q);

#endif

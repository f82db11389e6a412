/*
 * serve/postmortem.h -- GET /v1/jobs/J/postmortem: what became of a job and why, on one page.
 *
 *     ?format=json|markdown|html    else by Accept: application/json (default), text/markdown, text/html
 *     ?ranks=N                      rows of the table of ranks in JSON (1024); the culprit is among them
 *     ?groups=N                     errors in JSON (100), by weight
 *     ?lines=N                      last lines of the culprit and a few others (40)
 *
 * JSON as in serve/openapi.json; the others are whole documents for people (postmortem_markdown.c, _html.c). The
 * verdict is digest/verdict.h's, over the digest of the job (serve/digests.h) and what Redis knows of it: nothing
 * but the tail of the log is read. For a job that runs the question is whether it is hung.
 *
 * Answers: 400 bad argument, 404 no such job, 406 no such form, 503 (Retry-After) when Redis is away or
 * POSTMORTEMS_MAX are being made.
 * Threads    The loop; verdict and documents are made on worker threads.
 */
#ifndef SERVE_POSTMORTEM_H
#define SERVE_POSTMORTEM_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define POSTMORTEMS_MAX 16
#define POSTMORTEM_LIVE_US 25000 /* of a job that runs, as JSON: then what was read will do; `behind` says what was not */
#define POSTMORTEM_RANKS_DEFAULT 1024
#define POSTMORTEM_BYTES_MAX (32UL << 20) /* of a document */

void postmortem_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);

enum postmortem_form { POSTMORTEM_JSON, POSTMORTEM_MD, POSTMORTEM_PAGE };
/* What an Accept header wants (RFC 9110 12.5.1): the best of the three, JSON where they are equal. ERR_UNSUPPORTED:
 * none of them is acceptable. NULL: anything. */
int postmortem_accept(const char *accept, enum postmortem_form *ret);

#endif

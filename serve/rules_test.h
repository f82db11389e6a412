/*
 * serve/rules_test.h -- POST /v1/rules/test?job=J: what a rule would have said of a job, live or archived.
 *
 * The body is the rule. The answer is streamed NDJSON: what would have fired or been resolved, in order, each with its time,
 * and last {"type":"done",…}. Evaluated on worker threads (alert/replay.h); a range that is lost is passed over and told
 * in `done` as `lost`.
 */
#ifndef SERVE_RULES_TEST_H
#define SERVE_RULES_TEST_H

#include "http/http.h"
#include "serve/ctx.h"

#define RULES_TESTS_MAX 4 /* at a time: 429 above */

void rules_test_http(struct serve_ctx *ctx, struct http *x);

#endif

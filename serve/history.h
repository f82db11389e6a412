/*
 * serve/history.h -- GET /v1/jobs/J/logs: one log, wherever its lines lie.
 *
 * Arguments: serve/query.h. A read covers the records that were there when it began; it is streamed
 * with backpressure, big frames are decompressed, filtered and formatted on worker threads.
 *
 *     text    (default) msg of every line as the job wrote it + '\n', parts of a split line joined;
 *             a lost range is a line of its own: [joblog: records 5-9 are lost: corrupt]
 *     ndjson  canonical records, state changes included; a lost range is
 *             {"gap":{"from":5,"to":9,"reason":"corrupt"}}
 *     json    {"logs":[…],"gaps":[{"from","to","reason"}],"cursor":"1:812","next":"1:812"}:
 *             cursor is at the last record looked at; next is the same when limit cut the answer, else
 *             null. Give it as after= to go on, as before= with order=desc
 *
 * ndjson without filter, limit and order=desc, asked with Accept-Encoding: zstd, is sent as zstd
 * frames: those of the archive that lie wholly in the range as they are stored (their own checksums
 * guard them: a damaged one shows at the client as a checksum error, where identity shows a gap),
 * the rest packed here. Decoded it equals the identity answer.
 *
 * Answers: 400 bad argument, 404 no such job, 409 `reset` (+ epoch) for a cursor of another epoch,
 * 503 (Retry-After) when Redis is away. After the first byte an error breaks the transfer off.
 */
#ifndef SERVE_HISTORY_H
#define SERVE_HISTORY_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

void history_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);

#endif

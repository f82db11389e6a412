/*
 * serve/search.h -- GET /v1/jobs/J/search: where in a log lines match, told as it is found out.
 *
 * Arguments: serve/query.h; at least one filter. The answer is NDJSON, streamed:
 *
 *     {"type":"hit","seq":812,"ts":"…","rank":3,"level":"error"}   the first `limit` hits, at once
 *     {"type":"lost","from":5,"to":9,"reason":"corrupt"}            could not be looked at
 *     {"type":"progress","scanned_to":4096,"hits":17,"from":1,"to":90000,"buckets":[0,3,…]}
 *     {"type":"done","hits":40,"from":1,"to":90000,"buckets":[…]}   last
 *
 * buckets cut from..to into parts of equal length (as many as asked, 200, but no more than there
 * are records) and count the hits of each. Lines are counted; state changes and gap records, which
 * pass every filter of /logs, are not. With order=desc the newest come first and scanned_to goes down.
 *
 * Answers: 400, 404, 409 `reset`, 503 as /logs; 503 `busy` (Retry-After) when SEARCHES_MAX run.
 * Promises   Frames that cannot match are skipped unread (storage/segment.h). Ends when its client
 *            is gone. Progress is told every SEARCH_PROGRESS_US while anything is looked at.
 * Memory     One reader (serve/reader.h) and the buckets.
 */
#ifndef SERVE_SEARCH_H
#define SERVE_SEARCH_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define SEARCHES_MAX 32
#define SEARCH_HITS_DEFAULT 1000
#define SEARCH_HITS_MAX 10000 /* told one by one; more are only counted */
#define SEARCH_BUCKETS_DEFAULT 200
#define SEARCH_PROGRESS_US 100000

void search_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);

/* The bucket of seq: 0..count-1 of from..to cut into count parts. from <= seq <= to. */
uint32_t search_bucket(uint64_t seq, uint64_t from, uint64_t to, uint32_t count);

#endif

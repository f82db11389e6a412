/*
 * serve/archive_http.h -- the archive of a job as it lies on disk: its list and its bytes.
 *
 *     GET /v1/jobs/J/archive
 *         {"segments":[{"first":1,"last":500,"bytes":812,"name":"…","modified_at":"…"}],
 *          "bytes":812,"first":1,"last":500}
 *     GET /v1/jobs/J/archive.jsonl.zst
 *         all segments joined, one valid zstd file; Range (one range), If-Range, If-None-Match
 *         with a strong ETag made of names and sizes
 *
 * Files are read on worker threads, ARCHIVE_HTTP_CHUNK_BYTES at a time, with backpressure. A
 * segment that goes away in mid-download breaks the transfer off.
 */
#ifndef SERVE_ARCHIVE_HTTP_H
#define SERVE_ARCHIVE_HTTP_H

#include "http/http.h"
#include "job/id.h"
#include "serve/ctx.h"

#define ARCHIVE_HTTP_CHUNK_BYTES (256 * 1024)

void archive_list_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);
void archive_download_http(struct serve_ctx *ctx, struct http *x, const struct job_key *key);

/* "bytes=a-b" over total bytes. 1: *ret_from..*ret_to (inclusive); 0: no usable range (send all);
 * ERR_INVALID: not satisfiable (416). RFC 9110 14.1.2. */
int archive_http_range(const char *text, uint64_t total, uint64_t *ret_from, uint64_t *ret_to);

#endif

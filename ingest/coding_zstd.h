/*
 * ingest/coding_zstd.h -- Content-Encoding of request bodies: identity, gzip, zstd, streamed.
 *
 * Limits     Output over bytes_max is ERR_TOO_BIG (bombs), zstd windows over 8 MiB (RFC 9659) ERR_TOO_BIG.
 *            Concatenated gzip members and zstd frames are read on. Trailing garbage is ERR_INVALID.
 */
#ifndef INGEST_CODING_ZSTD_H
#define INGEST_CODING_ZSTD_H

#include <stddef.h>
#include <stdint.h>

struct coding;
/* name: NULL, "", "identity", "gzip", "x-gzip", "zstd" in any case. ERR_UNSUPPORTED (415). */
int coding_new(const char *name, uint64_t bytes_max, struct coding **ret_coding);
void coding_free(struct coding **c);
typedef int coding_sink_fn(void *user, const char *data, size_t len); /* its error stops and is returned */
int coding_feed(struct coding *c, const char *data, size_t len, coding_sink_fn *sink, void *user);
/* ERR_INVALID when the stream is cut short. */
int coding_finish(struct coding *c, coding_sink_fn *sink, void *user);

#endif

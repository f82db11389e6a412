/*
 * base/pack.h -- zstd over small blobs: what is put into Redis and sent in binary messages.
 *
 * Not here   Archive segments (storage/), streaming request bodies (ingest/).
 * Limits     Unpacking refuses windows over 8 MiB (RFC 9659) and output over bytes_max.
 * Threads    Contexts are per thread (thread local), made on first use.
 */
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include "base/buf.h"

/* Append the zstd frame (with content size and checksum) of data to out. */
int pack_zstd(struct buf *out, const void *data, size_t len, int level);
/* Append the content of one or more whole zstd frames to out. ERR_CORRUPT, ERR_TOO_BIG. */
int unpack_zstd(struct buf *out, const void *data, size_t len, size_t bytes_max);
/* True when data starts with the zstd magic number (RFC 8878). */
int pack_is_zstd(const void *data, size_t len);

#endif

/*
 * digest/digest_file.h -- a digest as bytes: the file beside the segments of a job.
 *
 *      0  "JLDIGST1"
 *      8  u32 DIGEST_FILE_VERSION        all numbers little-endian
 *     12  u32 version of the classifier
 *     16  u64 epoch of the log
 *     24  u64 upto: the last record read
 *     32  u64 bytes of the content
 *     40  one zstd frame (checksum, content size): the content
 *      …  u32 CRC-32 (zlib) of all before
 *
 * The content is written and read by one walk (digest/digest_codec.c). It changes with the readers: a file of another
 * version of either kind is made anew, never converted, so nothing but joblog need understand it.
 * Promises   decode(encode(d)) goes on exactly as d would, open blocks included. A file that is cut, damaged or
 *            made to hurt is ERR_CORRUPT: no limit of digest/digest_parts.h can be passed by reading one.
 */
#ifndef DIGEST_DIGEST_FILE_H
#define DIGEST_DIGEST_FILE_H

#include "digest/digest.h"

#define DIGEST_FILE_VERSION 1
#define DIGEST_FILE_BYTES_MAX (32 * 1024 * 1024) /* of the content; all limits together are below it */
#define DIGEST_FILE_HEAD_BYTES 40

/* Append the file of d, which is not settled. ERR_NOMEM; ERR_TOO_BIG of the buffer or the limit. */
int digest_encode(const struct digest *d, uint64_t epoch, struct buf *out);
/* What the head says, without reading on. ERR_CORRUPT: no such file; ERR_UNSUPPORTED: another version. */
int digest_file_head(const void *data, size_t len, uint32_t classifier_version, uint64_t *ret_epoch, uint64_t *ret_upto);
/* Read a whole file. ERR_CORRUPT, ERR_UNSUPPORTED, ERR_NOMEM. */
int digest_decode(const void *data, size_t len, const struct digest_classifier *c, uint64_t *ret_epoch,
                  struct digest **ret_digest);
/* The same digest again, unsettled like its model. */
int digest_copy(const struct digest *d, struct digest **ret_digest);

#endif

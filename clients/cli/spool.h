/*
 * clients/cli/spool.h -- lines on their way to the server, kept on disk until it holds them.
 *
 *     DIR/00000000000000000001.seg   "jlspool1" first-number  then (length crc32 bytes)*
 *     DIR/00000000000000004711.seg
 *
 * Numbers are given by the spool, from 1. Records are written through to the page cache by
 * spool_flush: they survive a kill -9 of the agent, not a power cut of its host.
 *
 * Promises   What is read back is what was appended; a torn tail is cut at open, a damaged rest of a
 *            segment is a hole. When the bound is reached, or the disk takes no more, the oldest
 *            segments go: spool_next_held() tells where records go on.
 * Threads    One owner at a time.
 * Limits     bytes_max in all; SPOOL_RECORD_BYTES_MAX a record (ERR_TOO_BIG).
 */
#ifndef CLIENTS_CLI_SPOOL_H
#define CLIENTS_CLI_SPOOL_H

#include "base/buf.h"

#include <stdint.h>

#define SPOOL_BYTES_DEFAULT (256L << 20)
#define SPOOL_BYTES_MIN (1L << 20)
#define SPOOL_SEGMENTS 32 /* about so many segments in a full spool */
#define SPOOL_SEGMENT_BYTES_MAX (8UL << 20)
#define SPOOL_RECORD_BYTES_MAX (8UL << 20)

struct spool;

/* dir is made when it is missing, read when it holds a spool already; NULL: in memory.
 * ERR_FULL, ERR_READONLY, ERR_IO. */
int spool_open(const char *dir, uint64_t bytes_max, struct spool **ret_spool);
/* Keeps the files. Takes and NULLs. */
void spool_close(struct spool **sp);
/* Delete the segments and the directory if it is empty then. */
void spool_remove(struct spool **sp);
/* Add a record and give it the next number; it is on its way at the next spool_flush. */
int spool_append(struct spool *sp, const char *data, size_t len);
/* Hand what was appended to the kernel. Never fails: what the disk refuses is dropped (a hole). */
void spool_flush(struct spool *sp);
uint64_t spool_last(const struct spool *sp);  /* number of the last record, 0: none */
uint64_t spool_bytes(const struct spool *sp); /* on disk */
/* The smallest held number >= seq; last + 1 when there is none. */
uint64_t spool_next_held(const struct spool *sp, uint64_t seq);
/* Append records seq, seq + 1, … to out, at most count_max and about bytes_max bytes, at least one.
 * Returns how many; 0: seq is not held. */
uint32_t spool_read(struct spool *sp, uint64_t seq, uint32_t count_max, size_t bytes_max,
                    struct buf *out);
/* Records up to seq are not needed any more: whole segments of them go, the last one excepted. */
void spool_free_upto(struct spool *sp, uint64_t seq);
/* Records that went because there was no room. */
uint64_t spool_dropped(const struct spool *sp);
/* Why the disk refused last; NULL: it did not. */
const char *spool_trouble(const struct spool *sp);
const char *spool_dir(const struct spool *sp); /* NULL: in memory */

#endif

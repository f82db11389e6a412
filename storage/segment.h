/*
 * storage/segment.h -- one archive file: <first>-<last>.jsonl.zst, seekable zstd with our index.
 *
 *     zstd frame | … | skippable: search grams | … | skippable: our index | skippable: seek table
 *
 * Frames hold about SEGMENT_FRAME_BYTES of numbered canonical NDJSON, checksums on. Any zstd tool
 * opens it; joined segments are a valid file. The seek table is zstd's public seekable format
 * 0.1.0 (our skippable frames are listed in it with decompressed size 0). Byte layout:
 * docs/format-archive.md.
 *
 * Promises   A file is complete or not there: temp, fsync, rename, fsync of the directory.
 *            A torn or bit-flipped file never crashes the reader; only the damaged frame is lost,
 *            and reported (ERR_CORRUPT with its seq range). A lost index is rebuilt by a walk over
 *            the frames.
 * Not here   Which records go in and when (serve/pump.h), which files a job has
 *            (storage/archive.h).
 * Threads    A writer or reader belongs to one thread at a time; never the socket loop.
 * Memory     Writer: two frames, and search grams of 512 KiB a 64 frames until they are packed.
 *            Reader: one frame plus the index, and the grams (512 KiB a 64 frames) once searched.
 * Errors     ERR_FULL, ERR_READONLY, ERR_IO of the disk; ERR_ORDER for a frame that does not
 *            follow.
 */
#ifndef STORAGE_SEGMENT_H
#define STORAGE_SEGMENT_H

#include "job/filter.h"
#include "job/frame.h"

#define SEGMENT_FRAME_BYTES (1024 * 1024)
#define SEGMENT_LEVEL_DEFAULT 1 /* zstd level while the job runs */
#define SEGMENT_NAME_BYTES 64   /* "%020llu-%020llu.jsonl.zst" */

/* What the index says of one zstd frame. */
struct segment_entry {
    uint64_t offset; /* in the file */
    uint32_t packed_bytes, raw_bytes;
    uint64_t first_seq, last_seq;
    struct frame_summary sum; /* is_state: holds a state change or gap record, which pass filters */
    int64_t recv_min_us, recv_max_us; /* 0: not known (the index was rebuilt) */
    int is_lost; /* a hole found by a rebuild: segment_read says ERR_CORRUPT */
};

struct segment_writer;
/* Opens DIR/.tmp-<first>-<random>. */
int segment_writer_open(const char *dir, uint64_t first_seq, int level,
                        struct segment_writer **ret_writer);
/* The segment is not written for the first time: its index says so, and at which level. */
void segment_writer_mark_settled(struct segment_writer *w, int level);
/* Next frame of the stream, whole. ERR_ORDER when it does not follow the last (the writer is as
 * it was). Any other error is sticky: the file can only be given up. ERR_CORRUPT: its lines are
 * not canonical or not in a row. */
int segment_writer_add(struct segment_writer *w, const struct frame *f);
uint64_t segment_writer_raw_bytes(const struct segment_writer *w);
/* Finish, make durable under its final name (into name), NULL the writer; a file of that very
 * range is replaced. ERR_INVALID without records. On error nothing remains but a log line; only
 * when the fsync of the directory fails the whole, fsynced file stays: it may be read, but
 * nothing may be trimmed for it. */
int segment_writer_commit(struct segment_writer **w, char name[SEGMENT_NAME_BYTES]);
/* The first half of it: the bytes are durable under their temporary name, which is the caller's now. On error
 * nothing remains. */
int segment_writer_finish(struct segment_writer **w, char temp[SEGMENT_NAME_BYTES],
                          char name[SEGMENT_NAME_BYTES]);
void segment_writer_abort(struct segment_writer **w);

struct segment;
/* path of a finished file. ERR_CORRUPT only when not even a walk finds a frame. Holes a walk
 * finds (inside, or up to what the name promises) are entries marked is_lost. */
int segment_open(const char *path, struct segment **ret_segment);
void segment_close(struct segment **s);
uint64_t segment_first_seq(const struct segment *s);
uint64_t segment_last_seq(const struct segment *s);
/* zstd level it was written anew at (storage/archive_settle.h); 0: it is as it was first written. */
uint32_t segment_settled_level(const struct segment *s);
uint32_t segment_entry_count(const struct segment *s);
const struct segment_entry *segment_entry(const struct segment *s, uint32_t i);
/* Bytes of the file that are zstd frames (without index and table) and of the whole. */
uint64_t segment_data_bytes(const struct segment *s);
uint64_t segment_file_bytes(const struct segment *s);
/* Decompress entry i: ERR_CORRUPT when its checksum fails; other entries stay readable. */
int segment_read(struct segment *s, uint32_t i, struct frame **ret_frame);
/* Receive times of the records of entry i: runs of records received at one time, in order, the first
 * from where it began, which may be in an earlier entry. malloc'd. NULL and 0 when they are not known. */
int segment_recv_runs(const struct segment *s, uint32_t i, struct frame_run **ret_runs,
                      uint32_t *ret_count);
/* Might a record of entry i pass? Uses summary, ranks and search grams of f->q (any case) and of
 * literal (what every match of the pattern contains). f and literal may be NULL. Loads the grams
 * on first use. */
int segment_may_match(const struct segment *s, uint32_t i, const struct filter *f,
                      const char *literal, size_t literal_len);
/* Read back everything, from the disk: checksums, numbering, records against the index, grams,
 * seek table. */
int segment_verify(const char *path, uint64_t first_seq, uint64_t last_seq);

#endif

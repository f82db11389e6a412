/*
 * storage/archive_settle.h -- a job's segments written anew: few, large, packed as tightly as time allows.
 *
 *     1-500 | 501-980 | 981-1000        as they were first written, small and quickly packed
 *     1-1000 (settled, level 16)        the same records, times of receipt included
 *
 * A step at a time: archive_settle_write() writes one segment in the place of some that follow one another, under a
 * temporary name, and reads it back; archive_settle_publish() gives it its name and removes those. Until then nothing
 * has changed; after it, nothing a reader could see. What a killed step leaves behind is either a temp file
 * (archive_sweep) or segments that the new one covers, which the next step removes.
 *
 * Promises   A segment is removed only when every record of it is in durable files that were read back: checksums,
 *            numbering, index, and the CRC of all text against what was read from the old files.
 *            Who holds the job (archive_hold, walks) keeps the files it listed. A job deleted meanwhile stays deleted.
 *            Two settling one job at a time (nodes) cost work, not records.
 *            Damaged segments, and those without an index, are left as they are.
 * Not here   When, which job, and by whom (serve/settle.h).
 * Threads    write: any one thread, for minutes. publish: any, milliseconds.
 * Memory     A segment writer, one frame, and the indexes of the segments to be replaced.
 * Fault      Points settle.after_write settle.after_rename settle.between_unlinks settle.after_unlink.
 */
#ifndef STORAGE_ARCHIVE_SETTLE_H
#define STORAGE_ARCHIVE_SETTLE_H

#include "storage/archive.h"

#define SETTLE_RAW_BYTES_MAX (256ULL << 20) /* of text in one segment, unless one is larger already */
#define SETTLE_RUNS_MAX 65536               /* times of receipt in its index: they are in memory while it is open */
#define SETTLE_FILES_MAX 4096               /* replaced by one */

struct archive_settle_options {
    int level;
    uint64_t reserve_bytes; /* of free disk that stay free: ERR_FULL */
    uint64_t raw_bytes_max; /* 0: SETTLE_RAW_BYTES_MAX */
    const int *stop;        /* not 0: give up, ERR_CLOSED. Read atomically. */
};

struct archive_settled_stats {
    uint64_t first_seq, last_seq;
    uint32_t files_before; /* removed */
    uint64_t bytes_before, bytes_after;
    int is_new; /* 0: only files that others cover were removed */
};

/* Does the job have segments that were never settled, or covered ones? 1, 0, ERR_*. Cheap. */
int archive_settle_due(const struct archive *a, const struct job_key *key);

struct archive_settling;
/* 1: the next step is ready to be published. 0: there is none. ERR_FULL, ERR_CLOSED, ERR_CORRUPT: damage that the index
 * did not tell; and the errors of the disk. Nothing has changed after an error. */
int archive_settle_write(const struct archive *a, const struct job_key *key, const struct archive_settle_options *o,
                         struct archive_settling **ret_settling);
/* 0: done. ERR_BUSY: somebody holds the job; try again. ERR_NOT_FOUND: the job was deleted or its files have changed:
 * nothing was done. Others: of the disk; then both old and new may be there, which is a readable archive. */
int archive_settle_publish(struct archive_settling *s, struct archive_settled_stats *ret_stats);
/* Removes the temp file when it was not published. Takes and NULLs; NULL is fine. */
void archive_settle_close(struct archive_settling **s);

#endif

/*
 * storage/archive_int.h -- what the files of the archive share.
 */
#ifndef STORAGE_ARCHIVE_INT_H
#define STORAGE_ARCHIVE_INT_H

#include "storage/archive.h"

#include <pthread.h>
#include <sys/stat.h>

/* Open segments kept for the next reader: at most so many, holding at most so many bytes. Over
 * either the one unused longest is closed. */
#define ARCHIVE_CACHE_SEGMENTS_MAX 64
#define ARCHIVE_CACHE_BYTES_MAX (16 * 1024 * 1024)
#define ARCHIVE_JOB_JSON_BYTES_MAX (64 * 1024 * 1024)
#define ARCHIVE_JOB_JSON "job.json"
#define ARCHIVE_JOB_NEXT "job.json.next" /* as of the end of the segment that is about to get its name */
#define ARCHIVE_DIGEST_BYTES_MAX (64 * 1024 * 1024)
#define ARCHIVE_DIGEST "digest"
#define ARCHIVE_NODES_BYTES_MAX (64 * 1024 * 1024)
#define ARCHIVE_NODES "nodes.jsonl"
#define ARCHIVE_TEMP_MARK ".tmp-" /* .tmp-<first>-<random>, job.json.tmp-<pid>-<n>, digest.tmp-<pid>-<n> */
#define ARCHIVE_SHELVED_MARK ".shelved-"

struct archive_cached {
    struct segment *segment; /* NULL: free place */
    dev_t dev;
    ino_t ino;
    struct timespec modified;
    uint64_t used_at;
    size_t bytes;
};

struct archive_cache {
    pthread_mutex_t lock; /* over all below; nothing blocks under it */
    struct archive_cached places[ARCHIVE_CACHE_SEGMENTS_MAX];
    size_t bytes;
    uint64_t clock;
};

struct archive {
    char *root;
    int root_fd;
    struct archive_cache *cache; /* the one part that changes after open */
};

/* fd of the root, opened again when another directory is at its path (mounted over, made anew). ERR_IO: none is. */
int archive__root(const struct archive *a);
/* fd of the job's directory, no link followed. ERR_NOT_FOUND, ERR_INVALID (a link or no
 * directory). */
int archive__open_job(const struct archive *a, const struct job_key *key);
/* The same, held: no segment that was there goes away before the fd is closed, unless the job is deleted. Waits while
 * others are put in their place (milliseconds). Held by flock(2), so over processes; a file system without it holds
 * nothing. */
int archive__hold_job(const struct archive *a, const struct job_key *key);
/* All segments of a job in the order of their names, covered ones too. */
int archive__list_all(int job_fd, struct archive_file **ret_files, uint32_t *ret_count);
/* Leave out those that do not count beside others; the rest moves to the front. count > 0. ERR_NOMEM. */
int archive__drop_covered(struct archive_file *files, uint32_t *count);
/* fd of a directory below, no link followed; the same errors. */
int archive__open_dir(int at_fd, const char *name);
/* The segment of this name: out of the cache (then nobody else has it) or opened. */
int archive__take_segment(const struct archive *a, int job_fd, const char *name,
                          struct segment **ret_segment);
/* Keep it for the next. */
void archive__give_segment(const struct archive *a, struct segment **s);
/* Close what is kept of files that were removed, so that their space is free. */
void archive__cache_drop_gone(const struct archive *a);
/* Temp files of one job, as archive_sweep(). How many were removed, or ERR_*. */
int archive__sweep_job(const struct archive *a, const struct job_key *key, int64_t age_us);
struct archive_cache *archive__cache_new(void);
void archive__cache_free(struct archive_cache **cache);

#endif

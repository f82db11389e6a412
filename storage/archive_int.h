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
#define ARCHIVE_TEMP_MARK ".tmp-" /* .tmp-<first>-<random>, job.json.tmp-<pid> */

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

/* fd of the job's directory, no link followed. ERR_NOT_FOUND, ERR_INVALID (a link or no
 * directory). */
int archive__open_job(const struct archive *a, const struct job_key *key);
/* fd of a directory below, no link followed; the same errors. */
int archive__open_dir(int at_fd, const char *name);
/* The segment of this name: out of the cache (then nobody else has it) or opened. */
int archive__take_segment(const struct archive *a, int job_fd, const char *name,
                          struct segment **ret_segment);
/* Keep it for the next. */
void archive__give_segment(const struct archive *a, struct segment **s);
struct archive_cache *archive__cache_new(void);
void archive__cache_free(struct archive_cache **cache);

#endif

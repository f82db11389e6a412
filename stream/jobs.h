/*
 * stream/jobs.h -- the registry: jobs by name, newest first, and everything known of one.
 *
 * Part of stream/stream.h, which includes it: the promises of that header hold here too.
 * Words of a query (project, labels) are copied before the call returns.
 */
#ifndef STREAM_JOBS_H
#define STREAM_JOBS_H

#include "job/info.h"

struct stream;

struct job_create {
    struct job_key key;
    const char *name;        /* NULL: keep/none */
    const char *labels_json; /* NULL: none */
    const char *extra_json;  /* NULL: none */
    uint32_t ranks;          /* 0: not declared */
};
/* created 1: new, 0: it was there (its fields stay as they were). */
typedef void stream_created_fn(void *user, int err, int created, const struct job_info *info);
void stream_job_create(struct stream *st, const struct job_create *c, stream_created_fn *done,
                       void *user);

/* The info is borrowed for the callback. ERR_NOT_FOUND. detail: ranks and producers too. */
typedef void stream_info_fn(void *user, int err, const struct job_info *info);
void stream_job_get(struct stream *st, const struct job_key *key, int detail, stream_info_fn *done,
                    void *user);
/* 0 or ERR_NOT_FOUND. */
void stream_job_exists(struct stream *st, const struct job_key *key, void (*done)(void *user, int err),
                       void *user);
/* Resolve a bare job id over all projects: key is set. ERR_NOT_FOUND, ERR_AMBIGUOUS. */
typedef void stream_key_fn(void *user, int err, const struct job_key *key);
void stream_job_find(struct stream *st, const char *job_id, stream_key_fn *done, void *user);
/* The same in every project that has one; keys borrowed, none is success. */
typedef void stream_keys_fn(void *user, int err, const struct job_key *keys, uint32_t count);
void stream_job_find_all(struct stream *st, const char *job_id, stream_keys_fn *done, void *user);

struct job_list_query {
    const char *project; /* NULL: all */
    uint32_t state_mask; /* bits of enum job_state; 0: all */
    int active_only;
    const char *label_keys[8], *label_values[8];
    uint32_t label_count;
    uint32_t limit;    /* 1..1000 */
    int64_t before_us; /* 0 for the first page; else continue with the cursor's parts */
    char before_key[JOB_KEY_TEXT_BYTES];
};
/* Newest first by (created_us, key). infos borrowed. next_us 0: no more pages. */
typedef void stream_list_fn(void *user, int err, const struct job_info *const *infos,
                            uint32_t count, int64_t next_us, const char *next_key);
void stream_job_list(struct stream *st, const struct job_list_query *q, stream_list_fn *done,
                     void *user);
/* How many jobs of a project (NULL: of all) are not sealed yet; counting ends at limit. Needs Redis 7 for one project. */
typedef void stream_number_fn(void *user, int err, uint64_t number);
void stream_jobs_live(struct stream *st, const char *project, uint64_t limit, stream_number_fn *done, void *user);
/* Bytes of messages that all jobs of a project (NULL: all jobs) hold, wherever they lie by now. Looks at every job, in
 * chunks. */
void stream_jobs_bytes(struct stream *st, const char *project, stream_number_fn *done, void *user);
/* Purge all keys of the job and its index entries; rings the bell so tails end with `reset`. */
void stream_job_delete(struct stream *st, const struct job_key *key,
                       void (*done)(void *user, int err), void *user);
/* Every project seen, name and count of jobs. */
typedef void stream_projects_fn(void *user, int err, const char *const *names, uint32_t count);
void stream_projects(struct stream *st, stream_projects_fn *done, void *user);

#endif

/*
 * storage/archive.h -- the settled past: a directory of segments per job.
 *
 *     ROOT/<project>/<job>/<first>-<last>.jsonl.zst …  and job.json once sealed
 *
 * Promises   archive_list shows finished segments in order of their names; one that others cover
 *            (an interrupted archiver) is left out. Two may still overlap in part: a walk cuts
 *            them; joined as they are, they repeat.
 *            Paths are built from valid ids only, opened with O_NOFOLLOW.
 * Threads    All blocking: worker threads only, any number; a walk belongs to one at a time.
 * Memory     Segments lately read stay open with their index: limits in storage/archive_int.h.
 */
#ifndef STORAGE_ARCHIVE_H
#define STORAGE_ARCHIVE_H

#include "job/id.h"
#include "storage/segment.h"

struct archive;
int archive_open(const char *root, char *why, size_t why_size, struct archive **ret_archive);
void archive_close(struct archive **a);
const char *archive_root(const struct archive *a);

struct archive_file {
    uint64_t first_seq, last_seq;
    uint64_t file_bytes;
    int64_t modified_us;
    char name[SEGMENT_NAME_BYTES];
};
/* malloc'd array in order. Zero files is success. */
int archive_list(const struct archive *a, const struct job_key *key,
                 struct archive_file **ret_files, uint32_t *ret_count);
/* DIR of the job, created when make is set (else it need not exist). out needs PATH_MAX bytes.
 * ERR_INVALID: a link, or something that is no directory, stands in its way. */
int archive_job_dir(const struct archive *a, const struct job_key *key, int make, char *out,
                    size_t out_size);
int archive_file_path(const struct archive *a, const struct job_key *key,
                      const struct archive_file *file, char *out, size_t out_size);
/* The sidecar written at seal: what is needed to rebuild the job's index entry. json is the text
 * of GET /v1/jobs/J. */
int archive_put_job(const struct archive *a, const struct job_key *key, const char *json,
                    size_t len);
int archive_get_job(const struct archive *a, const struct job_key *key, char **ret_json,
                    size_t *ret_len);
/* Remove everything of the job, job.json first; nothing there is success. Links are removed,
 * never followed; ERR_INVALID when the job's directory is one. */
int archive_delete(const struct archive *a, const struct job_key *key);
/* Every job with a directory, in no order: what the index of jobs is rebuilt from. A negative
 * answer of on_job ends it and is returned. */
typedef int (*archive_on_job)(void *ctx, const struct job_key *key);
int archive_each_job(const struct archive *a, archive_on_job on_job, void *ctx);
/* Remove temp files left by a crash, older than age_us. Returns how many. */
int archive_sweep(const struct archive *a, int64_t age_us);
/* Free bytes of the file system. */
int archive_free_bytes(const struct archive *a, uint64_t *ret_bytes);

/* A walk over a job's archived records, forwards or backwards, skipping what cannot match. */
struct archive_walk;
/* Records with seq in [from, to]; backward: newest frame first (records inside a frame stay
 * ascending). filter (may be NULL) is borrowed until close and only skips whole frames: the
 * caller matches records. literal as in segment_may_match, copied. A job without a directory is
 * an empty walk. */
int archive_walk_open(const struct archive *a, const struct job_key *key, uint64_t from,
                      uint64_t to, int backward, const struct filter *filter,
                      const char *literal, size_t literal_len, struct archive_walk **ret_walk);
/* 1: a frame (yours) that may hold matches, cut to [from, to]; no record comes twice. 0: end.
 * ERR_CORRUPT: [*ret_lost_from, *ret_lost_to] is lost, go on calling. Records missing before or
 * between segments are reported the same way (ERR_NOT_FOUND); what lies after the last segment
 * is not reported: it is in the stream. ERR_NOMEM: that range could not be had now; going on
 * skips it. */
int archive_walk_next(struct archive_walk *w, struct frame **ret_frame, uint64_t *ret_lost_from,
                      uint64_t *ret_lost_to);
void archive_walk_close(struct archive_walk **w);

#endif

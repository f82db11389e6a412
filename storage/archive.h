/*
 * storage/archive.h -- the settled past: a directory of segments per job.
 *
 *     ROOT/<project>/<job>/<first>-<last>.jsonl.zst …  digest, and job.json once sealed
 *
 * Promises   archive_list shows finished segments in order of their names; what an interrupted archiver left
 *            beside the committed ones is left out. Files that do not join exactly may still overlap in part: a
 *            walk cuts them; joined as they are, they repeat.
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
/* Segments listed while this is held can be opened by name until archive_unhold(): nobody settles them anew
 * meanwhile (deleting the job goes on regardless). Any thread. ERR_NOT_FOUND: no directory yet. */
int archive_hold(const struct archive *a, const struct job_key *key);
void archive_unhold(int *hold);
/* The highest seq that a segment's name promises; 0: none. Nothing is opened. */
int archive_last_seq(const struct archive *a, const struct job_key *key, uint64_t *ret_seq);
/* Move a segment that does not hold what its name promises out of the way, to .shelved-<name> beside it: kept for people,
 * seen by nothing. */
int archive_shelve(const struct archive *a, const struct job_key *key, const struct archive_file *file);
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
/* The sidecar to be, durable beside the one that is; it never makes a job's directory. Then it takes the other's place, or
 * goes (nothing there is success). When: serve/checkpoint.h. ERR_NOT_FOUND: there is none. */
int archive_prepare_job(const struct archive *a, const struct job_key *key, const char *json,
                        size_t len);
int archive_get_prepared_job(const struct archive *a, const struct job_key *key, char **ret_json,
                             size_t *ret_len);
int archive_set_prepared_job(const struct archive *a, const struct job_key *key);
int archive_drop_prepared_job(const struct archive *a, const struct job_key *key);
/* What was read of the job's records (digest/): bytes to this room. It can be made again at any time, so it is
 * written beside the segments without further ceremony (whole or not at all) and never makes a job's directory:
 * ERR_NOT_FOUND. */
int archive_put_digest(const struct archive *a, const struct job_key *key, const void *data,
                       size_t len);
int archive_get_digest(const struct archive *a, const struct job_key *key, char **ret_data,
                       size_t *ret_len);
/* The job's nodes and their samples, a line of JSON each (job/node.h), written when the job is archived whole. */
int archive_put_nodes(const struct archive *a, const struct job_key *key, const char *lines,
                      size_t len);
int archive_get_nodes(const struct archive *a, const struct job_key *key, char **ret_lines,
                      size_t *ret_len);
/* Nothing there is success. */
int archive_drop_digest(const struct archive *a, const struct job_key *key);
/* Remove everything of the job, job.json first; nothing there is success. Links are removed,
 * never followed; ERR_INVALID when the job's directory is one. */
int archive_delete(const struct archive *a, const struct job_key *key);
/* Every job with a directory, in no order: what the index of jobs is rebuilt from. A negative
 * answer of on_job ends it and is returned. */
typedef int (*archive_on_job)(void *ctx, const struct job_key *key);
int archive_each_job(const struct archive *a, archive_on_job on_job, void *ctx);
/* The same a few at a time, with what a segment's name or a sidecar says of each; jobs without either are passed over. */
struct archive_scan;
struct archive_scanned {
    struct job_key key;
    uint64_t last_seq; /* 0: only job.json is there */
};
/* temp_age_us > 0: temp files older than this, left by a crash, are removed on the way. */
int archive_scan_open(const struct archive *a, int64_t temp_age_us, struct archive_scan **ret_scan);
/* At most count_max jobs. 1: go on; 0: that was all. */
int archive_scan_next(struct archive_scan *s, struct archive_scanned *out, uint32_t count_max,
                      uint32_t *ret_count);
void archive_scan_close(struct archive_scan **s);
/* The job of this id in any project. ERR_NOT_FOUND, ERR_AMBIGUOUS. */
int archive_find_job(const struct archive *a, const char *job, struct job_key *ret_key);
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
/* The frames are to know when each record was received (frame_recv_ns). */
void archive_walk_with_times(struct archive_walk *w);
/* 1: a frame (yours) that may hold matches, cut to [from, to]; no record comes twice. 0: end.
 * ERR_CORRUPT: [*ret_lost_from, *ret_lost_to] is lost, go on calling. Records missing before or
 * between segments are reported the same way (ERR_NOT_FOUND); what lies after the last segment
 * is not reported: it is in the stream. ERR_NOMEM: that range could not be had now; going on
 * skips it. */
int archive_walk_next(struct archive_walk *w, struct frame **ret_frame, uint64_t *ret_lost_from,
                      uint64_t *ret_lost_to);
void archive_walk_close(struct archive_walk **w);
/* A second walk over the same files, so that two threads share the work: from now on w and the other one give every second
 * frame of a segment each. Ranges that are lost may be told by both. Before the first archive_walk_next(w). ERR_* changes
 * nothing. */
int archive_walk_split(struct archive_walk *w, struct archive_walk **ret_other);
/* What lies before the next frame of this walk: it tells of nothing up to this seq any more (backward: from it on).
 * UINT64_MAX (backward: 0): it is at its end. */
uint64_t archive_walk_reach(const struct archive_walk *w);

/* Places by time of receipt (job/frame.h), found by halving over segments, entries and runs. Where
 * an index was lost the records' own times stand in, by whole entries. */
/* 1: *ret_seq is the first archived record received at recv_ns or later; 0: none is so late. */
int archive_find_recv(const struct archive *a, const struct job_key *key, int64_t recv_ns,
                      uint64_t *ret_seq);
/* 1: when record seq was received; 0: it is not archived, or its time is not known. */
int archive_recv_ns(const struct archive *a, const struct job_key *key, uint64_t seq,
                    int64_t *ret_recv_ns);

#endif

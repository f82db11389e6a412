/*
 * stream/jobs_int.h -- how the job registry shares what it reads.
 *
 * Files: jobs.c (create, get, find, delete, projects), jobs_list.c (pages), jobs_read.c (meta hash -> struct job_info).
 */
#ifndef STREAM_JOBS_INT_H
#define STREAM_JOBS_INT_H

#include "stream/stream_int.h"

/* *info may be taken (and NULLed); what is left is freed. NULL when err < 0. */
typedef void jobs__loaded_fn(void *user, int err, struct job_info **info);
void jobs__load(struct stream *st, const struct job_key *key, int detail, jobs__loaded_fn *done, void *user);
/* The same for who compares cursors with its epoch: that changes first, if it must (stream/witness.h). */
void jobs__load_sound(struct stream *st, const struct job_key *key, int detail, jobs__loaded_fn *done, void *user);

/* From the flat [field, value, …] of HGETALL meta. ERR_NOT_FOUND when it is no job. */
int jobs__info_read(const struct job_key *key, const struct reply *meta, struct job_info **ret_info);
/* Add what HGETALL rank and HGETALL prod hold. */
void jobs__info_read_ranks(struct job_info *info, const struct reply *rank);
void jobs__info_read_producers(struct job_info *info, const struct reply *prod);

#endif

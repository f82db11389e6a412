/*
 * stream/projects.h -- the registry of projects: made by hand or by their first job, listed with their newest job.
 *
 * A project is an id and a name; the name is the id until one is given. Layout: docs/format-redis.md.
 */
#ifndef STREAM_PROJECTS_H
#define STREAM_PROJECTS_H

#include "job/info.h"

struct stream;

#define PROJECT_NAME_BYTES_MAX JOB_NAME_BYTES_MAX
#define STREAM_PROJECTS_MAX 10000 /* in a list; more are left out, those without jobs for long first */

struct project_info {
    char id[ID_BYTES_MAX + 1];
    char name[PROJECT_NAME_BYTES_MAX + 1];
    int64_t created_us;
    int64_t updated_us;      /* of its newest job, else created_us */
    struct job_info *latest; /* its newest job; NULL: none, or not asked for */
};

/* infos borrowed, last touched first; without latest by creation, newest first. */
typedef void stream_project_list_fn(void *user, int err, const struct project_info *infos, uint32_t count);
void stream_project_list(struct stream *st, int with_latest, stream_project_list_fn *done, void *user);
/* One of them, without latest. ERR_NOT_FOUND. */
typedef void stream_project_fn(void *user, int err, int created, const struct project_info *info);
void stream_project_get(struct stream *st, const char *id, stream_project_fn *done, void *user);
/* Make it, or name one that has no name yet. created 0: it was there. ERR_EXISTS: another project has
 * this name or is called so by id, or this one has another name; info is that one. */
void stream_project_create(struct stream *st, const char *id, const char *name, stream_project_fn *done,
                           void *user);

#endif

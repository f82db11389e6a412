/*
 * storage/archive_clean.c -- going through the whole archive: every job, deleting one, sweeping
 * temp files.
 *
 * Deleting never leaves the job's directory: it works on directory handles, takes links out without
 * following them, and refuses a job whose directory is itself a link.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "storage/archive_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DELETE_TRIES_MAX 8
#define DELETE_DEPTH_MAX 4 /* joblog makes no directory inside a job's; what is deeper stays,
    ERR_LIMIT */

/* A DIR over fd (taken). */
static int open_listing(int fd, DIR **ret_dir)
{
    if (fd < 0) return fd;
    *ret_dir = fdopendir(fd);
    if (*ret_dir) return 0;
    close(fd);
    return ERR_NOMEM;
}

/* Next name that is not . or .. ; NULL at the end, *err set when reading failed. */
static const char *next_name(DIR *dir, int *err)
{
    struct dirent *entry;

    while ((errno = 0, entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return entry->d_name;
    if (errno != 0) *err = io_err(errno);
    return NULL;
}

int archive_each_job(const struct archive *a, archive_on_job on_job, void *ctx)
{
    DIR *projects = NULL, *jobs;
    const char *project, *job;
    int err = archive__root(a);

    if (err >= 0) err = open_listing(archive__open_dir(a->root_fd, "."), &projects);

    if (err < 0) return err;
    while (err >= 0 && (project = next_name(projects, &err))) {
        if (!id_valid(project, strlen(project))) continue;
        if (open_listing(archive__open_dir(a->root_fd, project), &jobs) < 0)
            continue; /* no directory */
        while (err >= 0 && (job = next_name(jobs, &err))) {
            struct job_key key;
            struct stat st;

            if (job_key_make(&key, project, strlen(project), job, strlen(job)) < 0) continue;
            if (fstatat(dirfd(jobs), job, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
                continue;
            err = on_job(ctx, &key);
        }
        closedir(jobs);
    }
    closedir(projects);
    return err < 0 ? err : 0;
}

static int empty_dir(int fd, int depth)
{
    const char *name;
    DIR *dir;
    int err = open_listing(fd, &dir);

    if (err < 0) return err;
    while (err >= 0 && (name = next_name(dir, &err))) {
        struct stat st;

        if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno != ENOENT) err = io_err(errno);
        } else if (!S_ISDIR(st.st_mode)) {
            if (unlinkat(dirfd(dir), name, 0) != 0 && errno != ENOENT) err = io_err(errno);
        } else if (depth >= DELETE_DEPTH_MAX) {
            err = ERR_LIMIT;
        } else {
            err = empty_dir(archive__open_dir(dirfd(dir), name), depth + 1);
            if (err >= 0 && unlinkat(dirfd(dir), name, AT_REMOVEDIR) != 0) err = io_err(errno);
        }
    }
    closedir(dir);
    return err;
}

int archive_delete(const struct archive *a, const struct job_key *key)
{
    int job_fd = archive__open_job(a, key), project_fd, err;

    if (job_fd < 0) return job_fd == ERR_NOT_FOUND ? 0 : job_fd;
    /* The sidecar first: a job half deleted must not come back when the index is rebuilt. */
    if (unlinkat(job_fd, ARCHIVE_JOB_JSON, 0) == 0 && fsync(job_fd) != 0) {
        close(job_fd);
        return ERR_IO;
    }
    project_fd = archive__open_dir(a->root_fd, key->project);
    if (project_fd < 0) {
        close(job_fd);
        return project_fd;
    }
    /* Who settles the job or archives it may put one more file there before it sees that the sidecar is gone. */
    for (int try = 0; try < DELETE_TRIES_MAX; try++) {
        err = empty_dir(archive__open_dir(job_fd, "."), 0);
        if (err < 0 || unlinkat(project_fd, key->job, AT_REMOVEDIR) == 0 || errno == ENOENT) break;
        err = io_err(errno);
        if (err != io_err(ENOTEMPTY)) break;
    }
    close(job_fd);
    archive__cache_drop_gone(a);
    if (err == ERR_NOT_FOUND) err = 0; /* somebody else removed it */
    if (err >= 0 && fsync(project_fd) != 0) err = ERR_IO;
    close(project_fd);
    return err;
}

struct sweep {
    const struct archive *archive;
    int64_t before_us; /* of the wall clock, like the times of files */
    int removed;
};

static int on_swept_job(void *ctx, const struct job_key *key)
{
    struct sweep *sweep = ctx;
    const char *name;
    DIR *dir;
    int err = open_listing(archive__open_job(sweep->archive, key), &dir);

    if (err < 0) return err == ERR_NOT_FOUND || err == ERR_INVALID ? 0 : err;
    while (err >= 0 && (name = next_name(dir, &err))) {
        struct stat st;

        if (!strstr(name, ARCHIVE_TEMP_MARK)) continue;
        if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        if ((int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 > sweep->before_us)
            continue;
        if (unlinkat(dirfd(dir), name, 0) != 0) continue;
        sweep->removed++;
        log_info("storage", "left-over temp file removed", "project=%s job=%s file=%s",
                 key->project, key->job, name);
    }
    closedir(dir);
    return err;
}

int archive__sweep_job(const struct archive *a, const struct job_key *key, int64_t age_us)
{
    struct sweep sweep = {a, clock_wall_us() - age_us, 0};
    int err = on_swept_job(&sweep, key);

    return err < 0 ? err : sweep.removed;
}

int archive_sweep(const struct archive *a, int64_t age_us)
{
    struct sweep sweep = {a, clock_wall_us() - age_us, 0};
    int err = archive_each_job(a, on_swept_job, &sweep);

    return err < 0 ? err : sweep.removed;
}

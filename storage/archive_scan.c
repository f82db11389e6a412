/*
 * storage/archive_scan.c -- every job of the archive, a few at a time.
 *
 * Two directory handles stay open between the steps: the root and the project at hand. What is made or
 * removed meanwhile may be seen or not, as readdir() has it.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "storage/archive_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct archive_scan {
    const struct archive *archive;
    DIR *projects, *jobs; /* jobs NULL: the next project is due */
    char project[ID_BYTES_MAX + 1];
    int64_t temp_age_us;
};

static int open_listing(int fd, DIR **ret_dir)
{
    if (fd < 0) return fd;
    *ret_dir = fdopendir(fd);
    if (*ret_dir) return 0;
    close(fd);
    return ERR_NOMEM;
}

int archive_scan_open(const struct archive *a, int64_t temp_age_us, struct archive_scan **ret_scan)
{
    struct archive_scan *s = must_calloc(1, sizeof *s);
    int err = archive__root(a);

    if (err >= 0) err = open_listing(archive__open_dir(a->root_fd, "."), &s->projects);

    if (err < 0) {
        free(s);
        return err;
    }
    s->archive = a;
    s->temp_age_us = temp_age_us;
    *ret_scan = s;
    return 0;
}

void archive_scan_close(struct archive_scan **scan)
{
    struct archive_scan *s = *scan;

    *scan = NULL;
    if (!s) return;
    if (s->jobs) closedir(s->jobs);
    closedir(s->projects);
    free(s);
}

/* The next project's listing: 1, 0 at the end. */
static int next_project(struct archive_scan *s)
{
    struct dirent *entry;

    while ((errno = 0, entry = readdir(s->projects))) {
        size_t len = strlen(entry->d_name);

        if (!id_valid(entry->d_name, len)) continue;
        if (open_listing(archive__open_dir(s->archive->root_fd, entry->d_name), &s->jobs) < 0)
            continue; /* no directory */
        memcpy(s->project, entry->d_name, len + 1);
        return 1;
    }
    return errno ? io_err(errno) : 0;
}

static int has_sidecar(const struct archive *a, const struct job_key *key)
{
    int fd = archive__open_job(a, key), found;

    if (fd < 0) return 0;
    found = faccessat(fd, ARCHIVE_JOB_JSON, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    close(fd);
    return found;
}

/* The name as a job with something in it: 1; 0 when it is none. */
static int look_at(struct archive_scan *s, const char *name, struct archive_scanned *ret)
{
    struct stat st;
    int err;

    if (job_key_make(&ret->key, s->project, strlen(s->project), name, strlen(name)) < 0) return 0;
    if (fstatat(dirfd(s->jobs), name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) return 0;
    if (s->temp_age_us) archive__sweep_job(s->archive, &ret->key, s->temp_age_us);
    err = archive_last_seq(s->archive, &ret->key, &ret->last_seq);
    if (err < 0) return err == ERR_NOT_FOUND || err == ERR_INVALID ? 0 : err;
    return ret->last_seq || has_sidecar(s->archive, &ret->key);
}

int archive_scan_next(struct archive_scan *s, struct archive_scanned *out, uint32_t count_max,
                      uint32_t *ret_count)
{
    uint32_t count = 0;
    int got = 1;

    while (count < count_max && got > 0) {
        struct dirent *entry;

        if (!s->jobs) {
            got = next_project(s);
            continue;
        }
        errno = 0;
        entry = readdir(s->jobs);
        if (!entry) {
            got = errno ? io_err(errno) : 1;
            closedir(s->jobs);
            s->jobs = NULL;
            continue;
        }
        got = look_at(s, entry->d_name, &out[count]);
        if (got == 1) count++;
        if (got == 0) got = 1;
    }
    *ret_count = count;
    return got;
}

int archive_find_job(const struct archive *a, const char *job, struct job_key *ret_key)
{
    struct archive_scan *s;
    struct archive_scanned one;
    int err = archive_scan_open(a, 0, &s), count = 0;

    if (err < 0) return err;
    while ((err = next_project(s)) == 1) {
        int found = look_at(s, job, &one);

        closedir(s->jobs);
        s->jobs = NULL;
        if (found < 0) {
            err = found;
            break;
        }
        if (found && !count++) *ret_key = one.key;
    }
    archive_scan_close(&s);
    if (err < 0) return err;
    return count == 0 ? ERR_NOT_FOUND : count > 1 ? ERR_AMBIGUOUS : 0;
}

/*
 * storage/archive.c -- the directories of the archive: which files a job has, its sidecar, its
 * paths.
 *
 * ROOT/<project>/<job>/ are walked one name at a time with O_NOFOLLOW, so a link planted inside the
 * root leads nowhere. Reading goes through the directory handles; writing goes by path (base/io.h)
 * after the same walk has found real directories.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "storage/archive_int.h"
#include "storage/segment_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

int archive_open(const char *root, char *why, size_t why_size, struct archive **ret_archive)
{
    struct archive *a;
    char real[PATH_MAX];
    int err = io_mkdirs(root), fd;

    if (err < 0) {
        snprintf(why, why_size, "cannot make the archive directory %s: %s", root, strerror(errno));
        return err;
    }
    /* The root itself may be a link: the operator chose it. */
    if (!realpath(root, real) || (fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        err = io_err(errno);
        snprintf(why, why_size, "cannot open the archive directory %s: %s", root, strerror(errno));
        return err;
    }
    a = must_calloc(1, sizeof *a);
    a->root = must_strdup(real);
    a->root_fd = fd;
    a->cache = archive__cache_new();
    *ret_archive = a;
    return 0;
}

void archive_close(struct archive **a)
{
    if (!*a) return;
    archive__cache_free(&(*a)->cache);
    close((*a)->root_fd);
    free((*a)->root);
    free(*a);
    *a = NULL;
}

const char *archive_root(const struct archive *a)
{
    return a->root;
}

int archive__open_dir(int at_fd, const char *name)
{
    int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0) return fd;
    return errno == ELOOP || errno == ENOTDIR ? ERR_INVALID : io_err(errno);
}

static int key_is_valid(const struct job_key *key)
{
    return id_valid(key->project, strlen(key->project)) && id_valid(key->job, strlen(key->job));
}

int archive__open_job(const struct archive *a, const struct job_key *key)
{
    int project_fd, job_fd;

    if (!key_is_valid(key)) return ERR_INVALID;
    project_fd = archive__open_dir(a->root_fd, key->project);
    if (project_fd < 0) return project_fd;
    job_fd = archive__open_dir(project_fd, key->job);
    close(project_fd);
    return job_fd;
}

/* ---- listing ---- */

static int by_first(const void *x, const void *y)
{
    const struct archive_file *a = x, *b = y;

    if (a->first_seq != b->first_seq) return a->first_seq < b->first_seq ? -1 : 1;
    return a->last_seq > b->last_seq ? -1 : a->last_seq < b->last_seq; /* the longer first */
}

/* Files that lie within another, or within what their two neighbours cover, are left out. */
static uint32_t drop_covered(struct archive_file *files, uint32_t count)
{
    uint32_t kept = 0;

    qsort(files, count, sizeof *files, by_first);
    for (uint32_t i = 0; i < count; i++) {
        if (kept && files[i].last_seq <= files[kept - 1].last_seq) continue;
        while (kept >= 2 && files[i].first_seq <= files[kept - 2].last_seq + 1) kept--;
        files[kept++] = files[i];
    }
    return kept;
}

static int add_file(DIR *dir, const char *name, struct archive_file **files, uint32_t *count)
{
    struct archive_file file = {0}, *more;
    struct stat st;

    if (segment__parse_name(name, &file.first_seq, &file.last_seq) < 0) return 0;
    if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : io_err(errno);
    if (!S_ISREG(st.st_mode)) return 0;
    file.file_bytes = (uint64_t)st.st_size;
    file.modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    memcpy(file.name, name, strlen(name) + 1); /* the parse has checked its length */
    if ((*count & (*count - 1)) == 0) { /* a power of two: full */
        more = realloc(*files, (*count ? *count * (size_t)2 : 1) * sizeof **files);
        if (!more) return ERR_NOMEM;
        *files = more;
    }
    (*files)[(*count)++] = file;
    return 0;
}

int archive_list(const struct archive *a, const struct job_key *key,
                 struct archive_file **ret_files,
                 uint32_t *ret_count)
{
    struct archive_file *files = NULL;
    struct dirent *entry;
    uint32_t count = 0;
    int fd = archive__open_job(a, key), err = 0;
    DIR *dir;

    if (fd == ERR_NOT_FOUND) {
        *ret_files = NULL;
        *ret_count = 0;
        return 0;
    }
    if (fd < 0) return fd;
    dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return ERR_NOMEM;
    }
    while (err >= 0 && (errno = 0, entry = readdir(dir)))
        err = add_file(dir, entry->d_name, &files, &count);
    if (err >= 0 && errno != 0) err = io_err(errno);
    closedir(dir);
    if (err < 0) {
        free(files);
        return err;
    }
    *ret_count = count ? drop_covered(files, count) : 0;
    *ret_files = files;
    return 0;
}

/* ---- paths and the sidecar ---- */

static int make_dir(int at_fd, const char *name)
{
    if (mkdirat(at_fd, name, 0750) != 0) return errno == EEXIST ? 0 : io_err(errno);
    return fsync(at_fd) == 0 ? 0 : ERR_IO;
}

int archive_job_dir(const struct archive *a, const struct job_key *key, int make, char *out,
                    size_t out_size)
{
    int fd, project_fd = -1, err = 0;

    if (!key_is_valid(key)) return ERR_INVALID;
    if (snprintf(out, out_size, "%s/%s/%s", a->root, key->project, key->job) >= (int)out_size)
        return ERR_TOO_BIG;
    if (make) {
        err = make_dir(a->root_fd, key->project);
        if (err >= 0) err = project_fd = archive__open_dir(a->root_fd, key->project);
        if (err >= 0) err = make_dir(project_fd, key->job);
        if (project_fd >= 0) close(project_fd);
        if (err < 0) return err;
    }
    fd = archive__open_job(a, key);
    if (fd < 0) return !make && fd == ERR_NOT_FOUND ? 0 : fd;
    close(fd);
    return 0;
}

int archive_file_path(const struct archive *a, const struct job_key *key,
                      const struct archive_file *file,
                      char *out, size_t out_size)
{
    uint64_t first, last;

    if (!key_is_valid(key) || segment__parse_name(file->name, &first, &last) < 0)
        return ERR_INVALID;
    if (snprintf(out, out_size, "%s/%s/%s/%s", a->root, key->project, key->job,
                 file->name) >= (int)out_size)
        return ERR_TOO_BIG;
    return 0;
}

int archive_put_job(const struct archive *a, const struct job_key *key, const char *json,
                    size_t len)
{
    char path[PATH_MAX];
    size_t at;
    int err;

    if (len > ARCHIVE_JOB_JSON_BYTES_MAX) return ERR_TOO_BIG;
    err = archive_job_dir(a, key, 1, path, sizeof path);
    if (err < 0) return err;
    at = strlen(path);
    if (snprintf(path + at, sizeof path - at, "/" ARCHIVE_JOB_JSON) >= (int)(sizeof path - at))
        return ERR_TOO_BIG;
    return io_replace_file(path, json, len);
}

/* All of a file of size bytes, NUL-terminated. */
static int read_all(int fd, size_t size, char **ret_data, size_t *ret_len)
{
    char *data = malloc(size + 1);
    ssize_t got;

    if (!data) return ERR_NOMEM;
    got = io_pread_all(fd, data, size, 0);
    if (got < 0) {
        free(data);
        return (int)got;
    }
    data[got] = '\0';
    *ret_data = data;
    *ret_len = (size_t)got;
    return 0;
}

int archive_get_job(const struct archive *a, const struct job_key *key, char **ret_json,
                    size_t *ret_len)
{
    struct stat st;
    int dir_fd = archive__open_job(a, key), fd, err;

    if (dir_fd < 0) return dir_fd;
    fd = openat(dir_fd, ARCHIVE_JOB_JSON, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    err = fd < 0 ? (errno == ELOOP ? ERR_INVALID : io_err(errno)) : 0;
    close(dir_fd);
    if (err < 0) return err;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) err = ERR_INVALID;
    else if (st.st_size > ARCHIVE_JOB_JSON_BYTES_MAX) err = ERR_TOO_BIG;
    else err = read_all(fd, (size_t)st.st_size, ret_json, ret_len);
    close(fd);
    return err;
}

int archive_free_bytes(const struct archive *a, uint64_t *ret_bytes)
{
    struct statvfs vfs;

    if (fstatvfs(a->root_fd, &vfs) != 0) return io_err(errno);
    *ret_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}

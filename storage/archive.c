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
#include "base/log.h"
#include "storage/archive_int.h"
#include "storage/segment_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

int archive__root(const struct archive *a)
{
    struct stat path, held;
    int fd, rc;

    if (stat(a->root, &path) != 0) return ERR_IO; /* gone: never to be taken for a job that is not there */
    if (fstat(a->root_fd, &held) == 0 && path.st_dev == held.st_dev && path.st_ino == held.st_ino) return a->root_fd;
    fd = open(a->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ERR_IO;
    rc = dup3(fd, a->root_fd, O_CLOEXEC);
    close(fd);
    if (rc < 0) return ERR_IO;
    log_warn("storage", "the archive directory is another one now", "dir=" LOG_Q("%s"), a->root);
    return a->root_fd;
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
    project_fd = archive__root(a);
    if (project_fd < 0) return project_fd;
    project_fd = archive__open_dir(a->root_fd, key->project);
    if (project_fd < 0) return project_fd;
    job_fd = archive__open_dir(project_fd, key->job);
    close(project_fd);
    return job_fd;
}

int archive__hold_job(const struct archive *a, const struct job_key *key)
{
    int fd = archive__open_job(a, key);

    while (fd >= 0 && flock(fd, LOCK_SH) != 0 && errno == EINTR) {
    }
    return fd;
}

int archive_hold(const struct archive *a, const struct job_key *key)
{
    return archive__hold_job(a, key);
}

void archive_unhold(int *hold)
{
    if (*hold >= 0) close(*hold);
    *hold = ERR_CLOSED;
}

/* ---- listing ---- */

static int by_first(const void *x, const void *y)
{
    const struct archive_file *a = x, *b = y;

    if (a->first_seq != b->first_seq) return a->first_seq < b->first_seq ? -1 : 1;
    return a->last_seq > b->last_seq ? -1 : a->last_seq < b->last_seq; /* the longer first */
}

/* Does any of the files (by_first) hold seq? reach[i]: the highest seq of files 0..i. */
static int any_holds(const struct archive_file *files, const uint64_t *reach, uint32_t count, uint64_t seq)
{
    uint32_t lo = 0, hi = count;

    while (lo < hi) { /* files that begin at seq or before */
        uint32_t mid = lo + (hi - lo) / 2;

        if (files[mid].first_seq <= seq) lo = mid + 1;
        else hi = mid;
    }
    return lo && reach[lo - 1] >= seq;
}

/* is_joined[i]: from file i on the next file begins exactly where the one before ends, up to the end or a hole. */
static void find_joined(const struct archive_file *files, uint32_t count, const uint64_t *reach, char *is_joined)
{
    for (uint32_t i = count; i-- > 0;) {
        uint64_t next = files[i].last_seq + 1;
        uint32_t lo = i + 1, hi = count;

        while (lo < hi) { /* the first that begins at next or later */
            uint32_t mid = lo + (hi - lo) / 2;

            if (files[mid].first_seq < next) lo = mid + 1;
            else hi = mid;
        }
        is_joined[i] = !any_holds(files, reach, count, next);
        for (; lo < count && files[lo].first_seq == next && !is_joined[i]; lo++)
            is_joined[i] = is_joined[lo];
    }
}

/*
 * What an interrupted archiver, or two of them, left beside the segments that were committed is left out. Those join
 * exactly, so where files overlap, the ones that lead on to others without overlap are kept:
 *
 *     [1..100] [101..180]            [181..300]     kept
 *              [101..250]                           left out: verified, not committed
 *
 * Where there is no such way, files that lie within another, or within what their two neighbours cover, are left out.
 */
int archive__drop_covered(struct archive_file *files, uint32_t *count)
{
    uint64_t *reach = malloc((size_t)*count * (sizeof *reach + 1));
    char *is_joined = (char *)(reach + *count);
    uint32_t kept = 0;

    if (!reach) return ERR_NOMEM;
    for (uint32_t i = 0; i < *count; i++)
        reach[i] = i && reach[i - 1] > files[i].last_seq ? reach[i - 1] : files[i].last_seq;
    find_joined(files, *count, reach, is_joined);
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t pick = i;

        if (kept && files[i].last_seq <= files[kept - 1].last_seq) continue;
        if (kept && files[i].first_seq <= files[kept - 1].last_seq) {
            if (is_joined[kept - 1]) continue;
            while (kept >= 2 && files[i].first_seq <= files[kept - 2].last_seq + 1) kept--;
        } else {
            while (pick < *count && files[pick].first_seq == files[i].first_seq && !is_joined[pick]) pick++;
            if (pick == *count || files[pick].first_seq != files[i].first_seq) pick = i;
        }
        is_joined[kept] = is_joined[pick];
        files[kept++] = files[pick];
        i = pick;
    }
    *count = kept;
    free(reach);
    return 0;
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

int archive__list_all(int job_fd, struct archive_file **ret_files, uint32_t *ret_count)
{
    struct archive_file *files = NULL;
    struct dirent *entry;
    uint32_t count = 0;
    int fd = openat(job_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        err = fd < 0 ? io_err(errno) : ERR_NOMEM;
        if (fd >= 0) close(fd);
        return err;
    }
    while (err >= 0 && (errno = 0, entry = readdir(dir)))
        err = add_file(dir, entry->d_name, &files, &count);
    if (err >= 0 && errno != 0) err = io_err(errno);
    closedir(dir);
    if (err < 0) {
        free(files);
        return err;
    }
    if (count) qsort(files, count, sizeof *files, by_first);
    *ret_count = count;
    *ret_files = files;
    return 0;
}

int archive_list(const struct archive *a, const struct job_key *key,
                 struct archive_file **ret_files,
                 uint32_t *ret_count)
{
    int fd = archive__hold_job(a, key), err;

    if (fd == ERR_NOT_FOUND) {
        *ret_files = NULL;
        *ret_count = 0;
        return 0;
    }
    if (fd < 0) return fd;
    *ret_files = NULL;
    *ret_count = 0;
    err = archive__list_all(fd, ret_files, ret_count);
    close(fd);
    if (err >= 0 && *ret_count) err = archive__drop_covered(*ret_files, ret_count);
    if (err < 0) {
        free(*ret_files);
        *ret_files = NULL;
    }
    return err;
}

int archive_last_seq(const struct archive *a, const struct job_key *key, uint64_t *ret_seq)
{
    struct dirent *entry;
    uint64_t first, last, highest = 0;
    int fd = archive__hold_job(a, key), err = 0;
    DIR *dir;

    if (fd == ERR_NOT_FOUND) {
        *ret_seq = 0;
        return 0;
    }
    if (fd < 0) return fd;
    dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return ERR_NOMEM;
    }
    while ((errno = 0, entry = readdir(dir)))
        if (segment__parse_name(entry->d_name, &first, &last) >= 0 && last > highest) highest = last;
    if (errno != 0) err = io_err(errno);
    closedir(dir);
    if (err < 0) return err;
    *ret_seq = highest;
    return 0;
}

int archive_shelve(const struct archive *a, const struct job_key *key, const struct archive_file *file)
{
    char path[PATH_MAX], to[PATH_MAX], dir[PATH_MAX];
    int err = archive_file_path(a, key, file, path, sizeof path);

    if (err >= 0) err = archive_job_dir(a, key, 0, dir, sizeof dir);
    if (err < 0) return err;
    if (snprintf(to, sizeof to, "%s/" ARCHIVE_SHELVED_MARK "%s", dir, file->name) >= (int)sizeof to)
        return ERR_TOO_BIG;
    err = io_rename(path, to);
    return err < 0 ? err : io_fsync_dir(dir);
}

/* ---- paths and the sidecar ---- */

/* Its name is on disk then, also where it was made by one who was killed before that. */
static int make_dir(int at_fd, const char *name)
{
    if (mkdirat(at_fd, name, 0750) != 0 && errno != EEXIST) return io_err(errno);
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
        err = archive__root(a);
        if (err >= 0) err = make_dir(a->root_fd, key->project);
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

/* A file beside the segments. make: the job's directory too. */
static int put_sidecar(const struct archive *a, const struct job_key *key, int make,
                       const char *name, const void *data, size_t len)
{
    char path[PATH_MAX];
    size_t at;
    int err = archive_job_dir(a, key, make, path, sizeof path);

    if (err < 0) return err;
    at = strlen(path);
    if (snprintf(path + at, sizeof path - at, "/%s", name) >= (int)(sizeof path - at))
        return ERR_TOO_BIG;
    return io_replace_file(path, data, len);
}

int archive_put_job(const struct archive *a, const struct job_key *key, const char *json,
                    size_t len)
{
    if (len > ARCHIVE_JOB_JSON_BYTES_MAX) return ERR_TOO_BIG;
    return put_sidecar(a, key, 1, ARCHIVE_JOB_JSON, json, len);
}

int archive_prepare_job(const struct archive *a, const struct job_key *key, const char *json,
                        size_t len)
{
    if (len > ARCHIVE_JOB_JSON_BYTES_MAX) return ERR_TOO_BIG;
    return put_sidecar(a, key, 0, ARCHIVE_JOB_NEXT, json, len);
}

int archive_set_prepared_job(const struct archive *a, const struct job_key *key)
{
    int fd = archive__open_job(a, key), err = 0;

    if (fd < 0) return fd;
    if (renameat(fd, ARCHIVE_JOB_NEXT, fd, ARCHIVE_JOB_JSON) != 0) err = io_err(errno);
    else if (fsync(fd) != 0) err = ERR_IO;
    close(fd);
    return err;
}

int archive_put_digest(const struct archive *a, const struct job_key *key, const void *data,
                       size_t len)
{
    if (len > ARCHIVE_DIGEST_BYTES_MAX) return ERR_TOO_BIG;
    return put_sidecar(a, key, 0, ARCHIVE_DIGEST, data, len);
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

static int get_sidecar(const struct archive *a, const struct job_key *key, const char *name,
                       size_t bytes_max, char **ret_data, size_t *ret_len)
{
    struct stat st;
    int dir_fd = archive__open_job(a, key), fd, err;

    if (dir_fd < 0) return dir_fd;
    fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    err = fd < 0 ? (errno == ELOOP ? ERR_INVALID : io_err(errno)) : 0;
    close(dir_fd);
    if (err < 0) return err;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) err = ERR_INVALID;
    else if (st.st_size < 0 || (size_t)st.st_size > bytes_max) err = ERR_TOO_BIG;
    else err = read_all(fd, (size_t)st.st_size, ret_data, ret_len);
    close(fd);
    return err;
}

int archive_get_job(const struct archive *a, const struct job_key *key, char **ret_json,
                    size_t *ret_len)
{
    return get_sidecar(a, key, ARCHIVE_JOB_JSON, ARCHIVE_JOB_JSON_BYTES_MAX, ret_json, ret_len);
}

int archive_get_prepared_job(const struct archive *a, const struct job_key *key, char **ret_json,
                             size_t *ret_len)
{
    return get_sidecar(a, key, ARCHIVE_JOB_NEXT, ARCHIVE_JOB_JSON_BYTES_MAX, ret_json, ret_len);
}

int archive_get_digest(const struct archive *a, const struct job_key *key, char **ret_data,
                       size_t *ret_len)
{
    return get_sidecar(a, key, ARCHIVE_DIGEST, ARCHIVE_DIGEST_BYTES_MAX, ret_data, ret_len);
}

int archive_put_nodes(const struct archive *a, const struct job_key *key, const char *lines,
                      size_t len)
{
    if (len > ARCHIVE_NODES_BYTES_MAX) return ERR_TOO_BIG;
    return put_sidecar(a, key, 1, ARCHIVE_NODES, lines, len);
}

int archive_get_nodes(const struct archive *a, const struct job_key *key, char **ret_lines,
                      size_t *ret_len)
{
    return get_sidecar(a, key, ARCHIVE_NODES, ARCHIVE_NODES_BYTES_MAX, ret_lines, ret_len);
}

static int drop_sidecar(const struct archive *a, const struct job_key *key, const char *name)
{
    int dir_fd = archive__open_job(a, key), err = 0;

    if (dir_fd < 0) return dir_fd == ERR_NOT_FOUND ? 0 : dir_fd;
    if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) err = io_err(errno);
    close(dir_fd);
    return err;
}

int archive_drop_prepared_job(const struct archive *a, const struct job_key *key)
{
    return drop_sidecar(a, key, ARCHIVE_JOB_NEXT);
}

int archive_drop_digest(const struct archive *a, const struct job_key *key)
{
    return drop_sidecar(a, key, ARCHIVE_DIGEST);
}

int archive_free_bytes(const struct archive *a, uint64_t *ret_bytes)
{
    struct statvfs vfs;

    if (archive__root(a) < 0) return ERR_IO;
    if (fstatvfs(a->root_fd, &vfs) != 0) return io_err(errno);
    *ret_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}

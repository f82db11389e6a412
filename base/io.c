/*
 * base/io.c -- the seam to files.
 */
#include "base/io.h"

#include "base/err.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IO_DIR_MODE 0750
#define IO_FILE_MODE 0640

int io_err(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT: return ERR_FULL;
    case EROFS:
    case EACCES:
    case EPERM: return ERR_READONLY;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case ENOMEM: return ERR_NOMEM;
    default: return ERR_IO;
    }
}

/* A fault point failed the call as errno_value would have. */
static int injected(int errno_value)
{
    errno = errno_value;
    return io_err(errno_value);
}

int io_open(const char *path, int flags, int mode)
{
    int fd;
    if (FAULT_ERR("io.open")) return injected(EIO);
    do fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? io_err(errno) : fd;
}

/* offset < 0: at the file's own place. */
static int write_all(int fd, const char *data, size_t len, off_t offset)
{
    if (FAULT_ERR("io.write")) return injected(ENOSPC);
    while (len) {
        ssize_t n = offset < 0 ? write(fd, data, len) : pwrite(fd, data, len, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_err(errno);
        if (n == 0) return injected(EIO);
        data += n;
        len -= (size_t)n;
        if (offset >= 0) offset += n;
    }
    return 0;
}

int io_write_all(int fd, const void *data, size_t len)
{
    return write_all(fd, data, len, -1);
}

int io_pwrite_all(int fd, const void *data, size_t len, off_t offset)
{
    if (offset < 0) return ERR_INVALID;
    return write_all(fd, data, len, offset);
}

ssize_t io_pread_all(int fd, void *data, size_t len, off_t offset)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, (char *)data + got, len - got, offset + (off_t)got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_err(errno);
        if (n == 0) break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

int io_fsync(int fd)
{
    if (FAULT_ERR("io.fsync")) return injected(EIO);
    return fsync(fd) < 0 ? io_err(errno) : 0;
}

int io_fdatasync(int fd)
{
    if (FAULT_ERR("io.fsync")) return injected(EIO);
    return fdatasync(fd) < 0 ? io_err(errno) : 0;
}

int io_rename(const char *from, const char *to)
{
    if (FAULT_ERR("io.rename")) return injected(EIO);
    return rename(from, to) < 0 ? io_err(errno) : 0;
}

int io_fsync_dir(const char *dir)
{
    if (FAULT_ERR("io.fsync_dir")) return injected(EIO);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_err(errno);
    int rc = fsync(fd) < 0 ? io_err(errno) : 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

static int dir_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (len >= PATH_MAX) return ERR_TOO_BIG;
    memcpy(out, slash ? path : ".", len);
    out[len] = '\0';
    return 0;
}

/* The folder that has just got the name path. One that may be written and not read cannot be synced, and some file systems
 * (FUSE's, shares) sync no folders at all. */
static int sync_parent(const char *path)
{
    char parent[PATH_MAX];
    int err = dir_of(path, parent);
    if (err >= 0) err = io_fsync_dir(parent);
    return err < 0 && (errno == EACCES || errno == EINVAL) ? 0 : err;
}

int io_mkdirs(const char *dir)
{
    char path[PATH_MAX];
    struct stat st;
    size_t len = strlen(dir);
    if (!len) return ERR_INVALID;
    if (len >= sizeof path) return ERR_TOO_BIG;
    memcpy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        char at = path[i];
        path[i] = '\0';
        if (mkdir(path, IO_DIR_MODE) < 0) {
            int err = errno;
            /* A parent that is there may answer with any errno (read-only, no permission). */
            if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
                errno = err;
                return io_err(err);
            }
        } else {
            int err = sync_parent(path);
            if (err < 0) return err;
        }
        path[i] = at;
    }
    return 0;
}

int io_replace_file(const char *path, const void *data, size_t len)
{
    static unsigned counter; /* two threads may write one path */
    char temp[PATH_MAX], dir[PATH_MAX];
    int n = snprintf(temp, sizeof temp, "%s.tmp-%ld-%u", path, (long)getpid(),
                     __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
    if (n < 0 || (size_t)n >= sizeof temp || dir_of(path, dir) < 0) return ERR_TOO_BIG;
    if (unlink(temp) < 0 && errno != ENOENT) return io_err(errno);
    int fd = io_open(temp, O_WRONLY | O_CREAT | O_EXCL, IO_FILE_MODE);
    if (fd < 0) return fd;
    int rc = io_write_all(fd, data, len);
    if (rc >= 0) rc = io_fsync(fd);
    int saved = errno;
    if (close(fd) < 0 && rc >= 0) {
        saved = errno;
        rc = io_err(saved);
    }
    if (rc >= 0) {
        rc = io_rename(temp, path);
        saved = errno;
    }
    if (rc < 0) { /* the old file is as it was */
        unlink(temp);
        errno = saved;
        return rc;
    }
    return io_fsync_dir(dir);
}

int io_read_file(const char *path, size_t bytes_max, char **ret_data, size_t *ret_len)
{
    char *data = NULL;
    size_t len = 0, cap = 0;
    struct stat st;
    int rc = 0, saved;
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) return fd;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) cap = (size_t)st.st_size + 1;
    if (cap < 4096) cap = 4096;
    if (cap > bytes_max + 1 && bytes_max < SIZE_MAX) cap = bytes_max + 1;
    for (;;) { /* one byte more than allowed is asked for: that is how too much is noticed */
        char *grown = realloc(data, cap + 1);
        if (!grown) {
            rc = ERR_NOMEM;
            goto out;
        }
        data = grown;
        ssize_t n = read(fd, data + len, cap - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            rc = io_err(errno);
            goto out;
        }
        if (n == 0) break;
        len += (size_t)n;
        if (len > bytes_max) {
            rc = ERR_TOO_BIG;
            goto out;
        }
        if (len == cap) cap = cap > bytes_max / 2 ? bytes_max + 1 : cap * 2;
    }
    data[len] = '\0';
    *ret_data = data;
    if (ret_len) *ret_len = len;
    data = NULL;
out: /* on failure nothing was given */
    saved = errno;
    free(data);
    close(fd);
    errno = saved;
    return rc;
}

/*
 * base/io.c -- the seam to files.
 */
#include "base/io.h"

#include "base/check.h"
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

#define DIR_MODE 0750
#define FILE_MODE 0640

int io_err(int errno_value) {
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

int io_open(const char *path, int flags, int mode) {
    if (FAULT_ERR("io.open")) return io_err(errno = EIO);
    int fd;
    do fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? io_err(errno) : fd;
}

/* offset < 0: at the file's own position. */
static int write_at(int fd, const char *data, size_t len, off_t offset) {
    if (FAULT_ERR("io.write")) return io_err(errno = ENOSPC);
    while (len > 0) {
        ssize_t n = offset < 0 ? write(fd, data, len) : pwrite(fd, data, len, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_err(errno);
        data += n;
        len -= (size_t)n;
        if (offset >= 0) offset += n;
    }
    return 0;
}

int io_write_all(int fd, const void *data, size_t len) { return write_at(fd, data, len, -1); }
int io_pwrite_all(int fd, const void *data, size_t len, off_t offset) { return write_at(fd, data, len, offset); }

ssize_t io_pread_all(int fd, void *data, size_t len, off_t offset) {
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

int io_fsync(int fd) {
    if (FAULT_ERR("io.fsync")) return io_err(errno = EIO);
    return fsync(fd) == 0 ? 0 : io_err(errno);
}

int io_fdatasync(int fd) {
    if (FAULT_ERR("io.fsync")) return io_err(errno = EIO);
    return fdatasync(fd) == 0 ? 0 : io_err(errno);
}

int io_rename(const char *from, const char *to) {
    if (FAULT_ERR("io.rename")) return io_err(errno = EIO);
    return rename(from, to) == 0 ? 0 : io_err(errno);
}

int io_fsync_dir(const char *dir) {
    if (FAULT_ERR("io.fsync_dir")) return io_err(errno = EIO);
    int fd = io_open(dir, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return fd;
    int err = fsync(fd) == 0 ? 0 : io_err(errno);
    close(fd);
    return err;
}

int io_mkdirs(const char *dir) {
    char path[PATH_MAX];
    size_t len = strlen(dir);
    if (len == 0 || len >= sizeof path) return ERR_INVALID;
    memcpy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        char was = path[i];
        path[i] = '\0';
        if (mkdir(path, DIR_MODE) != 0 && errno != EEXIST) return io_err(errno);
        path[i] = was;
    }
    struct stat st;
    if (stat(dir, &st) != 0) return io_err(errno);
    return S_ISDIR(st.st_mode) ? 0 : ERR_EXISTS;
}

int io_replace_file(const char *path, const void *data, size_t len) {
    char temp[PATH_MAX], dir[PATH_MAX];
    int fd = -1, err = ERR_INVALID;
    const char *slash = strrchr(path, '/');
    if (snprintf(temp, sizeof temp, "%s.tmp-%d", path, (int)getpid()) >= (int)sizeof temp) return err;
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + (slash == path) : 1, slash ? path : ".");
    unlink(temp); /* of an earlier process with this pid */
    if ((fd = err = io_open(temp, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE)) < 0) return err;
    if ((err = io_write_all(fd, data, len)) || (err = io_fsync(fd))) goto out;
    int closed = close(fd);
    fd = -1;
    if (closed != 0) {
        err = io_err(errno);
        goto out;
    }
    if ((err = io_rename(temp, path))) goto out;
    return io_fsync_dir(dir);
out:
    if (fd >= 0) close(fd);
    unlink(temp); /* the old file stands as it was */
    return err;
}

int io_read_file(const char *path, size_t bytes_max, char **ret_data, size_t *ret_len) {
    struct stat st;
    char *data = NULL;
    int err, fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) return fd;
    if (fstat(fd, &st) != 0) {
        err = io_err(errno);
        goto out;
    }
    err = ERR_TOO_BIG;
    if ((uint64_t)st.st_size > bytes_max) goto out;
    err = ERR_NOMEM;
    if (!(data = malloc((size_t)st.st_size + 1))) goto out;
    ssize_t n = io_pread_all(fd, data, (size_t)st.st_size, 0);
    err = n < 0 ? (int)n : 0;
    if (err) goto out;
    data[n] = '\0';
    *ret_data = data;
    if (ret_len) *ret_len = (size_t)n;
    data = NULL;
out:
    close(fd);
    free(data);
    return err;
}

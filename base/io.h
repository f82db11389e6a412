/*
 * base/io.h -- the seam to files: every write, sync, rename and unlink of a store passes here.
 *
 * Promises   EINTR and short writes are handled. After an error of fsync nothing is retried: the
 *            page may already be marked clean (ATC'20), the caller gives the file up.
 *            Errors: ERR_FULL (ENOSPC, EDQUOT), ERR_READONLY (EROFS, EACCES, EPERM),
 *            ERR_NOT_FOUND (ENOENT), ERR_EXISTS (EEXIST), ERR_IO else. errno is kept for the log.
 * Fault      Points io.write (fails as ENOSPC), io.fsync io.rename io.fsync_dir io.open (as EIO); see
 *            base/fault.h.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The ERR_* of an errno. */
int io_err(int errno_value);
int io_open(const char *path, int flags, int mode); /* fd (always O_CLOEXEC | O_NOFOLLOW) or ERR_* */
int io_write_all(int fd, const void *data, size_t len);
int io_pwrite_all(int fd, const void *data, size_t len, off_t offset);
/* Bytes read, less than len only at the end of the file. */
ssize_t io_pread_all(int fd, void *data, size_t len, off_t offset);
int io_fsync(int fd);
int io_fdatasync(int fd);
int io_rename(const char *from, const char *to);
int io_fsync_dir(const char *dir);
/* mkdir -p with mode 0750; the names that are made are on disk. */
int io_mkdirs(const char *dir);
/* temp + fsync + rename + fsync of the directory. */
int io_replace_file(const char *path, const void *data, size_t len);
/* Whole file into malloc'd memory (NUL-terminated); ERR_TOO_BIG over bytes_max. */
int io_read_file(const char *path, size_t bytes_max, char **ret_data, size_t *ret_len);

#endif

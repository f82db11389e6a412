/*
 * tests/unit/base/io_test.c -- the seam to files, in a directory of its own.
 */
#include "base/err.h"
#include "base/io.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[4][160];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static int enter(void **state)
{
    strcpy(dir, "/tmp/joblog-io-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int leave(void **state)
{
    char command[100];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command);
}

static void test_errno(void **state)
{
    /* Every errno has its ERR_*. */
    assert_int_equal(io_err(ENOSPC), ERR_FULL);
    assert_int_equal(io_err(EDQUOT), ERR_FULL);
    assert_int_equal(io_err(EROFS), ERR_READONLY);
    assert_int_equal(io_err(EACCES), ERR_READONLY);
    assert_int_equal(io_err(EPERM), ERR_READONLY);
    assert_int_equal(io_err(ENOENT), ERR_NOT_FOUND);
    assert_int_equal(io_err(EEXIST), ERR_EXISTS);
    assert_int_equal(io_err(EIO), ERR_IO);
    assert_int_equal(io_err(0), ERR_IO);
}

static void test_write_and_read(void **state)
{
    /* What was written is read, at its place; the end of the file is a short read. */
    char got[20] = "";
    int fd = io_open(in_dir("a"), O_RDWR | O_CREAT | O_EXCL, 0640);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(io_write_all(fd, "hello", 5), 0);
    assert_int_equal(io_write_all(fd, " world", 6), 0);
    assert_int_equal(io_pwrite_all(fd, "J", 1, 0), 0);
    assert_int_equal(io_pwrite_all(fd, "J", 1, -1), ERR_INVALID);
    assert_int_equal(io_fsync(fd), 0);
    assert_int_equal(io_fdatasync(fd), 0);
    assert_int_equal(io_pread_all(fd, got, sizeof got, 0), 11);
    assert_memory_equal(got, "Jello world", 11);
    assert_int_equal(io_pread_all(fd, got, 3, 9), 2);
    assert_int_equal(io_pread_all(fd, got, 3, 100), 0);
    close(fd);
    assert_int_equal(io_open(in_dir("a"), O_RDWR | O_CREAT | O_EXCL, 0640), ERR_EXISTS);
    assert_int_equal(io_open(in_dir("none"), O_RDONLY, 0), ERR_NOT_FOUND);
    assert_int_equal(io_write_all(-1, "x", 1), ERR_IO);
    assert_int_equal(io_fsync(-1), ERR_IO);
}

static void test_no_symlinks(void **state)
{
    /* A file is not reached through a symbolic link. */
    assert_int_equal(io_replace_file(in_dir("real"), "x", 1), 0);
    assert_int_equal(symlink("real", in_dir("link")), 0);
    assert_true(io_open(in_dir("link"), O_RDONLY, 0) < 0);
}

static void test_replace(void **state)
{
    /* A replaced file has the new content and nothing else is left in the directory. */
    char *data = NULL;
    size_t len = 0;
    const char *path = in_dir("r/file");
    assert_int_equal(io_replace_file(path, "x", 1), ERR_NOT_FOUND);
    assert_int_equal(io_mkdirs(in_dir("r")), 0);
    assert_int_equal(io_replace_file(path, "one", 3), 0);
    assert_int_equal(io_replace_file(path, "second", 6), 0);
    assert_int_equal(io_read_file(path, 6, &data, &len), 0);
    assert_int_equal(len, 6);
    assert_string_equal(data, "second");
    free(data);
    data = NULL;
    assert_int_equal(io_read_file(path, 5, &data, &len), ERR_TOO_BIG);
    assert_null(data);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(in_dir("r")), 0);
}

static void test_failed_replace(void **state)
{
    /* When the new content cannot be written the old file stands and no temporary one is left. */
    char *data = NULL, big[4096] = "";
    struct rlimit was, small;
    assert_int_equal(io_mkdirs(in_dir("f")), 0);
    assert_int_equal(io_replace_file(in_dir("f/file"), "old", 3), 0);
    getrlimit(RLIMIT_FSIZE, &was);
    small = was;
    small.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = io_replace_file(in_dir("f/file"), big, sizeof big);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(rc, ERR_IO);
    assert_int_equal(errno, EFBIG);
    assert_int_equal(io_read_file(in_dir("f/file"), 100, &data, NULL), 0);
    assert_string_equal(data, "old");
    free(data);
    assert_int_equal(unlink(in_dir("f/file")), 0);
    assert_int_equal(rmdir(in_dir("f")), 0);
}

static void test_read_file(void **state)
{
    /* A file is read whole, also an empty one and one whose size is not known before. */
    char *data = NULL;
    size_t len = 7;
    assert_int_equal(io_replace_file(in_dir("empty"), "", 0), 0);
    assert_int_equal(io_read_file(in_dir("empty"), 0, &data, &len), 0);
    assert_int_equal(len, 0);
    assert_string_equal(data, "");
    free(data);
    char *big = malloc(1 << 20);
    memset(big, 'b', 1 << 20);
    assert_int_equal(io_replace_file(in_dir("big"), big, 1 << 20), 0);
    assert_int_equal(io_read_file(in_dir("big"), 1 << 20, &data, &len), 0);
    assert_int_equal(len, 1 << 20);
    assert_memory_equal(data, big, len);
    free(data);
    free(big);
    data = NULL;
    assert_int_equal(io_read_file(in_dir("big"), (1 << 20) - 1, &data, &len), ERR_TOO_BIG);
    assert_int_equal(io_read_file("/proc/self/status", 1 << 20, &data, &len), 0);
    assert_true(len > 100 && strlen(data) == len);
    free(data);
    data = NULL;
    assert_int_equal(io_read_file("/dev/zero", 100000, &data, &len), ERR_TOO_BIG);
    assert_null(data);
    assert_true(io_read_file(dir, 100, &data, &len) < 0);
}

static void test_mkdirs(void **state)
{
    /* Missing parents are made with mode 0750; what is there is left alone; a file is in the way. */
    struct stat st;
    mode_t mask = umask(022);
    assert_int_equal(io_mkdirs(in_dir("m/a//b/")), 0);
    assert_int_equal(io_mkdirs(in_dir("m/a/b")), 0);
    umask(mask);
    assert_int_equal(stat(in_dir("m/a/b"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    assert_int_equal(io_fsync_dir(in_dir("m/a")), 0);
    assert_int_equal(io_fsync_dir(in_dir("m/none")), ERR_NOT_FOUND);
    assert_int_equal(io_replace_file(in_dir("m/file"), "x", 1), 0);
    assert_int_equal(io_mkdirs(in_dir("m/file")), ERR_EXISTS);
    assert_true(io_mkdirs(in_dir("m/file/x")) < 0);
    assert_int_equal(io_mkdirs(""), ERR_INVALID);
    assert_int_equal(io_mkdirs("/"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errno),      cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_no_symlinks), cmocka_unit_test(test_replace),
        cmocka_unit_test(test_failed_replace), cmocka_unit_test(test_read_file),
        cmocka_unit_test(test_mkdirs),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}

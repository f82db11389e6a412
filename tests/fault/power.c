/*
 * tests/fault/power.c -- LD_PRELOAD: keeps a journal of what a power cut would take from a folder.
 *
 * POWER names the journal, POWER_ROOT the folder. What the program does to the folder happens as ever; the journal says, one line
 * each (fields end with a tab, the line with a newline), what of it was told to the disk:
 *
 *     create PATH            a new file, or mkdir PATH, a new folder
 *     rename FROM TO KEPT    KEPT: a hard link to the file that TO was before, "-": there was none
 *     unlink PATH KEPT       and rmdir PATH
 *     sync INODE BYTES       fsync or fdatasync has returned: so many bytes, those before it was called, are on disk
 *     syncdir PATH           a folder's was: names made in it and taken from it before are
 *     cut INODE BYTES        the file was made shorter
 *
 * A line is written before the name is changed (who undoes it looks whether it was) and after a sync has returned. With POWER_LIE
 * no sync is written down: a disk that says it has what it has not. tests/fault/power.py does the power cut.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int journal = -1, lies;
static char root[PATH_MAX], kept[PATH_MAX];
static size_t root_len;

#define REAL(type, name, ...)                                                                       \
    static type (*real)(__VA_ARGS__);                                                               \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int raw_open(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

__attribute__((constructor)) static void power_open(void)
{
    const char *path = getenv("POWER"), *under = getenv("POWER_ROOT");

    if (!path || !under || strlen(under) + 2 > sizeof root || strlen(path) + 32 > sizeof kept) return;
    root_len = (size_t)snprintf(root, sizeof root, "%s/", under);
    snprintf(kept, sizeof kept, "%s.kept", path);
    lies = getenv("POWER_LIE") != NULL;
    journal = raw_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC);
    if (journal < 0) abort();
}

static void note(const char *what, const char *a, const char *b, const char *c)
{
    char line[4 * PATH_MAX];
    int saved = errno, n = snprintf(line, sizeof line, "%s\t%s\t%s\t%s\n", what, a, b, c);

    if (n >= (int)sizeof line || syscall(SYS_write, journal, line, (size_t)n) != n) abort();
    errno = saved;
}

static void note_number(const char *what, ino_t inode, off_t bytes)
{
    char a[32], b[32];

    snprintf(a, sizeof a, "%ju", (uintmax_t)inode);
    snprintf(b, sizeof b, "%jd", (intmax_t)bytes);
    note(what, a, b, "");
}

/* The whole path of name in the folder dir_fd, in ret_path. 0: it is none of ours. */
static int ours(int dir_fd, const char *name, char ret_path[static PATH_MAX])
{
    char link[64], dir[PATH_MAX];
    ssize_t n;

    if (journal < 0) return 0;
    if (name[0] == '/') {
        n = snprintf(ret_path, PATH_MAX, "%s", name);
    } else {
        if (dir_fd == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", dir_fd);
        n = readlink(link, dir, sizeof dir - 1);
        if (n < 0) return 0;
        dir[n] = '\0';
        n = snprintf(ret_path, PATH_MAX, "%s/%s", dir, name[0] == '.' && name[1] == '/' ? name + 2 : name);
    }
    return n > 0 && n < PATH_MAX && strncmp(ret_path, root, root_len) == 0;
}

/* A hard link to a regular file that is about to lose its name, in ret_link; "-" when there is none. */
static void keep(const char *path, char ret_link[static PATH_MAX])
{
    static unsigned count;
    struct stat st;

    strcpy(ret_link, "-");
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) return;
    unsigned n = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (snprintf(ret_link, PATH_MAX, "%s/%ld-%u", kept, (long)getpid(), n) >= PATH_MAX) abort();
    if (link(path, ret_link) != 0) strcpy(ret_link, "-"); /* it has just gone */
}

/* Before a file is opened: a name that comes to be, or contents that go. */
static void opening(int dir_fd, const char *name, int flags)
{
    char path[PATH_MAX];
    struct stat st;

    if (!(flags & (O_CREAT | O_TRUNC)) || !ours(dir_fd, name, path)) return;
    if (lstat(path, &st) != 0) {
        if (flags & O_CREAT) note("create", path, "", "");
    } else if (flags & O_TRUNC && S_ISREG(st.st_mode)) {
        note_number("cut", st.st_ino, 0);
    }
}

#define OPENER(name, at_type, at_arg, dir_fd)                                                       \
    int name(at_type const char *path, int flags, ...)                                              \
    {                                                                                               \
        static int (*real)(at_type const char *, int, ...);                                         \
        va_list ap;                                                                                 \
        va_start(ap, flags);                                                                        \
        int mode = va_arg(ap, int);                                                                 \
        va_end(ap);                                                                                 \
        if (!real) real = (int (*)(at_type const char *, int, ...))dlsym(RTLD_NEXT, #name);         \
        opening(dir_fd, path, flags);                                                               \
        return real(at_arg path, flags, mode);                                                      \
    }
#define NOTHING
#define COMMA ,
OPENER(open, NOTHING, NOTHING, AT_FDCWD)
OPENER(open64, NOTHING, NOTHING, AT_FDCWD)
OPENER(openat, int at COMMA, at COMMA, at)
OPENER(openat64, int at COMMA, at COMMA, at)

static int fopen_flags(const char *mode)
{
    return mode[0] == 'w' ? O_CREAT | O_TRUNC : mode[0] == 'a' ? O_CREAT : 0;
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(FILE *, fopen, const char *, const char *);
    opening(AT_FDCWD, path, fopen_flags(mode));
    return real(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    REAL(FILE *, fopen64, const char *, const char *);
    opening(AT_FDCWD, path, fopen_flags(mode));
    return real(path, mode);
}

static void renaming(int from_fd, const char *from, int to_fd, const char *to)
{
    char a[PATH_MAX], b[PATH_MAX], was[PATH_MAX];

    if (!ours(from_fd, from, a) || !ours(to_fd, to, b)) return;
    keep(b, was);
    note("rename", a, b, was);
}

int rename(const char *from, const char *to)
{
    REAL(int, rename, const char *, const char *);
    renaming(AT_FDCWD, from, AT_FDCWD, to);
    return real(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    REAL(int, renameat, int, const char *, int, const char *);
    renaming(from_fd, from, to_fd, to);
    return real(from_fd, from, to_fd, to);
}

static void unlinking(int dir_fd, const char *name, int is_dir)
{
    char path[PATH_MAX], was[PATH_MAX];
    struct stat st;

    if (!ours(dir_fd, name, path) || lstat(path, &st) != 0) return;
    if (is_dir) {
        note("rmdir", path, "", "");
    } else if (S_ISREG(st.st_mode)) {
        keep(path, was);
        note("unlink", path, was, "");
    }
}

int unlink(const char *path)
{
    REAL(int, unlink, const char *);
    unlinking(AT_FDCWD, path, 0);
    return real(path);
}

int unlinkat(int dir_fd, const char *name, int flags)
{
    REAL(int, unlinkat, int, const char *, int);
    unlinking(dir_fd, name, flags & AT_REMOVEDIR);
    return real(dir_fd, name, flags);
}

int rmdir(const char *path)
{
    REAL(int, rmdir, const char *);
    unlinking(AT_FDCWD, path, 1);
    return real(path);
}

static void making(int dir_fd, const char *name)
{
    char path[PATH_MAX];
    struct stat st;

    if (ours(dir_fd, name, path) && lstat(path, &st) != 0) note("mkdir", path, "", "");
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, mkdir, const char *, mode_t);
    making(AT_FDCWD, path);
    return real(path, mode);
}

int mkdirat(int dir_fd, const char *name, mode_t mode)
{
    REAL(int, mkdirat, int, const char *, mode_t);
    making(dir_fd, name);
    return real(dir_fd, name, mode);
}

static void shortened(int fd, off_t bytes)
{
    struct stat st;

    if (journal >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && bytes < st.st_size) note_number("cut", st.st_ino, bytes);
}

int ftruncate(int fd, off_t bytes)
{
    REAL(int, ftruncate, int, off_t);
    shortened(fd, bytes);
    return real(fd, bytes);
}

int ftruncate64(int fd, off64_t bytes)
{
    REAL(int, ftruncate64, int, off64_t);
    shortened(fd, bytes);
    return real(fd, bytes);
}

static void synced(int fd, const struct stat *before)
{
    char path[PATH_MAX], link[64];
    ssize_t n;

    if (S_ISREG(before->st_mode)) {
        note_number("sync", before->st_ino, before->st_size);
    } else if (S_ISDIR(before->st_mode)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof path - 1);
        if (n < 0) return;
        path[n] = '\0';
        note("syncdir", path, "", "");
    }
}

#define SYNCER(name)                                                                                \
    int name(int fd)                                                                                \
    {                                                                                               \
        struct stat before;                                                                         \
        REAL(int, name, int);                                                                       \
        int known = journal >= 0 && !lies && fstat(fd, &before) == 0, rc = real(fd);                \
        if (rc == 0 && known) synced(fd, &before);                                                  \
        return rc;                                                                                  \
    }
SYNCER(fsync)
SYNCER(fdatasync)

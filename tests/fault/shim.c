/*
 * tests/fault/shim.c -- LD_PRELOAD: a disk that is slow, full or broken, and a clock that jumps, on cue.
 *
 * SHIM names a file of eight 64-bit numbers, mapped; another process writes them while we run:
 *
 *     0 delay_us     every fdatasync and fsync of a marked file takes this much longer
 *     1 sync_errno   and fails with this
 *     2 write_errno  every write to a marked file fails with this
 *     3 clock_us     is added to the wall clock (the monotonic one is left alone)
 *     4 hits         counted here: calls that were delayed or failed
 *
 * A file is marked when its path at open holds SHIM_PATH. Without SHIM everything is as ever.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 65536

static volatile int64_t *cue;
static const char *mark;
static volatile char marked[FDS_MAX];

__attribute__((constructor)) static void shim_open(void)
{
    const char *path = getenv("SHIM");
    int (*real_open)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    int fd = path ? real_open(path, O_RDWR | O_CLOEXEC) : -1;

    mark = getenv("SHIM_PATH");
    if (fd < 0) return;
    void *at = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) cue = at;
}

static int is_marked(int fd)
{
    return cue && fd >= 0 && fd < FDS_MAX && marked[fd];
}

static int opened(const char *path, int fd)
{
    if (cue && mark && fd >= 0 && fd < FDS_MAX) marked[fd] = strstr(path, mark) != NULL;
    return fd;
}

#define OPENER(name, at_type, at_arg)                                                               \
    int name(at_type const char *path, int flags, ...)                                              \
    {                                                                                               \
        static int (*real)(at_type const char *, int, ...);                                         \
        va_list ap;                                                                                 \
        va_start(ap, flags);                                                                        \
        int mode = va_arg(ap, int);                                                                 \
        va_end(ap);                                                                                 \
        if (!real) real = (int (*)(at_type const char *, int, ...))dlsym(RTLD_NEXT, #name);         \
        return opened(path, real(at_arg path, flags, mode));                                        \
    }
#define NOTHING
#define COMMA ,
OPENER(open, NOTHING, NOTHING)
OPENER(open64, NOTHING, NOTHING)
OPENER(openat, int dirfd COMMA, dirfd COMMA)
OPENER(openat64, int dirfd COMMA, dirfd COMMA)

int close(int fd)
{
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "close");
    if (fd >= 0 && fd < FDS_MAX) marked[fd] = 0;
    return real(fd);
}

/* 1: the call must fail; errno is set. */
static int fails(int fd, int which)
{
    if (!is_marked(fd) || !cue[which]) return 0;
    __atomic_add_fetch(&cue[4], 1, __ATOMIC_RELAXED);
    errno = (int)cue[which];
    return 1;
}

static void delay(int fd)
{
    int64_t us = is_marked(fd) ? cue[0] : 0;
    struct timespec t = {us / 1000000, us % 1000000 * 1000};

    if (us <= 0) return;
    __atomic_add_fetch(&cue[4], 1, __ATOMIC_RELAXED);
    nanosleep(&t, NULL);
}

#define SYNCER(name)                                                                                \
    int name(int fd)                                                                                \
    {                                                                                               \
        static int (*real)(int);                                                                    \
        if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name);                                    \
        delay(fd);                                                                                  \
        return fails(fd, 1) ? -1 : real(fd);                                                        \
    }
SYNCER(fsync)
SYNCER(fdatasync)

#define WRITER(name, params, args)                                                                  \
    ssize_t name params                                                                             \
    {                                                                                               \
        static ssize_t (*real) params;                                                              \
        if (!real) real = (ssize_t(*) params)dlsym(RTLD_NEXT, #name);                               \
        return fails(fd, 2) ? -1 : real args;                                                       \
    }
WRITER(write, (int fd, const void *data, size_t len), (fd, data, len))
WRITER(pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
WRITER(pwrite64, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
WRITER(writev, (int fd, const struct iovec *v, int n), (fd, v, n))

int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(id, t);

    if (rc == 0 && cue && cue[3] && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += cue[3] / 1000000;
    return rc;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (ret) *ret = now.tv_sec;
    return now.tv_sec;
}

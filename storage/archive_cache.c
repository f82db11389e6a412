/*
 * storage/archive_cache.c -- segments lately read, kept open with their index.
 *
 * A segment is taken out of the cache to be read and given back afterwards, so it never has two
 * users; a second reader of the same file opens its own. A file that was replaced has another inode
 * or time and is not found; its old entry leaves as the oldest.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "storage/archive_int.h"
#include "storage/segment_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int is_same(const struct archive_cached *c, const struct stat *st)
{
    return c->segment && c->dev == st->st_dev && c->ino == st->st_ino &&
           c->modified.tv_sec == st->st_mtim.tv_sec && c->modified.tv_nsec == st->st_mtim.tv_nsec &&
           segment_file_bytes(c->segment) == (uint64_t)st->st_size;
}

static struct segment *take(struct archive_cache *a, const struct stat *st)
{
    struct segment *s = NULL;

    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < ARCHIVE_CACHE_SEGMENTS_MAX && !s; i++) {
        struct archive_cached *c = &a->places[i];

        if (!is_same(c, st)) continue;
        s = c->segment;
        c->segment = NULL;
        a->bytes -= c->bytes;
    }
    pthread_mutex_unlock(&a->lock);
    return s;
}

int archive__take_segment(const struct archive *a, int job_fd, const char *name,
                          struct segment **ret_segment)
{
    struct segment *s;
    struct stat st;
    int fd;

    if (fstatat(job_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return io_err(errno);
    s = take(a->cache, &st);
    if (s) {
        *ret_segment = s;
        return 0;
    }
    fd = openat(job_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return errno == ELOOP ? ERR_INVALID : io_err(errno);
    return segment__open_fd(fd, name, ret_segment);
}

/* A free place, made by putting out the oldest until there is room. *ret_old: to be closed. */
static struct archive_cached *find_place(struct archive_cache *a, size_t bytes,
                                         struct segment **ret_old)
{
    struct archive_cached *oldest = NULL, *place = NULL;

    for (int i = 0; i < ARCHIVE_CACHE_SEGMENTS_MAX; i++) {
        struct archive_cached *c = &a->places[i];

        if (!c->segment) place = c;
        else if (!oldest || c->used_at < oldest->used_at) oldest = c;
    }
    if (place && a->bytes + bytes <= ARCHIVE_CACHE_BYTES_MAX) return place;
    if (!oldest) return NULL;
    *ret_old = oldest->segment;
    oldest->segment = NULL;
    a->bytes -= oldest->bytes;
    return NULL;
}

void archive__give_segment(const struct archive *archive, struct segment **segment)
{
    struct archive_cache *a = archive->cache;
    struct segment *s = *segment, *old;
    struct archive_cached *place;
    struct stat st;
    size_t bytes;

    *segment = NULL;
    if (!s) return;
    segment__rest(s);
    bytes = segment__memory_bytes(s);
    if (bytes > ARCHIVE_CACHE_BYTES_MAX || fstat(s->fd, &st) != 0 || st.st_nlink == 0) {
        segment_close(&s);
        return;
    }
    do {
        old = NULL;
        pthread_mutex_lock(&a->lock);
        place = find_place(a, bytes, &old);
        if (place) {
            *place = (struct archive_cached){s, st.st_dev, st.st_ino, st.st_mtim, ++a->clock,
                                             bytes};
            a->bytes += bytes;
            s = NULL;
        }
        pthread_mutex_unlock(&a->lock);
        segment_close(&old);
    } while (s);
}

void archive__cache_drop_gone(const struct archive *archive)
{
    struct archive_cache *a = archive->cache;
    struct segment *gone[ARCHIVE_CACHE_SEGMENTS_MAX];
    int count = 0;

    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < ARCHIVE_CACHE_SEGMENTS_MAX; i++) {
        struct archive_cached *c = &a->places[i];
        struct stat st;

        if (!c->segment || (fstat(c->segment->fd, &st) == 0 && st.st_nlink)) continue;
        gone[count++] = c->segment;
        c->segment = NULL;
        a->bytes -= c->bytes;
    }
    pthread_mutex_unlock(&a->lock);
    while (count > 0) segment_close(&gone[--count]);
}

struct archive_cache *archive__cache_new(void)
{
    struct archive_cache *a = must_calloc(1, sizeof *a);

    CHECK(pthread_mutex_init(&a->lock, NULL) == 0);
    return a;
}

void archive__cache_free(struct archive_cache **cache)
{
    struct archive_cache *a = *cache;

    if (!a) return;
    for (int i = 0; i < ARCHIVE_CACHE_SEGMENTS_MAX; i++) segment_close(&a->places[i].segment);
    pthread_mutex_destroy(&a->lock);
    free(a);
    *cache = NULL;
}

/*
 * clients/cli/spool.c -- the segments of a spool.
 */
#include "clients/cli/spool.h"

#include "base/check.h"
#include "base/err.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC "jlspool1"
#define HEAD_BYTES 16
#define RECORD_HEAD_BYTES 8
#define SUFFIX ".seg"
#define BLOCK_BYTES (256UL * 1024)
#define FIRST_MAX (UINT64_MAX / 2) /* of a name: the numbers behind it must not wrap */
#define FLUSH_BYTES (1UL << 20) /* appended without a flush: flushed by ourselves */

struct segment {
    uint64_t first, count; /* whole records */
    uint64_t bytes;        /* of the file that hold them, head included */
    int fd;                /* -1: not open */
};

struct spool {
    char *dir; /* NULL: in memory */
    uint64_t bytes_max, segment_bytes;
    struct segment *segs; /* by number; the last one is written to */
    unsigned count, cap;
    int writing; /* the last segment is ours to append to */
    uint64_t bytes, last, dropped;
    struct buf pending; /* appended, not in the file yet */
    uint64_t pending_count;
    const char *trouble;
    /* where the last read ended */
    uint64_t read_seq, read_first, read_offset;
    struct buf block;
};

static uint32_t get32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static void put32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (8 * i));
}

static uint32_t checksum(const char *data, size_t len)
{
    return (uint32_t)crc32(crc32(0, NULL, 0), (const unsigned char *)data, (unsigned)len);
}

static void segment_path(const struct spool *sp, uint64_t first, struct buf *out)
{
    buf_addf(out, "%s/%020" PRIu64 SUFFIX, sp->dir, first);
}

static int segment_fd(struct spool *sp, struct segment *g)
{
    struct buf path = BUF_INIT;

    if (g->fd < 0 && sp->dir) {
        segment_path(sp, g->first, &path);
        g->fd = io_open(buf_cstr(&path), O_RDWR, 0);
        buf_release(&path);
        if (g->fd < 0)
            g->fd = -1;
    }
    return g->fd;
}

static void remove_segment(struct spool *sp, unsigned at)
{
    struct segment *g = &sp->segs[at];
    struct buf path = BUF_INIT;

    if (g->fd >= 0)
        close(g->fd);
    if (sp->dir) {
        segment_path(sp, g->first, &path);
        unlink(buf_cstr(&path));
        buf_release(&path);
    }
    if (at == sp->count - 1)
        sp->writing = 0;
    sp->bytes -= g->bytes;
    sp->count--;
    memmove(g, g + 1, (sp->count - at) * sizeof *g);
}

static struct segment *push_segment(struct spool *sp, uint64_t first)
{
    struct segment *g;

    if (sp->count == sp->cap) {
        sp->cap = sp->cap ? sp->cap * 2 : 16;
        sp->segs = must_realloc(sp->segs, sp->cap * sizeof *sp->segs);
    }
    g = &sp->segs[sp->count++];
    *g = (struct segment){.first = first, .fd = -1};
    return g;
}

static int new_segment(struct spool *sp, uint64_t first)
{
    char head[HEAD_BYTES] = MAGIC;
    struct buf path = BUF_INIT;
    struct segment *g;
    int fd, err;

    if (sp->dir) {
        segment_path(sp, first, &path);
        fd = io_open(buf_cstr(&path), O_RDWR | O_CREAT | O_TRUNC, 0600);
        buf_release(&path);
    } else {
        fd = memfd_create("joblog-spool", MFD_CLOEXEC);
        if (fd < 0)
            fd = io_err(errno);
    }
    if (fd < 0)
        return fd;
    put32(head + 8, (uint32_t)first);
    put32(head + 12, (uint32_t)(first >> 32));
    err = io_pwrite_all(fd, head, sizeof head, 0);
    g = push_segment(sp, first);
    g->fd = fd;
    g->bytes = HEAD_BYTES;
    sp->bytes += HEAD_BYTES;
    sp->writing = 1;
    if (err < 0)
        remove_segment(sp, sp->count - 1);
    return err;
}

/* ---- opening what is there ---- */

/* Count the whole records of a segment; what follows them is cut off. */
static int scan_segment(struct spool *sp, struct segment *g)
{
    char head[HEAD_BYTES], *data = NULL;
    struct stat st;
    int fd = segment_fd(sp, g);
    uint64_t at = HEAD_BYTES;

    if (fd < 0 || fstat(fd, &st) < 0)
        return ERR_IO;
    if (io_pread_all(fd, head, HEAD_BYTES, 0) != HEAD_BYTES || memcmp(head, MAGIC, 8) != 0 ||
        ((uint64_t)get32(head + 12) << 32 | get32(head + 8)) != g->first)
        return ERR_CORRUPT;
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return ERR_IO;
    while (at + RECORD_HEAD_BYTES <= (uint64_t)st.st_size) {
        uint32_t len = get32(data + at);

        if (len > SPOOL_RECORD_BYTES_MAX || at + RECORD_HEAD_BYTES + len > (uint64_t)st.st_size)
            break;
        if (checksum(data + at + RECORD_HEAD_BYTES, len) != get32(data + at + 4))
            break;
        at += RECORD_HEAD_BYTES + len;
        g->count++;
    }
    munmap(data, (size_t)st.st_size);
    g->bytes = at;
    return 0;
}

static int by_first(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static int read_dir(struct spool *sp)
{
    DIR *d = opendir(sp->dir);
    struct dirent *e;

    if (!d)
        return io_err(errno);
    while ((e = readdir(d))) {
        char *end;
        uint64_t first = strtoull(e->d_name, &end, 10);

        if (end == e->d_name + 20 && !strcmp(end, SUFFIX) && first > 0 && first <= FIRST_MAX)
            push_segment(sp, first);
    }
    closedir(d);
    if (sp->count)
        qsort(sp->segs, sp->count, sizeof *sp->segs, by_first);
    for (unsigned i = 0; i < sp->count;) {
        struct segment *g = &sp->segs[i];

        if (scan_segment(sp, g) < 0 || !g->count) {
            remove_segment(sp, i); /* a head without records, or not ours at all */
            continue;
        }
        sp->bytes += g->bytes;
        if (g->first + g->count - 1 > sp->last)
            sp->last = g->first + g->count - 1;
        if (g->fd >= 0)
            close(g->fd);
        g->fd = -1;
        i++;
    }
    return 0;
}

int spool_open(const char *dir, uint64_t bytes_max, struct spool **ret_spool)
{
    struct spool *sp = must_calloc(1, sizeof *sp);
    int err = 0;

    sp->bytes_max = bytes_max < SPOOL_BYTES_MIN ? SPOOL_BYTES_MIN : bytes_max;
    sp->segment_bytes = sp->bytes_max / SPOOL_SEGMENTS;
    if (sp->segment_bytes > SPOOL_SEGMENT_BYTES_MAX)
        sp->segment_bytes = SPOOL_SEGMENT_BYTES_MAX;
    buf_init(&sp->pending, 0);
    buf_init(&sp->block, 0);
    if (dir) {
        sp->dir = must_strdup(dir);
        err = io_mkdirs(dir);
        if (err >= 0)
            err = read_dir(sp);
    }
    if (err < 0)
        spool_close(&sp);
    else
        *ret_spool = sp;
    return err;
}

void spool_close(struct spool **spp)
{
    struct spool *sp = *spp;

    if (!sp)
        return;
    spool_flush(sp);
    for (unsigned i = 0; i < sp->count; i++)
        if (sp->segs[i].fd >= 0)
            close(sp->segs[i].fd);
    free(sp->segs);
    free(sp->dir);
    buf_release(&sp->pending);
    buf_release(&sp->block);
    free(sp);
    *spp = NULL;
}

void spool_remove(struct spool **spp)
{
    struct spool *sp = *spp;

    if (!sp)
        return;
    buf_clear(&sp->pending);
    while (sp->count)
        remove_segment(sp, sp->count - 1);
    if (sp->dir)
        rmdir(sp->dir);
    spool_close(spp);
}

/* ---- appending ---- */

static void drop_oldest(struct spool *sp)
{
    sp->dropped += sp->segs[0].count;
    remove_segment(sp, 0);
}

/* Bytes that were written for nothing must not be found by a later open. */
static void cut_tail(struct spool *sp, struct segment *g)
{
    if (ftruncate(g->fd, (off_t)g->bytes) < 0)
        sp->writing = 0; /* then nothing more is put behind them */
}

/* 0 when what is pending is in a file. */
static int write_pending(struct spool *sp)
{
    uint64_t first = sp->last - sp->pending_count + 1;
    struct segment *g;
    int err;

    if (!sp->writing || sp->segs[sp->count - 1].bytes >= sp->segment_bytes ||
        sp->segs[sp->count - 1].first + sp->segs[sp->count - 1].count != first) {
        if (sp->writing && sp->segs[sp->count - 1].fd >= 0 && sp->dir) {
            close(sp->segs[sp->count - 1].fd);
            sp->segs[sp->count - 1].fd = -1;
        }
        err = new_segment(sp, first);
        if (err < 0)
            return err;
    }
    g = &sp->segs[sp->count - 1];
    err = io_pwrite_all(g->fd, sp->pending.data, sp->pending.len, (off_t)g->bytes);
    if (err < 0) {
        cut_tail(sp, g);
        if (!g->count)
            remove_segment(sp, sp->count - 1);
        return err;
    }
    g->bytes += sp->pending.len;
    g->count += sp->pending_count;
    sp->bytes += sp->pending.len;
    return 0;
}

void spool_flush(struct spool *sp)
{
    int err;

    if (!sp->pending.len)
        return;
    while (sp->count > 1 && sp->bytes + sp->pending.len > sp->bytes_max)
        drop_oldest(sp);
    while ((err = write_pending(sp)) < 0) {
        sp->trouble = err_text(err);
        if (!sp->count) {
            sp->dropped += sp->pending_count; /* not even one segment: these are lost */
            break;
        }
        drop_oldest(sp);
    }
    buf_clear(&sp->pending);
    sp->pending_count = 0;
}

int spool_append(struct spool *sp, const char *data, size_t len)
{
    char head[RECORD_HEAD_BYTES];
    int err;

    if (len > SPOOL_RECORD_BYTES_MAX)
        return ERR_TOO_BIG;
    put32(head, (uint32_t)len);
    put32(head + 4, checksum(data, len));
    err = buf_reserve(&sp->pending, len + sizeof head);
    if (err < 0)
        return err;
    buf_add(&sp->pending, head, sizeof head);
    buf_add(&sp->pending, data, len);
    sp->pending_count++;
    sp->last++;
    if (sp->pending.len >= FLUSH_BYTES || sp->pending.len >= sp->segment_bytes)
        spool_flush(sp);
    return 0;
}

/* ---- reading ---- */

uint64_t spool_last(const struct spool *sp)
{
    return sp->last;
}

uint64_t spool_bytes(const struct spool *sp)
{
    return sp->bytes + sp->pending.len;
}

uint64_t spool_dropped(const struct spool *sp)
{
    return sp->dropped;
}

const char *spool_trouble(const struct spool *sp)
{
    return sp->trouble;
}

const char *spool_dir(const struct spool *sp)
{
    return sp->dir;
}

uint64_t spool_next_held(const struct spool *sp, uint64_t seq)
{
    for (unsigned i = 0; i < sp->count; i++) {
        const struct segment *g = &sp->segs[i];

        if (seq < g->first)
            return g->first;
        if (seq < g->first + g->count)
            return seq;
    }
    return sp->pending_count && seq <= sp->last - sp->pending_count
               ? sp->last - sp->pending_count + 1
           : seq <= sp->last && sp->pending_count ? seq
                                                  : sp->last + 1;
}

static struct segment *find_segment(struct spool *sp, uint64_t seq)
{
    for (unsigned i = 0; i < sp->count; i++)
        if (seq >= sp->segs[i].first && seq < sp->segs[i].first + sp->segs[i].count)
            return &sp->segs[i];
    return NULL;
}

/* The bytes of g from offset on, at least want of them if there are so many, into block. */
static int load_block(struct spool *sp, struct segment *g, uint64_t offset, size_t want)
{
    uint64_t left = g->bytes - offset;
    size_t n = want > BLOCK_BYTES ? want : BLOCK_BYTES;

    if (n > left)
        n = (size_t)left;
    buf_clear(&sp->block);
    if (segment_fd(sp, g) < 0 || buf_reserve(&sp->block, n) < 0)
        return ERR_IO;
    if (io_pread_all(g->fd, sp->block.data, n, (off_t)offset) != (ssize_t)n)
        return ERR_IO;
    sp->block.len = n;
    return 0;
}

/* A segment cannot be read on from seq: what follows in it is a hole from now on. */
static void give_up_rest(struct spool *sp, struct segment *g, uint64_t seq, uint64_t offset)
{
    sp->dropped += g->first + g->count - seq;
    sp->trouble = err_text(ERR_CORRUPT);
    if (g == &sp->segs[sp->count - 1])
        sp->writing = 0;
    g->count = seq - g->first;
    sp->bytes -= g->bytes - offset;
    g->bytes = offset;
    if (!g->count)
        remove_segment(sp, (unsigned)(g - sp->segs));
}

uint32_t spool_read(struct spool *sp, uint64_t seq, uint32_t count_max, size_t bytes_max,
                    struct buf *out)
{
    struct segment *g;
    uint64_t at, offset;
    size_t pos = 0, start = out->len;
    uint32_t given = 0;

    spool_flush(sp);
    g = find_segment(sp, seq);
    if (!g)
        return 0;
    at = g->first;
    offset = HEAD_BYTES;
    if (sp->read_first == g->first && sp->read_seq <= seq && sp->read_seq >= g->first) {
        at = sp->read_seq;
        offset = sp->read_offset;
    }
    buf_clear(&sp->block);
    while (at < g->first + g->count && given < count_max &&
           (!given || out->len - start < bytes_max)) {
        size_t left = sp->block.len - pos,
               len = left >= RECORD_HEAD_BYTES ? get32(sp->block.data + pos) : 0;

        if (left < RECORD_HEAD_BYTES || left < RECORD_HEAD_BYTES + len) {
            size_t want = RECORD_HEAD_BYTES + len;

            pos = 0;
            if (len > SPOOL_RECORD_BYTES_MAX || load_block(sp, g, offset, want) < 0 ||
                sp->block.len < want) {
                give_up_rest(sp, g, at, offset);
                break;
            }
            continue;
        }
        if (at >= seq) {
            const char *data = sp->block.data + pos + RECORD_HEAD_BYTES;

            if (checksum(data, len) != get32(sp->block.data + pos + 4)) {
                give_up_rest(sp, g, at, offset);
                break;
            }
            if (given && out->len - start + len > bytes_max)
                break;
            if (buf_add(out, data, len) < 0)
                break;
            given++;
        }
        at++;
        pos += RECORD_HEAD_BYTES + len;
        offset += RECORD_HEAD_BYTES + len;
    }
    sp->read_first = sp->count && g >= sp->segs && g < sp->segs + sp->count ? g->first : 0;
    sp->read_seq = at;
    sp->read_offset = offset;
    return given;
}

void spool_free_upto(struct spool *sp, uint64_t seq)
{
    /* the last one stays: it says how far the numbers have come */
    while (sp->count > 1 && sp->segs[0].first + sp->segs[0].count - 1 <= seq)
        remove_segment(sp, 0);
}

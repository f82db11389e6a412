/*
 * serve/reader_stored.c -- the zstd frames of segments as they are stored, cut to a range.
 *
 * A frame wholly in the range is copied from the file without being decompressed; one that sticks
 * out is decompressed, cut and packed again. Worker threads only.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "base/pack.h"
#include "serve/reader_int.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define STORED_PACK_LEVEL 3

struct stored {
    const struct archive *archive;
    struct job_key key;
    uint64_t next, to;
    struct archive_file *files;
    uint32_t count, file; /* file: the one open, or to be opened next */
    struct segment *segment;
    int fd;
    int hold; /* the files listed stay where they are */
    uint32_t entry;
};

int stored_open(const struct walk_options *o, struct stored **ret_stored)
{
    struct stored *s = must_calloc(1, sizeof *s);
    int err;

    s->archive = o->archive;
    s->key = o->key;
    s->next = o->from;
    s->to = o->to;
    s->fd = -1;
    s->hold = archive_hold(s->archive, &s->key);
    err = archive_list(s->archive, &s->key, &s->files, &s->count);
    if (err < 0) {
        archive_unhold(&s->hold);
        free(s);
        return err;
    }
    *ret_stored = s;
    return 0;
}

static void close_file(struct stored *s)
{
    segment_close(&s->segment);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void stored_close(struct stored **sp)
{
    struct stored *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    close_file(s);
    archive_unhold(&s->hold);
    free(s->files);
    free(s);
}

static int lost(struct stored *s, uint64_t to, int err, struct walk_result *ret)
{
    if (to > s->to)
        to = s->to;
    ret->kind = WALK_LOST;
    ret->lost_from = s->next;
    ret->lost_to = to;
    ret->err = err;
    s->next = to + 1;
    return 1;
}

/* Open files[file]. 0; 1: lost was reported; ERR_*. */
static int open_file(struct stored *s, struct walk_result *ret)
{
    const struct archive_file *f = &s->files[s->file];
    char path[PATH_MAX];
    int err = archive_file_path(s->archive, &s->key, f, path, sizeof path);

    if (err < 0)
        return err;
    s->entry = 0;
    s->fd = io_open(path, O_RDONLY, 0);
    err = s->fd < 0 ? s->fd : segment_open(path, &s->segment);
    if (err >= 0)
        return 0;
    close_file(s);
    s->file++;
    if (err == ERR_CORRUPT || err == ERR_NOT_FOUND)
        return lost(s, f->last_seq, err, ret);
    return err;
}

static int give_stored(struct stored *s, const struct segment_entry *e, uint64_t last,
                       struct walk_result *ret)
{
    ssize_t n;
    int err = buf_reserve(&ret->out, e->packed_bytes);

    if (err < 0)
        return err;
    n = io_pread_all(s->fd, ret->out.data, e->packed_bytes, (off_t)e->offset);
    if (n < 0)
        return (int)n;
    if ((size_t)n < e->packed_bytes)
        return lost(s, last, ERR_CORRUPT, ret);
    ret->out.len = (size_t)n;
    ret->slice.records = last - s->next + 1;
    s->next = last + 1;
    return 1;
}

static int give_cut(struct stored *s, uint32_t entry, uint64_t last, struct walk_result *ret)
{
    const struct shape shape = {.kind = SHAPE_NDJSON};
    struct frame *f = NULL;
    struct shape_walk at;
    struct buf text;
    int err = segment_read(s->segment, entry, &f), more = 1;

    if (err == ERR_CORRUPT)
        return lost(s, last, ERR_CORRUPT, ret);
    if (err < 0)
        return err;
    buf_init(&text, 0);
    shape_start(&at, f, s->next, s->to, 0);
    while (more > 0) {
        more = shape_step(&shape, f, &at, 0, SIZE_MAX, &text, &ret->slice);
        if (more < 0)
            err = more;
    }
    if (err >= 0)
        err = pack_zstd(&ret->out, text.data, text.len, STORED_PACK_LEVEL);
    if (last > s->to)
        last = s->to;
    ret->slice.records = last - s->next + 1;
    s->next = last + 1;
    buf_release(&text);
    frame_unref(&f);
    return err < 0 ? err : 1;
}

static int give_entry(struct stored *s, const struct segment_entry *e, uint32_t entry,
                      struct walk_result *ret)
{
    uint64_t last = e->first_seq + e->sum.count - 1;
    int err;

    ret->kind = WALK_SLICE;
    if (e->first_seq == s->next && last <= s->to)
        err = give_stored(s, e, last, ret);
    else
        err = give_cut(s, entry, last, ret);
    if (err == 1 && ret->kind == WALK_SLICE)
        ret->slice.last_seq = ret->slice.given_seq = s->next - 1;
    return err;
}

int stored_next(struct stored *s, struct walk_result *ret)
{
    while (s->next <= s->to && s->file < s->count) {
        const struct archive_file *f = &s->files[s->file];
        const struct segment_entry *e;
        int err;

        if (f->last_seq < s->next || (s->segment && s->entry == segment_entry_count(s->segment))) {
            close_file(s);
            s->file++;
            continue;
        }
        if (!s->segment) {
            if (f->first_seq > s->next)
                return lost(s, f->first_seq - 1, ERR_NOT_FOUND, ret);
            err = open_file(s, ret);
            if (err)
                return err;
        }
        if (s->entry == segment_entry_count(s->segment))
            continue;
        e = segment_entry(s->segment, s->entry);
        if (!e->sum.count || e->first_seq + e->sum.count - 1 < s->next) {
            s->entry++;
            continue;
        }
        if (e->first_seq > s->next)
            return lost(s, e->first_seq - 1, ERR_CORRUPT, ret);
        return give_entry(s, e, s->entry++, ret);
    }
    ret->kind = WALK_END;
    return 1;
}

/*
 * storage/segment_write.c -- the writer of a segment: records in, zstd frames out, then grams,
 * index, table.
 *
 * A zstd frame is closed at the record that would take it over SEGMENT_FRAME_BYTES, so frames do
 * not depend on how the records came in batches. The file is .tmp-<first>-<random> until its bytes
 * are durable; rename gives it its name.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "job/record.h"
#include "storage/segment_int.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define OPEN_TRIES 8

struct segment_writer {
    int fd;
    int err;  /* sticky: the file is given up */
    char *dir;
    char *temp;
    uint64_t next_seq;
    uint64_t raw_bytes;
    struct segment__index ix;
    struct segment__packer *packer;
    struct segment__grams *grams;
    struct segment__entry open; /* the frame being filled */
    struct segment__ranks ranks;
    struct buf raw, packed, blobs, scratch;
};

static void free_writer(struct segment_writer *w)
{
    segment__index_release(&w->ix);
    segment__packer_free(&w->packer);
    segment__grams_free(&w->grams);
    buf_release(&w->raw);
    buf_release(&w->packed);
    buf_release(&w->blobs);
    buf_release(&w->scratch);
    free(w->dir);
    free(w->temp);
    free(w);
}

int segment_writer_open(const char *dir, uint64_t first_seq, int level,
                        struct segment_writer **ret_writer)
{
    struct segment_writer *w = must_calloc(1, sizeof *w);
    int err;

    CHECK(first_seq > 0);
    w->fd = ERR_NOT_FOUND;
    w->dir = must_strdup(dir);
    w->next_seq = w->ix.first_seq = first_seq;
    buf_init(&w->raw, SEGMENT_RAW_BYTES_MAX);
    w->grams = segment__grams_new();
    err = segment__packer_new(level, &w->packer);
    w->temp = must_malloc(PATH_MAX);
    for (int try = 0; try < OPEN_TRIES && err >= 0; try++) {
        uint64_t random = 0;

        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) err = ERR_IO;
        else if (snprintf(w->temp, PATH_MAX, "%s/.tmp-%020" PRIu64 "-%016" PRIx64, dir, first_seq,
                          random) >= PATH_MAX)
            err = ERR_TOO_BIG;
        else
            err = w->fd = io_open(w->temp, O_WRONLY | O_CREAT | O_EXCL, 0640);
        if (err != ERR_EXISTS) break;
        err = 0;
    }
    if (err >= 0 && w->fd < 0) err = ERR_EXISTS;
    if (err < 0) {
        free_writer(w);
        return err;
    }
    *ret_writer = w;
    return 0;
}

void segment__ranks_add(struct segment__ranks *r, int32_t rank)
{
    uint32_t at = 0;

    if (r->is_over) return;
    while (at < r->count && r->ranks[at] < rank) at++;
    if (at < r->count && r->ranks[at] == rank) return;
    if (r->count == SEGMENT_RANKS_MAX) {
        r->is_over = 1;
        return;
    }
    memmove(r->ranks + at + 1, r->ranks + at, (r->count - at) * sizeof r->ranks[0]);
    r->ranks[at] = rank;
    r->count++;
}

/* Pack and write the open frame, if it holds anything. */
static int close_frame(struct segment_writer *w)
{
    struct segment__entry *e = &w->open;
    int err;

    if (w->raw.len == 0) return 0;
    buf_clear(&w->packed);
    err = segment__pack(w->packer, w->raw.data, w->raw.len, &w->packed);
    if (err >= 0 && FAULT_ERR("segment.add")) err = ERR_IO;
    if (err >= 0) err = io_write_all(w->fd, w->packed.data, w->packed.len);
    if (err < 0) return err;
    e->pub.offset = w->ix.data_bytes;
    e->pub.packed_bytes = (uint32_t)w->packed.len;
    e->pub.raw_bytes = (uint32_t)w->raw.len;
    e->pub.last_seq = e->pub.first_seq + e->pub.sum.count - 1;
    e->checksum = segment__get32((const unsigned char *)w->packed.data + w->packed.len - 4);
    if (!w->ranks.is_over) {
        e->flags |= ENTRY_HAS_RANKS;
        e->rank_at = w->ix.rank_count;
        e->rank_count = w->ranks.count;
        err = segment__index_add_ranks(&w->ix, w->ranks.ranks, w->ranks.count);
    }
    if (err >= 0) err = segment__index_add_entry(&w->ix, e);
    if (err >= 0) err = segment__grams_close_entry(w->grams, &w->ix, &w->blobs);
    w->ix.data_bytes += w->packed.len;
    w->ix.last_seq = e->pub.last_seq;
    buf_clear(&w->raw);
    return err;
}

static void start_frame(struct segment_writer *w, uint64_t seq)
{
    memset(&w->open, 0, sizeof w->open);
    memset(&w->ranks, 0, sizeof w->ranks);
    frame_summary_init(&w->open.pub.sum);
    w->open.pub.first_seq = seq;
    w->open.run_at = w->ix.run_count;
}

static int note_recv(struct segment_writer *w, uint64_t seq, int64_t recv_us)
{
    struct segment__entry *e = &w->open;

    if (e->run_count && w->ix.runs[w->ix.run_count - 1].recv_us == recv_us) return 0;
    if (!e->run_count || recv_us < e->pub.recv_min_us) e->pub.recv_min_us = recv_us;
    if (!e->run_count || recv_us > e->pub.recv_max_us) e->pub.recv_max_us = recv_us;
    e->run_count++;
    return segment__index_add_run(&w->ix, seq, recv_us);
}

static int add_grams(struct segment_writer *w, const struct record_view *v)
{
    if (!memchr(v->msg_json, '\\', v->msg_json_len)) {
        segment__grams_add(w->grams, v->msg_json, v->msg_json_len);
        return 0;
    }
    buf_clear(&w->scratch);
    if (record_msg(v, &w->scratch) < 0) return ERR_CORRUPT;
    segment__grams_add(w->grams, w->scratch.data, w->scratch.len);
    return 0;
}

static int add_line(struct segment_writer *w, const char *line, size_t len, int64_t recv_us)
{
    struct record_view v;
    int err = record_parse(line, len, &v);

    if (err < 0 || v.seq != w->next_seq) return ERR_CORRUPT;
    if (w->raw.len && w->raw.len + len + 1 > SEGMENT_FRAME_BYTES) {
        err = close_frame(w);
        if (err < 0) return err;
    }
    if (w->raw.len == 0) start_frame(w, v.seq);
    err = buf_add(&w->raw, line, len);
    if (err >= 0) err = buf_addc(&w->raw, '\n');
    if (err >= 0) err = note_recv(w, v.seq, recv_us);
    if (err >= 0 && v.msg_json_len) err = add_grams(w, &v);
    if (err < 0) return err;
    segment__entry_note(&w->open, &v);
    segment__ranks_add(&w->ranks, v.rank);
    w->next_seq++;
    w->raw_bytes += len + 1;
    return 0;
}

int segment_writer_add(struct segment_writer *w, const struct frame *f)
{
    const char *line;
    size_t pos = 0, len;
    uint32_t run = 0;
    int err = 0;

    if (w->err < 0) return w->err;
    if (f->sum.count == 0 || f->first_seq != w->next_seq) return ERR_ORDER;
    while (err >= 0 && frame_next_line(f, &pos, &line, &len)) {
        while (run + 1 < f->run_count && f->runs[run + 1].seq <= w->next_seq) run++;
        err = add_line(w, line, len, f->runs ? f->runs[run].recv_us : f->recv_us);
    }
    if (err >= 0 && w->next_seq != f->first_seq + f->sum.count) err = ERR_CORRUPT;
    if (err < 0) w->err = err;
    return err;
}

void segment_writer_mark_settled(struct segment_writer *w, int level)
{
    w->ix.settled_level = (uint32_t)level;
}

uint64_t segment_writer_raw_bytes(const struct segment_writer *w)
{
    return w->raw_bytes;
}

/* The last frame, grams, index and table: the bytes are complete. */
static int finish(struct segment_writer *w)
{
    struct buf tail = BUF_INIT;
    size_t index_bytes;
    int err = close_frame(w);

    if (err < 0) return err;
    if (w->ix.entry_count == 0) return ERR_INVALID;
    if (FAULT_ERR("segment.finish")) return ERR_IO;
    err = segment__grams_finish(w->grams, &w->ix, &w->blobs);
    if (err >= 0) err = segment__index_encode(&w->ix, &tail);
    index_bytes = tail.len;
    if (err >= 0) err = segment__table_encode(&w->ix, index_bytes, &tail);
    if (err >= 0) err = io_write_all(w->fd, w->blobs.data, w->blobs.len);
    if (err >= 0) err = io_write_all(w->fd, tail.data, tail.len);
    buf_release(&tail);
    return err;
}

/* fsync, close. Neither a failed fsync nor a failed close is tried again. */
static int make_durable(struct segment_writer *w, char name[SEGMENT_NAME_BYTES])
{
    int err = FAULT_ERR("segment.fsync") ? ERR_IO : io_fsync(w->fd);
    int fd = w->fd;

    w->fd = ERR_CLOSED;
    if (close(fd) != 0 && err >= 0) err = ERR_IO;
    if (err < 0) return err;
    snprintf(name, SEGMENT_NAME_BYTES, "%020" PRIu64 "-%020" PRIu64 ".jsonl.zst", w->ix.first_seq,
             w->ix.last_seq);
    return 0;
}

static int make_final(struct segment_writer *w, char name[SEGMENT_NAME_BYTES])
{
    char path[PATH_MAX];
    int err = make_durable(w, name);

    if (err < 0) return err;
    if (snprintf(path, sizeof path, "%s/%s", w->dir, name) >= (int)sizeof path) return ERR_TOO_BIG;
    if (FAULT_ERR("segment.rename")) return ERR_IO;
    return io_rename(w->temp, path);
}

int segment_writer_finish(struct segment_writer **w, char temp[SEGMENT_NAME_BYTES],
                          char name[SEGMENT_NAME_BYTES])
{
    struct segment_writer *s = *w;
    int err = s->err < 0 ? s->err : finish(s);

    if (err >= 0) err = make_durable(s, name);
    if (err < 0) {
        segment_writer_abort(w);
        return err;
    }
    snprintf(temp, SEGMENT_NAME_BYTES, "%s", strrchr(s->temp, '/') + 1);
    free_writer(s);
    *w = NULL;
    return 0;
}

int segment_writer_commit(struct segment_writer **w, char name[SEGMENT_NAME_BYTES])
{
    struct segment_writer *s = *w;
    int err = s->err < 0 ? s->err : finish(s);

    if (err >= 0) err = make_final(s, name);
    if (err < 0) {
        log_warn("storage", "segment given up", "temp=%s error=%s", s->temp, err_name(err));
        segment_writer_abort(w);
        return err;
    }
    /* From here the file has its name: it is whole and stays, even if the name is not yet
     * durable. */
    err = FAULT_ERR("segment.fsync_dir") ? ERR_IO : io_fsync_dir(s->dir);
    if (err < 0)
        log_warn("storage", "segment's name is not durable", "file=%s error=%s", name,
                 err_name(err));
    free_writer(s);
    *w = NULL;
    return err < 0 ? err : 0;
}

void segment_writer_abort(struct segment_writer **w)
{
    struct segment_writer *s = *w;

    if (!s) return;
    if (s->fd >= 0) close(s->fd);
    unlink(s->temp);
    free_writer(s);
    *w = NULL;
}

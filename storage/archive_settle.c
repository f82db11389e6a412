/*
 * storage/archive_settle.c -- choosing, copying and publishing, one settled segment at a time.
 *
 * Everything but the writer's temp file goes through one handle of the job's directory: when the job is deleted and
 * made again under the same name, the handle still means the old one.
 */
#include "storage/archive_settle.h"

#include "base/check.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "storage/archive_int.h"
#include "storage/segment_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct archive_settling {
    const struct archive *archive;
    int job_fd;
    struct archive_file *all; /* what the directory held, covered files too, in order */
    uint32_t all_count;
    struct archive_file *kept; /* of them those that count */
    uint32_t kept_count;
    uint32_t from, to; /* kept[from … to) are replaced */
    uint64_t raw_bytes, runs;
    char temp[SEGMENT_NAME_BYTES], name[SEGMENT_NAME_BYTES]; /* "": nothing new is written */
    uint64_t first_seq, last_seq, new_bytes; /* all[] within these go */
    uint32_t crc;                            /* of the text read */
};

static int is_stopped(const struct archive_settle_options *o)
{
    return o->stop && __atomic_load_n(o->stop, __ATOMIC_RELAXED);
}

void archive_settle_close(struct archive_settling **settling)
{
    struct archive_settling *s = *settling;

    *settling = NULL;
    if (!s) return;
    if (s->temp[0]) unlinkat(s->job_fd, s->temp, 0);
    if (s->job_fd >= 0) close(s->job_fd);
    free(s->all);
    free(s->kept);
    free(s);
}

/* ---- choosing ---- */

static int has_sidecar(const struct archive_settling *s)
{
    return faccessat(s->job_fd, ARCHIVE_JOB_JSON, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The directory as it is now. 1; 0: no such job, or one that is being deleted. */
static int look(const struct archive *a, const struct job_key *key, struct archive_settling **ret)
{
    struct archive_settling *s = must_calloc(1, sizeof *s);
    int err;

    s->archive = a;
    s->job_fd = err = archive__hold_job(a, key);
    if (err >= 0 && !has_sidecar(s)) err = ERR_NOT_FOUND;
    if (err >= 0) err = archive__list_all(s->job_fd, &s->all, &s->all_count);
    if (err >= 0) {
        flock(s->job_fd, LOCK_UN); /* for minutes nobody else's removals are to wait: what went is met at open */
        s->kept = must_calloc(s->all_count + 1, sizeof *s->kept);
        s->kept_count = s->all_count;
        if (s->all_count) memcpy(s->kept, s->all, s->all_count * sizeof *s->all);
        if (s->all_count) err = archive__drop_covered(s->kept, &s->kept_count);
    }
    if (err < 0) {
        archive_settle_close(&s);
        return err == ERR_NOT_FOUND ? 0 : err;
    }
    *ret = s;
    return 1;
}

static int open_named(const struct archive_settling *s, const char *name)
{
    int fd = openat(s->job_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    return fd >= 0 ? fd : errno == ELOOP ? ERR_INVALID : io_err(errno);
}

int archive_settle_due(const struct archive *a, const struct job_key *key)
{
    struct archive_settling *s = NULL;
    int due = look(a, key, &s);

    if (due <= 0) return due;
    due = s->kept_count < s->all_count;
    for (uint32_t i = 0; i < s->kept_count && !due; i++) {
        uint32_t level = 0;
        int fd = open_named(s, s->kept[i].name);

        due = fd >= 0 && segment__peek_settled(fd, &level) >= 0 && level == 0;
        if (fd >= 0) close(fd);
    }
    archive_settle_close(&s);
    return due;
}

/* What choosing needs to know of a segment. */
struct candidate {
    int is_fit; /* whole, with its index, not settled yet, beside no other that overlaps it */
    uint64_t raw_bytes, runs;
    int64_t first_recv_us, last_recv_us;
};

static int weigh(const struct archive_settling *s, uint32_t i, struct candidate *c)
{
    const struct archive_file *f = &s->kept[i];
    struct segment *seg = NULL;
    int fd = open_named(s, f->name), err;

    memset(c, 0, sizeof *c);
    if (fd < 0) return fd == ERR_NOMEM ? fd : 0;
    err = segment__open_fd(fd, f->name, &seg);
    if (err < 0) return err == ERR_NOMEM ? err : 0;
    c->is_fit = !seg->is_rebuilt && !seg->ix.settled_level && seg->ix.run_count > 0;
    if (i > 0 && f->first_seq <= s->kept[i - 1].last_seq) c->is_fit = 0;
    if (i + 1 < s->kept_count && s->kept[i + 1].first_seq <= f->last_seq) c->is_fit = 0;
    for (uint32_t k = 0; k < seg->ix.entry_count; k++) {
        c->raw_bytes += seg->ix.entries[k].pub.raw_bytes;
        if (seg->ix.entries[k].pub.is_lost || !seg->ix.entries[k].run_count) c->is_fit = 0;
    }
    if (c->is_fit) {
        c->runs = seg->ix.run_count;
        c->first_recv_us = seg->ix.runs[0].recv_us;
        c->last_recv_us = seg->ix.runs[seg->ix.run_count - 1].recv_us;
    }
    segment_close(&seg);
    return 0;
}

/* May b go on where a ends? A run of records received at one time cannot go on over a segment's end: counted on from
 * its start, the times of b's first records would shift. */
static int joins(const struct archive_settling *s, uint32_t at, const struct candidate *a, const struct candidate *b)
{
    return s->kept[at].first_seq == s->kept[at - 1].last_seq + 1 && a->last_recv_us != b->first_recv_us;
}

/* The first run of segments to be made one. 1, 0: none; ERR_*. */
static int choose(struct archive_settling *s, uint64_t raw_bytes_max)
{
    struct candidate before = {0}, c;

    for (s->to = 0; s->to < s->kept_count; s->to++) {
        int err = weigh(s, s->to, &c), is_first = s->from == s->to;

        if (err < 0) return err;
        if (!c.is_fit && is_first) {
            s->from++;
            continue;
        }
        if (!c.is_fit) break;
        if (!is_first && (s->to - s->from >= SETTLE_FILES_MAX || s->raw_bytes + c.raw_bytes > raw_bytes_max ||
                          s->runs + c.runs > SETTLE_RUNS_MAX || !joins(s, s->to, &before, &c)))
            break;
        s->raw_bytes += c.raw_bytes;
        s->runs += c.runs;
        before = c;
    }
    if (s->from == s->to) return 0;
    s->first_seq = s->kept[s->from].first_seq;
    s->last_seq = s->kept[s->to - 1].last_seq;
    return 1;
}

/* ---- copying ---- */

static int copy_entry(struct archive_settling *s, struct segment *seg, uint32_t i, struct segment_writer *w)
{
    const struct segment_entry *e = segment_entry(seg, i);
    struct frame *f = NULL;
    char *text = NULL;
    int err = segment__read_text(seg, i, &text);

    if (err < 0) return err;
    s->crc = segment__crc_on(s->crc, text, e->raw_bytes);
    err = frame_from_text(e->first_seq, e->recv_min_us, &e->sum, &text, e->raw_bytes, &f);
    free(text);
    if (err >= 0) err = segment_recv_runs(seg, i, &f->runs, &f->run_count);
    if (err >= 0) err = segment_writer_add(w, f);
    frame_unref(&f);
    return err;
}

static int copy_segment(struct archive_settling *s, const struct archive_file *file,
                        const struct archive_settle_options *o, struct segment_writer *w)
{
    struct segment *seg = NULL;
    int fd = open_named(s, file->name), err;

    if (fd < 0) return fd;
    err = segment__open_fd(fd, file->name, &seg);
    if (err >= 0 && seg->is_rebuilt) err = ERR_CORRUPT;
    for (uint32_t i = 0; err >= 0 && i < seg->ix.entry_count; i++)
        err = is_stopped(o) ? ERR_CLOSED : copy_entry(s, seg, i, w);
    segment_close(&seg);
    return err;
}

/* Did the writer's path lead into the directory we hold? */
static int is_ours(const struct archive_settling *s, const char *dir)
{
    struct stat here, there;

    return fstat(s->job_fd, &here) == 0 && here.st_nlink && lstat(dir, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

/* Enough room for the new beside the old? */
static int has_room(const struct archive_settling *s, const struct archive_settle_options *o)
{
    uint64_t free_bytes = 0, need = o->reserve_bytes;
    int err = archive_free_bytes(s->archive, &free_bytes);

    for (uint32_t i = s->from; i < s->to; i++) need += s->kept[i].file_bytes;
    if (err < 0) return err;
    return free_bytes < need ? ERR_FULL : 0;
}

static int verify(const struct archive_settling *s, const char *dir)
{
    char path[PATH_MAX];
    uint32_t crc = 0;
    struct stat st;
    int err;

    if (snprintf(path, sizeof path, "%s/%s", dir, s->temp) >= (int)sizeof path) return ERR_TOO_BIG;
    err = segment__verify(path, s->first_seq, s->last_seq, &crc);
    if (err >= 0 && crc != s->crc) err = ERR_CORRUPT;
    if (err >= 0 && fstatat(s->job_fd, s->temp, &st, AT_SYMLINK_NOFOLLOW) != 0) err = io_err(errno);
    return err;
}

static int write_new(struct archive_settling *s, const char *dir, const struct archive_settle_options *o)
{
    struct segment_writer *w = NULL;
    int err = has_room(s, o);

    if (err >= 0) err = segment_writer_open(dir, s->first_seq, o->level, &w);
    if (err < 0) return err;
    segment_writer_mark_settled(w, o->level);
    for (uint32_t i = s->from; i < s->to && err >= 0; i++) err = copy_segment(s, &s->kept[i], o, w);
    if (err >= 0) err = segment_writer_finish(&w, s->temp, s->name);
    segment_writer_abort(&w);
    if (err >= 0 && !is_ours(s, dir)) err = ERR_NOT_FOUND;
    if (err >= 0) err = verify(s, dir);
    return err;
}

/* Files that go: within the new one; without a new one, those of which the others hold every record. */
static int goes(const struct archive_settling *s, const struct archive_file *f)
{
    uint64_t next = f->first_seq;

    if (f->first_seq < s->first_seq || f->last_seq > s->last_seq) return 0;
    if (s->name[0]) return strcmp(f->name, s->name) != 0;
    for (uint32_t i = 0; i < s->kept_count; i++) {
        if (strcmp(f->name, s->kept[i].name) == 0) return 0;
        if (s->kept[i].first_seq <= next && s->kept[i].last_seq >= next) next = s->kept[i].last_seq + 1;
    }
    return next > f->last_seq;
}

/* Nothing is left to be written: files that others cover, a killed step's, may go once those were read back. */
static int check_cover(struct archive_settling *s, const char *dir)
{
    char path[PATH_MAX];
    uint32_t going = 0;

    s->first_seq = s->kept[0].first_seq;
    s->last_seq = s->kept[s->kept_count - 1].last_seq;
    for (uint32_t i = 0; i < s->all_count; i++) going += (uint32_t)goes(s, &s->all[i]);
    if (!going) return 0;
    for (uint32_t i = 0; i < s->kept_count; i++) {
        int err;

        if (snprintf(path, sizeof path, "%s/%s", dir, s->kept[i].name) >= (int)sizeof path) return ERR_TOO_BIG;
        err = segment_verify(path, s->kept[i].first_seq, s->kept[i].last_seq);
        if (err < 0) return err;
    }
    return 1;
}

int archive_settle_write(const struct archive *a, const struct job_key *key, const struct archive_settle_options *o,
                         struct archive_settling **ret_settling)
{
    struct archive_settling *s = NULL;
    struct stat st;
    char dir[PATH_MAX];
    int err = archive_job_dir(a, key, 0, dir, sizeof dir);

    if (err >= 0) err = look(a, key, &s);
    if (err <= 0) return err;
    err = choose(s, o->raw_bytes_max ? o->raw_bytes_max : SETTLE_RAW_BYTES_MAX);
    if (err == 1) {
        err = write_new(s, dir, o);
        if (err >= 0) err = 1;
    } else if (err == 0 && s->kept_count < s->all_count) {
        err = check_cover(s, dir);
    }
    if (err == 1 && s->temp[0]) {
        if (fstatat(s->job_fd, s->temp, &st, AT_SYMLINK_NOFOLLOW) == 0) s->new_bytes = (uint64_t)st.st_size;
        else err = io_err(errno);
    }
    if (err != 1) {
        archive_settle_close(&s);
        return err;
    }
    FAULT_POINT("settle.after_write");
    *ret_settling = s;
    return 1;
}

/* ---- publishing ---- */

/* The job is there, and so are the files that were read. */
static int is_unchanged(const struct archive_settling *s)
{
    struct stat st;

    if (fstat(s->job_fd, &st) != 0 || st.st_nlink == 0) return 0;
    if (!has_sidecar(s)) return 0;
    for (uint32_t i = s->name[0] ? s->from : 0; i < (s->name[0] ? s->to : s->kept_count); i++) {
        const struct archive_file *f = &s->kept[i];

        if (fstatat(s->job_fd, f->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || (uint64_t)st.st_size != f->file_bytes ||
            (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 != f->modified_us)
            return 0;
    }
    return 1;
}

static int put_in_place(struct archive_settling *s, struct archive_settled_stats *stats)
{
    if (s->temp[0]) {
        if (renameat(s->job_fd, s->temp, s->job_fd, s->name) != 0) return io_err(errno);
        s->temp[0] = '\0';
        FAULT_POINT("settle.after_rename");
        if (FAULT_ERR("settle.fsync_dir") || fsync(s->job_fd) != 0) return ERR_IO;
    }
    for (uint32_t i = 0; i < s->all_count; i++) {
        const struct archive_file *f = &s->all[i];

        if (f->first_seq >= s->first_seq && f->last_seq <= s->last_seq && (s->name[0] || goes(s, f))) {
            stats->files_before++;
            stats->bytes_before += f->file_bytes;
        }
        if (!goes(s, f)) continue;
        if (unlinkat(s->job_fd, f->name, 0) != 0 && errno != ENOENT) return io_err(errno);
        FAULT_POINT("settle.between_unlinks");
    }
    FAULT_POINT("settle.after_unlink");
    return 0;
}

int archive_settle_publish(struct archive_settling *s, struct archive_settled_stats *ret_stats)
{
    struct archive_settled_stats stats = {s->first_seq, s->last_seq, 0, 0, s->new_bytes, s->name[0] != '\0'};
    int err;

    /* A file system without locks on directories holds nobody off, and nothing. */
    if (flock(s->job_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return ERR_BUSY;
    err = is_unchanged(s) ? put_in_place(s, &stats) : ERR_NOT_FOUND;
    flock(s->job_fd, LOCK_UN);
    if (err >= 0 && fsync(s->job_fd) != 0) err = ERR_IO;
    archive__cache_drop_gone(s->archive);
    /* Deleted in between: its sidecar goes first, so whoever deletes it sees our file, or we see this. */
    if (s->name[0] && !s->temp[0] && !has_sidecar(s)) {
        unlinkat(s->job_fd, s->name, 0);
        err = ERR_NOT_FOUND;
    }
    if (err >= 0) *ret_stats = stats;
    return err < 0 ? err : 0;
}

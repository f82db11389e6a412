/*
 * storage/archive_walk.c -- a job's archived records in order, forwards or backwards, as frames.
 *
 * The plan is made at open: the list of files, each with the range of seqs it answers for (files
 * that overlap are cut against each other, earlier ones first), and the ranges nobody answers for.
 * Then one step of the plan after the other is read; frames that the index rules out are never
 * decompressed.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "job/record.h"
#include "storage/archive_int.h"
#include "storage/segment_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct step {
    uint64_t from, to;
    int is_missing; /* no file has it */
    char name[SEGMENT_NAME_BYTES];
};

struct archive_walk {
    const struct archive *archive;
    int job_fd; /* < 0: the job has no directory */
    int backward;
    const struct filter *filter;
    char *literal;
    size_t literal_len;
    struct step *steps; /* in the order of the walk */
    uint32_t step_count, step_at;
    struct segment *segment; /* of steps[step_at], when open */
    uint32_t entry_at;       /* the next to look at, counted in the direction of the walk */
    uint32_t part, parts;    /* entry i of a step is this walk's when (i + step_at) % parts == part */
    int with_times;
};

static void add_step(struct archive_walk *w, uint64_t from, uint64_t to, const char *name)
{
    struct step *s = &w->steps[w->step_count++];

    s->from = from;
    s->to = to;
    s->is_missing = !name;
    if (name) memcpy(s->name, name, strnlen(name, SEGMENT_NAME_BYTES - 1));
}

/* Steps over [from, to]: at most a hole before each file. What comes after the last file is not
 * the archive's. */
static void make_plan(struct archive_walk *w, const struct archive_file *files, uint32_t count,
                      uint64_t from, uint64_t to)
{
    uint64_t next = from; /* first seq nobody answered for yet */

    w->steps = must_calloc((size_t)count * 2 + 1, sizeof *w->steps);
    for (uint32_t i = 0; i < count && next <= to; i++) {
        const struct archive_file *f = &files[i];
        uint64_t upto = f->last_seq < to ? f->last_seq : to;

        if (f->last_seq < next) continue;
        if (f->first_seq > next) {
            add_step(w, next, f->first_seq - 1 < to ? f->first_seq - 1 : to, NULL);
            next = f->first_seq;
        }
        if (next > to) break;
        add_step(w, next, upto, f->name);
        next = upto + 1;
    }
    for (uint32_t i = 0; w->backward && i < w->step_count / 2; i++) {
        struct step other = w->steps[i];

        w->steps[i] = w->steps[w->step_count - 1 - i];
        w->steps[w->step_count - 1 - i] = other;
    }
}

int archive_walk_open(const struct archive *a, const struct job_key *key, uint64_t from,
                      uint64_t to, int backward,
                      const struct filter *filter, const char *literal, size_t literal_len,
                      struct archive_walk **ret_walk)
{
    struct archive_file *files = NULL;
    struct archive_walk *w;
    uint32_t count = 0;
    int job_fd = archive__hold_job(a, key), err;

    if (job_fd < 0 && job_fd != ERR_NOT_FOUND) return job_fd;
    err = archive_list(a, key, &files, &count);
    if (err < 0) {
        if (job_fd >= 0) close(job_fd);
        return err;
    }
    w = must_calloc(1, sizeof *w);
    w->archive = a;
    w->job_fd = job_fd;
    w->backward = backward;
    w->parts = 1;
    w->filter = filter;
    if (literal) w->literal = must_strndup(literal, literal_len);
    w->literal_len = literal ? literal_len : 0;
    make_plan(w, files, count, from ? from : 1, to);
    free(files);
    *ret_walk = w;
    return 0;
}

int archive_walk_split(struct archive_walk *w, struct archive_walk **ret_other)
{
    struct archive_walk *o;
    int job_fd;

    CHECK(w->parts == 1 && !w->step_at && !w->segment);
    job_fd = w->job_fd < 0 ? w->job_fd : fcntl(w->job_fd, F_DUPFD_CLOEXEC, 0); /* shares the lock */
    if (w->job_fd >= 0 && job_fd < 0) return io_err(errno);
    o = must_malloc(sizeof *o);
    *o = *w;
    o->job_fd = job_fd;
    if (w->literal) o->literal = must_strndup(w->literal, w->literal_len);
    o->steps = must_calloc((size_t)w->step_count + 1, sizeof *o->steps);
    if (w->step_count) memcpy(o->steps, w->steps, w->step_count * sizeof *o->steps);
    w->parts = o->parts = 2;
    o->part = 1;
    *ret_other = o;
    return 0;
}

void archive_walk_with_times(struct archive_walk *w)
{
    w->with_times = 1;
}

void archive_walk_close(struct archive_walk **w)
{
    if (!*w) return;
    archive__give_segment((*w)->archive, &(*w)->segment);
    if ((*w)->job_fd >= 0) close((*w)->job_fd);
    free((*w)->literal);
    free((*w)->steps);
    free(*w);
    *w = NULL;
}

static void end_step(struct archive_walk *w)
{
    archive__give_segment(w->archive, &w->segment);
    w->entry_at = 0;
    w->step_at++;
}

/* The frame without the records outside [from, to]; consumed. */
static int cut_frame(struct frame **frame, uint64_t from, uint64_t to, struct frame **ret_frame)
{
    struct frame *f = *frame;
    uint64_t seq = f->first_seq, last = frame_last_seq(f);
    size_t pos = 0, start = 0, end = f->text_bytes, len;
    const char *line;
    char *text;
    int err;

    *frame = NULL;
    if (from <= seq && to >= last) {
        *ret_frame = f;
        return 0;
    }
    for (; frame_next_line(f, &pos, &line, &len); seq++) {
        if (seq < from) start = pos;
        if (seq == to) end = pos;
    }
    text = malloc(end - start + 1);
    if (!text) {
        frame_unref(&f);
        return ERR_NOMEM;
    }
    memcpy(text, f->text + start, end - start);
    text[end - start] = '\0';
    err = frame_from_text(from > f->first_seq ? from : f->first_seq, f->recv_us, NULL, &text,
                          end - start, ret_frame);
    if (err >= 0) {
        (*ret_frame)->sum.is_state |= f->sum.is_state;
        (*ret_frame)->runs = f->runs;
        (*ret_frame)->run_count = f->run_count;
        f->runs = NULL;
    }
    free(text);
    frame_unref(&f);
    return err;
}

static uint32_t entry_in_turn(const struct archive_walk *w, uint32_t at)
{
    return w->backward ? segment_entry_count(w->segment) - 1 - at : at;
}

/* The next entry of the open segment that is this walk's and within the step, at *at or later: 1; 0: none. */
static int find_own(const struct archive_walk *w, const struct step *step, uint32_t *at)
{
    for (; *at < segment_entry_count(w->segment); ++*at) {
        uint32_t i = entry_in_turn(w, *at);
        const struct segment_entry *e = segment_entry(w->segment, i);

        if ((i + w->step_at) % w->parts == w->part && e->last_seq >= step->from && e->first_seq <= step->to) return 1;
    }
    return 0;
}

uint64_t archive_walk_reach(const struct archive_walk *w)
{
    const struct step *step = &w->steps[w->step_at];
    const struct segment_entry *e;
    uint32_t at = w->entry_at;

    if (w->step_at == w->step_count) return w->backward ? 0 : UINT64_MAX;
    if (step->is_missing || !w->segment) return w->backward ? step->to + 1 : step->from - 1;
    if (!find_own(w, step, &at)) return w->backward ? step->from : step->to;
    e = segment_entry(w->segment, entry_in_turn(w, at));
    if (w->backward) return (e->last_seq < step->to ? e->last_seq : step->to) + 1;
    return (e->first_seq > step->from ? e->first_seq : step->from) - 1;
}

/* Is the next entry of the open segment wanted? Moves on. 1 with *ret_i; 0 at the end of the
 * step. */
static int next_entry(struct archive_walk *w, const struct step *step, uint32_t *ret_i)
{
    while (find_own(w, step, &w->entry_at)) {
        uint32_t i = entry_in_turn(w, w->entry_at++);

        if (!segment_may_match(w->segment, i, w->filter, w->literal, w->literal_len)) continue;
        *ret_i = i;
        return 1;
    }
    return 0;
}

/* 1: the frame of entry i; 0: no record of it can pass. */
static int read_entry(struct archive_walk *w, uint32_t i, struct frame **ret_frame)
{
    const struct segment_entry *e = segment_entry(w->segment, i);
    char *text = NULL;
    int err = segment__read_text(w->segment, i, &text);

    if (err < 0) return err;
    if (segment__text_may_match(w->segment, i, text, w->filter, w->literal, w->literal_len)) {
        err = frame_from_text(e->first_seq, e->recv_min_us, &e->sum, &text, e->raw_bytes,
                              ret_frame);
        if (err >= 0 && w->with_times) {
            err = segment_recv_runs(w->segment, i, &(*ret_frame)->runs, &(*ret_frame)->run_count);
            if (err < 0) frame_unref(ret_frame);
        }
        if (err >= 0) err = 1;
    }
    free(text);
    return err;
}

/* The next frame of the open segment: 1, 0 at the end of the step. On an error the range is
 * lost. */
static int next_frame(struct archive_walk *w, const struct step *step, struct frame **ret_frame,
                      uint64_t *ret_lost_from, uint64_t *ret_lost_to)
{
    uint32_t i;

    while (next_entry(w, step, &i)) {
        const struct segment_entry *e = segment_entry(w->segment, i);
        struct frame *frame = NULL;
        int err = read_entry(w, i, &frame);

        if (err == 0) continue;
        if (err > 0) err = cut_frame(&frame, step->from, step->to, ret_frame);
        if (err >= 0) return 1;
        *ret_lost_from = e->first_seq > step->from ? e->first_seq : step->from;
        *ret_lost_to = e->last_seq < step->to ? e->last_seq : step->to;
        return err == ERR_NOMEM ? err : ERR_CORRUPT;
    }
    return 0;
}

int archive_walk_next(struct archive_walk *w, struct frame **ret_frame, uint64_t *ret_lost_from,
                      uint64_t *ret_lost_to)
{
    for (; w->step_at < w->step_count; end_step(w)) {
        const struct step *step = &w->steps[w->step_at];
        int err;

        if (step->is_missing || !w->segment) {
            *ret_lost_from = step->from;
            *ret_lost_to = step->to;
        }
        if (step->is_missing) {
            end_step(w);
            return ERR_NOT_FOUND;
        }
        if (!w->segment) {
            err = archive__take_segment(w->archive, w->job_fd, step->name, &w->segment);
            if (err < 0) { /* not one record of it: the rest of the walk goes on */
                end_step(w);
                return err == ERR_NOT_FOUND || err == ERR_NOMEM ? err : ERR_CORRUPT;
            }
        }
        err = next_frame(w, step, ret_frame, ret_lost_from, ret_lost_to);
        if (err != 0) return err;
    }
    return 0;
}

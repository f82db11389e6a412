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
#include "job/record.h"
#include "storage/archive_int.h"
#include "storage/segment_int.h"

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
    int job_fd = archive__open_job(a, key), err;

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
    w->filter = filter;
    if (literal) w->literal = must_strndup(literal, literal_len);
    w->literal_len = literal ? literal_len : 0;
    make_plan(w, files, count, from ? from : 1, to);
    free(files);
    *ret_walk = w;
    return 0;
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
    free(text);
    frame_unref(&f);
    return err;
}

/* Is the next entry of the open segment wanted? Moves on. 1 with *ret_i; 0 at the end of the
 * step. */
static int next_entry(struct archive_walk *w, const struct step *step, uint32_t *ret_i)
{
    uint32_t count = segment_entry_count(w->segment);

    while (w->entry_at < count) {
        uint32_t i = w->backward ? count - 1 - w->entry_at : w->entry_at;
        const struct segment_entry *e = segment_entry(w->segment, i);

        w->entry_at++;
        if (e->last_seq < step->from || e->first_seq > step->to) continue;
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

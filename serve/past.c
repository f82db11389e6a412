/*
 * serve/past.c -- the archive as the stream's memory.
 */
#include "serve/past.h"

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "job/replay.h"
#include "serve/checkpoint.h"
#include "serve/job_json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading a job ---- */

/* The sidecar, or a job of which nothing is known yet. */
static int read_sidecar(const struct archive *a, const struct job_key *key, struct job_info **ret_info)
{
    char *json = NULL;
    size_t len;
    int err = archive_get_job(a, key, &json, &len);

    if (err == 0) {
        err = job_json_read(json, len, key, ret_info);
        free(json);
        if (err == ERR_CORRUPT)
            log_error("storage", "job.json cannot be read: the job is taken from its records", "job=%s/%s", key->project,
                      key->job);
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT || err == ERR_TOO_BIG) {
        *ret_info = job_replay_new(key);
        return ERR_NOT_FOUND;
    }
    return err;
}

/* A file that is no segment at all promises records that nobody has: out of the way with it. 1: shelved. */
static int shelve_if_empty(const struct archive *a, const struct job_key *key, const struct archive_file *file)
{
    struct segment *s = NULL;
    char path[PATH_MAX];
    int err = archive_file_path(a, key, file, path, sizeof path);

    if (err == 0)
        err = segment_open(path, &s);
    segment_close(&s);
    if (err != ERR_CORRUPT)
        return 0;
    err = archive_shelve(a, key, file);
    log_error("storage", "a segment holds nothing readable: moved aside", "job=%s/%s file=%s err=%s", key->project, key->job,
              file->name, err < 0 ? err_name(err) : "none");
    return err == 0;
}

/* Highest seq of the segments, after those that hold nothing (and are not vouched for by the sidecar) were shelved. */
static int find_last(const struct archive *a, const struct job_key *key, uint64_t known, uint64_t *ret_last,
                     int64_t *ret_modified_us)
{
    struct archive_file *files = NULL;
    uint32_t count = 0, shelved = 0;
    int err = archive_list(a, key, &files, &count);

    if (err < 0)
        return err;
    *ret_last = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (files[i].last_seq > known && shelve_if_empty(a, key, &files[i])) {
            shelved++;
            continue;
        }
        if (files[i].last_seq > *ret_last)
            *ret_last = files[i].last_seq;
        *ret_modified_us = files[i].modified_us;
    }
    free(files);
    return shelved ? find_last(a, key, known, ret_last, ret_modified_us) : 0; /* what it covered shows now */
}

static int replay_frame(struct job_info *info, const struct frame *f, struct buf *scratch)
{
    struct record_view v;
    const char *line;
    size_t pos = 0, len;

    while (frame_next_line(f, &pos, &line, &len)) {
        int err = record_parse(line, len, &v);

        if (err == 0 && v.seq > info->seq)
            err = job_replay(info, &v, frame_recv_ns(f, v.seq) / 1000, scratch);
        if (err == ERR_NOMEM)
            return err;
    }
    if (f->recv_us) {
        int64_t next_us = frame_recv_ns(f, frame_last_seq(f)) / 1000 + 1;

        if (next_us > info->recv_next_us)
            info->recv_next_us = next_us;
    }
    return 0;
}

/* Carry info on to last. At least the last record is read: it tells the time. */
static int replay(const struct archive *a, const struct job_key *key, struct job_info *info, uint64_t last)
{
    struct archive_walk *walk = NULL;
    struct frame *f = NULL;
    struct buf scratch = BUF_INIT;
    uint64_t from = info->seq < last ? info->seq + 1 : last, lost_from, lost_to;
    int err = archive_walk_open(a, key, from, last, 0, NULL, NULL, 0, &walk), got;

    while (err == 0 && (got = archive_walk_next(walk, &f, &lost_from, &lost_to)) != 0) {
        if (got == 1) {
            err = replay_frame(info, f, &scratch);
            frame_unref(&f);
        } else if (got == ERR_NOMEM) {
            err = got;
        }
    }
    archive_walk_close(&walk);
    buf_release(&scratch);
    if (info->seq < last)
        info->seq = last; /* its last records are damaged */
    return err;
}

int past_read(const struct archive *a, const struct job_key *key, struct job_info **ret_info)
{
    struct job_info *info = NULL;
    uint64_t last = 0;
    int64_t modified_us = 0;
    int err = read_sidecar(a, key, &info), has_sidecar = err == 0;

    if (err < 0 && err != ERR_NOT_FOUND)
        return err;
    err = find_last(a, key, info->seq, &last, &modified_us);
    if (err == 0 && !last && !has_sidecar)
        err = ERR_NOT_FOUND;
    if (err == 0 && last)
        err = checkpoint_read(a, key, last, &info);
    if (err == 0 && last)
        err = replay(a, key, info, last);
    if (err < 0) {
        job_info_free(&info);
        return err;
    }
    if (!info->created_us)
        info->created_us = info->updated_us = modified_us;
    if (!info->history_count) /* not one record of it is readable */
        info->history[info->history_count++] =
            (struct job_history){.state = info->state, .at_us = info->created_us, .rank = RECORD_RANK_NONE};
    info->archived_upto = info->seq;
    info->first_in_stream = info->seq + 1;
    *ret_info = info;
    return 0;
}

/* ---- questions ---- */

struct question {
    uv_work_t work;
    const struct past *past;
    struct job_key key;
    int err;
    uint64_t last;
    struct job_info *info;
    void (*done_last)(void *ctx, int err, uint64_t last_seq);
    void (*done_job)(void *ctx, int err, const struct job_info *info);
    void (*done_find)(void *ctx, int err, const struct job_key *key);
    void *ctx;
};

static void work(uv_work_t *req)
{
    struct question *q = req->data;

    if (q->done_last)
        q->err = archive_last_seq(q->past->archive, &q->key, &q->last);
    else if (q->done_job)
        q->err = past_read(q->past->archive, &q->key, &q->info);
    else
        q->err = archive_find_job(q->past->archive, q->key.job, &q->key);
}

static void on_worked(uv_work_t *req, int status)
{
    struct question *q = req->data;

    if (q->done_last)
        q->done_last(q->ctx, q->err, q->last);
    else if (q->done_job)
        q->done_job(q->ctx, q->err, q->info);
    else
        q->done_find(q->ctx, q->err, &q->key);
    job_info_free(&q->info);
    free(q);
}

/* Set what it is about and whom to answer, then post(). */
static struct question *prepare(void *user, void *ctx)
{
    struct question *q = must_calloc(1, sizeof *q);

    q->past = user;
    q->ctx = ctx;
    q->work.data = q;
    return q;
}

static void post(struct question *q)
{
    CHECK(uv_queue_work(q->past->loop, &q->work, work, on_worked) == 0);
}

static void ask_last(void *user, const struct job_key *key, void (*done)(void *ctx, int err, uint64_t last_seq), void *ctx)
{
    struct question *q = prepare(user, ctx);

    q->key = *key;
    q->done_last = done;
    post(q);
}

static void ask_job(void *user, const struct job_key *key, void (*done)(void *ctx, int err, const struct job_info *info),
                    void *ctx)
{
    struct question *q = prepare(user, ctx);

    q->key = *key;
    q->done_job = done;
    post(q);
}

static void ask_find(void *user, const char *job, void (*done)(void *ctx, int err, const struct job_key *key), void *ctx)
{
    struct question *q = prepare(user, ctx);

    memcpy(q->key.job, job, strnlen(job, sizeof q->key.job - 1));
    q->done_find = done;
    post(q);
}

const struct stream_past past_ops = {.last = ask_last, .job = ask_job, .find = ask_find};

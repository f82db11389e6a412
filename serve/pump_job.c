/*
 * serve/pump_job.c -- one job's run: lease, read, write, commit, trim.
 *
 *     lease -> the job -> look -> read -> write -+-> read …     (until the segment is full or all is read)
 *                                                '-> settle -> commit -> [job.json] -+-> read … | done
 *
 * look, settle and job.json are worker steps: does the archive hold more than Redis; rename into place, read back,
 * verify. What a failed step leaves behind is either a temp file, gone by then, or a whole segment: the next run
 * looks for it first, and commits it when it verifies.
 * The run archives what the job had when it was asked for, under the lease: job.json, prepared before the last segment of
 * the run gets its name, is then exactly the job as of that segment's last record, producers and all (serve/checkpoint.h). It
 * takes its place after the commit, once the log has agreed that these are its records; before it only when the job is over.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "serve/checkpoint.h"
#include "serve/job_json.h"
#include "serve/pump_digest.h"
#include "serve/pump_int.h"
#include "serve/shape.h"
#include "stream/nodes.h"
#include "stream/past.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pump_job {
    uv_work_t req;
    struct pump *p;
    struct job_key key;
    uint64_t token;
    int64_t leased_us;
    uint64_t epoch;
    uint32_t round; /* of Redis, in which it was read */
    uint64_t last;         /* of the job when the run began, and what json is as of */
    uint64_t goal;         /* archive up to this record: last, or less when there is a hole */
    uint64_t upto;         /* committed */
    uint64_t pos;          /* written */
    uint64_t record_bytes; /* of NDJSON, about */
    int sealed, is_fresh /* what is known was asked for under the lease */;
    const char *step; /* for the log */
    int err;
    /* the worker's during a step */
    struct segment_writer *writer;
    uint64_t first; /* of the segment being written */
    struct frame *frames[PUMP_FRAMES];
    uint32_t count;
    uint64_t raw_bytes;
    char path[PATH_MAX]; /* of the segment settled last and not committed; "" */
    char *json;          /* job.json as of last */
    size_t json_len;
    int is_prepared; /* json waits beside the one that holds */
    int is_set;      /* it is the one that holds */
    char *nodes; /* nodes.jsonl, once the job is read to its end; NULL: none, or not asked for yet */
    size_t nodes_len;
    int has_nodes; /* asked for */
    struct pump_digest digest;
    uint64_t archive_last; /* highest record the archive holds */
};

static void read_more(struct pump_job *j);
static void lease(struct pump_job *j);

static void drop_frames(struct pump_job *j)
{
    for (uint32_t i = 0; i < j->count; i++)
        frame_unref(&j->frames[i]);
    j->count = 0;
}

/* ---- the end of a run ---- */

static void free_job(struct pump_job *j)
{
    struct pump *p = j->p;
    struct pump_known *k = pump__known(p, &j->key);

    CHECK(!j->writer);
    drop_frames(j);
    k->is_active = 0;
    k->token = j->err == ERR_FENCED || j->err == ERR_BUSY ? 0 : j->token;
    k->next_us = clock_mono_us() +
                 (j->err == ERR_FENCED || j->err == ERR_BUSY ? PUMP_BUSY_US : PUMP_LOOK_US);
    pump_digest_drop(&j->digest);
    free(j->json);
    free(j->nodes);
    free(j);
    CHECKF(p->active > 0, "active=%u", p->active);
    p->active--;
}

static void work_discard(uv_work_t *req)
{
    struct pump_job *j = req->data;

    segment_writer_abort(&j->writer);
    /* The job was deleted while its segment was written, or its history went back: nothing of it may stay. What Redis still has
     * of it is archived anew. A job.json that has its place already speaks for its segment: that stays, and the next look mends
     * the job. */
    if (j->path[0] && (j->err == ERR_NOT_FOUND || (j->err == ERR_RESET && !j->is_set))) {
        unlink(j->path);
        archive_drop_digest(j->p->o.archive, &j->key);
        if (j->is_prepared)
            archive_drop_prepared_job(j->p->o.archive, &j->key);
    }
}

static void on_discarded(uv_work_t *req, int status)
{
    struct pump_job *j = req->data;
    struct pump *p = j->p;

    free_job(j);
    pump__done(p);
}

/* err 0: the run is over in order. */
static void finish(struct pump_job *j, int err)
{
    struct pump *p = j->p;

    j->err = err;
    if (err == ERR_BUSY)
        p->stats.busy++;
    else if (!p->closed)
        pump__note(p, &j->key, j->step, err);
    if (!j->writer && !j->path[0]) {
        free_job(j);
        return;
    }
    pump__begin(p);
    CHECK(uv_queue_work(p->o.loop, &j->req, work_discard, on_discarded) == 0);
}

static void queue(struct pump_job *j, const char *step, uv_work_cb work, uv_after_work_cb after)
{
    j->step = step;
    j->err = 0;
    pump__begin(j->p);
    CHECK(uv_queue_work(j->p->o.loop, &j->req, work, after) == 0);
}

static void start_call(struct pump_job *j, const char *step)
{
    j->step = step;
    pump__begin(j->p);
}

/* ---- commit ---- */

/* How far Redis may forget: behind it a hot window stays while the job lives. */
static uint64_t trim_upto(const struct pump_job *j)
{
    uint64_t keep = j->p->o.hot_bytes / j->record_bytes;

    if (j->sealed)
        return j->pos;
    return j->pos > keep ? j->pos - keep : 0;
}

static int is_cold(const struct pump_job *j)
{
    return j->sealed && j->pos >= j->last;
}

static void go_on(struct pump_job *j)
{
    struct pump *p = j->p;

    if (is_cold(j)) {
        p->stats.jobs_finished++;
        if (j->nodes)
            stream_nodes_drop(p->o.stream, &j->key);
        if (p->o.on_cold && !p->closed)
            p->o.on_cold(p->o.user, &j->key);
        finish(j, 0);
    } else if (p->closed || p->stopping || j->pos >= j->goal) {
        finish(j, 0);
    } else {
        pump__note(p, &j->key, j->step, 0);
        lease(j);
    }
}

static void work_put_job(uv_work_t *req)
{
    struct pump_job *j = req->data;

    FAULT_POINT("pump.before_put_job");
    if (j->nodes)
        j->err = archive_put_nodes(j->p->o.archive, &j->key, j->nodes, j->nodes_len);
    if (j->err < 0)
        return;
    if (j->is_prepared)
        j->err = checkpoint_set(j->p->o.archive, &j->key);
    else
        j->err = archive_put_job(j->p->o.archive, &j->key, j->json, j->json_len);
    j->is_prepared = 0;
    j->is_set = 1;
}

static void on_job_set(uv_work_t *req, int status)
{
    struct pump_job *j = req->data;
    struct pump *p = j->p;

    if (j->err < 0)
        finish(j, j->err);
    else
        go_on(j);
    pump__done(p);
}

static void on_committed(void *user, int err)
{
    struct pump_job *j = user;
    struct pump *p = j->p;

    if (err < 0) {
        finish(j, err);
        goto out;
    }
    j->path[0] = '\0';
    j->upto = j->pos;
    if (j->is_prepared)
        queue(j, "writing job.json", work_put_job, on_job_set);
    else
        go_on(j);
out:
    pump__done(p);
}

static void commit(struct pump_job *j)
{
    FAULT_POINT("pump.before_trim");
    start_call(j, "committing");
    stream_commit_archived(j->p->o.stream, &j->key, j->token, j->epoch, j->pos, trim_upto(j), is_cold(j),
                           on_committed, j);
}

static void on_job_put(uv_work_t *req, int status)
{
    struct pump_job *j = req->data;
    struct pump *p = j->p;

    if (j->err < 0)
        finish(j, j->err);
    else
        commit(j);
    pump__done(p);
}

/* The job's JSON, as it will be once the run is done. */
static int make_json(struct pump_job *j, const struct job_info *info)
{
    struct job_info copy = *info;
    struct buf text;
    int err;

    copy.archived_upto = info->seq;
    if (info->sealed)
        copy.first_in_stream = info->seq + 1;
    buf_init(&text, 0);
    err = job_json(&text, &copy, clock_wall_us());
    free(j->json);
    j->json = err >= 0 ? buf_steal(&text, &j->json_len) : NULL;
    buf_release(&text);
    return err;
}

static void settle_job(struct pump_job *j);

/* Redis is about to forget the samples of the job's nodes. */
static void on_nodes(void *user, int err, const char *lines, size_t len)
{
    struct pump_job *j = user;
    struct pump *p = j->p;

    j->has_nodes = 1;
    if (err >= 0 && len) {
        j->nodes = must_strndup(lines, len);
        j->nodes_len = len;
    }
    if (err < 0)
        finish(j, err);
    else
        settle_job(j);
    pump__done(p);
}

static void settle_job(struct pump_job *j)
{
    if (is_cold(j) && j->json && !j->has_nodes) {
        start_call(j, "asking for the nodes");
        stream_nodes_get(j->p->o.stream, &j->key, on_nodes, j);
        return;
    }
    if (j->pos == j->last && j->json && (is_cold(j) || !j->is_prepared))
        queue(j, "writing job.json", work_put_job, on_job_put);
    else
        commit(j);
}

/* ---- settle a segment ---- */

static void work_settle(uv_work_t *req)
{
    struct pump_job *j = req->data;
    char name[SEGMENT_NAME_BYTES], dir[PATH_MAX];

    FAULT_POINT("pump.before_commit");
    if (j->pos == j->last && j->json) {
        j->err = checkpoint_prepare(j->p->o.archive, &j->key, j->json, j->json_len);
        j->is_prepared = j->err >= 0;
    }
    if (j->err < 0) {
        segment_writer_abort(&j->writer);
        return;
    }
    j->raw_bytes = segment_writer_raw_bytes(j->writer);
    j->err = segment_writer_commit(&j->writer, name);
    if (j->err < 0)
        return;
    FAULT_POINT("pump.after_commit");
    j->err = archive_job_dir(j->p->o.archive, &j->key, 0, dir, sizeof dir);
    if (j->err < 0)
        return;
    if (snprintf(j->path, sizeof j->path, "%s/%s", dir, name) >= (int)sizeof j->path) {
        j->path[0] = '\0';
        j->err = ERR_TOO_BIG;
        return;
    }
    j->err = segment_verify(j->path, j->first, j->pos);
    if (j->err < 0) { /* what does not read back is no archive */
        unlink(j->path);
        j->path[0] = '\0';
        pump_digest_drop(&j->digest);
        return;
    }
    FAULT_POINT("pump.after_verify");
    pump_digest_store(&j->digest, j->p->o.archive, &j->key, j->epoch);
}

static void on_settled(uv_work_t *req, int status)
{
    struct pump_job *j = req->data;
    struct pump *p = j->p;

    CHECK(!j->writer);
    if (j->err < 0 || p->closed) {
        finish(j, j->err);
        goto out;
    }
    p->stats.segments++;
    p->stats.records += j->pos - j->first + 1;
    p->stats.bytes += j->raw_bytes;
    j->record_bytes = j->raw_bytes / (j->pos - j->first + 1) + 1;
    settle_job(j);
out:
    pump__done(p);
}

static void on_trimmed_early(void *user, int err)
{
    pump__done(user);
}

static void settle(struct pump_job *j)
{
    if (j->writer && FAULT_PLANT("trim")) { /* planted: Redis forgets before the segment is there */
        pump__begin(j->p);
        stream_commit_archived(j->p->o.stream, &j->key, j->token, j->epoch, j->pos, trim_upto(j), 0, on_trimmed_early, j->p);
    }
    if (j->writer && j->round != stream_redis_round(j->p->o.stream))
        finish(j, ERR_RESET); /* Redis is another one: read again */
    else if (j->writer)
        queue(j, "settling a segment", work_settle, on_settled);
    else if (is_cold(j) || j->pos > j->upto) /* the end, or lost records passed over */
        settle_job(j);
    else
        finish(j, 0);
}

/* ---- write ---- */

/* The part of f after seq, numbered as it was. */
static int cut_frame(const struct frame *f, uint64_t after, struct frame **ret_frame)
{
    struct shape_walk at;
    char *text;
    size_t len;

    shape_start(&at, f, after + 1, UINT64_MAX, 0);
    len = f->text_bytes - at.pos;
    text = malloc(len + 1);
    if (!text)
        return ERR_NOMEM;
    memcpy(text, f->text + at.pos, len);
    text[len] = '\0';
    {
        int err = frame_from_text(after + 1, f->recv_us, NULL, &text, len, ret_frame);

        free(text);
        return err;
    }
}

static int open_writer(struct pump_job *j, uint64_t first)
{
    char dir[PATH_MAX];
    uint64_t free_bytes = 0;
    int err = archive_free_bytes(j->p->o.archive, &free_bytes);

    if (err < 0)
        return err;
    if (free_bytes < PUMP_RESERVE_BYTES)
        return ERR_FULL;
    err = archive_job_dir(j->p->o.archive, &j->key, 1, dir, sizeof dir);
    if (err < 0)
        return err;
    j->first = first;
    return segment_writer_open(dir, first, j->p->o.level, &j->writer);
}

static int write_frame(struct pump_job *j, const struct frame *f)
{
    struct frame *cut = NULL;
    uint64_t last = frame_last_seq(f);
    int err = 0;

    if (last <= j->pos)
        return 0;
    if (f->first_seq <= j->pos) {
        err = cut_frame(f, j->pos, &cut);
        if (err < 0)
            return err;
    }
    if (!j->writer)
        err = open_writer(j, j->pos + 1);
    if (err >= 0)
        err = segment_writer_add(j->writer, cut ? cut : f);
    frame_unref(&cut);
    if (err >= 0)
        pump_digest_add(&j->digest, f);
    if (err >= 0)
        j->pos = last;
    return err;
}

/* One run is one segment, so that the job is known as of its end; what has waited long is cut. */
static int is_segment_full(const struct pump_job *j)
{
    return j->writer && segment_writer_raw_bytes(j->writer) >= j->p->o.segment_bytes * PUMP_RUN_SEGMENTS &&
           (j->goal - j->pos) * j->record_bytes >= j->p->o.segment_bytes / 2;
}

static void work_write(uv_work_t *req)
{
    struct pump_job *j = req->data;

    pump_digest_begin(&j->digest, j->p->o.archive, &j->key, j->epoch, j->pos);
    for (uint32_t i = 0; i < j->count && j->err >= 0; i++) {
        if (is_segment_full(j) || j->frames[i]->first_seq > j->goal)
            return;
        if (j->frames[i]->first_seq > j->pos + 1 || j->frames[i]->is_lost)
            return; /* a hole: the next read meets it first, the segment ends before it */
        j->err = write_frame(j, j->frames[i]);
    }
}

static void on_written(uv_work_t *req, int status)
{
    struct pump_job *j = req->data;
    struct pump *p = j->p;

    drop_frames(j);
    if (j->err < 0 || p->closed)
        finish(j, j->err);
    else if (j->pos >= j->goal || p->stopping || is_segment_full(j))
        settle(j);
    else if (clock_mono_us() - j->leased_us > PUMP_RENEW_US)
        lease(j);
    else
        read_more(j);
    pump__done(p);
}

/* ---- read ---- */

/* Records that nobody has any more: Redis lost them before they were archived. */
static void pass_over(struct pump_job *j, uint64_t first)
{
    char text[JOB_KEY_TEXT_BYTES];

    log_error("storage", "records were lost before they were archived",
              "job=%s from=%" PRIu64 " to=%" PRIu64, job_key_text(&j->key, text), j->pos + 1,
              first - 1);
    j->p->stats.lost_records += first - 1 - j->pos;
    j->pos = first - 1;
}

static void take_frames(struct pump_job *j, struct frame *const *frames, uint32_t count)
{
    uint64_t from = frames[0]->first_seq;

    if (frames[0]->is_lost)
        from = frame_last_seq(frames[0]) + 1;
    if (from > j->pos + 1) {
        if (j->writer) { /* the segment ends before the hole; the next round passes over it */
            j->goal = j->pos;
            settle(j);
            return;
        }
        pass_over(j, from);
        if (frames[0]->is_lost) {
            read_more(j);
            return;
        }
    }
    for (uint32_t i = 0; i < count && i < PUMP_FRAMES; i++)
        j->frames[j->count++] = frame_ref(frames[i]);
    queue(j, "writing a segment", work_write, on_written);
}

static void on_read(void *user, int err, struct frame *const *frames, uint32_t count,
                    uint64_t first_held, uint64_t tail_seq, uint64_t epoch)
{
    struct pump_job *j = user;
    struct pump *p = j->p;

    FAULT_POINT("pump.read");
    if (err < 0 || p->closed)
        finish(j, err < 0 ? err : 0);
    else if (epoch != j->epoch)
        finish(j, ERR_RESET);
    else if (count)
        take_frames(j, frames, count);
    else if (!j->writer && first_held > j->goal) { /* all of them are gone */
        pass_over(j, j->goal + 1);
        settle_job(j);
    } else
        settle(j);
    pump__done(p);
}

static void read_more(struct pump_job *j)
{
    if (j->pos >= j->goal) {
        settle(j);
        return;
    }
    start_call(j, "reading");
    stream_read(j->p->o.stream, &j->key, j->pos, PUMP_FRAMES, on_read, j);
}

/* ---- lease ---- */

static void set_info(struct pump_job *j, const struct job_info *info)
{
    j->epoch = info->epoch;
    j->round = stream_redis_round(j->p->o.stream);
    j->goal = j->last = info->seq;
    j->upto = j->pos = info->archived_upto;
    j->record_bytes = pump__bytes(info, 1);
    j->sealed = info->sealed;
}

static int make_durable(struct pump_job *j)
{
    char dir[PATH_MAX];
    int err = archive_job_dir(j->p->o.archive, &j->key, 0, dir, sizeof dir);

    FAULT_POINT("pump.take_over");
    return err < 0 ? err : io_fsync_dir(dir);
}

/* A segment that an interrupted run has named and not committed goes on where that run ended: verified again, it is
 * committed as it is. One that does not verify goes out of the way. */
static int take_over(struct pump_job *j)
{
    struct archive_file *files = NULL;
    char path[PATH_MAX], text[JOB_KEY_TEXT_BYTES];
    uint32_t count = 0;
    int err = archive_list(j->p->o.archive, &j->key, &files, &count);

    for (uint32_t i = 0; err >= 0 && i < count && j->pos == j->upto; i++) {
        const struct archive_file *f = &files[i];

        if (f->first_seq > j->upto + 1 || f->last_seq <= j->upto)
            continue;
        err = archive_file_path(j->p->o.archive, &j->key, f, path, sizeof path);
        if (err < 0)
            break;
        if (segment_verify(path, f->first_seq, f->last_seq) >= 0) {
            err = make_durable(j); /* it may have been killed between rename and fsync */
            if (err < 0)
                break;
            log_info("storage", "a segment of an interrupted run is taken over", "job=%s file=%s",
                     job_key_text(&j->key, text), f->name);
            j->pos = f->last_seq;
        } else {
            log_warn("storage", "a segment of an interrupted run does not verify: moved out of the way", "job=%s file=%s",
                     job_key_text(&j->key, text), f->name);
            err = archive_shelve(j->p->o.archive, &j->key, f);
        }
    }
    free(files);
    return err;
}

static void work_look(uv_work_t *req)
{
    struct pump_job *j = req->data;

    j->err = archive_last_seq(j->p->o.archive, &j->key, &j->archive_last);
    if (j->err >= 0 && j->archive_last > j->upto && j->archive_last <= j->last)
        j->err = take_over(j);
    if (j->err >= 0 && j->archive_last <= j->last)
        j->err = checkpoint_mend(j->p->o.archive, &j->key, j->pos);
}

static void on_nothing(void *user, int err)
{
    pump__done(user);
}

static void on_looked(uv_work_t *req, int status)
{
    struct pump_job *j = req->data;
    struct pump *p = j->p;

    if (j->err < 0 || p->closed) {
        finish(j, j->err);
    } else if (j->archive_last > j->last) { /* Redis has lost records that were archived: mended before anything is written */
        pump__begin(p);
        stream_recover(p->o.stream, &j->key, on_nothing, p);
        finish(j, ERR_BUSY);
    } else if (j->pos > j->upto) {
        settle_job(j);
    } else {
        read_more(j);
    }
    pump__done(p);
}

/* Another node may have moved archived_upto between our look and our lease. */
static void on_fresh_info(void *user, int err, const struct job_info *info)
{
    struct pump_job *j = user;
    struct pump *p = j->p;

    if (err >= 0 && !p->closed) {
        set_info(j, info);
        j->is_fresh = 1;
        err = make_json(j, info);
    }
    if (err < 0 || p->closed)
        finish(j, err < 0 ? err : 0);
    else
        queue(j, "looking at the archive", work_look, on_looked);
    pump__done(p);
}

static void on_lease(void *user, int err, uint64_t token)
{
    struct pump_job *j = user;
    struct pump *p = j->p;

    if (err < 0 || p->closed) {
        finish(j, err < 0 ? err : 0);
        goto out;
    }
    j->token = token;
    j->leased_us = clock_mono_us();
    if (j->is_fresh) {
        read_more(j);
    } else {
        start_call(j, "asking for the job");
        stream_job_get(p->o.stream, &j->key, 1, on_fresh_info, j);
    }
out:
    pump__done(p);
}

static void lease(struct pump_job *j)
{
    start_call(j, "taking the lease");
    stream_lease(j->p->o.stream, &j->key, j->token, on_lease, j);
}

void pump__run(struct pump *p, const struct job_info *info)
{
    struct pump_job *j = must_calloc(1, sizeof *j);
    struct pump_known *k = pump__known(p, &info->key);

    CHECK(!k->is_active);
    k->is_active = 1;
    p->active++;
    j->req.data = j;
    j->p = p;
    j->key = info->key;
    j->token = k->token;
    lease(j);
}

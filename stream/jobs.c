/*
 * stream/jobs.c -- the registry: create, get, find and delete jobs.
 *
 * A job is created by one script op, after its index entries were written on the same connection:
 * a crash in between leaves an index entry without a job (passed over by readers), never a job
 * that no list shows. Deleting goes the other way round, and looks afterwards whether the job was made
 * again meanwhile, in which case its index entries are put back.
 * Lists of jobs: jobs_list.c.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "job/record.h"
#include "stream/jobs_int.h"
#include "stream/known.h"
#include "stream/witness.h"
#include "stream/recover.h"

#include <stdlib.h>
#include <string.h>

#define BACKS_MAX 3 /* losses of history met by one call */

/* The word a script answer begins with. */
static int answers(const struct reply *reply, const char *word)
{
    return strcmp(reply_at(reply, 0)->str, word) == 0;
}

/* ---- get ---- */

struct load_call {
    struct stream *st;
    struct job_key key;
    int detail;
    int asked_past;
    jobs__loaded_fn *done;
    void *user;
};

static void send_load(struct load_call *c);

static void on_load_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct load_call *c = user;
    struct job_info *info = NULL;
    if (err >= 0) {
        send_load(c);
        return;
    }
    c->done(c->user, err, &info);
    stream__call_end(c->st);
    free(c);
}

/* Not there: in the past, unless Redis is whole. */
static void on_load_marked(void *arg)
{
    struct load_call *c = arg;
    if (stream_is_whole(c->st))
        on_load_recovered(c, ERR_NOT_FOUND, 0, 0);
    else
        recover__start(c->st, &c->key, 0, on_load_recovered, c);
}

static void on_got(void *user, int err, const struct reply *reply)
{
    struct load_call *c = user;
    struct job_info *info = NULL;
    if (err >= 0)
        err = answers(reply, "OK") ? jobs__info_read(&c->key, reply_at(reply, 1), &info) : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND && !c->asked_past && c->st->past) {
        c->asked_past = 1;
        if (stream_is_whole(c->st))
            stream__look_for_mark(c->st, on_load_marked, c);
        else
            on_load_marked(c);
        return;
    }
    if (err >= 0) {
        jobs__info_read_producers(info, reply_at(reply, 2));
        jobs__info_read_ranks(info, reply_at(reply, 3));
    }
    c->done(c->user, err < 0 ? err : 0, &info);
    job_info_free(&info);
    stream__call_end(c->st);
    free(c);
}

static void send_load(struct load_call *c)
{
    struct conn_request *r = conn_request_new(0);
    stream__script_begin(c->st, r, &c->key, "get", 1);
    conn_request_str(r, c->detail ? "1" : "0");
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_got, c);
}

void jobs__load(struct stream *st, const struct job_key *key, int detail, jobs__loaded_fn *done, void *user)
{
    struct load_call *c = must_malloc(sizeof(*c));
    *c = (struct load_call){st, *key, detail, 0, done, user};
    stream__call_begin(st);
    send_load(c);
}

static void on_load_ready(void *arg, int err)
{
    struct load_call *c = arg;
    struct job_info *none = NULL;

    if (err >= 0) {
        send_load(c);
        return;
    }
    c->done(c->user, err, &none);
    stream__call_end(c->st);
    free(c);
}

void jobs__load_sound(struct stream *st, const struct job_key *key, int detail, jobs__loaded_fn *done, void *user)
{
    if (!witness__wanted(st)) {
        jobs__load(st, key, detail, done, user);
        return;
    }
    struct load_call *c = must_malloc(sizeof(*c));
    *c = (struct load_call){st, *key, detail, 0, done, user};
    stream__call_begin(st);
    known__ready(st, key, on_load_ready, c);
}

struct get_call {
    stream_info_fn *done;
    void *user;
};

static void on_info(void *user, int err, struct job_info **info)
{
    struct get_call *c = user;
    c->done(c->user, err, *info);
    free(c);
}

void stream_job_get(struct stream *st, const struct job_key *key, int detail, stream_info_fn *done, void *user)
{
    struct get_call *c = must_malloc(sizeof(*c));
    *c = (struct get_call){done, user};
    jobs__load_sound(st, key, detail, on_info, c);
}

/* ---- create ---- */

struct create_call {
    struct stream *st;
    struct job_key key;
    char *name, *labels, *extra;
    uint32_t ranks;
    int64_t now_us;
    int indexed; /* the index entries go with this request */
    unsigned backs;
    int created;
    stream_created_fn *done;
    void *user;
};

static void created(struct create_call *c, int err, const struct job_info *info)
{
    struct stream *st = c->st;
    c->done(c->user, err, c->created, info);
    free(c->name);
    free(c->labels);
    free(c->extra);
    free(c);
    stream__call_end(st);
}

static void on_created_info(void *user, int err, struct job_info **info)
{
    created(user, err, *info);
}

static void send_create(struct create_call *c);

static void on_create_ready(void *arg, int err)
{
    struct create_call *c = arg;
    const struct known *k = known__find(c->st, &c->key);
    if (err == 0 && c->indexed && k && k->past_failed)
        err = ERR_UNAVAILABLE;
    if (err < 0)
        created(c, err, NULL);
    else
        send_create(c);
}

static void on_create_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct create_call *c = user;
    if (err < 0 && err != ERR_NOT_FOUND)
        created(c, ERR_UNAVAILABLE, NULL);
    else
        known__ready(c->st, &c->key, on_create_ready, c);
}

static void on_created(void *user, int err, const struct reply *reply)
{
    struct create_call *c = user;
    if (err < 0) {
        created(c, err, NULL);
        return;
    }
    const struct reply *answer = c->indexed ? reply_at(reply, STREAM_INDEX_COMMANDS) : reply;
    if (answers(answer, "OK")) {
        c->created = reply_u64(reply_at(answer, 1)) == 1;
        if (c->created)
            stream__observe_state(c->st, &c->key);
        jobs__load(c->st, &c->key, 0, on_created_info, c);
    } else if (answers(answer, "NEED_INDEX") && !c->indexed) {
        c->indexed = 1;
        known__forget(c->st, &c->key);
        known__ready(c->st, &c->key, on_create_ready, c);
    } else if (answers(answer, "BACK") && ++c->backs <= BACKS_MAX) {
        recover__start(c->st, &c->key, reply_u64(reply_at(answer, 2)), on_create_recovered, c);
    } else {
        created(c, ERR_IO, NULL);
    }
}

void stream__first_record(struct conn_request *r, enum job_state state, int64_t now_us)
{
    struct buf header = BUF_INIT, line = BUF_INIT;
    struct frame_summary sum;
    struct record rec = {
        .ts_us = now_us, .rank = RECORD_RANK_NONE, .msg = "", .is_state = 1, .state = state};
    frame_summary_init(&sum);
    frame_summary_add(&sum, now_us, RECORD_RANK_NONE, LEVEL_NONE);
    sum.is_state = 1;
    CHECK(must_have(record_write(&line, &rec)) >= 0);
    CHECK(must_have(frame_header_format(&header, &sum, now_us, line.len, 0)) >= 0);
    conn_request_arg(r, header.data, header.len);
    conn_request_arg(r, line.data, line.len);
    buf_release(&header);
    buf_release(&line);
}

/* First without index entries: a job that is there already must not be listed as active again. */
static void send_create(struct create_call *c)
{
    struct conn_request *r = conn_request_new(0);
    if (c->indexed)
        stream__index_add(r, &c->key, c->now_us);
    stream__script_begin(c->st, r, &c->key, "create", 9);
    conn_request_main(r);
    conn_request_i64(r, c->now_us);
    conn_request_str(r, c->indexed ? "1" : "0");
    conn_request_str(r, state_short(STATE_CREATED));
    conn_request_u64(r, c->ranks);
    conn_request_str(r, c->name ? c->name : "");
    conn_request_str(r, c->labels ? c->labels : "");
    conn_request_str(r, c->extra ? c->extra : "");
    stream__first_record(r, STATE_CREATED, c->now_us);
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_created, c);
}

void stream_job_create(struct stream *st, const struct job_create *create, stream_created_fn *done, void *user)
{
    struct create_call *c = must_calloc(1, sizeof(*c));
    stream__call_begin(st);
    c->st = st;
    c->key = create->key;
    c->name = create->name ? must_strdup(create->name) : NULL;
    c->labels = create->labels_json ? must_strdup(create->labels_json) : NULL;
    c->extra = create->extra_json ? must_strdup(create->extra_json) : NULL;
    c->ranks = create->ranks;
    c->now_us = clock_wall_us();
    c->done = done;
    c->user = user;
    known__ready(st, &c->key, on_create_ready, c);
}

/* ---- find ---- */

struct find_call {
    struct stream *st;
    char job[ID_BYTES_MAX + 1];
    struct job_key *keys; /* in each project that the index names */
    struct job_key past_key;
    uint32_t count;
    stream_key_fn *done;
    stream_keys_fn *done_all; /* instead of done */
    void *user;
};

static void found(struct find_call *c, int err, const struct job_key *key)
{
    struct stream *st = c->st;
    if (c->done_all)
        c->done_all(c->user, err == ERR_NOT_FOUND || err == ERR_AMBIGUOUS ? 0 : err, c->keys, c->count);
    else
        c->done(c->user, err, key);
    free(c->keys);
    free(c);
    stream__call_end(st);
}

static void on_find_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct find_call *c = user;
    if (err >= 0) {
        c->keys[0] = c->past_key;
        c->count = 1;
    }
    found(c, err, err < 0 ? NULL : c->keys);
}

static void on_past_found(void *ctx, int err, const struct job_key *key)
{
    struct find_call *c = ctx;
    struct stream *st = c->st;
    if (err == ERR_AMBIGUOUS && c->done_all)
        err = ERR_UNAVAILABLE; /* not all of them are back yet */
    if (err < 0 || st->close_parts) {
        found(c, err < 0 ? err : ERR_CANCELLED, NULL);
    } else {
        c->past_key = *key;
        recover__start(st, key, 0, on_find_recovered, c);
    }
    stream__past_done(st);
}

/* Redis has none: unless it is known to be whole, the past may. */
static void on_find_marked(void *arg)
{
    struct find_call *c = arg;
    if (stream_is_whole(c->st)) {
        found(c, ERR_NOT_FOUND, NULL);
        return;
    }
    stream__past_begin(c->st);
    c->st->past->find(c->st->past_user, c->job, on_past_found, c);
}

static void not_found(struct find_call *c)
{
    if (c->st->past && stream_is_whole(c->st))
        stream__look_for_mark(c->st, on_find_marked, c);
    else
        on_find_marked(c);
}

static void on_exist(void *user, int err, const struct reply *reply)
{
    struct find_call *c = user;
    uint32_t count = 0;
    for (uint32_t i = 0; err >= 0 && i < c->count; i++)
        if (reply_u64(c->count == 1 ? reply : reply_at(reply, i)) == 1)
            c->keys[count++] = c->keys[i]; /* the others are index entries of jobs that never came to be */
    c->count = count;
    if (err >= 0)
        err = count == 0 ? ERR_NOT_FOUND : count > 1 ? ERR_AMBIGUOUS : 0;
    if (err == ERR_NOT_FOUND)
        not_found(c);
    else
        found(c, err, err < 0 ? NULL : c->keys);
}

static void on_projects_of_id(void *user, int err, const struct reply *reply)
{
    struct find_call *c = user;
    char key[STREAM_KEY_BYTES];
    if (err < 0) {
        found(c, err, NULL);
        return;
    }
    c->keys = must_calloc(reply->count + 1, sizeof(*c->keys));
    for (uint32_t i = 0; i < reply->count; i++) {
        const struct reply *project = reply_at(reply, i);
        if (job_key_make(&c->keys[c->count], project->str, project->len, c->job, strlen(c->job)) == 0)
            c->count++;
    }
    if (!c->count) {
        not_found(c);
        return;
    }
    struct conn_request *r = conn_request_new(0);
    for (uint32_t i = 0; i < c->count; i++) {
        conn_request_begin(r, 3);
        conn_request_str(r, "HEXISTS");
        conn_request_str(r, stream__key(key, &c->keys[i], "meta"));
        conn_request_str(r, "epoch");
    }
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_exist, c);
}

static void find(struct stream *st, const char *job_id, stream_key_fn *done, stream_keys_fn *done_all, void *user)
{
    char key[STREAM_IDS_KEY_BYTES];
    struct find_call *c = must_calloc(1, sizeof(*c));
    size_t len = strlen(job_id);
    CHECK(len < sizeof c->job);
    stream__call_begin(st);
    memcpy(c->job, job_id, len + 1);
    c->st = st;
    c->done = done;
    c->done_all = done_all;
    c->user = user;
    conn_words(st->cmd, CONN_IDEMPOTENT, on_projects_of_id, c, "SMEMBERS", stream__ids_key(key, job_id), NULL);
}

void stream_job_find(struct stream *st, const char *job_id, stream_key_fn *done, void *user)
{
    find(st, job_id, done, NULL, user);
}

void stream_job_find_all(struct stream *st, const char *job_id, stream_keys_fn *done, void *user)
{
    find(st, job_id, NULL, done, user);
}

struct exists_call {
    struct stream *st;
    struct job_key key;
    void (*done)(void *user, int err);
    void *user;
};

static void end_exists(struct exists_call *c, int err)
{
    c->done(c->user, err);
    stream__call_end(c->st);
    free(c);
}

static void on_exists_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    end_exists(user, err);
}

static void on_exists_marked(void *arg)
{
    struct exists_call *c = arg;
    if (stream_is_whole(c->st))
        end_exists(c, ERR_NOT_FOUND);
    else
        recover__start(c->st, &c->key, 0, on_exists_recovered, c);
}

static void on_exists(void *user, int err, const struct reply *reply)
{
    struct exists_call *c = user;
    if (err < 0 || reply_i64(reply) != 0)
        end_exists(c, err);
    else if (c->st->past && stream_is_whole(c->st))
        stream__look_for_mark(c->st, on_exists_marked, c);
    else
        on_exists_marked(c);
}

void stream_job_exists(struct stream *st, const struct job_key *key, void (*done)(void *user, int err),
                       void *user)
{
    char name[STREAM_KEY_BYTES];
    struct exists_call *c = must_malloc(sizeof(*c));
    *c = (struct exists_call){st, *key, done, user};
    stream__call_begin(st);
    conn_words(st->cmd, CONN_IDEMPOTENT, on_exists, c, "EXISTS", stream__key(name, key, "meta"), NULL);
}

/* ---- how far logs go ---- */

struct seqs_call {
    struct stream *st;
    uint32_t count;
    void (*done)(void *user, int err, const uint64_t *seqs);
    void *user;
};

static void on_seqs(void *user, int err, const struct reply *reply)
{
    struct seqs_call *c = user;
    uint64_t seqs[STREAM_SEQS_MAX];
    for (uint32_t i = 0; err >= 0 && i < c->count; i++) {
        const struct reply *seq = c->count == 1 ? reply : reply_at(reply, i);
        seqs[i] = seq->kind == REPLY_STR ? reply_u64(seq) : UINT64_MAX;
    }
    c->done(c->user, err < 0 ? err : 0, err < 0 ? NULL : seqs);
    stream__call_end(c->st);
    free(c);
}

void stream_job_seqs(struct stream *st, const struct job_key *keys, uint32_t count,
                     void (*done)(void *user, int err, const uint64_t *seqs), void *user)
{
    struct seqs_call *c = must_malloc(sizeof(*c));
    struct conn_request *r = conn_request_new(count * 64);
    char key[STREAM_KEY_BYTES];
    CHECK(count > 0 && count <= STREAM_SEQS_MAX);
    *c = (struct seqs_call){st, count, done, user};
    for (uint32_t i = 0; i < count; i++) {
        conn_request_begin(r, 3);
        conn_request_str(r, "HGET");
        conn_request_str(r, stream__key(key, &keys[i], "meta"));
        conn_request_str(r, "seq");
    }
    stream__call_begin(st);
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_seqs, c);
}

/* ---- delete ---- */

struct delete_call {
    struct stream *st;
    struct job_key key;
    uint32_t answers; /* of the request; the script's is the first, the look afterwards the last */
    int existed;
    void (*done)(void *user, int err);
    void *user;
};

static void deleted(struct delete_call *c, int err)
{
    struct stream *st = c->st;
    c->done(c->user, err);
    free(c);
    stream__call_end(st);
}

static void on_index_back(void *user, int err, const struct reply *reply)
{
    struct delete_call *c = user;
    (void)reply;
    deleted(c, err < 0 ? err : c->existed ? 0 : ERR_NOT_FOUND);
}

static void on_deleted(void *user, int err, const struct reply *reply)
{
    struct delete_call *c = user;
    if (err < 0) {
        deleted(c, err);
        return;
    }
    c->existed = reply_u64(reply_at(reply_at(reply, 0), 1)) == 1;
    int64_t again_us = reply_i64(reply_at(reply, c->answers - 1));
    hub__poke(c->st, &c->key);
    if (!again_us) {
        deleted(c, c->existed ? 0 : ERR_NOT_FOUND);
        return;
    }
    struct conn_request *r = conn_request_new(0); /* made again between the script and the index */
    stream__index_add(r, &c->key, again_us);
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_index_back, c);
}

void stream_job_delete(struct stream *st, const struct job_key *key, void (*done)(void *user, int err), void *user)
{
    static const char *const zsets[] = {STREAM_KEY_JOBS, STREAM_KEY_ACTIVE, STREAM_KEY_HOT, STREAM_KEY_DRAINING};
    char text[JOB_KEY_TEXT_BYTES], meta[STREAM_KEY_BYTES], ids[STREAM_IDS_KEY_BYTES];
    struct delete_call *c = must_calloc(1, sizeof(*c));
    struct conn_request *r = conn_request_new(0);
    stream__call_begin(st);
    *c = (struct delete_call){.st = st, .key = *key, .done = done, .user = user};
    known__forget(st, key);
    job_key_text(key, text);
    stream__script_begin(st, r, key, "delete", 0);
    c->answers = 1;
    for (size_t i = 0; i <= sizeof zsets / sizeof *zsets; i++) {
        conn_request_begin(r, 3);
        conn_request_str(r, "ZREM");
        conn_request_str(r, i < sizeof zsets / sizeof *zsets ? zsets[i] : stream__project_key(ids, key->project));
        conn_request_str(r, text);
        c->answers++;
    }
    conn_request_begin(r, 3);
    conn_request_str(r, "SREM");
    conn_request_str(r, stream__ids_key(ids, key->job));
    conn_request_str(r, key->project);
    conn_request_begin(r, 3);
    conn_request_str(r, "HGET");
    conn_request_str(r, stream__key(meta, key, "meta"));
    conn_request_str(r, "created_us");
    c->answers += 2;
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_deleted, c);
}

/* ---- projects ---- */

struct projects_call {
    struct stream *st;
    stream_projects_fn *done;
    void *user;
};

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void on_projects(void *user, int err, const struct reply *reply)
{
    struct projects_call *c = user;
    uint32_t count = err < 0 ? 0 : reply->count;
    const char **names = must_calloc(count + 1, sizeof(*names));
    for (uint32_t i = 0; i < count; i++)
        names[i] = reply_at(reply, i)->str;
    if (count)
        qsort(names, count, sizeof(*names), name_compare);
    c->done(c->user, err < 0 ? err : 0, names, count);
    stream__call_end(c->st);
    free(names);
    free(c);
}

void stream_projects(struct stream *st, stream_projects_fn *done, void *user)
{
    struct projects_call *c = must_malloc(sizeof(*c));
    *c = (struct projects_call){st, done, user};
    stream__call_begin(st);
    conn_words(st->cmd, CONN_IDEMPOTENT, on_projects, c, "SMEMBERS", STREAM_KEY_PROJECTS, NULL);
}

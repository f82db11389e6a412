/*
 * serve/job_json_read.c -- a job's JSON (job.json of the archive) back into struct job_info.
 *
 * Ours to read: what is missing is what it is in a new job, what is of the wrong type makes the whole unreadable, so
 * that a damaged sidecar is noticed and the records are asked instead.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "job/record.h"
#include "serve/job_json.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_BYTES_MAX (16UL << 20)
#define SIGNALS_MAX 65

/* The members of one object; the first wrong one is remembered. */
struct members {
    const struct json_tree *obj;
    int err;
};

static int64_t read_i64(struct members *m, const char *key)
{
    int64_t v = 0;

    if (json_tree_get_i64(m->obj, key, &v) < 0)
        m->err = ERR_CORRUPT;
    return v;
}

static uint64_t read_u64(struct members *m, const char *key)
{
    int64_t v = read_i64(m, key);

    if (v < 0)
        m->err = ERR_CORRUPT;
    return v < 0 ? 0 : (uint64_t)v;
}

/* NULL when absent or null. Borrowed. */
static const char *read_str(struct members *m, const char *key)
{
    const char *s = NULL;

    if (json_tree_get_str(m->obj, key, &s) < 0)
        m->err = ERR_CORRUPT;
    return s;
}

static char *copy_str(struct members *m, const char *key)
{
    const char *s = read_str(m, key);

    return s ? must_strdup(s) : NULL;
}

static int read_bool(struct members *m, const char *key)
{
    int v = 0;

    if (json_tree_get_bool(m->obj, key, &v) < 0)
        m->err = ERR_CORRUPT;
    return v;
}

static int64_t read_time(struct members *m, const char *key)
{
    const char *s = read_str(m, key);
    int64_t us = 0;

    if (s && clock_parse_rfc3339(s, strlen(s), &us) < 0)
        m->err = ERR_CORRUPT;
    return us;
}

static enum job_state read_state(struct members *m)
{
    const char *s = read_str(m, "state");
    enum job_state state = STATE_CREATED;

    if (!s || state_parse(s, strlen(s), &state) < 0)
        m->err = ERR_CORRUPT;
    return state;
}

/* 1 and the number, 0: null. */
static int read_code(struct members *m, int64_t *ret)
{
    const struct json_tree *v = json_tree_get(m->obj, "exit_code");

    *ret = read_i64(m, "exit_code");
    return v && json_tree_is_num(v);
}

static int32_t read_rank(struct members *m)
{
    const struct json_tree *v = json_tree_get(m->obj, "rank");
    int64_t rank = read_i64(m, "rank");

    if (!v || !json_tree_is_num(v))
        return RECORD_RANK_NONE;
    if (rank < 0 || rank > RECORD_RANK_MAX)
        m->err = ERR_CORRUPT;
    return (int32_t)rank;
}

static char *copy_json(struct members *m, const char *key, const char *fallback)
{
    const struct json_tree *v = json_tree_get(m->obj, key);
    struct buf text = BUF_INIT;
    struct json j;
    char *out;

    if (!v || json_tree_is_null(v))
        return must_strdup(fallback);
    json_init_may_fail(&j, &text);
    json_tree_print(&j, v);
    if (json_err(&j) < 0)
        m->err = json_err(&j);
    out = must_strdup(buf_cstr(&text));
    buf_release(&text);
    return out;
}

/* ---- lists ---- */

/* The list under key and its length; NULL: there is none, or something else. */
static const struct json_tree *read_list(struct members *m, const char *key, uint32_t *ret_count)
{
    const struct json_tree *list = json_tree_get(m->obj, key);

    *ret_count = 0;
    if (!list || json_tree_is_null(list))
        return NULL;
    if (!json_tree_is_arr(list)) {
        m->err = ERR_CORRUPT;
        return NULL;
    }
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v))
        ++*ret_count;
    return list;
}

static void read_history(struct members *m, struct job_info *info)
{
    uint32_t count;
    const struct json_tree *list = read_list(m, "history", &count);

    if (count > JOB_HISTORY_MAX) {
        m->err = ERR_CORRUPT;
        return;
    }
    for (const struct json_tree *v = list ? json_tree_first(list) : NULL; v; v = json_tree_next(v)) {
        struct job_history *h = &info->history[info->history_count++];
        struct members one = {v, 0};

        h->state = read_state(&one);
        h->at_us = read_time(&one, "at");
        h->seq = read_u64(&one, "seq");
        h->has_exit_code = read_code(&one, &h->exit_code);
        h->rank = read_rank(&one);
        h->message = copy_str(&one, "message");
        m->err = one.err ? one.err : m->err;
    }
}

static void read_ranks(struct members *m, struct job_info *info)
{
    uint32_t count;
    const struct json_tree *list = read_list(m, "by_rank", &count);

    if (!count)
        return;
    info->ranks = must_calloc(count, sizeof *info->ranks);
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v)) {
        struct job_rank *r = &info->ranks[info->rank_count++];
        struct members one = {v, 0};

        r->rank = read_rank(&one);
        r->lines = read_u64(&one, "lines");
        r->last_seq = read_u64(&one, "last_seq");
        r->last_ts_us = read_time(&one, "last_at");
        r->last_recv_us = read_time(&one, "last_received_at");
        m->err = one.err ? one.err : m->err;
    }
}

static int32_t read_signal(struct members *m)
{
    const char *s = read_str(m, "signal");

    for (int sig = 1; s && sig < SIGNALS_MAX; sig++) {
        const char *name = sigabbrev_np(sig);

        if (name && strncmp(s, "SIG", 3) == 0 && strcmp(s + 3, name) == 0)
            return sig;
    }
    return 0;
}

/* Producers choose their epochs: one above 2^53 stands as text beside the number. */
static uint64_t read_epoch(struct members *m)
{
    const char *text = read_str(m, "epoch_text");

    return text ? strtoull(text, NULL, 10) : read_u64(m, "epoch");
}

static void read_producers(struct members *m, struct job_info *info)
{
    uint32_t count;
    const struct json_tree *list = read_list(m, "producers", &count);

    if (!count)
        return;
    info->producers = must_calloc(count, sizeof *info->producers);
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v)) {
        struct job_producer *p = &info->producers[info->producer_count++];
        struct members one = {v, 0};
        const char *id = read_str(&one, "id");
        const struct json_tree *fin = json_tree_get(v, "fin");
        int64_t code = 0;

        if (!id || !id_valid(id, strlen(id))) {
            m->err = ERR_CORRUPT;
            return;
        }
        memcpy(p->id, id, strlen(id) + 1);
        p->epoch = read_epoch(&one);
        p->last = read_u64(&one, "last");
        p->rank = read_rank(&one);
        p->has_fin = fin && json_tree_is_num(fin);
        p->fin = read_u64(&one, "fin");
        p->fin_us = read_time(&one, "fin_at");
        p->has_exit_code = read_code(&one, &code);
        if (code < INT32_MIN || code > INT32_MAX)
            one.err = ERR_CORRUPT;
        p->exit_code = (int32_t)code;
        p->signal = read_signal(&one);
        m->err = one.err ? one.err : m->err;
    }
}

static void read_levels(struct members *m, struct job_info *info)
{
    struct members one = {json_tree_get(m->obj, "levels"), 0};

    for (int l = 0; one.obj && l < LEVEL_COUNT; l++)
        info->level_count[l] = read_u64(&one, l == LEVEL_NONE ? "none" : level_name((enum level)l));
    m->err = one.err ? one.err : m->err;
}

/* ---- the job ---- */

static void read_end(struct members *m, struct job_info *info)
{
    info->ended_us = read_time(m, "ended_at");
    info->has_exit_code = read_code(m, &info->exit_code);
    info->error_message = copy_str(m, "error_message");
    info->sealed = read_bool(m, "sealed");
    if (!info->sealed)
        return;
    info->sealed_seq = info->seq;
    info->sealed_us = read_time(m, "sealed_at");
    info->complete = read_bool(m, "complete");
}

static void read_counters(struct members *m, struct job_info *info)
{
    info->lines = read_u64(m, "lines");
    info->bytes = read_u64(m, "bytes");
    info->batches = read_u64(m, "batches");
    info->duplicates = read_u64(m, "duplicates");
    info->gaps = read_u64(m, "gaps");
    info->refused_sealed = read_u64(m, "refused_sealed");
    info->archived_upto = read_u64(m, "archived_upto");
    info->first_in_stream = read_u64(m, "held_from");
    info->producers_unknown = read_bool(m, "rebuilt");
}

int job_json_read(const char *text, size_t len, const struct job_key *key, struct job_info **ret_info)
{
    struct json_tree *root = NULL;
    struct members m = {NULL, 0};
    struct job_info *info;
    const char *id, *project;
    uint64_t ranks;
    int err = json_tree_parse_max(text, len, DOCUMENT_BYTES_MAX, &root, NULL);

    if (err < 0)
        return err == ERR_TOO_BIG || err == ERR_NOMEM ? err : ERR_CORRUPT;
    info = job_info_new();
    info->key = *key;
    m.obj = root;
    id = read_str(&m, "id");
    project = read_str(&m, "project");
    if (!json_tree_is_obj(root) || !id || !project || strcmp(id, key->job) != 0 || strcmp(project, key->project) != 0)
        m.err = ERR_CORRUPT;
    info->epoch = read_u64(&m, "epoch");
    info->seq = read_u64(&m, "seq");
    info->state = read_state(&m);
    info->name = copy_str(&m, "name");
    info->labels_json = copy_json(&m, "labels", "{}");
    info->extra_json = copy_json(&m, "extra", "{}");
    info->missing_json = copy_json(&m, "missing", "[]");
    ranks = read_u64(&m, "ranks");
    if (ranks > UINT32_MAX)
        m.err = ERR_CORRUPT;
    info->ranks_declared = (uint32_t)ranks;
    info->created_us = read_time(&m, "created_at");
    info->updated_us = read_time(&m, "updated_at");
    info->started_us = read_time(&m, "started_at");
    read_counters(&m, info);
    read_end(&m, info);
    read_history(&m, info);
    read_ranks(&m, info);
    read_producers(&m, info);
    read_levels(&m, info);
    if (!info->epoch)
        m.err = ERR_CORRUPT;
    json_tree_free(&root);
    if (m.err < 0)
        job_info_free(&info);
    *ret_info = info;
    return m.err;
}

/*
 * stream/jobs_list.c -- pages of jobs, newest first, out of an index of 100,000.
 *
 *     ZREVRANGEBYSCORE index <cursor us> -inf   ->  candidates after the cursor (score, then name, falling)
 *     HMGET state ended_us labels each          ->  those that match          (only when a filter asks)
 *     HGETALL each                              ->  infos, until the page is full
 *
 * Works in chunks: neither Redis nor the loop is held for more than a few milliseconds. A page always
 * starts at a place (score, name), never at a count, so jobs made or deleted meanwhile move nothing. After
 * LIST_SCAN_MAX candidates a call ends with what it has found and a cursor to go on from.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "stream/jobs_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_CHUNK 64          /* jobs whose infos are read at once */
#define LIST_CHUNK_FILTER 256  /* jobs that a filter looks at at once */
#define LIST_SCAN_MAX 4096
#define LIST_EQUAL_MAX (1u << 20) /* names asked for to get past jobs of one and the same microsecond */
#define LABELS_MAX 8

struct candidate {
    int64_t us;
    struct job_key key;
    char text[JOB_KEY_TEXT_BYTES];
};

struct list_call {
    struct stream *st;
    stream_list_fn *done;
    void *user;
    int64_t deadline_us;
    char index[STREAM_KEY_BYTES];
    char project[ID_BYTES_MAX + 1]; /* to compare with, when the index is over all projects */
    uint32_t state_mask, limit, label_count;
    int active_only;
    char *label_keys[LABELS_MAX], *label_values[LABELS_MAX];
    int64_t at_us; /* the place reached: everything before it is dealt with; 0 at the start */
    char at_key[JOB_KEY_TEXT_BYTES];
    uint32_t asked, got; /* of the last range */
    struct candidate *chunk;
    struct candidate chunk_end; /* the last index entry looked at for this chunk */
    uint32_t chunk_count, picked; /* picked: how many of the chunk were asked for by HGETALL */
    uint32_t scanned;
    struct job_info **infos;
    uint32_t info_count;
};

static void finish(struct list_call *c, int err, int more)
{
    struct stream *st = c->st;
    if (err < 0)
        c->done(c->user, err, NULL, 0, 0, "");
    else
        c->done(c->user, 0, (const struct job_info *const *)c->infos, c->info_count, more ? c->at_us : 0, more ? c->at_key : "");
    for (uint32_t i = 0; i < c->info_count; i++)
        job_info_free(&c->infos[i]);
    for (uint32_t i = 0; i < c->label_count; i++) {
        free(c->label_keys[i]);
        free(c->label_values[i]);
    }
    free(c->infos);
    free(c->chunk);
    free(c);
    stream__call_end(st);
}

static int filters(const struct list_call *c)
{
    return c->state_mask || c->active_only || c->label_count;
}

static void move_to(struct list_call *c, const struct candidate *place)
{
    c->at_us = place->us;
    memcpy(c->at_key, place->text, sizeof c->at_key);
}

static void ask_range(struct list_call *c, uint32_t count);

/* The chunk is dealt with: the page is full, or on to the next one. */
static void next_chunk(struct list_call *c)
{
    int last = c->got < c->asked; /* the index has nothing after this chunk */
    move_to(c, &c->chunk_end);
    if (c->info_count >= c->limit || last || c->scanned >= LIST_SCAN_MAX)
        finish(c, 0, !last);
    else
        ask_range(c, filters(c) ? LIST_CHUNK_FILTER : LIST_CHUNK);
}

static void ask_infos(struct list_call *c);

static void on_infos(void *user, int err, const struct reply *reply)
{
    struct list_call *c = user;
    if (err < 0) {
        finish(c, err, 0);
        return;
    }
    for (uint32_t i = 0; i < c->picked; i++) {
        const struct reply *meta = c->picked == 1 ? reply : reply_at(reply, i);
        if (jobs__info_read(&c->chunk[i].key, meta, &c->infos[c->info_count]) == 0)
            c->info_count++;
        move_to(c, &c->chunk[i]);
    }
    c->chunk_count -= c->picked;
    memmove(c->chunk, c->chunk + c->picked, c->chunk_count * sizeof(*c->chunk));
    if (c->chunk_count && c->info_count < c->limit)
        ask_infos(c);
    else if (c->chunk_count)
        finish(c, 0, 1);
    else
        next_chunk(c);
}

static void ask_infos(struct list_call *c)
{
    char key[STREAM_KEY_BYTES];
    c->picked = c->chunk_count;
    if (c->picked > c->limit - c->info_count)
        c->picked = c->limit - c->info_count;
    if (c->picked > LIST_CHUNK)
        c->picked = LIST_CHUNK;
    struct conn_request *r = conn_request_new(c->picked * 128);
    for (uint32_t i = 0; i < c->picked; i++) {
        conn_request_begin(r, 2);
        conn_request_str(r, "HGETALL");
        conn_request_str(r, stream__key(key, &c->chunk[i].key, "meta"));
    }
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, c->deadline_us, on_infos, c);
}

/* ERR_NOMEM: nobody knows. */
static int labels_match(const struct list_call *c, const struct reply *labels)
{
    struct json_tree *tree = NULL;
    if (!c->label_count)
        return 1;
    int err = labels->kind == REPLY_STR ? json_tree_parse(labels->str, labels->len, &tree, NULL) : ERR_INVALID;
    if (err < 0)
        return err == ERR_NOMEM ? err : 0;
    int match = 1;
    for (uint32_t i = 0; i < c->label_count && match; i++) {
        const char *value = NULL;
        match = json_tree_get_str(tree, c->label_keys[i], &value) == 1 && strcmp(value, c->label_values[i]) == 0;
    }
    json_tree_free(&tree);
    return match;
}

/* [state, labels] */
static int matches(const struct list_call *c, const struct reply *values)
{
    const struct reply *word = reply_at(values, 0);
    enum job_state state;
    if (word->kind != REPLY_STR || state_parse(word->str, word->len, &state) < 0)
        return 0;
    if (c->state_mask && !(c->state_mask & (1u << state)))
        return 0;
    if (c->active_only && state_is_terminal(state))
        return 0;
    return labels_match(c, reply_at(values, 1));
}

static void on_filter(void *user, int err, const struct reply *reply)
{
    struct list_call *c = user;
    uint32_t kept = 0;
    if (err < 0) {
        finish(c, err, 0);
        return;
    }
    for (uint32_t i = 0; i < c->chunk_count; i++) {
        int match = matches(c, c->chunk_count == 1 ? reply : reply_at(reply, i));
        if (match < 0) { /* a page that lacks a job would not say so */
            finish(c, match, 0);
            return;
        }
        if (match)
            c->chunk[kept++] = c->chunk[i];
    }
    c->chunk_count = kept;
    if (kept)
        ask_infos(c);
    else
        next_chunk(c);
}

static void ask_filter(struct list_call *c)
{
    char key[STREAM_KEY_BYTES];
    struct conn_request *r = conn_request_new(c->chunk_count * 160);
    for (uint32_t i = 0; i < c->chunk_count; i++) {
        conn_request_begin(r, 4);
        conn_request_str(r, "HMGET");
        conn_request_str(r, stream__key(key, &c->chunk[i].key, "meta"));
        conn_request_str(r, "state");
        conn_request_str(r, "labels");
    }
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, c->deadline_us, on_filter, c);
}

/* Behind the place reached? Scores fall, names fall within a score. */
static int is_after(const struct list_call *c, int64_t us, const char *text)
{
    return !c->at_us || us < c->at_us || (us == c->at_us && strcmp(text, c->at_key) < 0);
}

/* One index entry; 1 when it lies behind the place. It becomes a candidate unless it is another project's. */
static int look_at(struct list_call *c, const struct reply *name, const struct reply *score)
{
    struct candidate *to = &c->chunk_end;
    int64_t us = strtoll(score->str, NULL, 10);
    if (name->len >= sizeof to->text || !is_after(c, us, name->str))
        return 0;
    to->us = us;
    memcpy(to->text, name->str, name->len + 1);
    if (job_key_parse(&to->key, name->str, name->len) == 0 && (!*c->project || strcmp(to->key.project, c->project) == 0))
        c->chunk[c->chunk_count++] = *to;
    return 1;
}

static void on_range(void *user, int err, const struct reply *reply)
{
    struct list_call *c = user;
    uint32_t chunk_max = filters(c) ? LIST_CHUNK_FILTER : LIST_CHUNK;
    if (err < 0) {
        finish(c, err, 0);
        return;
    }
    c->got = reply->count / 2;
    c->chunk_count = 0;
    uint32_t i = 0, seen = 0;
    for (; i < c->got && c->chunk_count < chunk_max; i++)
        seen += (uint32_t)look_at(c, reply_at(reply, 2 * i), reply_at(reply, 2 * i + 1));
    if (i < c->got) /* more than a chunk came: the rest is asked for again */
        c->got = c->asked = UINT32_MAX;
    c->scanned += seen;
    if (c->chunk_count && filters(c))
        ask_filter(c);
    else if (c->chunk_count)
        ask_infos(c);
    else if (seen)
        next_chunk(c);
    else if (c->got == c->asked && c->asked < LIST_EQUAL_MAX)
        ask_range(c, c->asked * 4); /* all of one microsecond, and before the place */
    else
        finish(c, 0, 0);
}

static void ask_range(struct list_call *c, uint32_t count)
{
    struct conn_request *r = conn_request_new(0);
    conn_request_begin(r, 8);
    conn_request_str(r, "ZREVRANGEBYSCORE");
    conn_request_str(r, c->index);
    if (c->at_us)
        conn_request_i64(r, c->at_us);
    else
        conn_request_str(r, "+inf");
    conn_request_str(r, "-inf");
    conn_request_str(r, "WITHSCORES");
    conn_request_str(r, "LIMIT");
    conn_request_u64(r, 0);
    conn_request_u64(r, count);
    c->asked = count;
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, c->deadline_us, on_range, c);
}

static void choose_index(struct list_call *c, const char *project)
{
    if (c->active_only) {
        snprintf(c->index, sizeof c->index, "%s", STREAM_KEY_ACTIVE);
        if (project)
            snprintf(c->project, sizeof c->project, "%s", project);
    } else if (project) {
        snprintf(c->index, sizeof c->index, "jl:project:%s", project);
    } else {
        snprintf(c->index, sizeof c->index, "%s", STREAM_KEY_JOBS);
    }
}

void stream_job_list(struct stream *st, const struct job_list_query *q, stream_list_fn *done, void *user)
{
    struct list_call *c = must_calloc(1, sizeof(*c));
    CHECK(q->limit >= 1 && q->limit <= 1000 && q->label_count <= LABELS_MAX);
    stream__call_begin(st);
    c->st = st;
    c->done = done;
    c->user = user;
    c->deadline_us = clock_mono_us() + STREAM_CALL_US_MAX;
    c->state_mask = q->state_mask;
    c->limit = q->limit;
    c->active_only = q->active_only;
    c->at_us = q->before_us;
    snprintf(c->at_key, sizeof c->at_key, "%s", q->before_key);
    for (uint32_t i = 0; i < q->label_count; i++) {
        c->label_keys[i] = must_strdup(q->label_keys[i]);
        c->label_values[i] = must_strdup(q->label_values[i]);
    }
    c->label_count = q->label_count;
    c->infos = must_calloc(q->limit, sizeof(*c->infos));
    c->chunk = must_calloc(LIST_CHUNK_FILTER, sizeof(*c->chunk));
    choose_index(c, q->project);
    ask_range(c, filters(c) ? LIST_CHUNK_FILTER : LIST_CHUNK);
}

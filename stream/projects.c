/*
 * stream/projects.c -- listing, finding and making projects.
 *
 *     SMEMBERS jl:projects, HGETALL jl:project_meta -> ZREVRANGE jl:project:<P> 0 0 each -> HGETALL meta each
 *
 * A project whose entry in jl:project_meta is missing was made by an earlier version: its oldest job dates it.
 */
#include "stream/projects.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "stream/jobs_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 64 /* projects whose jobs are asked for at once */

struct entry {
    struct project_info info;
    struct job_key latest; /* project "": none */
};

struct list_call {
    struct stream *st;
    int with_latest;
    struct entry *entries;
    uint32_t count, at, asked;
    stream_project_list_fn *done;
    void *user;
};

/* ---- an entry of jl:project_meta: "created_us name", the name may be empty ---- */

static void read_entry(struct project_info *p, const struct reply *value)
{
    const char *space;

    if (value->kind != REPLY_STR)
        return;
    p->created_us = strtoll(value->str, NULL, 10);
    space = strchr(value->str, ' ');
    if (space && space[1])
        snprintf(p->name, sizeof p->name, "%s", space + 1);
}

static int has_name(const struct project_info *p)
{
    return p->name[0] != '\0';
}

/* What nobody named is called by its id. */
static void finish_info(struct project_info *p)
{
    if (!has_name(p))
        snprintf(p->name, sizeof p->name, "%s", p->id);
    p->updated_us = p->latest && p->latest->updated_us > p->created_us ? p->latest->updated_us : p->created_us;
}

/* ---- list ---- */

static int by_touch(const void *a, const void *b)
{
    const struct project_info *p = &((const struct entry *)a)->info, *q = &((const struct entry *)b)->info;

    if (p->updated_us != q->updated_us)
        return p->updated_us < q->updated_us ? 1 : -1;
    return strcmp(p->id, q->id);
}

static void listed(struct list_call *c, int err)
{
    struct project_info *infos = NULL;
    struct stream *st = c->st;

    if (err >= 0) {
        infos = must_calloc(c->count + 1, sizeof *infos);
        for (uint32_t i = 0; i < c->count; i++)
            finish_info(&c->entries[i].info);
        if (c->count)
            qsort(c->entries, c->count, sizeof *c->entries, by_touch);
        for (uint32_t i = 0; i < c->count; i++)
            infos[i] = c->entries[i].info;
    }
    c->done(c->user, err < 0 ? err : 0, infos, err < 0 ? 0 : c->count);
    for (uint32_t i = 0; i < c->count; i++)
        job_info_free(&c->entries[i].info.latest);
    free(infos);
    free(c->entries);
    free(c);
    stream__call_end(st);
}

static void ask_chunk(struct list_call *c);

static void on_latest(void *user, int err, const struct reply *reply)
{
    struct list_call *c = user;
    uint32_t n = 0;

    if (err < 0) {
        listed(c, err);
        return;
    }
    for (uint32_t i = c->at; i < c->at + c->asked; i++) {
        struct entry *e = &c->entries[i];

        if (!e->latest.project[0])
            continue;
        const struct reply *meta = reply_at(reply, n++); /* PING came last: it is always an array */
        if (jobs__info_read(&e->latest, meta, &e->info.latest) < 0)
            e->info.latest = NULL; /* an index entry of a job that never came to be */
    }
    c->at += c->asked;
    ask_chunk(c);
}

static void ask_latest(struct list_call *c)
{
    struct conn_request *r = conn_request_new(c->asked * 128);
    char key[STREAM_KEY_BYTES];

    for (uint32_t i = c->at; i < c->at + c->asked; i++) {
        if (!c->entries[i].latest.project[0])
            continue;
        conn_request_begin(r, 2);
        conn_request_str(r, "HGETALL");
        conn_request_str(r, stream__key(key, &c->entries[i].latest, "meta"));
    }
    conn_request_begin(r, 1);
    conn_request_str(r, "PING");
    conn_request_begin(r, 1);
    conn_request_str(r, "PING");
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_latest, c);
}

static void on_names(void *user, int err, const struct reply *reply)
{
    struct list_call *c = user;

    if (err < 0) {
        listed(c, err);
        return;
    }
    for (uint32_t i = 0; i < c->asked; i++) {
        struct entry *e = &c->entries[c->at + i];
        const struct reply *newest = reply_at(reply_at(reply, 2 * i), 0);
        const struct reply *oldest = reply_at(reply_at(reply, 2 * i + 1), 1);

        if (newest->kind == REPLY_STR && job_key_parse(&e->latest, newest->str, newest->len) < 0)
            memset(&e->latest, 0, sizeof e->latest);
        if (!e->info.created_us)
            e->info.created_us = reply_i64(oldest);
    }
    if (c->with_latest) {
        ask_latest(c);
    } else {
        c->at += c->asked;
        ask_chunk(c);
    }
}

static void add_end(struct conn_request *r, const char *verb, const char *key)
{
    conn_request_begin(r, 5);
    conn_request_str(r, verb);
    conn_request_str(r, key);
    conn_request_str(r, "0");
    conn_request_str(r, "0");
    conn_request_str(r, "WITHSCORES");
}

static void ask_chunk(struct list_call *c)
{
    struct conn_request *r;
    char key[STREAM_IDS_KEY_BYTES];

    c->asked = c->count - c->at < CHUNK ? c->count - c->at : CHUNK;
    if (!c->asked) {
        listed(c, 0);
        return;
    }
    r = conn_request_new(c->asked * 256);
    for (uint32_t i = c->at; i < c->at + c->asked; i++) {
        stream__project_key(key, c->entries[i].info.id);
        add_end(r, "ZREVRANGE", key);
        add_end(r, "ZRANGE", key);
    }
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_names, c);
}

static void on_projects(void *user, int err, const struct reply *reply)
{
    struct list_call *c = user;
    const struct reply *ids = reply_at(reply, 0), *meta = reply_at(reply, 1);

    if (err < 0) {
        listed(c, err);
        return;
    }
    c->entries = must_calloc(ids->count + 1, sizeof *c->entries);
    for (uint32_t i = 0; i < ids->count && c->count < STREAM_PROJECTS_MAX; i++) {
        struct project_info *p = &c->entries[c->count].info;
        const struct reply *id = reply_at(ids, i);

        if (!id_valid(id->str, id->len))
            continue;
        memcpy(p->id, id->str, id->len + 1);
        read_entry(p, reply_field(meta, p->id));
        c->count++;
    }
    ask_chunk(c);
}

static void add_words(struct conn_request *r, const char *verb, const char *key, const char *field)
{
    conn_request_begin(r, field ? 3 : 2);
    conn_request_str(r, verb);
    conn_request_str(r, key);
    if (field)
        conn_request_str(r, field);
}

void stream_project_list(struct stream *st, int with_latest, stream_project_list_fn *done, void *user)
{
    struct list_call *c = must_calloc(1, sizeof *c);
    struct conn_request *r = conn_request_new(0);

    *c = (struct list_call){.st = st, .with_latest = with_latest, .done = done, .user = user};
    add_words(r, "SMEMBERS", STREAM_KEY_PROJECTS, NULL);
    add_words(r, "HGETALL", STREAM_KEY_PROJECT_META, NULL);
    stream__call_begin(st);
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_projects, c);
}

/* ---- one ---- */

struct one_call {
    struct stream *st;
    struct project_info info;
    char asked_name[PROJECT_NAME_BYTES_MAX + 1];
    int created;
    stream_project_fn *done;
    void *user;
};

static void answer_one(struct one_call *c, int err)
{
    struct stream *st = c->st;

    finish_info(&c->info);
    c->done(c->user, err, c->created, err < 0 && err != ERR_EXISTS ? NULL : &c->info);
    free(c);
    stream__call_end(st);
}

static void on_one(void *user, int err, const struct reply *reply)
{
    struct one_call *c = user;

    if (err >= 0 && reply_i64(reply_at(reply, 0)) != 1)
        err = ERR_NOT_FOUND;
    if (err >= 0) {
        read_entry(&c->info, reply_at(reply, 1));
        if (!c->info.created_us)
            c->info.created_us = reply_i64(reply_at(reply_at(reply, 2), 1));
    }
    answer_one(c, err < 0 ? err : 0);
}

static struct one_call *one_new(struct stream *st, const char *id, stream_project_fn *done, void *user)
{
    struct one_call *c = must_calloc(1, sizeof *c);

    CHECK(id_valid(id, strlen(id)));
    c->st = st;
    strcpy(c->info.id, id);
    c->done = done;
    c->user = user;
    stream__call_begin(st);
    return c;
}

void stream_project_get(struct stream *st, const char *id, stream_project_fn *done, void *user)
{
    struct one_call *c = one_new(st, id, done, user);
    struct conn_request *r = conn_request_new(0);
    char key[STREAM_IDS_KEY_BYTES];

    add_words(r, "SISMEMBER", STREAM_KEY_PROJECTS, id);
    add_words(r, "HGET", STREAM_KEY_PROJECT_META, id);
    add_end(r, "ZRANGE", stream__project_key(key, id));
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_one, c);
}

/* ---- make ---- */

/* Is another one called so? Fills found. */
static int name_is_taken(const struct project_info *all, uint32_t count, const char *id, const char *name,
                         struct project_info *found)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!strcmp(all[i].id, id) || (strcmp(all[i].id, name) != 0 && strcmp(all[i].name, name) != 0))
            continue;
        *found = all[i];
        found->latest = NULL;
        return 1;
    }
    return 0;
}

static void on_made(void *user, int err, const struct reply *reply)
{
    answer_one(user, err < 0 ? err : 0);
}

static void on_known(void *user, int err, const struct project_info *all, uint32_t count)
{
    struct one_call *c = user;
    struct conn_request *r;
    struct buf value = BUF_INIT;
    const struct project_info *old = NULL;

    if (err < 0) {
        answer_one(c, err);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(all[i].id, c->info.id))
            old = &all[i];
    if (name_is_taken(all, count, c->info.id, c->asked_name, &c->info)) {
        answer_one(c, ERR_EXISTS);
        return;
    }
    c->info.created_us = old ? old->created_us : clock_wall_us();
    if (old && strcmp(old->name, old->id) != 0) { /* it has a name already */
        strcpy(c->info.name, old->name);
        answer_one(c, strcmp(old->name, c->asked_name) == 0 || !strcmp(c->asked_name, c->info.id) ? 0 : ERR_EXISTS);
        return;
    }
    c->created = !old;
    strcpy(c->info.name, c->asked_name);
    CHECK(must_have(buf_addf(&value, "%lld %s", (long long)c->info.created_us, c->asked_name)) == 0);
    r = conn_request_new(value.len);
    conn_request_begin(r, 4);
    conn_request_str(r, "HSET");
    conn_request_str(r, STREAM_KEY_PROJECT_META);
    conn_request_str(r, c->info.id);
    conn_request_arg(r, value.data, value.len);
    add_words(r, "SADD", STREAM_KEY_PROJECTS, c->info.id);
    buf_release(&value);
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_made, c);
}

void stream_project_create(struct stream *st, const char *id, const char *name, stream_project_fn *done, void *user)
{
    struct one_call *c = one_new(st, id, done, user);

    CHECK(strlen(name) <= PROJECT_NAME_BYTES_MAX);
    strcpy(c->asked_name, *name ? name : id);
    stream_project_list(st, 0, on_known, c);
}

/*
 * serve/tail_many_job.c -- one of many jobs: a session of tail.c whose sink is the common pipe.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/tail_many_int.h"

#include <stdlib.h>
#include <string.h>

static struct follow *follow_of(const struct tail *t)
{
    return ((const struct follow_tail *)(const void *)t)->f;
}

struct cursor many__at(const struct follow *f)
{
    struct cursor at = f->at;

    if (f->tail && f->tail->t.is_open) {
        at.epoch = f->tail->t.epoch;
        at.seq = f->tail->t.cursor;
    }
    return at;
}

/* ---- the sink ---- */

static uint64_t *open_count(struct tail_stats *s)
{
    return &s->many_jobs;
}

/* {"project":…,"job":…, and the members of an object. */
static void add_owned(struct buf *out, const struct follow *f, const char *object, size_t len)
{
    buf_addf(out, "{\"project\":\"%s\",\"job\":\"%s\",", f->key.project, f->key.job);
    buf_add(out, object + 1, len - 1);
}

static void send_owned(struct follow *f, const char *type, struct buf *out)
{
    f->m->has_moved = f->m->has_spoken = 1;
    pipe_send(f->m->pipe, type, NULL, out->data, out->len);
    buf_release(out);
}

static void emit(struct tail *t, const char *type, const char *json, size_t len)
{
    struct follow *f = follow_of(t);
    struct buf out = BUF_INIT;
    struct cursor at = {t->epoch, t->cursor};
    char text[CURSOR_TEXT_BYTES];

    if (!f)
        return;
    if (strcmp(type, "hello") == 0) { /* its `job` is an object */
        buf_addf(&out, "{\"project\":\"%s\",\"job\":\"%s\",\"type\":\"job\",\"cursor\":\"%s\"}",
                 f->key.project, f->key.job, cursor_format(&at, text));
        send_owned(f, "job", &out);
        return;
    }
    add_owned(&out, f, json, len);
    send_owned(f, type, &out);
}

static void add_lines(struct buf *out, struct follow *f, const char *data, size_t len)
{
    const char *at = data, *end = data + len;

    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t n = nl ? (size_t)(nl - at) + 1 : (size_t)(end - at);
        if (f->m->form == MANY_NDJSON) {
            add_owned(out, f, at, n);
        } else {
            if (*f->m->jobs.project || *f->m->jobs.own_project)
                buf_addf(out, "%s: ", f->key.job);
            else
                buf_addf(out, "%s/%s: ", f->key.project, f->key.job);
            buf_add(out, at, n);
            if (!nl)
                buf_addc(out,
                         '\n'); /* the rest of the line comes later, and others may come first */
        }
        at += n;
    }
}

static void raw(struct tail *t, const char *data, size_t len)
{
    struct follow *f = follow_of(t);
    struct buf out = BUF_INIT;

    if (!f || !len)
        return;
    add_lines(&out, f, data, len);
    f->m->has_moved = f->m->has_spoken = 1;
    pipe_write(f->m->pipe, out.data, out.len);
    buf_release(&out);
}

static void open_sink(struct tail *t)
{
    tail__opened(t);
}

/* It is let go of from the session's timer, not from inside its own calls. */
static void close_sink(struct tail *t, int code, const char *reason)
{
    struct follow *f = follow_of(t);

    if (f) {
        f->is_over = 1;
        f->m->has_moved = f->m->has_spoken = 1;
    }
}

static void drop_sink(struct tail *t, int code)
{
    struct follow *f = follow_of(t);

    if (f)
        pipe_drop(f->m->pipe, code);
}

/* It is not there, or Redis is away. */
static void refuse_sink(struct tail *t, int status, int err)
{
    struct follow *f = follow_of(t);
    struct buf out = BUF_INIT;

    if (!f)
        return;
    if (status == 503) {
        f->retry_us = clock_mono_us() + TAIL_RETRY_US;
        return;
    }
    if (f->m->form == MANY_MESSAGES) {
        buf_addf(&out, "{\"project\":\"%s\",\"job\":\"%s\",\"type\":\"reset\",\"deleted\":true}",
                 f->key.project, f->key.job);
        send_owned(f, "reset", &out);
    } else if (f->m->form == MANY_NDJSON) {
        buf_addf(&out, "{\"project\":\"%s\",\"job\":\"%s\",\"reset\":{\"deleted\":true}}\n",
                 f->key.project, f->key.job);
        pipe_write(f->m->pipe, out.data, out.len);
        buf_release(&out);
    }
    close_sink(t, 1000, "");
}

static size_t backlog(const struct tail *t)
{
    const struct follow *f = follow_of(t);

    return f && !pipe_is_full(f->m->pipe) ? 0 : TAIL_BACKLOG_BYTES;
}

static const struct tail_sink messages = {.json = 1,
                                          .open_count = open_count,
                                          .open = open_sink,
                                          .emit = emit,
                                          .close = close_sink,
                                          .drop = drop_sink,
                                          .refuse = refuse_sink,
                                          .backlog = backlog};
static const struct tail_sink lines = {.open_count = open_count,
                                       .open = open_sink,
                                       .raw = raw,
                                       .close = close_sink,
                                       .drop = drop_sink,
                                       .refuse = refuse_sink,
                                       .backlog = backlog};

/* ---- following ---- */

struct follow *many__find(const struct many *m, const struct job_key *key)
{
    struct follow *f;

    TAILQ_FOREACH(f, &m->follows, link)
    if (strcmp(f->key.job, key->job) == 0 && strcmp(f->key.project, key->project) == 0)
        return f;
    return NULL;
}

int many__has_room(const struct many *m, const struct job_key *key)
{
    return m->follow_count < TAIL_MANY_JOBS_MAX &&
           m->cursor_bytes + many__cursor_bytes(m, key) <= TAIL_MANY_CURSOR_BYTES;
}

struct follow *many__follow(struct many *m, const struct job_key *key, struct cursor at,
                            int from_end)
{
    struct follow *f = must_calloc(1, sizeof *f);

    f->m = m;
    f->key = *key;
    f->at = at;
    f->from_end = from_end;
    f->cursor_bytes = many__cursor_bytes(m, key);
    TAILQ_INSERT_TAIL(&m->follows, f, link);
    m->follow_count++;
    m->cursor_bytes += f->cursor_bytes;
    return f;
}

static void let_go(struct follow *f)
{
    struct follow_tail *ft = f->tail;

    f->tail = NULL;
    if (!ft)
        return;
    f->at = (struct cursor){ft->t.epoch ? ft->t.epoch : f->at.epoch,
                            ft->t.is_open ? ft->t.cursor : f->at.seq};
    ft->f = NULL;
    tail__gone(&ft->t); /* freed with its last call */
}

void many__start(struct follow *f)
{
    struct many *m = f->m;
    struct follow_tail *ft = must_calloc(1, sizeof *ft);
    struct query *q = &ft->t.query;

    let_go(f);
    f->retry_us = 0;
    f->tail = ft;
    ft->f = f;
    *q = m->lines;
    q->re = NULL;
    q->sieve = sieve_ref(m->lines.sieve);
    q->wait_us = 0;
    q->has_after = !f->from_end;
    q->after = f->at;
    if (!f->from_end)
        q->has_tail = 0;
    q->format = m->form == MANY_NDJSON ? QUERY_NDJSON : QUERY_TEXT;
    if (q->states < 0)
        q->states = m->form != MANY_TEXT;
    tail__begin(m->ctx, &ft->t, m->form == MANY_MESSAGES ? &messages : &lines, &f->key);
}

void many__pull(struct many *m)
{
    struct follow *f, *first = TAILQ_FIRST(&m->follows);

    TAILQ_FOREACH(f, &m->follows, link)
    {
        if (pipe_is_full(m->pipe))
            break;
        if (f->tail && f->tail->t.is_open)
            tail__pull(&f->tail->t);
    }
    if (first) { /* another one is the first next time */
        TAILQ_REMOVE(&m->follows, first, link);
        TAILQ_INSERT_TAIL(&m->follows, first, link);
    }
}

int many__is_quiet(const struct many *m)
{
    const struct follow *f;

    TAILQ_FOREACH(f, &m->follows, link)
    {
        const struct tail *t = f->tail ? &f->tail->t : NULL;
        if (!f->is_over && (!t || !t->is_open || t->phase != TAIL_LIVE))
            return 0;
    }
    return !m->has_spoken;
}

uint32_t many__reap(struct many *m, int all)
{
    int64_t now_us = clock_mono_us();
    struct follow *f, *next;
    uint32_t count = 0;

    for (f = TAILQ_FIRST(&m->follows); f; f = next) {
        next = TAILQ_NEXT(f, link);
        if (f->is_over || all) {
            let_go(f);
            TAILQ_REMOVE(&m->follows, f, link);
            m->follow_count--;
            m->cursor_bytes -= f->cursor_bytes;
            free(f);
            count++;
        } else if (f->retry_us && now_us >= f->retry_us) {
            many__start(f);
        }
    }
    return count;
}

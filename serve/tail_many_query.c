/*
 * serve/tail_many_query.c -- what a follower of many jobs asks for, and its cursor.
 *
 *     <feed epoch>:<feed number>;<job>=<epoch>:<seq>;…      a job of another project than the asked one: project/job
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/auth.h"
#include "serve/tail_many_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the cursor ---- */

/* The project that needs no name; "". */
static const char *known_project(const struct many *m)
{
    return *m->jobs.project ? m->jobs.project : m->jobs.own_project;
}

static const char *name_of(const struct many *m, const struct job_key *key,
                           char out[JOB_KEY_TEXT_BYTES])
{
    if (strcmp(known_project(m), key->project) == 0)
        return key->job;
    return job_key_text(key, out);
}

size_t many__cursor_bytes(const struct many *m, const struct job_key *key)
{
    char name[JOB_KEY_TEXT_BYTES];

    return strlen(name_of(m, key, name)) + CURSOR_TEXT_BYTES / 2 +
           2; /* as large as such numbers get */
}

void many__cursor_write(const struct many *m, struct buf *out)
{
    struct cursor feed = {m->feed_epoch, m->feed_n};
    char text[CURSOR_TEXT_BYTES], name[JOB_KEY_TEXT_BYTES];
    struct follow *f;

    buf_adds(out, cursor_format(&feed, text));
    TAILQ_FOREACH(f, &m->follows, link)
    {
        struct cursor at = many__at(f);
        if (f->is_over)
            continue;
        buf_addf(out, ";%s=%s", name_of(m, &f->key, name), cursor_format(&at, text));
    }
}

static int read_job(struct many *m, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len), *slash = memchr(text, '/', len);
    struct job_key key;
    struct cursor at;

    if (!equals || cursor_parse(equals + 1, len - (size_t)(equals + 1 - text), &at) < 0)
        return ERR_INVALID;
    memset(&key, 0, sizeof key);
    if (slash && slash < equals) {
        if (job_key_parse(&key, text, (size_t)(equals - text)) < 0)
            return ERR_INVALID;
    } else {
        if (!*known_project(m) || !id_valid(text, (size_t)(equals - text)))
            return ERR_INVALID;
        snprintf(key.project, sizeof key.project, "%s", known_project(m));
        snprintf(key.job, sizeof key.job, "%.*s", (int)(equals - text), text);
    }
    if ((*m->jobs.own_project && strcmp(m->jobs.own_project, key.project) != 0) ||
        (*m->jobs.project && strcmp(m->jobs.project, key.project) != 0))
        return ERR_INVALID;
    if (!many__find(m, &key) && m->follow_count < TAIL_MANY_JOBS_MAX)
        many__follow(m, &key, at, 0);
    return 0;
}

int many__cursor_read(struct many *m, const char *text)
{
    size_t len = strcspn(text, ";");
    struct cursor feed;

    if (cursor_parse(text, len, &feed) < 0)
        return ERR_INVALID;
    m->feed_epoch = feed.epoch;
    m->feed_n = feed.seq;
    for (const char *at = text + len; *at; at += len) {
        at++;
        len = strcspn(at, ";");
        if (read_job(m, at, len) < 0)
            return ERR_INVALID;
    }
    return 0;
}

/* ---- the request ---- */

static int bad(struct http *x, const char *why)
{
    http_reply_error(x, 400, err_code(ERR_INVALID), "%s", why);
    return ERR_INVALID;
}

static int read_label(struct event_query *q, struct http *x, const char *key, const char *value)
{
    if (q->label_count == EVENTS_LABELS_MAX || !*key)
        return bad(x, "label.KEY=VALUE, at most 8 of them, is wanted");
    q->label_keys[q->label_count] = must_strdup(key);
    q->label_values[q->label_count++] = must_strdup(value);
    return 0;
}

/* *ret_after: the cursor; NULL: none. */
static int read_args(struct many *m, struct http *x, const char **ret_after)
{
    const char *name, *value;
    char why[256];

    for (unsigned i = 0; http_arg_at(x, i, &name, &value); i++) {
        if (!value)
            value = "";
        if (!strcmp(name, "after")) {
            *ret_after = value;
        } else if (!strcmp(name, "project")) {
            if (!id_valid(value, strlen(value)))
                return bad(x, "project is [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
            snprintf(m->jobs.project, sizeof m->jobs.project, "%s", value);
        } else if (!strncmp(name, "label.", 6)) {
            if (read_label(&m->jobs, x, name + 6, value) < 0)
                return ERR_INVALID;
        } else if (query_set(&m->lines, name, value, why, sizeof why) < 0) {
            return bad(x, why);
        }
    }
    return query_finish(&m->lines, why, sizeof why) < 0 ? bad(x, why) : 0;
}

int many__query_read(struct many *m, struct http *x)
{
    const char *own = caller_project(auth_caller(x)), *after = NULL,
               *last_id = http_header(x, "Last-Event-ID");

    query_init(&m->lines, QUERY_TAIL, clock_wall_us());
    if (own)
        snprintf(m->jobs.own_project, sizeof m->jobs.own_project, "%s", own);
    if (read_args(m, x, &after) < 0)
        return ERR_INVALID;
    if (last_id && *last_id) /* newer than what the address says */
        after = last_id;
    if (after && many__cursor_read(m, after) < 0)
        return bad(x, "after: not a cursor of this tail, or of other jobs");
    m->lines.has_after = after != NULL;
    if (!m->lines.has_tail && !m->lines.has_since) {
        m->lines.has_tail = 1;
        m->lines.tail = 0;
    }
    m->form = m->lines.has_format && m->lines.format == QUERY_NDJSON ? MANY_NDJSON : MANY_TEXT;
    return 0;
}

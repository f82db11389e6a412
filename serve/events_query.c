/*
 * serve/events_query.c -- what a reader of the feed asks for.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/auth.h"
#include "serve/events_int.h"
#include "serve/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNNAMED "unnamed"

static const char *const types[] = {"alert", "state", "end"};

static int bad(struct http *x, const char *name, const char *want)
{
    http_reply_error(x, 400, "bad_request", "%s: %s is wanted", name, want);
    return ERR_INVALID;
}

static int read_number(struct http *x, const char *name, const char *value, uint64_t max,
                       uint64_t *ret)
{
    if (query_number(value, 1, max, ret) < 0)
        return bad(x, name, "a whole number from 1 on");
    return 0;
}

static int read_span(struct http *x, const char *name, const char *value, int64_t min, int64_t max,
                     int64_t *ret)
{
    if (clock_parse_duration(value, strlen(value), ret) < 0 || *ret < min || *ret > max)
        return bad(x, name, "a time like 30s, at most an hour,");
    return 0;
}

static int read_id(struct http *x, const char *name, const char *value, char out[ID_BYTES_MAX + 1])
{
    if (!id_valid(value, strlen(value)))
        return bad(x, name, "an id, [A-Za-z0-9][A-Za-z0-9._-]{0,127},");
    strcpy(out, value);
    return 0;
}

static int read_types(struct event_query *q, struct http *x, const char *value)
{
    for (const char *at = value;;) {
        size_t len = strcspn(at, ",");
        unsigned i = 0;
        while (i < 3 && !(strlen(types[i]) == len && memcmp(types[i], at, len) == 0))
            i++;
        if (i == 3)
            return bad(x, "type", "some of alert, state, end");
        q->types |= 1u << i;
        if (!at[len])
            return 0;
        at += len + 1;
    }
}

static int read_label(struct event_query *q, struct http *x, const char *key, const char *value)
{
    if (q->label_count == EVENTS_LABELS_MAX || !*key)
        return bad(x, "label", "label.KEY=VALUE, at most 8 of them,");
    q->label_keys[q->label_count] = must_strdup(key);
    q->label_values[q->label_count++] = must_strdup(value);
    return 0;
}

static int read_arg(struct event_query *q, struct http *x, const char *name, const char *value)
{
    if (!strcmp(name, "after")) {
        q->has_after = 1;
        return cursor_parse(value, strlen(value), &q->after) < 0 ? bad(x, name, "a cursor") : 0;
    }
    if (!strcmp(name, "tail"))
        return read_number(x, name, value, 1000000, &q->tail);
    if (!strcmp(name, "project"))
        return read_id(x, name, value, q->project);
    if (!strncmp(name, "label.", 6))
        return read_label(q, x, name + 6, value);
    if (!strcmp(name, "type"))
        return read_types(q, x, value);
    if (!strcmp(name, "wait"))
        return read_span(x, name, value, 0, EVENTS_WAIT_US_MAX, &q->wait_us);
    if (!strcmp(name, "limit"))
        return read_number(x, name, value, 10000, &q->limit);
    if (!strcmp(name, "group"))
        return read_id(x, name, value, q->group);
    if (!strcmp(name, "consumer"))
        return read_id(x, name, value, q->consumer);
    if (!strcmp(name, "ack_time"))
        return read_span(x, name, value, 1000000, INT64_C(3600000000), &q->ack_us);
    if (!strcmp(name, "ticket") || name[0] == '_')
        return 0;
    http_reply_error(x, 400, "bad_request", "%s: there is no such argument", name);
    return ERR_INVALID;
}

int event_group_name(struct http *x, const char *project, const char *own,
                     char out[EVENTS_GROUP_BYTES])
{
    char name[ID_BYTES_MAX + 1];
    const char *group = http_arg(x, "group");

    if (!group || read_id(x, "group", group, name) < 0) {
        if (!group)
            bad(x, "group", "the name of the group");
        return ERR_INVALID;
    }
    snprintf(out, EVENTS_GROUP_BYTES, "%s|%s", *own ? own : *project ? project : "*", name);
    return 0;
}

int event_query_read(struct event_query *q, struct http *x)
{
    const char *name, *value, *own = caller_project(auth_caller(x)),
                              *last_id = http_header(x, "Last-Event-ID");

    memset(q, 0, sizeof *q);
    q->wait_us = -1;
    q->ack_us = EVENTS_ACK_US;
    for (unsigned i = 0; http_arg_at(x, i, &name, &value); i++)
        if (read_arg(q, x, name, value) < 0)
            return ERR_INVALID;
    if (own)
        strcpy(q->own_project, own);
    if (last_id && *last_id) { /* newer than what the address says */
        q->has_after = 1;
        if (cursor_parse(last_id, strlen(last_id), &q->after) < 0)
            return bad(x, "Last-Event-ID", "a cursor");
    }
    if (q->has_after && q->tail)
        return bad(x, "tail", "either after or tail");
    if (!q->group[0])
        return q->consumer[0] ? bad(x, "consumer", "group, too,") : 0;
    if (!q->consumer[0])
        strcpy(q->consumer, UNNAMED); /* one for all: Redis keeps each name for ever */
    return event_group_name(x, q->project, q->own_project, q->group);
}

void event_query_release(struct event_query *q)
{
    for (uint32_t i = 0; i < q->label_count; i++) {
        free(q->label_keys[i]);
        free(q->label_values[i]);
    }
    q->label_count = 0;
}

static int has_labels(const struct event_query *q, const struct alert_event *e)
{
    struct json_tree *root = NULL;
    const struct json_tree *labels;
    int ok = json_tree_parse_own(e->json, e->len, &root) == 0;

    labels = ok ? json_tree_get(root, "job_labels") : NULL;
    for (uint32_t i = 0; ok && i < q->label_count; i++) {
        const char *value = json_tree_str(json_tree_get(labels, q->label_keys[i]));
        ok = value && strcmp(value, q->label_values[i]) == 0;
    }
    json_tree_free(&root);
    return ok;
}

int event_query_takes(const struct event_query *q, const struct alert_event *e)
{
    if (q->own_project[0] && strcmp(q->own_project, e->key.project) != 0)
        return 0;
    if (q->project[0] && strcmp(q->project, e->key.project) != 0)
        return 0;
    for (unsigned i = 0; q->types && i < 3; i++)
        if (strcmp(types[i], e->type) == 0 && !(q->types & 1u << i))
            return 0;
    return q->label_count == 0 || has_labels(q, e);
}

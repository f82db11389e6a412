/*
 * serve/jobs_query.c -- which jobs a list is to hold.
 */
#include "serve/jobs_query.h"

#include "base/err.h"
#include "job/id.h"
#include "job/state.h"
#include "serve/api_jobs.h"
#include "serve/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "RUNNING,failed" into a mask; 0 or ERR_INVALID. */
static int read_states(const char *text, uint32_t *ret_mask)
{
    while (*text) {
        enum job_state s;
        size_t n = strcspn(text, ",");
        if (state_parse(text, n, &s) != 0)
            return ERR_INVALID;
        *ret_mask |= 1u << s;
        text += n + (text[n] == ',');
    }
    return 0;
}

int jobs_query_read(struct http *x, struct job_list_query *q)
{
    const char *name, *value;
    uint64_t n;

    memset(q, 0, sizeof *q);
    q->limit = API_JOBS_LIMIT_DEFAULT;
    for (unsigned i = 0; http_arg_at(x, i, &name, &value); i++) {
        if (strcmp(name, "project") == 0) {
            if (!id_valid(value, strlen(value)))
                goto bad;
            q->project = value;
        } else if (strcmp(name, "state") == 0) {
            if (read_states(value, &q->state_mask) != 0)
                goto bad;
        } else if (strcmp(name, "active") == 0) {
            if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
                continue;
            if (*value && strcmp(value, "true") != 0 && strcmp(value, "1") != 0)
                goto bad;
            q->active_only = 1;
        } else if (strncmp(name, "label.", 6) == 0) {
            if (q->label_count == sizeof q->label_keys / sizeof *q->label_keys || !name[6])
                goto bad;
            q->label_keys[q->label_count] = name + 6;
            q->label_values[q->label_count++] = value;
        } else if (strcmp(name, "limit") == 0) {
            if (query_number(value, 1, API_JOBS_LIMIT_MAX, &n) < 0)
                goto bad;
            q->limit = (uint32_t)n;
        } else if (strcmp(name, "cursor") == 0) {
            const char *colon = strchr(value, ':');
            char number[24];
            struct job_key key;
            if (!colon || (size_t)(colon - value) >= sizeof number)
                goto bad;
            snprintf(number, sizeof number, "%.*s", (int)(colon - value), value);
            if (query_number(number, 1, INT64_MAX, &n) < 0 || job_key_parse(&key, colon + 1, strlen(colon + 1)) != 0)
                goto bad;
            q->before_us = (int64_t)n;
            job_key_text(&key, q->before_key);
        } else {
            http_reply_error(
                x, 400, "bad_argument",
                "unknown argument %s; known: project state active label.KEY limit cursor", name);
            return ERR_INVALID;
        }
    }
    return 0;
bad:
    http_reply_error(x, 400, "bad_argument", "%s: the value \"%s\" is not understood", name, value);
    return ERR_INVALID;
}

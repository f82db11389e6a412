/*
 * serve/alert_past.c -- the reader and moments as alert/ asks for them.
 */
#include "serve/alert_past.h"

#include "base/check.h"
#include "base/err.h"
#include "serve/alert_summary.h"
#include "serve/moment.h"
#include "serve/reader.h"

#include <stdlib.h>

struct alert_past {
    struct reader *reader;
    void (*wake)(void *user);
    void *user;
};

static void on_wake(void *user)
{
    struct alert_past *p = user;

    p->wake(p->user);
}

static struct alert_past *past_open(void *user, const struct job_key *key, uint64_t epoch,
                                    uint64_t after, uint64_t upto, void (*wake)(void *wake_user),
                                    void *wake_user)
{
    struct alert_past *p = must_calloc(1, sizeof *p);
    struct reader_options o = {.key = *key,
                               .epoch = epoch,
                               .after = after,
                               .upto = upto,
                               .shape = {.kind = SHAPE_NDJSON},
                               .urgent = upto != UINT64_MAX};

    p->wake = wake;
    p->user = wake_user;
    reader_open(user, &o, on_wake, p, &p->reader);
    return p;
}

static int past_next(struct alert_past *p, const char **ret_data, size_t *ret_len)
{
    struct reader_item item;
    int n;

    while ((n = reader_next(p->reader, &item)) > 0) {
        if (item.kind == READER_SLICE && item.len) {
            *ret_data = item.data;
            *ret_len = item.len;
            return 1;
        }
        if (item.kind == READER_END)
            return ERR_CLOSED;
        if (item.kind == READER_FAILED)
            return item.err;
    }
    return 0;
}

static void past_close(struct alert_past **past)
{
    struct alert_past *p = *past;

    *past = NULL;
    if (!p)
        return;
    reader_close(&p->reader);
    free(p);
}

/* ---- moments ---- */

struct finding {
    void (*done)(void *user, int err, uint64_t seq);
    void *user;
};

static void on_found(void *user, int err, const struct moments *m)
{
    struct finding *f = user;

    f->done(f->user, err, err < 0 ? 0 : m->at[0].seq);
    free(f);
}

static void past_find(void *user, const struct job_key *key, int64_t us,
                      void (*done)(void *done_user, int err, uint64_t seq), void *done_user)
{
    struct finding *f = must_calloc(1, sizeof *f);
    struct moment_ask ask = {.us = us};

    f->done = done;
    f->user = done_user;
    moments_find(user, key, 0, &ask, 1, on_found, f);
}

const struct alert_past_ops alert_past_ops = {past_open, past_next,       past_close,
                                               past_find, alert_summarize, alert_summary_cancel};

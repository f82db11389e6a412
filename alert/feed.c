/*
 * alert/feed.c -- marks of changed states, and what becomes of them.
 */
#include "alert/feed.h"

#include "alert/event.h"
#include "alert/publish.h"
#include "alert/tally.h"
#include "alert/watch.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCORE_BYTES 24

struct feed {
    int sweeping, again, stopping;
    uint32_t marks; /* under way */
    int64_t next_us;
};

/* One mark: job_get -> publish -> considered -> taken away. */
struct mark {
    struct alert *a;
    struct job_key key;
    char score[SCORE_BYTES];
    int is_over;                     /* nothing more will come of the job's states */
    uint8_t states[JOB_HISTORY_MAX]; /* that are published, in order; the seal is not among them */
    uint32_t state_count, item_count;
};

static void end_mark(struct mark *m)
{
    struct feed *f = m->a->feed;

    CHECK(f->marks > 0);
    f->marks--;
    free(m);
}

/* ---- taking it away ---- */

static void on_taken(void *user, int err, const struct reply *reply)
{
    end_mark(user);
}

static void take_away(struct mark *m)
{
    struct conn_request *r = conn_request_new(0);
    char text[JOB_KEY_TEXT_BYTES];

    alert__script_begin(m->a, r, STREAM_KEY_UNFED, "fed", 2);
    conn_request_str(r, m->score);
    conn_request_str(r, job_key_text(&m->key, text));
    FAULT_POINT("alert.fed.send");
    conn_send(m->a->cmd, &r, CONN_IDEMPOTENT, 0, on_taken, m);
}

static void on_considered(void *user, int err)
{
    struct mark *m = user;

    if (err < 0 || !m->is_over)
        end_mark(m); /* the next sweep comes by again */
    else
        take_away(m);
}

/* The last so many of the items were new. */
static void count_states(const struct mark *m, uint32_t taken)
{
    for (uint32_t i = m->item_count - taken; i < m->item_count; i++)
        if (i < m->state_count)
            tally_add_state(m->a, (enum job_state)m->states[i]);
}

static void on_published(void *user, int err, const struct reply *reply)
{
    struct mark *m = user;

    FAULT_POINT("alert.feed.reply");
    if (err < 0) {
        end_mark(m);
        return;
    }
    m->a->events += reply_u64(reply_at(reply, 2));
    count_states(m, (uint32_t)reply_u64(reply_at(reply, 2)));
    watch_consider(m->a, &m->key, on_considered, m);
}

/* ---- publishing ---- */

static void publish_history(struct mark *m, const struct job_info *info)
{
    uint32_t count = info->history_count + (info->sealed != 0), from = 0;
    struct conn_request *r;
    struct buf json = BUF_INIT;

    while (from < info->history_count && info->history[from].at_us < clock_wall_us() - FEED_AGE_US)
        from++;
    m->is_over = !state_is_terminal(info->state) || info->sealed;
    if (from == count) {
        watch_consider(m->a, &m->key, on_considered, m);
        return;
    }
    r = conn_request_new(1024 * count);
    publish_begin(m->a, r, &m->key, info->created_us, "state", "", count - from,
                  PUBLISH_ITEM_WORDS * (count - from));
    for (uint32_t i = from; i < count; i++) {
        int is_end = i == info->history_count;
        buf_clear(&json);
        if (!is_end)
            m->states[m->state_count++] = (uint8_t)info->history[i].state;
        m->item_count++;
        event_state(&json, info, i);
        publish_item(r, i + 1, is_end ? "end" : "state", clock_wall_us(), &json, "", 0, 0);
    }
    buf_release(&json);
    conn_send(m->a->cmd, &r, CONN_IDEMPOTENT, 0, on_published, m);
}

static void on_info(void *user, int err, const struct job_info *info)
{
    struct mark *m = user;

    m->a->calls--;
    if (err == ERR_NOT_FOUND) {
        take_away(m);
        return;
    }
    if (err < 0 || m->a->closing) {
        end_mark(m);
        return;
    }
    publish_history(m, info);
}

/* ---- sweeps ---- */

static void look(struct alert *a, const struct reply *member, const struct reply *score)
{
    struct mark *m = must_calloc(1, sizeof *m);

    m->a = a;
    a->feed->marks++;
    snprintf(m->score, sizeof m->score, "%s", score->str);
    if (job_key_parse(&m->key, member->str, member->len) < 0) {
        take_away(m); /* nothing that this program wrote */
        return;
    }
    a->calls++;
    stream_job_get(a->stream, &m->key, 0, on_info, m);
}

static void on_marks(void *user, int err, const struct reply *reply)
{
    struct alert *a = user;
    struct feed *f = a->feed;

    if (err == ERR_CANCELLED)
        return;
    f->sweeping = 0;
    for (uint32_t i = 0; err == 0 && !f->stopping && i + 1 < reply->count; i += 2)
        look(a, reply_at(reply, i), reply_at(reply, i + 1));
}

/* The newest first: what has just happened does not wait behind a job that is long in ending. */
static void sweep(struct alert *a)
{
    char last[16];

    snprintf(last, sizeof last, "%d", FEED_MARKS_MAX - 1);
    a->feed->sweeping = 1;
    a->feed->again = 0;
    conn_words(a->cmd, CONN_IDEMPOTENT, on_marks, a, "ZREVRANGE", STREAM_KEY_UNFED, "0", last,
               "WITHSCORES", NULL);
}

/* While marks are under way they are not looked at again: the script would not mind, Redis would. */
static int may_sweep(const struct alert *a)
{
    const struct feed *f = a->feed;

    return !f->sweeping && !f->marks && !f->stopping && !a->closing && conn_is_open(a->cmd);
}

void feed_poke(struct alert *a)
{
    a->feed->again = 1;
    if (may_sweep(a))
        sweep(a);
}

void feed_tick(struct alert *a)
{
    struct feed *f = a->feed;
    int64_t now_us = clock_mono_us();

    if (!may_sweep(a) || (!f->again && now_us < f->next_us))
        return;
    f->next_us = now_us + FEED_SWEEP_US;
    sweep(a);
}

/* ---- life ---- */

void feed_open(struct alert *a)
{
    a->feed = must_calloc(1, sizeof *a->feed);
}

void feed_stop(struct alert *a)
{
    a->feed->stopping = 1;
}

int feed_idle(const struct alert *a)
{
    return !a->feed->marks && !a->feed->sweeping;
}

void feed_close(struct alert *a)
{
    free(a->feed);
    a->feed = NULL;
}

/*
 * alert/watch_live.c -- a job that is evaluated here: following it, the thread, resets, the end.
 *
 *     hub ──frames──► thread: feed, tick ──alerts, state──► commit ──► publish
 *      └ lagged: the past, in pieces, until the hub holds what is next
 *
 * The evaluator belongs to the thread while in_thread, to the loop otherwise.
 */
#include "alert/publish.h"
#include "alert/watch_int.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

#define SKEW_US_MIN 1000000

static struct watched *watched_of(struct work *work)
{
    return (struct watched *)(void *)((char *)work - offsetof(struct watched, work));
}

/* ---- on the thread ---- */

static void feed_piece(struct watched *w)
{
    struct record_view v;
    const char *nl = memchr(w->piece, '\n', w->piece_len);
    struct eval_frame f = {.text = w->piece, .len = w->piece_len};

    if (!nl || record_parse(w->piece, (size_t)(nl - w->piece), &v) < 0)
        return;
    f.first_seq = v.seq;
    f.recv_us = v.ts_us; /* when it was received is not known any more */
    eval_feed(w->eval, &f);
}

static void on_run(struct work *work)
{
    struct watched *w = watched_of(work);

    for (uint32_t i = 0; i < w->frame_count; i++) {
        const struct frame *fr = w->frames[i];
        struct eval_frame f = {.text = fr->text,
                               .len = fr->text_bytes,
                               .first_seq = fr->first_seq,
                               .recv_us = fr->recv_us,
                               .sum = &fr->sum};
        eval_feed(w->eval, &f);
    }
    if (w->piece)
        feed_piece(w);
    if (w->tick_us && eval_deadline(w->eval) <= w->tick_us)
        eval_tick(w->eval, w->tick_us);
    w->wants_ranks = eval_wants_ranks(w->eval);
    w->found_count = eval_take(w->eval, &w->found);
    w->fed_upto = eval_upto(w->eval);
    buf_clear(&w->state);
    if (eval_save(w->eval, &w->state) < 0)
        buf_clear(&w->state);
}

/* ---- and back ---- */

static void drop_frames(struct watched *w)
{
    while (w->frame_count)
        frame_unref(&w->frames[--w->frame_count]);
    w->piece = NULL;
    w->piece_len = 0;
}

static void on_detail(void *user, int err, const struct job_info *info)
{
    struct watched *w = user;

    w->is_asking = 0;
    if (!watch__called(w))
        return;
    CHECK(!w->in_thread);
    if (err == 0)
        eval_ranks(w->eval, info);
    else
        w->no_tick_us = clock_mono_us() + WATCH_RETRY_US;
    watch__go(w);
}

static void on_done(struct work *work)
{
    struct watched *w = watched_of(work);
    struct watch *t = w->a->watch;

    w->in_thread = 0;
    t->frames += w->frame_count;
    t->dropped += eval_dropped(w->eval);
    drop_frames(w);
    if (w->phase == WATCH_OVER) {
        eval_alerts_free(&w->found, w->found_count);
        eval_free(&w->eval);
        ruleset_unref(&w->set);
        buf_release(&w->state);
        watch__call(w);
        watch__called(w);
        return;
    }
    if (w->fed_upto > w->state_upto)
        t->records += w->fed_upto - w->state_upto;
    w->state_is_new = 1;
    w->state_upto = w->fed_upto;
    watch__take_alerts(w, w->found, w->found_count);
    w->found = NULL;
    w->found_count = 0;
    w->tick_us = 0;
    if (w->wants_ranks) {
        w->is_asking = 1;
        watch__call(w);
        stream_job_get(w->a->stream, &w->key, 1, on_detail, w);
    }
    watch__go(w);
}

/* ---- what is next ---- */

static void on_wake(void *user)
{
    struct watched *w = user;

    w->is_awake = 1;
    watch__go(w);
}

static void on_past_wake(void *user)
{
    watch__go(user);
}

static const struct hub_sub_ops sub_ops = {.wake = on_wake};

static void open_past(struct watched *w)
{
    w->is_caught_up = 0; /* until the hub says so again: when the past cannot be read the next tick tries again */
    w->past = w->a->past->open(w->a->past_user, &w->key, w->epoch, hub_sub_cursor(w->sub),
                               UINT64_MAX, on_past_wake, w);
}

/* One piece of the past; 0: none now. */
static int pull_past(struct watched *w)
{
    int n = w->a->past->next(w->past, &w->piece, &w->piece_len);

    if (n > 0)
        return 1;
    w->piece = NULL;
    if (n == 0)
        return 0;
    w->a->past->close(&w->past);
    hub_sub_seek(w->sub,
                 w->fed_upto > hub_sub_cursor(w->sub) ? w->fed_upto : hub_sub_cursor(w->sub));
    w->is_awake = n == ERR_CLOSED; /* else it is tried again with the next tick */
    return 0;
}

/* The log was reset, or the job is gone. 0: it is over. */
static int on_reset(struct watched *w)
{
    const struct job_info *info = hub_sub_info(w->sub);

    if (info && info->created_us == w->created_us) {
        w->epoch = info->epoch;
        eval_reset(w->eval, info->epoch);
        w->fed_upto = w->state_upto = 0;
        return 1;
    }
    if (info)
        watch__over(w, 0);
    else
        watch__gone(w);
    return 0;
}

/* How far the job's time is ahead of our clock, which was set since: in what was received, or evaluated before a restart. The
 * evaluator's time never goes back, so without this no rule would see time pass until the clock is there again. */
static int64_t skew_us(const struct watched *w, int64_t recv_us)
{
    int64_t evaluated_us = eval_now_us(w->eval);
    int64_t ahead = (recv_us > evaluated_us ? recv_us : evaluated_us) - watch__now_us(w->a);

    return ahead > SKEW_US_MIN ? ahead : 0;
}

/* Frames from the hub; 0: the job is over. */
static int pull_hub(struct watched *w)
{
    while (w->frame_count < WATCH_FRAMES_MAX) {
        struct frame *f;
        int n = hub_sub_next(w->sub, &f);
        if (n == 1) {
            w->skew_us = skew_us(w, f->recv_us);
            w->frames[w->frame_count++] = frame_ref(f);
            continue;
        }
        if (n == ERR_LAGGED) {
            if (w->frame_count == 0)
                open_past(w);
            return 1;
        }
        if (n == ERR_RESET) {
            drop_frames(w);
            return on_reset(w);
        }
        w->is_awake = 0;
        w->is_caught_up = 1;
        w->is_ended = hub_sub_ended(w->sub);
        return 1;
    }
    return 1;
}

/* Time is looked at only when nothing waits to be read, and not before producers had time to come back. */
static int64_t tick_time(const struct watched *w)
{
    int64_t now = watch__now_us(w->a) + w->skew_us;

    if (!w->is_caught_up || w->past || w->is_awake || clock_mono_us() < w->no_tick_us)
        return 0;
    if (!w->is_fresh && clock_mono_us() < w->started_us + eval_grace_us(w->eval, WATCH_GRACE_US))
        return 0;
    return eval_deadline(w->eval) <= now ? now : 0;
}

static void change_rules(struct watched *w)
{
    struct ruleset *s = store_ruleset(w->a);

    if (s == w->set)
        return;
    eval_set_rules(w->eval, s, watch__now_us(w->a) + w->skew_us);
    ruleset_unref(&w->set);
    w->set = ruleset_ref(s);
    w->is_pulling = eval_rule_count(w->eval) > 0;
    w->tick_us = watch__now_us(w->a) + w->skew_us; /* what was resolved is to be taken */
}

/* Nothing more will be found: the last state goes out, then the job is let go. 0: it is over. */
static int finish(struct watched *w)
{
    int is_final = w->is_ended && w->is_pulling && !w->a->watch->stopping;

    if (w->fresh_count || w->commit.is_under_way || w->commit.c)
        return 1;
    if (w->state_is_new) {
        watch__commit(w, 0);
        return 1;
    }
    if (!STAILQ_EMPTY(&w->committed) && !w->a->watch->stopping)
        return 1; /* the feed has not taken all */
    if (is_final && !w->is_final_sent) {
        w->is_final_sent = 1;
        watch__commit(w, 1);
        return 1;
    }
    watch__give_back(w);
    return 0;
}

void watch__go(struct watched *w)
{
    int must_end;

    if (w->phase != WATCH_LIVE || w->in_thread || w->a->closing)
        return;
    change_rules(w);
    watch__commit(w, 0); /* what the last turn of the thread has left */
    if (w->is_asking)
        return;
    must_end = w->a->watch->stopping || !w->is_pulling;
    if (!must_end && !w->past && w->is_awake && !pull_hub(w))
        return;
    if (!must_end && w->past)
        pull_past(w);
    if (w->tick_us == 0 && !must_end)
        w->tick_us = tick_time(w);
    if (w->frame_count || w->piece || w->tick_us) {
        w->in_thread = 1;
        worker_submit(w->a->watch->worker, &w->work);
    } else if (must_end || w->is_ended) {
        finish(w);
    }
}

void watch__live_tick(struct watched *w, int64_t now_us)
{
    watch__commit_tick(w, now_us);
    if (w->in_thread || w->is_asking)
        return;
    if (!w->is_caught_up)
        w->is_awake = 1;
    if (w->is_awake || tick_time(w) || store_ruleset(w->a) != w->set || w->is_ended ||
        !w->is_pulling || w->a->watch->stopping)
        watch__go(w);
}

void watch__live(struct watched *w, uint64_t after)
{
    w->phase = WATCH_LIVE;
    w->a->watch->live++;
    w->work.run = on_run;
    w->work.done = on_done;
    w->fed_upto = w->state_upto = after;
    w->is_pulling = 1;
    w->is_asking = 0;
    w->no_tick_us = 0;
    w->may_stand = 1; /* what another node has told */
    w->refreshed_us = 0;
    w->is_awake = w->is_ended = w->is_caught_up = w->is_final_sent = 0;
    w->skew_us = skew_us(w, 0);
    w->tick_us = 0;
    hub_subscribe(w->a->stream, &w->key, after, &sub_ops, w, &w->sub);
    hub_sub_expect(w->sub);
    publish_go(w);
}

void watch__live_release(struct watched *w)
{
    hub_unsubscribe(&w->sub);
    if (w->past)
        w->a->past->close(&w->past);
    if (w->in_thread)
        return; /* the thread reads them */
    drop_frames(w);
    buf_release(&w->state);
}

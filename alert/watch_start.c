/*
 * alert/watch_start.c -- from a job's name to its evaluation: who it is, whose it is, where to begin.
 */
#include "alert/watch_int.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

/* Not now: what cannot be known is asked for again. */
static void give_up(struct watched *w, int err)
{
    watch__decide(w, err);
    watch__over(w, clock_mono_us() + WATCH_RETRY_US);
}

static void started(struct watched *w)
{
    if (w->is_starting) {
        w->is_starting = 0;
        w->a->watch->starting--;
    }
}

/* ---- where to begin ---- */

static void on_found(void *user, int err, uint64_t seq)
{
    struct watched *w = user;
    uint64_t after;

    if (!watch__called(w))
        return;
    if (err < 0) {
        give_up(w, err);
        return;
    }
    after = seq ? seq - 1 : 0;
    if (after < eval_upto(w->eval))
        after = eval_upto(w->eval);
    if (w->is_fresh)
        eval_begin(w->eval, after);
    started(w);
    watch__live(w, after);
}

/* Lines received before any of its rules was enabled need not be read. */
static void find_start(struct watched *w)
{
    int64_t since = eval_since_us(w->eval);

    if (w->created_us >= since) {
        if (w->is_fresh)
            eval_begin(w->eval, 0);
        started(w);
        watch__live(w, eval_upto(w->eval));
        return;
    }
    w->phase = WATCH_FIND;
    watch__call(w);
    w->a->past->find(w->a->past_user, &w->key, since, on_found, w);
}

/* ---- whom ranks last heard from ---- */

static void on_detail(void *user, int err, const struct job_info *info)
{
    struct watched *w = user;

    if (!watch__called(w))
        return;
    if (err == ERR_NOT_FOUND) { /* deleted since we asked who it is: what the lease has made must not stay */
        watch__decide(w, 0);
        watch__gone(w);
        return;
    }
    if (err < 0) {
        give_up(w, err);
        return;
    }
    if (!w->is_fresh || w->created_us < eval_since_us(w->eval))
        eval_ranks(w->eval, info);
    find_start(w);
}

/* ---- whose it is ---- */

static void load_pending(struct watched *w, const struct reply *r)
{
    for (uint32_t i = 8; i + 1 < r->count; i += 2) {
        struct pending *p = must_calloc(1, sizeof *p);
        p->n = reply_u64(reply_at(r, i));
        p->json = must_strndup(reply_at(r, i + 1)->str, reply_at(r, i + 1)->len);
        STAILQ_INSERT_TAIL(&w->committed, p, link);
    }
}

static void on_leased(struct watched *w, const struct reply *r)
{
    const struct reply *state = reply_at(r, 4);
    uint64_t upto = reply_u64(reply_at(r, 3));
    int err;

    w->token = reply_u64(reply_at(r, 1));
    w->c = reply_u64(reply_at(r, 5));
    w->n = reply_u64(reply_at(r, 6));
    w->pub = reply_u64(reply_at(r, 7));
    w->renewed_us = w->committed_us = w->started_us = clock_mono_us();
    load_pending(w, r);
    w->is_fresh = state->len == 0;
    err = w->is_fresh ? 0 : eval_load(w->eval, state->str, state->len, upto);
    if (err == ERR_NOMEM) {
        give_up(w, err);
        return;
    }
    if (err < 0) {
        log_error("alert", "a stored state cannot be read: the job is evaluated anew", "job=%s/%s",
                  w->key.project, w->key.job);
        w->is_fresh = 1;
    }
    if (!w->is_fresh && reply_u64(reply_at(r, 2)) != w->epoch)
        eval_reset(w->eval, w->epoch);
    w->phase = WATCH_DETAIL;
    watch__call(w);
    stream_job_get(w->a->stream, &w->key, 1, on_detail, w);
}

static void on_lease(void *user, int err, const struct reply *reply)
{
    struct watched *w = user;
    const struct reply *r;
    int64_t left;

    if (!watch__called(w))
        return;
    if (err < 0) {
        give_up(w, err);
        return;
    }
    r = reply_at(reply, 1);
    if (strcmp(reply_at(r, 0)->str, "OK") == 0) {
        watch__decide(w, 0); /* whatever becomes of this node, the job is on the list now */
        on_leased(w, r);
        return;
    }
    watch__decide(w, 0);
    if (strcmp(reply_at(r, 0)->str, "BUSY") == 0) {
        left = reply_i64(reply_at(r, 1)) - clock_wall_us();
        if (left < 0 || left > WATCH_LEASE_US)
            left = WATCH_LEASE_US;
        watch__over(w, clock_mono_us() + left + 100000);
        return;
    }
    watch__unlist(w); /* DONE, or a job of that name that was before */
    watch__over(w, INT64_MAX);
}

static void ask_lease(struct watched *w)
{
    struct conn_request *r = conn_request_new(0);
    char key[WATCH_KEY_BYTES], text[JOB_KEY_TEXT_BYTES];

    w->phase = WATCH_LEASE;
    conn_request_begin(r, 4);
    conn_request_str(r, "ZADD");
    conn_request_str(r, WATCHED_KEY);
    conn_request_i64(r, clock_wall_us());
    conn_request_str(r, job_key_text(&w->key, text));
    alert__script_begin(w->a, r, watch__key(&w->key, key), "lease", 5);
    conn_request_main(r);
    conn_request_i64(r, clock_wall_us());
    conn_request_u64(r, 0);
    conn_request_i64(r, WATCH_LEASE_US);
    conn_request_str(r, w->a->node);
    conn_request_i64(r, w->created_us);
    watch__call(w);
    conn_send(w->a->cmd, &r, CONN_IDEMPOTENT, 0, on_lease, w);
}

/* ---- who it is ---- */

static void on_info(void *user, int err, const struct job_info *info)
{
    struct watched *w = user;
    struct ruleset *s = store_ruleset(w->a);

    if (!watch__called(w))
        return;
    if (err == ERR_NOT_FOUND) {
        watch__decide(w, 0);
        watch__unlist(w);
        watch__over(w, INT64_MAX);
        return;
    }
    if (err < 0 || !s) {
        give_up(w, err < 0 ? err : ERR_UNAVAILABLE);
        return;
    }
    w->created_us = info->created_us;
    w->epoch = info->epoch;
    w->eval = eval_new(info);
    w->set = ruleset_ref(s);
    eval_set_rules(w->eval, s, 0);
    if (eval_rule_count(w->eval) == 0) {
        w->no_rule_number = s->number;
        watch__decide(w, 0);
        watch__over(w, 0);
        return;
    }
    ask_lease(w);
}

void watch__start(struct watched *w)
{
    CHECK(w->phase == WATCH_IDLE && !w->calls);
    w->phase = WATCH_LOOKUP;
    w->is_starting = 1;
    w->a->watch->starting++;
    watch__call(w);
    stream_job_get(w->a->stream, &w->key, 0, on_info, w);
}

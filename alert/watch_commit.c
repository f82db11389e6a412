/*
 * alert/watch_commit.c -- what an evaluated job leaves in Redis: alerts with the state that has fired them.
 */
#include "alert/deliver.h"
#include "alert/event.h"
#include "alert/publish.h"
#include "alert/watch_int.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ALERT_ID_BYTES 23 /* "al_" and 20 characters */

void watch__pending_free(struct pending_queue *q)
{
    struct pending *p;

    while ((p = STAILQ_FIRST(q)) != NULL) {
        STAILQ_REMOVE_HEAD(q, link);
        free(p->json);
        free(p);
    }
}

/* ---- alerts ---- */

/* 100 random bits: the id stays with the alert for ever, whoever sends it how often. */
static void make_id(char out[ALERT_ID_BYTES + 1])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
    unsigned char random[20];

    CHECK(getrandom(random, sizeof random, 0) == (ssize_t)sizeof random);
    memcpy(out, "al_", 3);
    for (int i = 0; i < 20; i++)
        out[3 + i] = digits[random[i] & 31];
    out[ALERT_ID_BYTES] = '\0';
}

void watch__take_alerts(struct watched *w, struct eval_alert *found, uint32_t count)
{
    char id[ALERT_ID_BYTES + 1];

    for (uint32_t i = 0; i < count; i++) {
        struct pending *p = must_calloc(1, sizeof *p);
        struct buf json = BUF_INIT;
        make_id(id);
        buf_addf(&json, "{\"id\":\"%s\",", id);
        buf_add(&json, found[i].json, found[i].json_len);
        buf_addc(&json, '}');
        p->json = buf_steal(&json, NULL);
        STAILQ_INSERT_TAIL(&w->fresh, p, link);
        w->fresh_count++;
        w->a->watch->alerts++;
    }
    eval_alerts_free(&found, count);
}

/* ---- commits ---- */

static void on_committed(void *user, int err, const struct reply *reply)
{
    struct watched *w = user;
    struct commit *c = &w->commit;
    struct pending *p;

    FAULT_POINT("alert.commit.reply");
    if (!watch__called(w))
        return;
    c->is_under_way = 0;
    if (err == 0 && strcmp(reply_at(reply, 0)->str, "FENCED") == 0) {
        w->a->watch->fenced++;
        watch__over(w, clock_mono_us() + WATCH_RETRY_US);
        return;
    }
    if (err < 0) { /* sent again as it was: the number tells a repeat */
        c->retry_us = clock_mono_us() + WATCH_RETRY_US;
        return;
    }
    w->a->watch->commits++;
    w->c = c->c;
    while ((p = STAILQ_FIRST(&c->alerts)) != NULL) {
        STAILQ_REMOVE_HEAD(&c->alerts, link);
        p->n = ++w->n;
        STAILQ_INSERT_TAIL(&w->committed, p, link);
    }
    free(c->state);
    memset(c, 0, sizeof *c);
    STAILQ_INIT(&c->alerts);
    w->committed_us = w->renewed_us = clock_mono_us();
    publish_go(w);
    watch__go(w);
}

static void send_commit(struct watched *w)
{
    struct commit *c = &w->commit;
    struct conn_request *r = conn_request_new(strlen(c->state) + 1024);
    char key[WATCH_KEY_BYTES];
    struct pending *p;
    uint32_t count = 0;

    STAILQ_FOREACH(p, &c->alerts, link) count++;
    alert__script_begin(w->a, r, watch__key(&w->key, key), "commit", 9 + count);
    conn_request_i64(r, clock_wall_us());
    conn_request_u64(r, w->token);
    conn_request_i64(r, WATCH_LEASE_US);
    conn_request_u64(r, c->c);
    conn_request_u64(r, c->epoch);
    conn_request_u64(r, c->upto);
    conn_request_str(r, c->state);
    conn_request_u64(r, c->pub);
    conn_request_str(r, c->is_final ? "1" : "0");
    STAILQ_FOREACH(p, &c->alerts, link) conn_request_str(r, p->json);
    c->is_under_way = 1;
    watch__call(w);
    FAULT_POINT("alert.commit.send");
    conn_send(w->a->cmd, &r, CONN_IDEMPOTENT, 0, on_committed, w);
}

/* Is there something that must not wait, or has waited? */
static int is_due(const struct watched *w, int64_t now_us)
{
    return w->fresh_count || (w->state_is_new && now_us - w->committed_us >= WATCH_COMMIT_US);
}

void watch__commit(struct watched *w, int is_final)
{
    struct commit *c = &w->commit;
    int64_t now_us = clock_mono_us();
    int must = is_final || !w->is_pulling || w->is_ended || w->a->watch->stopping;

    if (w->in_thread) /* it writes the state; what it finds belongs to it */
        return;
    if (c->c || !(is_final || is_due(w, now_us) || (must && w->state_is_new)) || !w->state.len)
        return;
    c->c = w->c + 1;
    c->upto = w->state_upto;
    c->epoch = w->epoch;
    c->pub = w->pub;
    c->is_final = is_final;
    c->state = must_strndup(w->state.data, w->state.len);
    STAILQ_CONCAT(&c->alerts, &w->fresh);
    w->fresh_count = 0;
    w->state_is_new = 0;
    send_commit(w);
}

/* ---- leases ---- */

static void on_renewed(void *user, int err, const struct reply *reply)
{
    struct watched *w = user;

    if (!watch__called(w))
        return;
    if (err == 0 && strcmp(reply_at(reply, 0)->str, "FENCED") == 0) {
        w->a->watch->fenced++;
        watch__over(w, clock_mono_us() + WATCH_RETRY_US);
    }
}

static void renew(struct watched *w)
{
    struct conn_request *r = conn_request_new(0);
    char key[WATCH_KEY_BYTES];

    alert__script_begin(w->a, r, watch__key(&w->key, key), "renew", 4);
    conn_request_i64(r, clock_wall_us());
    conn_request_u64(r, w->token);
    conn_request_i64(r, WATCH_LEASE_US);
    conn_request_u64(r, w->pub);
    watch__call(w);
    conn_send(w->a->cmd, &r, CONN_IDEMPOTENT, 0, on_renewed, w);
}

/* ---- what stands at an Alertmanager ---- */

static void on_refreshed(void *user, int err, uint64_t standing)
{
    struct watched *w = user;

    w->is_refreshing = 0;
    if (watch__called(w) && err == 0 && standing == 0)
        w->may_stand = 0;
}

static void refresh(struct watched *w, int64_t now_us)
{
    w->refreshed_us = now_us;
    w->is_refreshing = 1;
    watch__call(w);
    deliver_refresh(w->a, &w->key, on_refreshed, w);
}

void watch__commit_tick(struct watched *w, int64_t now_us)
{
    struct commit *c = &w->commit;

    if (c->c && !c->is_under_way && now_us >= c->retry_us) {
        send_commit(w);
        return;
    }
    if (!c->c && now_us - w->renewed_us >= WATCH_RENEW_US) {
        w->renewed_us = now_us;
        renew(w);
    }
    if (w->may_stand && !w->is_refreshing && now_us - w->refreshed_us >= EVENT_REFRESH_US)
        refresh(w, now_us);
    watch__commit(w, 0);
    publish_tick(w, now_us);
}

void watch__give_back(struct watched *w)
{
    struct conn_request *r = conn_request_new(0);
    char key[WATCH_KEY_BYTES], text[JOB_KEY_TEXT_BYTES];
    int is_done = w->is_final_sent;

    if (is_done) {
        conn_request_begin(r, 3);
        conn_request_str(r, "ZREM");
        conn_request_str(r, WATCHED_KEY);
        conn_request_str(r, job_key_text(&w->key, text));
    } else {
        alert__script_begin(w->a, r, watch__key(&w->key, key), "release", 1);
        conn_request_u64(r, w->token);
    }
    conn_send(w->a->cmd, &r, CONN_IDEMPOTENT, 0, NULL, NULL);
    watch__over(w, is_done ? INT64_MAX : clock_mono_us() + WATCH_RETRY_US);
}

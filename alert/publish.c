/*
 * alert/publish.c -- from a committed alert to the feed and the lanes of its receivers.
 */
#include "alert/publish.h"

#include "alert/deliver.h"
#include "alert/event.h"
#include "alert/tally.h"
#include "alert/watch_int.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVIDENCE_BYTES_MAX (1024 * 1024)

struct publish {
    struct watched *w; /* NULL: dropped while a call is under way */
    struct alert *a;
    struct json_tree *core;
    uint64_t n;
    struct alert_past *past;       /* NULL: read, or given up */
    struct alert_summary *summary; /* NULL: made, given up, or not wanted */
    struct json_tree *postmortem;
    struct buf evidence;
    int64_t until_us; /* for evidence */
    int64_t retry_us; /* 0: not */
    int is_sent, is_starting;
    char token[DELIVER_TOKEN_BYTES]; /* what this call claims; the same when it is sent again */
};

/* ---- calls ---- */

void publish_begin(struct alert *a, struct conn_request *r, const struct job_key *key,
                   int64_t created_us, const char *kind, const char *token, uint32_t items,
                   uint32_t words)
{
    char text[JOB_KEY_TEXT_BYTES];

    alert__script_begin(a, r, ALERT_RULES_KEY, "publish", PUBLISH_HEAD_WORDS + words);
    conn_request_i64(r, clock_wall_us());
    conn_request_i64(r, FEED_EVENTS_MAX);
    conn_request_i64(r, FEED_BYTES_MAX);
    conn_request_i64(r, FEED_AGE_US);
    conn_request_str(r, job_key_text(key, text));
    conn_request_i64(r, created_us);
    conn_request_str(r, kind);
    conn_request_str(r, token);
    conn_request_u64(r, items);
}

void publish_item(struct conn_request *r, uint64_t n, const char *type, int64_t at_us,
                  const struct buf *json, const char *rule_key, uint64_t max_per_hour,
                  uint32_t deliveries)
{
    conn_request_u64(r, n);
    conn_request_str(r, type);
    conn_request_i64(r, at_us);
    conn_request_arg(r, json->data, json->len);
    conn_request_str(r, rule_key);
    conn_request_u64(r, max_per_hour);
    conn_request_u64(r, deliveries);
}

const char *publish_lane(const struct receiver *r, const struct job_key *key, char out[LANE_BYTES])
{
    char receiver[RULE_KEY_BYTES], job[JOB_KEY_TEXT_BYTES];

    snprintf(out, LANE_BYTES, "%s|%s", rule_key(r->project, r->id, receiver),
             job_key_text(key, job));
    return out;
}

/* ---- the end of one ---- */

static void release(struct publish *p)
{
    p->a->past->cancel(&p->summary);
    if (p->past)
        p->a->past->close(&p->past);
    json_tree_free(&p->postmortem);
    json_tree_free(&p->core);
    buf_release(&p->evidence);
    free(p);
}

void publish_drop(struct publish **publish)
{
    struct publish *p = *publish;

    *publish = NULL;
    if (!p)
        return;
    p->w = NULL;
    if (!p->is_sent)
        release(p);
}

/* The feed has it. */
static void done(struct publish *p)
{
    struct watched *w = p->w;
    struct pending *first = STAILQ_FIRST(&w->committed);

    CHECK(first && first->n == p->n && w->publish == p);
    STAILQ_REMOVE_HEAD(&w->committed, link);
    free(first->json);
    free(first);
    w->pub = p->n;
    w->publish = NULL;
    release(p);
    publish_go(w);
    watch__go(w);
}

static void count(const struct publish *p, int is_suppressed)
{
    const char *rule = json_tree_str(json_tree_get(p->core, "rule_key")),
               *status = json_tree_str(json_tree_get(p->core, "status"));

    if (rule && status)
        tally_alert(p->a, rule, strcmp(status, "firing") == 0, is_suppressed);
}

static void on_published(void *user, int err, const struct reply *reply)
{
    struct publish *p = user;

    FAULT_POINT("alert.publish.reply");
    p->is_sent = 0;
    if (!p->w) { /* what it has claimed is claimed by others in time */
        release(p);
        return;
    }
    if (err < 0) {
        p->retry_us = clock_mono_us() + PUBLISH_RETRY_US;
        return;
    }
    p->a->events += reply_u64(reply_at(reply, 2));
    p->a->capped += reply_u64(reply_at(reply, 3));
    if (reply_u64(reply_at(reply, 2)))
        count(p, reply_u64(reply_at(reply, 3)) != 0);
    for (uint32_t i = 4; i + 1 < reply->count; i += 2)
        deliver_take(p->a, p->token, reply_at(reply, i), reply_at(reply, i + 1));
    done(p);
}

/* ---- saying it ---- */

/* Does a receiver want it? */
static int wants(const struct receiver *r, const struct json_tree *core, const char *project)
{
    const char *status = json_tree_str(json_tree_get(core, "status"));
    const struct json_tree *receivers = json_tree_get(core, "receivers");

    if (status && strcmp(status, "resolved") == 0 && !r->send_resolved &&
        r->kind != RECEIVER_ALERTMANAGER)
        return 0;
    return receiver_takes(r, json_tree_is_arr(receivers) ? receivers : NULL, project);
}

/* What lasts stands at an Alertmanager until it is over: alert/script.lua, refresh. */
static const char *standing_of(const struct publish *p, const struct receiver *r, char out[32])
{
    const char *status = json_tree_str(json_tree_get(p->core, "status")),
               *fingerprint = json_tree_str(json_tree_get(p->core, "fingerprint"));
    int is_resolved = status && strcmp(status, "resolved") == 0;

    if (r->kind != RECEIVER_ALERTMANAGER || !fingerprint ||
        (!is_resolved && json_tree_str(json_tree_get(p->core, "ends_at"))))
        return "";
    if (!is_resolved)
        p->w->may_stand = 1;
    snprintf(out, 32, "%c%s", is_resolved ? '-' : '+', fingerprint);
    return out;
}

static void add_deliveries(struct publish *p, struct conn_request *r, const struct ruleset *s,
                           const struct json_tree *event, const struct buf *text)
{
    const struct job_key *key = &p->w->key;
    struct buf parcel = BUF_INIT;
    char lane[LANE_BYTES], standing[32];

    for (uint32_t i = 0; i < s->receiver_count; i++) {
        if (!wants(s->receivers[i], p->core, key->project))
            continue;
        buf_clear(&parcel);
        if (must_have(event_delivery(&parcel, s->receivers[i], event, text->data, text->len, clock_wall_us())) < 0)
            buf_clear(&parcel);
        conn_request_str(r, publish_lane(s->receivers[i], key, lane));
        conn_request_arg(r, parcel.data ? parcel.data : "", parcel.len);
        conn_request_str(r, standing_of(p, s->receivers[i], standing));
        conn_request_i64(r, deliver_visible_us(p->a, s->receivers[i]));
    }
    buf_release(&parcel);
}

static void say(struct publish *p)
{
    const struct ruleset *s = store_ruleset(p->a);
    struct event_context c = {.set = s,
                              .public_url = p->a->public_url,
                              .evidence = p->evidence.data ? p->evidence.data : "",
                              .evidence_len = p->evidence.len,
                              .postmortem = p->postmortem};
    const char *status = json_tree_str(json_tree_get(p->core, "status"));
    const char *rule = json_tree_str(json_tree_get(p->core, "rule_key"));
    struct conn_request *r;
    struct json_tree *event = NULL;
    struct buf text = BUF_INIT;
    int64_t most = 0;
    uint32_t deliveries = 0;

    p->retry_us = 0;
    if (event_alert(&text, p->core, &c) < 0 ||
        json_tree_parse_own(text.data, text.len, &event) < 0) {
        log_error("alert", "a committed alert cannot be read: it is dropped", "job=%s/%s n=%llu",
                  p->w->key.project, p->w->key.job, (unsigned long long)p->n);
        buf_release(&text);
        done(p);
        return;
    }
    for (uint32_t i = 0; i < s->receiver_count; i++)
        deliveries += wants(s->receivers[i], p->core, p->w->key.project) != 0;
    json_tree_get_i64(p->core, "max_per_hour", &most);
    r = conn_request_new(text.len * (deliveries + 1) + 2048);
    if (!*p->token)
        deliver_token(p->a, p->token);
    publish_begin(p->a, r, &p->w->key, p->w->created_us, "alert", p->token, 1,
                  PUBLISH_ITEM_WORDS + 4 * deliveries);
    publish_item(r, p->n, "alert", clock_wall_us(), &text,
                 status && strcmp(status, "firing") == 0 && rule ? rule : "", (uint64_t)most,
                 deliveries);
    add_deliveries(p, r, s, event, &text);
    json_tree_free(&event);
    buf_release(&text);
    p->is_sent = 1;
    FAULT_POINT("alert.publish.send");
    conn_send(p->a->cmd, &r, CONN_IDEMPOTENT, 0, on_published, p);
}

/* ---- evidence ---- */

static void say_if_ready(struct publish *p)
{
    if (!p->past && !p->summary && !p->is_starting)
        say(p);
}

static void on_summary(void *user, int err, const char *json)
{
    struct publish *p = user;

    p->summary = NULL;
    if (err == 0) /* without memory: without it */
        json_tree_parse_max(json, strlen(json), JSON_TREE_BYTES_MAX, &p->postmortem, NULL);
    say_if_ready(p);
}

/* There is a post-mortem of what has ended. */
static int is_of_an_end(const struct json_tree *core)
{
    const char *state = json_tree_str(json_tree_get(core, "state")),
               *status = json_tree_str(json_tree_get(core, "status"));
    enum job_state s;

    return state && status && strcmp(status, "firing") == 0 &&
           state_parse(state, strlen(state), &s) == 0 && state_is_terminal(s);
}

static void read_on(struct publish *p)
{
    const char *data;
    size_t len;
    int n;

    while ((n = p->a->past->next(p->past, &data, &len)) > 0)
        if (p->evidence.len + len > EVIDENCE_BYTES_MAX || buf_add(&p->evidence, data, len) < 0)
            break;
    if (n == 0)
        return;
    p->a->past->close(&p->past);
    say_if_ready(p);
}

static void on_wake(void *user)
{
    struct publish *p = user;

    if (p->past)
        read_on(p);
}

void publish_go(struct watched *w)
{
    struct pending *first = STAILQ_FIRST(&w->committed);
    struct publish *p;
    int64_t seq = 0;

    if (w->publish || !first || w->phase != WATCH_LIVE || !store_ruleset(w->a))
        return;
    p = must_calloc(1, sizeof *p);
    p->w = w;
    p->a = w->a;
    p->n = first->n;
    w->publish = p;
    json_tree_parse_own(first->json, strlen(first->json), &p->core);
    json_tree_get_i64(p->core, "seq", &seq);
    p->until_us = clock_mono_us() + PUBLISH_EVIDENCE_US;
    if (seq > 0)
        p->past =
            p->a->past->open(p->a->past_user, &w->key, 0,
                             seq > EVENT_LINES_BEFORE ? (uint64_t)seq - EVENT_LINES_BEFORE - 1 : 0,
                             (uint64_t)seq + EVENT_LINES_AFTER, on_wake, p);
    if (is_of_an_end(p->core))
        p->summary = p->a->past->summarize(p->a->past_user, &w->key, on_summary, p);
    p->is_starting = 1;
    if (p->past)
        read_on(p);
    p->is_starting = 0;
    say_if_ready(p);
}

void publish_tick(struct watched *w, int64_t now_us)
{
    struct publish *p = w->publish;

    if (!p) {
        publish_go(w);
        return;
    }
    if ((p->past || p->summary) && now_us >= p->until_us) {
        p->a->past->cancel(&p->summary);
        if (p->past)
            p->a->past->close(&p->past);
        say(p);
    } else if (p->retry_us && now_us >= p->retry_us) {
        say(p);
    }
}

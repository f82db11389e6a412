/*
 * alert/deliver.c -- claims, attempts, and their ends.
 */
#include "alert/deliver_int.h"

#include "alert/event.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void attempt(struct sending *s);

/* ---- one delivery ---- */

static void free_sending(struct sending *s)
{
    LIST_REMOVE(s, link);
    s->a->deliver->count--;
    post_cancel(&s->call);
    free(s->parcel);
    free(s);
}

/* The next of its lane. */
static void take_parcel(struct sending *s, const struct reply *parcel, uint32_t tries)
{
    struct event_parcel p;

    free(s->parcel);
    s->parcel = must_strndup(parcel->str, parcel->len);
    s->parcel_len = parcel->len;
    s->tries = tries;
    s->outcome = NULL;
    s->retry_us = 0;
    if (event_parcel_read(s->parcel, s->parcel_len, &p) == 0)
        snprintf(s->head, sizeof s->head, "%.*s %" PRId64 " ", (int)p.id_len, p.id, p.queued_us);
    else
        *s->head = '\0';
}

static const char *receiver_of(const char *lane, char out[RULE_KEY_BYTES])
{
    snprintf(out, RULE_KEY_BYTES, "%.*s", (int)strcspn(lane, "|"), lane);
    return out;
}

const struct receiver *deliver__receiver(const struct alert *a, const char *receiver_key)
{
    const struct ruleset *set = store_ruleset(a);
    char key[RULE_KEY_BYTES];

    for (uint32_t i = 0; set && i < set->receiver_count; i++)
        if (strcmp(rule_key(set->receivers[i]->project, set->receivers[i]->id, key),
                   receiver_key) == 0)
            return set->receivers[i];
    return NULL;
}

static int64_t visible_us(const struct receiver *r)
{
    return (r ? r->timeout_us : RECEIVER_TIMEOUT_US_DEFAULT) + DELIVER_SLACK_US;
}

/* ---- what became of it ---- */

static void on_told(void *user, int err, const struct reply *reply)
{
    struct sending *s = user;
    struct alert *a = s->a;

    FAULT_POINT("alert.deliver.finished");
    s->is_telling = 0;
    if (err < 0) {
        s->retry_us = clock_mono_us() + DELIVER_RETRY_US;
        return;
    }
    if (strcmp(reply_at(reply, 0)->str, "OK") == 0 && reply_at(reply, 1)->len > 0) {
        take_parcel(s, reply_at(reply, 1), (uint32_t)reply_u64(reply_at(reply, 2)));
        attempt(s);
        return;
    }
    free_sending(s);
    if (a->deliver->next_us <= clock_mono_us()) /* others have waited for the place */
        deliver_poke(a);
}

static void tell(struct sending *s)
{
    struct conn_request *r = conn_request_new(0);

    s->retry_us = 0;
    s->is_telling = 1;
    alert__script_begin(s->a, r, ALERT_RULES_KEY, "finish", 7);
    conn_request_i64(r, clock_wall_us());
    conn_request_i64(r, visible_us(deliver__receiver(s->a, s->receiver)));
    conn_request_str(r, s->token);
    conn_request_str(r, s->lane);
    conn_request_str(r, s->head);
    conn_request_str(r, s->outcome);
    conn_request_str(r, s->arg);
    FAULT_POINT("alert.deliver.finish");
    conn_send(s->a->cmd, &r, CONN_IDEMPOTENT, 0, on_told, s);
}

static void end(struct sending *s, const char *outcome, const char *arg)
{
    s->outcome = outcome;
    snprintf(s->arg, sizeof s->arg, "%s", arg);
    tell(s);
}

/* Let another node go on with it. */
static void give_back(struct sending *s)
{
    char at[24];

    post_cancel(&s->call);
    snprintf(at, sizeof at, "%" PRId64, clock_wall_us());
    end(s, "back", at);
}

static void on_disabled(void *user, int err, uint64_t revision)
{
    struct alert *a = user;

    a->calls--;
}

/* 410: it is switched off where it is kept, and what waits for it can be sent again by hand. */
static void disable(struct alert *a, const struct receiver *r)
{
    struct fields_why why;
    struct receiver *off = NULL;
    struct json_tree *patch = NULL;
    char key[RULE_KEY_BYTES], text[200], now[CLOCK_RFC3339_BYTES + 1];

    rule_key(r->project, r->id, key);
    log_error("alert", "a receiver answered 410: it is disabled", "receiver=%s", key);
    snprintf(text, sizeof text,
             "{\"enabled\":false,\"disabled_reason\":\"it answered 410 Gone at %s\"}",
             clock_rfc3339(clock_wall_us(), now));
    CHECK(json_tree_parse(text, strlen(text), &patch, NULL) == 0);
    if (receiver_patch(r, patch, &off, &why) == 0) {
        a->calls++;
        alert_put_receiver(a, &off, r->revision, on_disabled, a);
    }
    json_tree_free(&patch);
    deliver_flush(a, key, "the receiver answered 410 Gone", 0);
}

static void end_dead(struct sending *s, const char *why)
{
    struct counted *c = deliver__counted(s->a, s->receiver);

    c->c.dead++;
    log_warn("alert", "a delivery was given up: it is among the dead letters",
             "receiver=%s id=%.*s attempts=%" PRIu32 " why=" LOG_Q("%s"), s->receiver,
             (int)strcspn(s->head, " "), s->head, s->tries + 1, why);
    end(s, "dead", why);
}

static void on_answer(void *user, const struct post_answer *answer)
{
    struct sending *s = user;
    struct deliver *d = s->a->deliver;
    const struct receiver *r = deliver__receiver(s->a, s->receiver);
    struct counted *c = deliver__counted(s->a, s->receiver);
    struct schedule schedule = d->schedule;
    struct event_parcel p;
    struct attempt a = {.status = answer->status,
                        .retry_after_us = answer->retry_after_us,
                        .why = answer->why,
                        .tries = s->tries,
                        .now_us = clock_wall_us()};
    char why[SCHEDULE_WHY_BYTES] = "";
    int64_t at_us = 0;

    s->call = NULL;
    FAULT_POINT("alert.deliver.answer");
    CHECK(event_parcel_read(s->parcel, s->parcel_len, &p) == 0);
    a.queued_us = p.queued_us;
    CHECK(getrandom(&a.random, sizeof a.random, 0) == (ssize_t)sizeof a.random);
    schedule.retry_for_us = r ? r->retry_for_us : RECEIVER_RETRY_FOR_US_DEFAULT;
    if (r && r->kind == RECEIVER_ALERTMANAGER && schedule.most_us > DELIVER_PAUSE_US_ALERTMANAGER)
        schedule.most_us = DELIVER_PAUSE_US_ALERTMANAGER;
    switch (schedule_judge(&schedule, &a, &at_us, why, sizeof why)) {
    case OUTCOME_SENT:
        c->c.sent++;
        end(s, "sent", "");
        break;
    case OUTCOME_LATER:
        c->c.failed++;
        log_debug("alert", "a delivery failed: it is tried again",
                  "receiver=%s id=%.*s attempts=%" PRIu32 " pause_s=%.1f why=" LOG_Q("%s"),
                  s->receiver, (int)p.id_len, p.id, s->tries + 1, (double)(at_us - a.now_us) / 1e6,
                  why);
        snprintf(why, sizeof why, "%" PRId64, at_us);
        end(s, "later", why);
        if (d->next_us > clock_mono_us() + at_us - a.now_us)
            d->next_us = clock_mono_us() + at_us - a.now_us;
        break;
    case OUTCOME_GONE:
        c->c.failed++;
        end_dead(s, why);
        if (r && r->enabled && r->source != SOURCE_FILE)
            disable(s->a, r);
        break;
    case OUTCOME_DEAD:
        c->c.failed++;
        end_dead(s, why);
        break;
    }
}

static void attempt(struct sending *s)
{
    const struct receiver *r = deliver__receiver(s->a, s->receiver);

    if (s->a->deliver->stopping || !r || !r->enabled) {
        give_back(s);
        return;
    }
    FAULT_POINT("alert.deliver.post");
    if (deliver__post(s, r, on_answer) < 0)
        end_dead(s, "what was queued cannot be read");
}

/* ---- claims ---- */

static uint32_t under_way(const struct deliver *d, const char *receiver_key)
{
    const struct sending *s;
    uint32_t n = 0;

    LIST_FOREACH(s, &d->sendings, link) n += strcmp(s->receiver, receiver_key) == 0;
    return n;
}

static void begin(struct alert *a, const char *token, const struct reply *lane, uint32_t tries,
                  const struct reply *parcel)
{
    struct sending *s = must_calloc(1, sizeof *s);

    s->a = a;
    snprintf(s->lane, sizeof s->lane, "%s", lane->str);
    receiver_of(s->lane, s->receiver);
    snprintf(s->token, sizeof s->token, "%s", token);
    LIST_INSERT_HEAD(&a->deliver->sendings, s, link);
    a->deliver->count++;
    take_parcel(s, parcel, tries);
    attempt(s);
}

void deliver_token(struct alert *a, char out[DELIVER_TOKEN_BYTES])
{
    snprintf(out, DELIVER_TOKEN_BYTES, "%s-%" PRIu64, a->deliver->run, ++a->deliver->claims);
}

int64_t deliver_visible_us(const struct alert *a, const struct receiver *r)
{
    const struct deliver *d = a->deliver;
    char key[RULE_KEY_BYTES];

    if (d->stopping || d->count >= DELIVER_MAX ||
        under_way(d, rule_key(r->project, r->id, key)) >= DELIVER_SLOTS)
        return 0;
    return visible_us(r);
}

void deliver_take(struct alert *a, const char *token, const struct reply *lane,
                  const struct reply *parcel)
{
    begin(a, token, lane, 0, parcel);
}

static void on_claimed(void *user, int err, const struct reply *reply)
{
    struct alert *a = user;
    struct deliver *d = a->deliver;
    int64_t soonest;

    FAULT_POINT("alert.deliver.claimed");
    if (err == ERR_CANCELLED)
        return;
    d->claiming = 0;
    if (err < 0) {
        d->next_us = clock_mono_us() + DELIVER_RETRY_US;
        return;
    }
    soonest = reply_i64(reply_at(reply, 1));
    d->next_us = clock_mono_us() + DELIVER_LOOK_US;
    if (soonest && soonest - clock_wall_us() < DELIVER_LOOK_US)
        d->next_us = clock_mono_us() + soonest - clock_wall_us();
    for (uint32_t i = 2; i + 2 < reply->count; i += 3)
        begin(a, d->token, reply_at(reply, i), (uint32_t)reply_u64(reply_at(reply, i + 1)),
              reply_at(reply, i + 2));
    if (d->again)
        deliver_poke(a);
}

/* Receivers that are served: enabled ones. */
static uint32_t served(const struct ruleset *set)
{
    uint32_t n = 0;

    for (uint32_t i = 0; set && i < set->receiver_count; i++)
        n += set->receivers[i]->enabled != 0;
    return n;
}

static void claim(struct alert *a, const struct ruleset *set, uint32_t count)
{
    struct deliver *d = a->deliver;
    struct conn_request *r = conn_request_new(0);
    char key[RULE_KEY_BYTES];
    uint32_t room = DELIVER_MAX - d->count;

    d->claiming = 1;
    d->again = 0;
    deliver_token(a, d->token);
    alert__script_begin(a, r, ALERT_RULES_KEY, "claim", 2 + 3 * count);
    conn_request_i64(r, clock_wall_us());
    conn_request_str(r, d->token);
    for (uint32_t i = 0; i < set->receiver_count; i++) {
        /* the first to be asked is another one each time: when there is little room all have their turn */
        const struct receiver *v = set->receivers[(i + d->claims) % set->receiver_count];
        uint32_t used, slots;
        if (!v->enabled)
            continue;
        rule_key(v->project, v->id, key);
        used = under_way(d, key);
        slots = used < DELIVER_SLOTS ? DELIVER_SLOTS - used : 0;
        if (slots > room)
            slots = room;
        room -= slots;
        conn_request_str(r, key);
        conn_request_u64(r, slots);
        conn_request_i64(r, visible_us(v));
    }
    FAULT_POINT("alert.deliver.claim");
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_claimed, a);
}

void deliver_poke(struct alert *a)
{
    struct deliver *d = a->deliver;
    const struct ruleset *set = store_ruleset(a);
    uint32_t count = served(set);

    if (d->stopping || a->closing || !conn_is_open(a->cmd) || !count)
        return;
    if (d->claiming)
        d->again = 1;
    else if (d->count < DELIVER_MAX)
        claim(a, set, count);
}

void deliver_tick(struct alert *a)
{
    struct deliver *d = a->deliver;
    int64_t now_us = clock_mono_us();
    struct sending *s, *next;

    for (s = LIST_FIRST(&d->sendings); s; s = next) {
        next = LIST_NEXT(s, link);
        if (s->retry_us && now_us >= s->retry_us)
            tell(s);
        else if (d->stopping && s->call && now_us >= d->stop_us)
            give_back(s);
    }
    if (!d->claiming && now_us >= d->next_us)
        deliver_poke(a);
    deliver__count_tick(a, now_us);
}

/* ---- others ---- */

struct flushing {
    struct alert *a;
    char receiver[RULE_KEY_BYTES];
    char *why;
    int is_checked;
};

static void on_flushed(void *user, int err, const struct reply *reply)
{
    struct flushing *f = user;

    if (err == 0 && reply_u64(reply_at(reply, 1)) == DELIVER_FLUSH_MAX)
        deliver_flush(f->a, f->receiver, f->why, f->is_checked);
    free(f->why);
    free(f);
}

void deliver_flush(struct alert *a, const char *receiver_key, const char *why, int is_checked)
{
    struct conn_request *r = conn_request_new(0);
    struct flushing *f = must_calloc(1, sizeof *f);

    f->a = a;
    snprintf(f->receiver, sizeof f->receiver, "%s", receiver_key);
    f->why = must_strdup(why);
    f->is_checked = is_checked;
    alert__script_begin(a, r, ALERT_RULES_KEY, "flush", 5);
    conn_request_i64(r, clock_wall_us());
    conn_request_str(r, receiver_key);
    conn_request_str(r, why);
    conn_request_u64(r, DELIVER_FLUSH_MAX);
    conn_request_str(r, is_checked ? "1" : "0");
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_flushed, f);
}

struct refreshing {
    void (*done)(void *user, int err, uint64_t standing);
    void *user;
};

static void on_refreshed(void *user, int err, const struct reply *reply)
{
    struct refreshing *f = user;

    f->done(f->user, err, err < 0 ? 0 : reply_u64(reply_at(reply, 1)));
    free(f);
}

void deliver_refresh(struct alert *a, const struct job_key *key,
                     void (*done)(void *user, int err, uint64_t standing), void *user)
{
    const struct ruleset *set = store_ruleset(a);
    struct conn_request *r = conn_request_new(0);
    struct refreshing *f = must_calloc(1, sizeof *f);
    char text[RULE_KEY_BYTES + JOB_KEY_TEXT_BYTES];
    uint32_t count = 0;

    for (uint32_t i = 0; set && i < set->receiver_count; i++)
        count += set->receivers[i]->enabled && set->receivers[i]->kind == RECEIVER_ALERTMANAGER;
    f->done = done;
    f->user = user;
    alert__script_begin(a, r, ALERT_RULES_KEY, "refresh", 2 + count);
    conn_request_i64(r, clock_wall_us());
    conn_request_str(r, job_key_text(key, text));
    for (uint32_t i = 0; set && i < set->receiver_count; i++)
        if (set->receivers[i]->enabled && set->receivers[i]->kind == RECEIVER_ALERTMANAGER)
            conn_request_str(r, rule_key(set->receivers[i]->project, set->receivers[i]->id, text));
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_refreshed, f);
}

/* ---- life ---- */

void deliver_open(struct alert *a, const struct alert_options *o)
{
    struct deliver *d = must_calloc(1, sizeof *d);
    unsigned char random[8];

    LIST_INIT(&d->sendings);
    if (o->allowed)
        d->allowed = *o->allowed;
    d->ca_file = must_strdup(o->ca_file ? o->ca_file : "");
    d->schedule.first_us = o->retry_us;
    d->schedule.most_us = o->retry_max_us > o->retry_us ? o->retry_max_us : o->retry_us;
    d->counts = map_new();
    CHECK(getrandom(random, sizeof random, 0) == (ssize_t)sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(d->run + 2 * i, 3, "%02x", random[i]);
    poster_open(a->loop, &d->allowed, d->ca_file, &d->poster);
    a->deliver = d;
}

void deliver_stop(struct alert *a)
{
    if (!a->deliver->stopping)
        a->deliver->stop_us = clock_mono_us() + DELIVER_STOP_US;
    a->deliver->stopping = 1;
}

int deliver_idle(const struct alert *a)
{
    return a->deliver->count == 0 && !a->deliver->claiming;
}

void deliver_close(struct alert *a, void (*closed)(void *user))
{
    struct sending *s;

    LIST_FOREACH(s, &a->deliver->sendings, link) post_cancel(&s->call);
    poster_close(&a->deliver->poster, closed, a);
}

void deliver_release(struct alert *a)
{
    struct deliver *d = a->deliver;

    while (!LIST_EMPTY(&d->sendings))
        free_sending(LIST_FIRST(&d->sendings));
    deliver__counts_free(d);
    free(d->ca_file);
    free(d);
    a->deliver = NULL;
}

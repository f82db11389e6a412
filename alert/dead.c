/*
 * alert/dead.c -- dead letters and lanes, for people.
 */
#include "alert/dead.h"

#include "alert/alert_int.h"
#include "alert/event.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEAD_KEY "jl:{alert}:dead"

/* ---- the list ---- */

struct listing {
    dead_list_fn *done;
    void *user;
};

/* "project or *", '/', id, '|', job */
static int read_lane(const char *lane, struct dead_letter *ret, char receiver[ID_BYTES_MAX + 1])
{
    const char *bar = strchr(lane, '|'), *slash = strchr(lane, '/');
    size_t project, id;

    if (!bar || !slash || slash > bar || job_key_parse(&ret->job, bar + 1, strlen(bar + 1)) < 0)
        return ERR_CORRUPT;
    project = (size_t)(slash - lane);
    id = (size_t)(bar - slash - 1);
    if (project > ID_BYTES_MAX || id > ID_BYTES_MAX)
        return ERR_CORRUPT;
    snprintf(ret->project, sizeof ret->project, "%.*s", (int)project, lane);
    if (strcmp(ret->project, "*") == 0)
        *ret->project = '\0';
    snprintf(receiver, ID_BYTES_MAX + 1, "%.*s", (int)id, slash + 1);
    ret->receiver = receiver;
    return 0;
}

static int read_letter(const struct reply *entry, struct dead_letter *ret,
                       char receiver[ID_BYTES_MAX + 1])
{
    const struct reply *f = reply_at(entry, 1), *parcel = reply_field(f, "d");
    struct event_parcel p;

    memset(ret, 0, sizeof *ret);
    if (read_lane(reply_field(f, "lane")->str, ret, receiver) < 0)
        return ERR_CORRUPT;
    ret->id = reply_at(entry, 0)->str;
    ret->at_us = reply_i64(reply_field(f, "at"));
    ret->why = reply_field(f, "why")->str;
    ret->attempts = (uint32_t)reply_u64(reply_field(f, "tries"));
    ret->alert = ret->body = "";
    if (event_parcel_read(parcel->str, parcel->len, &p) == 0) {
        ret->alert = p.id;
        ret->alert_len = p.id_len;
        ret->body = p.body;
        ret->body_len = p.body_len;
        ret->queued_us = p.queued_us;
    }
    return 0;
}

static void on_listed(void *user, int err, const struct reply *reply)
{
    struct listing *l = user;
    struct dead_letter *list = must_calloc(DEAD_PAGE, sizeof *list);
    char(*receivers)[ID_BYTES_MAX + 1] = must_calloc(DEAD_PAGE, sizeof *receivers);
    uint32_t n = 0;

    for (uint32_t i = 0; err == 0 && i < reply->count && n < DEAD_PAGE; i++)
        n += read_letter(reply_at(reply, i), &list[n], receivers[n]) == 0;
    l->done(l->user, err, list, n, err < 0 || reply->count < DEAD_PAGE);
    free(list);
    free(receivers);
    free(l);
}

int alert_dead_id_valid(const char *id)
{
    size_t ms = strspn(id, "0123456789"), n = id[ms] == '-' ? strspn(id + ms + 1, "0123456789") : 0;

    return ms > 0 && ms <= 20 && n > 0 && n <= 20 && id[ms + 1 + n] == '\0';
}

void alert_dead_list(struct alert *a, const char *after, dead_list_fn *done, void *user)
{
    struct listing *l = must_calloc(1, sizeof *l);
    char from[DEAD_ID_BYTES + 1], count[12];

    l->done = done;
    l->user = user;
    snprintf(from, sizeof from, "%s%s", *after ? "(" : "-", after);
    snprintf(count, sizeof count, "%d", DEAD_PAGE);
    conn_words(a->cmd, CONN_IDEMPOTENT, on_listed, l, "XRANGE", DEAD_KEY, from, "+", "COUNT", count,
               NULL);
}

/* ---- sending again ---- */

struct replaying {
    void (*done)(void *user, int err, uint64_t count);
    void *user;
};

static void on_replayed(void *user, int err, const struct reply *reply)
{
    struct replaying *r = user;

    r->done(r->user, err, err < 0 ? 0 : reply_u64(reply_at(reply, 1)));
    free(r);
}

void alert_dead_replay(struct alert *a, const char *const *ids, uint32_t count, int again,
                       void (*done)(void *user, int err, uint64_t count), void *user)
{
    struct replaying *p = must_calloc(1, sizeof *p);
    struct conn_request *r = conn_request_new(0);

    CHECK(count <= DEAD_REPLAY_MAX);
    p->done = done;
    p->user = user;
    alert__script_begin(a, r, ALERT_RULES_KEY, "replay", 2 + count);
    conn_request_i64(r, clock_wall_us());
    conn_request_str(r, again ? "again" : "drop");
    for (uint32_t i = 0; i < count; i++)
        conn_request_str(r, ids[i]);
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_replayed, p);
}

/* ---- what waits ---- */

struct asking {
    struct ruleset *set;
    waiting_fn *done;
    void *user;
};

static void on_waiting(void *user, int err, const struct reply *reply)
{
    struct asking *q = user;
    uint32_t count = q->set ? q->set->receiver_count : 0;
    struct waiting *list = must_calloc(count + 1, sizeof *list);
    char key[RULE_KEY_BYTES];

    for (uint32_t i = 0; err == 0 && i < count; i++) {
        const struct receiver *r = q->set->receivers[i];
        list[i].receiver = r;
        rule_key(r->project, r->id, key);
        list[i].queued = reply_u64(reply_field(reply_at(reply, 0), key));
        list[i].queued_bytes = reply_u64(reply_field(reply_at(reply, 1), key));
        list[i].next_us = reply_i64(reply_at(reply_at(reply, 3 + i), 1));
    }
    q->done(q->user, err, list, err < 0 ? 0 : count, err < 0 ? 0 : reply_u64(reply_at(reply, 2)));
    free(list);
    ruleset_unref(&q->set);
    free(q);
}

static void add_words(struct conn_request *r, const char *a, const char *b)
{
    conn_request_begin(r, 2);
    conn_request_str(r, a);
    conn_request_str(r, b);
}

void alert_waiting(struct alert *a, waiting_fn *done, void *user)
{
    struct asking *q = must_calloc(1, sizeof *q);
    struct conn_request *r = conn_request_new(0);
    char key[RULE_KEY_BYTES], due[RULE_KEY_BYTES + 32];

    q->set = store_ruleset(a) ? ruleset_ref(store_ruleset(a)) : NULL;
    q->done = done;
    q->user = user;
    add_words(r, "HGETALL", "jl:{alert}:queued");
    add_words(r, "HGETALL", "jl:{alert}:queued_bytes");
    add_words(r, "XLEN", DEAD_KEY);
    for (uint32_t i = 0; q->set && i < q->set->receiver_count; i++) {
        const struct receiver *v = q->set->receivers[i];
        snprintf(due, sizeof due, "jl:{alert}:due:%s", rule_key(v->project, v->id, key));
        conn_request_begin(r, 5);
        conn_request_str(r, "ZRANGE");
        conn_request_str(r, due);
        conn_request_str(r, "0");
        conn_request_str(r, "0");
        conn_request_str(r, "WITHSCORES");
    }
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_waiting, q);
}

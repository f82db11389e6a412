/*
 * ingest/http_events.c -- POST /v1/jobs/J/events: one change of state.
 */
#include "ingest/ingest_int.h"

#include "base/check.h"
#include "base/err.h"
#include "base/json.h"
#include "job/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_BYTES_MAX (64 * 1024)

struct event {
    struct ingest *in;
    struct http *x; /* NULL: the exchange is over */
    struct buf body;
    struct state_change change;
    int change_active, answered;
};

static void free_when_over(struct event *e)
{
    struct ingest *in = e->in;

    if (e->x || e->change_active) return;
    buf_release(&e->body);
    free(e);
    ingest__leave(in);
}

static void refuse(struct event *e, int err, const char *message, const enum job_state *state)
{
    struct answer a = ingest__answer(err);
    struct buf body = BUF_INIT;
    struct json j;
    char seconds[12];

    if (e->answered || http_started(e->x)) return;
    e->answered = 1;
    ingest__count_refusal(e->in, err);
    json_init(&j, &body);
    json_obj(&j);
    json_kstr(&j, "code", a.code);
    json_kstr(&j, "message", message ? message : a.message);
    if (state) json_kstr(&j, "state", state_name(*state));
    json_end(&j);
    buf_addc(&body, '\n');
    if (a.retry_after) {
        snprintf(seconds, sizeof seconds, "%u", a.retry_after);
        http_set_header(e->x, "Retry-After", seconds);
    }
    http_reply(e->x, a.status, "application/json", body.data, body.len);
    buf_release(&body);
}

static void on_changed(void *user, int err, int moved, enum job_state from, uint64_t seq)
{
    struct event *e = user;
    struct buf body = BUF_INIT;
    struct json j;

    e->change_active = 0;
    if (!e->answered && err) {
        refuse(e, err, NULL, err == ERR_TRANSITION || err == ERR_SEALED ? &from : NULL);
    } else if (!e->answered && !http_started(e->x)) {
        e->answered = 1;
        json_init(&j, &body);
        json_obj(&j);
        json_kstr(&j, "state", state_name(e->change.to));
        json_kstr(&j, "previous", state_name(from));
        json_kbool(&j, "moved", moved);
        json_ku64(&j, "seq", seq);
        json_end(&j);
        buf_addc(&body, '\n');
        http_reply(e->x, 200, "application/json", body.data, body.len);
        buf_release(&body);
    }
    free_when_over(e);
}

int ingest__read_state(const struct json_tree *v, struct state_change *c, const char **ret_why)
{
    const char *state;
    int64_t rank;
    int got;

    *ret_why = "state must be the name of a state";
    if (json_tree_get_str(v, "state", &state) != 1) return ERR_INVALID;
    if (state_parse(state, strlen(state), &c->to)) return ERR_INVALID;
    *ret_why = "ts must be RFC 3339 or an epoch time";
    if (ingest__time(v, "ts", &c->ts_us) < 0) return ERR_INVALID;
    *ret_why = "message must be a string";
    if (json_tree_get_str(v, "message", &c->message) < 0) return ERR_INVALID;
    *ret_why = "exit_code must be a whole number";
    got = json_tree_get_i64(v, "exit_code", &c->exit_code);
    if (got < 0) return ERR_INVALID;
    c->has_exit_code = got;
    *ret_why = "rank must be a number from 0 to 65535";
    c->rank = RECORD_RANK_NONE;
    got = json_tree_get_i64(v, "rank", &rank);
    if (got < 0 || (got && (rank < 0 || rank > RECORD_RANK_MAX))) return ERR_INVALID;
    if (got) c->rank = (int32_t)rank;
    return 0;
}

/* Without its secrets; clean holds it then. */
static int redact_message(struct event *e, struct buf *clean)
{
    const struct redact *r = e->in->o.redact;
    const char *text = e->change.message;
    int got = r && text ? redact_text(r, NULL, text, strlen(text), clean, &e->in->stats.redacted) : 0;

    if (got > 0) e->change.message = buf_cstr(clean);
    return got < 0 ? got : 0;
}

static void on_body(struct http *x, const char *data, size_t len)
{
    struct event *e = http_user(x);
    int err = e->answered ? 0 : buf_add(&e->body, data, len);

    if (err) refuse(e, err, err == ERR_NOMEM ? NULL : "an event may have 64 KiB", NULL);
}

static void on_body_end(struct http *x)
{
    struct event *e = http_user(x);
    struct json_tree *v = NULL;
    struct buf clean = BUF_INIT;
    const char *why = "the body must be one JSON object";
    size_t at = 0;
    int err;

    if (e->answered) return;
    err = json_tree_parse(buf_cstr(&e->body), e->body.len, &v, &at);
    if (!err && !json_tree_is_obj(v)) err = ERR_INVALID;
    if (!err) err = ingest__read_state(v, &e->change, &why);
    if (!err) err = redact_message(e, &clean);
    if (err) {
        refuse(e, err, err == ERR_NOMEM ? NULL : why, NULL);
    } else {
        e->change_active = 1;
        stream_change_state(e->in->o.stream, &e->change, on_changed, e);
    }
    buf_release(&clean);
    json_tree_free(&v); /* the message was copied by the call, as every argument is */
}

static void on_close(struct http *x, int clean)
{
    struct event *e = http_user(x);

    e->x = NULL;
    e->answered = 1;
    free_when_over(e);
}

static const struct http_handler handler = {
    .on_body = on_body, .on_body_end = on_body_end, .on_close = on_close};

void ingest_http_events(struct ingest *i, struct http *x, const struct job_key *key)
{
    struct event *e = must_calloc(1, sizeof *e);

    ingest__enter(i);
    i->stats.requests++;
    e->in = i;
    e->x = x;
    e->change.key = *key;
    buf_init(&e->body, EVENT_BYTES_MAX);
    http_handle(x, &handler, e);
    if (http_body_max(x, EVENT_BYTES_MAX)) {
        ingest__count_refusal(i, ERR_TOO_BIG);
        e->answered = 1;
    }
}

/*
 * ingest/ws_agent.c -- GET /v1/jobs/J/ingest: the connection of an agent, and its inbox.
 *
 * A plain message of moderate size is read where it arrives; a compressed or big one on a worker thread.
 * What the messages do is in agent.c.
 *
 * Threads    Between uv_queue_work and its done callback work_input, work_message, work_err, work_why and the
 *            const parts of decode belong to the worker.
 */
#include "ingest/agent.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/pack.h"
#include "ingest/marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBPROTOCOL "joblog.ingest.v1"
/* When more wait behind a message it must be smaller than this to be read on the loop. */
#define INLINE_CROWDED_BYTES_MAX (16 * 1024)

/* ---- the inbox ---- */

static void drop_inbox(struct agent *a)
{
    while (a->inbox_head) {
        struct agent_input *in = a->inbox_head;
        a->inbox_head = in->next;
        free(in);
    }
    a->inbox_tail = NULL;
    a->inbox_count = 0;
    a->inbox_bytes = 0;
    ingest__charge(a->in, &a->charged, 0);
}

static struct agent_input *pop_inbox(struct agent *a)
{
    struct agent_input *in = a->inbox_head;

    a->inbox_head = in->next;
    if (!a->inbox_head) a->inbox_tail = NULL;
    a->inbox_count--;
    a->inbox_bytes -= in->len;
    return in;
}

static int push_inbox(struct agent *a, const char *data, size_t len, int is_binary)
{
    struct agent_input *in;

    if (ingest__charge(a->in, &a->charged, a->charged + len)) return ERR_BUSY;
    in = malloc(sizeof *in + len + 1);
    if (!in) {
        ingest__charge(a->in, &a->charged, a->charged - len);
        return ERR_NOMEM;
    }
    in->next = NULL;
    in->len = len;
    in->is_binary = is_binary;
    memcpy(in->data, data, len);
    in->data[len] = '\0';
    if (a->inbox_tail) {
        a->inbox_tail->next = in;
    } else {
        a->inbox_head = in;
    }
    a->inbox_tail = in;
    a->inbox_count++;
    a->inbox_bytes += len;
    return 0;
}

/* Stop or start reading the socket by what waits: to be read by us, or by the peer. */
static void steer(struct agent *a)
{
    int full = a->inbox_count > AGENT_INBOX_MESSAGES_MAX || a->inbox_bytes > AGENT_INBOX_BYTES_MAX ||
               (a->w && ws_backlog(a->w) > WS_BACKLOG_HIGH_BYTES);

    if (!a->w || full == a->paused) return;
    a->paused = full;
    if (full) {
        ws_pause_read(a->w);
    } else {
        ws_resume_read(a->w);
    }
}

/* ---- life ---- */

static void unlink_agent(struct agent *a)
{
    struct agent **p = &a->in->dirty;

    while (a->is_dirty && *p && *p != a) p = &(*p)->dirty_next;
    if (a->is_dirty && *p) *p = a->dirty_next;
    if (a->prev) a->prev->next = a->next;
    if (a->next) a->next->prev = a->prev;
    if (a->in->agents == a) a->in->agents = a->next;
}

/* Of agents, in the pool of marks. */
static void marks_key(const struct agent *a, struct buf *key)
{
    buf_addf(key, "%s/%s %s (agent)", a->key.project, a->key.job, a->producer);
}

void agent__take_marks(struct agent *a)
{
    struct buf key = BUF_INIT;

    if (!a->decode.redact) return;
    marks_key(a, &key);
    marks_free(&a->decode.marks);
    a->decode.marks = marks_pool_take(a->in->marks, buf_cstr(&key), key.len);
    buf_release(&key);
}

/* The lines that were not acknowledged come again, perhaps from the middle of a key. */
static void leave_marks(struct agent *a)
{
    struct buf key = BUF_INIT;

    if (!a->producer[0] || !a->decode.redact || !a->decode.marks || !marks_has_flows(a->decode.marks)) return;
    marks_key(a, &key);
    marks_reopen(a->decode.marks);
    marks_pool_give(a->in->marks, buf_cstr(&key), key.len, &a->decode.marks);
    buf_release(&key);
}

/* Free it when nothing can come back. */
static int free_when_over(struct agent *a)
{
    struct ingest *in = a->in;

    if (a->w || a->work_active || a->call_count) return 0;
    unlink_agent(a);
    drop_inbox(a);
    token_unref(&a->token);
    leave_marks(a);
    marks_free(&a->decode.marks);
    free(a);
    ingest__leave(in);
    return 1;
}

void agent__close(struct agent *a, int close_code, const char *code, const char *message)
{
    char reason[124];

    if (!a->w || a->phase == AGENT_PHASE_CLOSING) return;
    if (code) {
        struct buf b = BUF_INIT;
        struct json j;
        json_init(&j, &b);
        json_obj(&j);
        json_kstr(&j, "type", "error");
        json_kstr(&j, "code", code);
        json_kstr(&j, "message", message);
        json_end(&j);
        ws_send_text(a->w, b.data, b.len);
        buf_release(&b);
    }
    a->phase = AGENT_PHASE_CLOSING;
    drop_inbox(a);
    snprintf(reason, sizeof reason, "%s", code ? code : message);
    ws_close(a->w, close_code, reason);
}

/* ---- reading messages ---- */

static void on_work(uv_work_t *w)
{
    struct agent *a = w->data;
    struct agent_input *in = a->work_input;

    a->work_err = agent_message_read(&a->work_message, &a->decode, in->data, in->len, in->is_binary, a->work_why,
                                     sizeof a->work_why);
}

static void on_work_done(uv_work_t *w, int status)
{
    struct agent *a = w->data;
    size_t bytes = a->work_input->len;

    CHECK(status == 0); /* nobody cancels it */
    a->work_active = 0;
    free(a->work_input);
    a->work_input = NULL;
    ingest__charge(a->in, &a->charged, a->inbox_bytes);
    agent__dispatch(a, &a->work_message, a->work_err, a->work_why, bytes);
    agent__pump(a);
}

static int is_heavy(const struct agent *a, const char *data, size_t len, int is_binary)
{
    return (is_binary && pack_is_zstd(data, len)) ||
           len > (a->inbox_count ? INLINE_CROWDED_BYTES_MAX : INGEST_INLINE_BYTES_MAX);
}

/* Read one message here and do what it says. */
static void read_here(struct agent *a, const char *data, size_t len, int is_binary)
{
    struct agent_message m;
    char why[200];
    int err;

    a->decode.recv_us = clock_wall_us();
    err = agent_message_read(&m, &a->decode, data, len, is_binary, why, sizeof why);
    agent__dispatch(a, &m, err, why, len);
}

void agent__pump(struct agent *a)
{
    if (a->pumping) return;
    a->pumping = 1;
    while (a->inbox_head && !a->work_active && a->phase != AGENT_PHASE_GREETING) {
        struct agent_input *in = pop_inbox(a);

        if (is_heavy(a, in->data, in->len, in->is_binary)) {
            a->work_input = in; /* stays charged */
            a->work_active = 1;
            a->work.data = a;
            a->decode.recv_us = clock_wall_us();
            CHECK(uv_queue_work(a->in->o.loop, &a->work, on_work, on_work_done) == 0);
            break;
        }
        read_here(a, in->data, in->len, in->is_binary);
        free(in);
        if (!a->work_active) ingest__charge(a->in, &a->charged, a->inbox_bytes);
    }
    a->pumping = 0;
    if (!free_when_over(a)) steer(a);
}

/* ---- the WebSocket ---- */

static void on_open(struct ws *w)
{
    struct agent *a = ws_user(w);

    a->w = w;
    a->opened = 1;
    a->in->stats.agents_open++;
    if (a->in->draining) agent__close(a, 1012, NULL, "restart");
}

static void on_message(struct ws *w, const char *data, size_t len, int is_binary)
{
    struct agent *a = ws_user(w);
    int waits = a->inbox_head || a->work_active || a->phase == AGENT_PHASE_GREETING;

    if (a->phase == AGENT_PHASE_LEAVING || a->phase == AGENT_PHASE_CLOSING) return;
    if (!waits && !is_heavy(a, data, len, is_binary)) {
        read_here(a, data, len, is_binary);
        steer(a);
        return;
    }
    int err = push_inbox(a, data, len, is_binary);
    if (err && a->phase == AGENT_PHASE_OPEN) {
        struct agent_message none = {.type = AGENT_LINES};
        agent__dispatch(a, &none, err, "", 0);
    } else if (err) {
        agent__close(a, 1013, NULL, "too much is being decoded at once");
    }
    agent__pump(a);
}

static void on_drain(struct ws *w)
{
    struct agent *a = ws_user(w);

    if (a->ack_due) agent__mark_dirty(a);
    steer(a);
}

static void on_close(struct ws *w, int code)
{
    struct agent *a = ws_user(w);

    if (a->opened) a->in->stats.agents_open--;
    a->w = NULL;
    a->phase = AGENT_PHASE_CLOSING;
    drop_inbox(a);
    free_when_over(a);
}

static const struct ws_handler handler = {
    .on_open = on_open, .on_message = on_message, .on_drain = on_drain, .on_close = on_close};

void ingest_ws(struct ingest *i, struct http *x, const struct job_key *key)
{
    struct agent *a;

    if (!http_is_upgrade(x)) {
        http_set_header(x, "Upgrade", "websocket");
        http_reply_error(x, 426, "upgrade_required", "this is a WebSocket: subprotocol " SUBPROTOCOL);
        return;
    }
    if (!http_offers_subprotocol(x, SUBPROTOCOL)) {
        http_reply_error(x, 400, "bad_request", "Sec-WebSocket-Protocol must offer " SUBPROTOCOL);
        return;
    }
    if (i->draining) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "unavailable", "this server is stopping");
        return;
    }
    a = must_calloc(1, sizeof *a);
    a->in = i;
    a->key = *key;
    a->token = ingest__token(http_guest(x));
    decode_options_init(&a->decode);
    a->decode.line_bytes_max = i->o.line_bytes_max;
    a->decode.redact = i->o.redact;
    a->decode.marks = marks_new(); /* NULL: each message is read by itself */
    a->next = i->agents;
    if (i->agents) i->agents->prev = a;
    i->agents = a;
    ingest__enter(i);
    if (ws_accept(x, SUBPROTOCOL, AGENT_MESSAGE_BYTES_MAX, &handler, a)) free_when_over(a);
}

/* ---- for ingest.c ---- */

void agent__flush_all(struct ingest *i)
{
    struct agent *a = i->dirty;

    i->dirty = NULL;
    while (a) {
        struct agent *next = a->dirty_next;
        a->is_dirty = 0;
        agent__flush(a);
        a = next;
    }
}

void agent__sweep_all(struct ingest *i)
{
    for (struct agent *a = i->agents, *next; a; a = next) {
        next = a->next;
        agent__sweep(a);
    }
}

void agent__drain_all(struct ingest *i)
{
    for (struct agent *a = i->agents, *next; a; a = next) {
        next = a->next;
        if (a->phase == AGENT_PHASE_OPEN) {
            a->phase = AGENT_PHASE_LEAVING;
            drop_inbox(a);
            agent__mark_dirty(a);
        } else {
            agent__close(a, 1012, NULL, "restart");
        }
    }
}

/*
 * stream/states.c -- state changes, hellos of producers, redraws of live lines.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "job/record.h"
#include "stream/stream_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_MESSAGE_BYTES_MAX 4096

static enum job_state read_state(const struct reply *word)
{
    enum job_state s = STATE_CREATED;

    state_parse(word->str, word->len, &s);
    return s;
}

/* ---- hello ---- */

struct hello {
    struct stream *st;
    struct job_key key;
    char producer[ID_BYTES_MAX + 1];
    uint64_t epoch;
    int32_t rank;
    uint32_t ranks_declared;
    int with_index;
    int64_t deadline_us;
    stream_hello_fn *done;
    void *user;
};

static void send_hello(struct hello *h);

static void on_hello(void *user, int err, const struct reply *reply)
{
    struct hello *h = user;
    struct stream *st = h->st;
    const struct reply *r;
    const char *word;

    if (err < 0) {
        h->done(h->user, err, 0, 0, STATE_CREATED, 0);
        goto out;
    }
    r = h->with_index ? reply_at(reply, STREAM_INDEX_COMMANDS) : reply;
    word = reply_at(r, 0)->str;
    if (strcmp(word, "NEED_INDEX") == 0) {
        stream__forget_indexed(st, &h->key);
        h->with_index = 1;
        send_hello(h);
        return;
    }
    if (strcmp(word, "OK") == 0) {
        stream__note_indexed(st, &h->key);
    } else if (strcmp(word, "FENCED") == 0) {
        st->stats.fenced++;
        err = ERR_FENCED;
    } else {
        err = ERR_PROTOCOL;
    }
    h->done(h->user, err, reply_u64(reply_at(r, 1)), reply_u64(reply_at(r, 2)), read_state(reply_at(r, 3)),
            reply_i64(reply_at(r, 4)) != 0);
out:
    free(h);
    stream__call_end(st);
}

static void send_hello(struct hello *h)
{
    struct conn_request *r = conn_request_new(0);
    int64_t now = clock_wall_us();

    if (h->with_index)
        stream__index_add(r, &h->key, now);
    stream__script_begin(h->st, r, &h->key, "hello", 6);
    conn_request_i64(r, now);
    conn_request_str(r, h->with_index ? "1" : "0");
    conn_request_str(r, h->producer);
    conn_request_u64(r, h->epoch);
    conn_request_i64(r, h->rank);
    conn_request_u64(r, h->ranks_declared);
    conn_send(h->st->cmd, &r, CONN_IDEMPOTENT, h->deadline_us, on_hello, h);
}

void stream_hello(struct stream *st, const struct job_key *key, const char *producer, uint64_t epoch, int32_t rank,
                  uint32_t ranks_declared, stream_hello_fn *done, void *user)
{
    struct hello *h = must_calloc(1, sizeof *h);

    CHECK(id_valid(producer, strlen(producer)));
    h->st = st;
    h->key = *key;
    snprintf(h->producer, sizeof h->producer, "%s", producer);
    h->epoch = epoch;
    h->rank = rank;
    h->ranks_declared = ranks_declared;
    h->deadline_us = clock_mono_us() + STREAM_CALL_US_MAX;
    h->done = done;
    h->user = user;
    stream__call_begin(st);
    send_hello(h);
}

/* ---- state changes ---- */

struct change {
    struct stream *st;
    struct job_key key;
    enum job_state to;
    int64_t now_us;
    struct buf line;
    struct frame_summary sum;
    stream_state_fn *done;
    void *user;
};

static size_t message_len(const char *message)
{
    size_t len = message ? strlen(message) : 0;

    if (len <= STATE_MESSAGE_BYTES_MAX)
        return len;
    len = STATE_MESSAGE_BYTES_MAX;
    while (len > 0 && ((unsigned char)message[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void offer_state(struct change *c, uint64_t seq, uint64_t epoch)
{
    struct frame *f = NULL;

    if (!hub__follows(c->st, &c->key))
        return;
    if (frame_number(seq, c->now_us, &c->sum, c->line.data, c->line.len, &f) < 0)
        return; /* followers read it from Redis */
    hub__offer(c->st, &c->key, epoch, f);
    frame_unref(&f);
}

static void on_changed(void *user, int err, const struct reply *r)
{
    struct change *c = user;
    struct stream *st = c->st;
    enum job_state from = STATE_CREATED;
    uint64_t seq = 0;
    int moved = 0;
    const char *word = "";

    FAULT_POINT("stream.state.reply");
    if (err == 0) {
        word = reply_at(r, 0)->str;
        if (strcmp(word, "OK") == 0) {
            moved = 1;
            seq = reply_u64(reply_at(r, 1));
            from = read_state(reply_at(r, 2));
            offer_state(c, seq, reply_u64(reply_at(r, 5)));
            if (reply_i64(reply_at(r, 3)))
                sealer__sealed(st, &c->key);
            else if (state_is_terminal(c->to))
                sealer__note(st, &c->key, reply_i64(reply_at(r, 4)));
        } else if (strcmp(word, "REPEAT") == 0) {
            from = read_state(reply_at(r, 1));
            seq = reply_u64(reply_at(r, 2));
        } else if (strcmp(word, "BAD") == 0) {
            from = read_state(reply_at(r, 1));
            st->stats.transition_refused++;
            err = ERR_TRANSITION;
        } else {
            err = strcmp(word, "GONE") == 0 ? ERR_NOT_FOUND : ERR_PROTOCOL;
        }
    }
    c->done(c->user, err, moved, from, seq);
    buf_release(&c->line);
    free(c);
    stream__call_end(st);
}

/* ",CREATED,PENDING," : the states this move may start from. */
static void add_allowed(struct conn_request *r, enum job_state to)
{
    char text[256];
    int n = snprintf(text, sizeof text, ",");

    for (int s = 0; s < STATE_COUNT; s++)
        if (state_move((enum job_state)s, to) == MOVE_OK)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s,", state_short((enum job_state)s));
    conn_request_arg(r, text, (size_t)n);
}

static void write_line(struct change *c, const struct state_change *s, int64_t ts_us, size_t msg_len)
{
    struct record rec = {.ts_us = ts_us,
                         .rank = s->rank,
                         .msg = s->message ? s->message : "",
                         .msg_len = msg_len,
                         .is_state = 1,
                         .state = s->to,
                         .has_exit_code = s->has_exit_code,
                         .exit_code = s->exit_code};

    CHECK(record_write(&c->line, &rec) == 0);
    frame_summary_init(&c->sum);
    frame_summary_add(&c->sum, ts_us, s->rank, LEVEL_NONE);
    c->sum.is_state = 1;
}

void stream_change_state(struct stream *st, const struct state_change *s, stream_state_fn *done, void *user)
{
    struct change *c = must_calloc(1, sizeof *c);
    struct conn_request *r = conn_request_new(0);
    struct buf header = BUF_INIT;
    size_t msg_len = message_len(s->message);
    int64_t ts_us;

    c->st = st;
    c->key = s->key;
    c->to = s->to;
    c->now_us = clock_wall_us();
    c->done = done;
    c->user = user;
    ts_us = s->ts_us ? s->ts_us : c->now_us;
    write_line(c, s, ts_us, msg_len);
    frame_header_format(&header, &c->sum, c->now_us, c->line.len, 0);
    stream__script_begin(st, r, &s->key, "state", 11);
    conn_request_i64(r, c->now_us);
    conn_request_str(r, state_short(s->to));
    add_allowed(r, s->to);
    conn_request_str(r, state_is_terminal(s->to) ? "1" : "0");
    conn_request_i64(r, st->drain_us);
    conn_request_i64(r, ts_us);
    conn_request_i64(r, s->rank);
    if (s->has_exit_code)
        conn_request_i64(r, s->exit_code);
    else
        conn_request_str(r, "-");
    conn_request_arg(r, s->message ? s->message : "", msg_len);
    conn_request_str(r, buf_cstr(&header));
    conn_request_arg(r, c->line.data, c->line.len);
    buf_release(&header);
    stream__call_begin(st);
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_changed, c);
}

/* ---- redraws ---- */

void stream_progress(struct stream *st, const struct job_key *key, int32_t rank, const char *text, size_t len)
{
    char channel[STREAM_KEY_BYTES], head[16];
    struct conn_request *r;
    struct buf message = BUF_INIT;
    struct conn_stats s;

    conn_stats(st->cmd, &s);
    if (!s.open || s.inflight_bytes > STREAM_INFLIGHT_BYTES_MAX / 2)
        return;
    buf_add(&message, head, (size_t)snprintf(head, sizeof head, "P%d ", rank));
    buf_add(&message, text, len);
    r = conn_request_new(0);
    conn_request_begin(r, 3);
    conn_request_str(r, "PUBLISH");
    conn_request_str(r, stream__key(channel, key, "bell"));
    conn_request_arg(r, message.data, message.len);
    conn_send(st->cmd, &r, 0, 0, NULL, NULL);
    buf_release(&message);
}

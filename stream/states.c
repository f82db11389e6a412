/*
 * stream/states.c -- state changes, hellos of producers, redraws of live lines.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "job/record.h"
#include "stream/known.h"
#include "stream/recover.h"
#include "stream/stream_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_MESSAGE_BYTES_MAX 4096
#define BACKS_MAX 3 /* losses of history met by one call */

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
    int64_t stop_grace_us;
    int with_index;
    unsigned backs;
    int64_t deadline_us;
    stream_hello_fn *done;
    void *user;
};

static void send_hello(struct hello *h);

static void end_hello(struct hello *h, int err, uint64_t producer_epoch, uint64_t producer_last, enum job_state state,
                      int sealed)
{
    struct stream *st = h->st;

    h->done(h->user, err, producer_epoch, producer_last, state, sealed);
    free(h);
    stream__call_end(st);
}

static void on_hello_ready(void *arg, int err)
{
    struct hello *h = arg;
    const struct known *k = known__find(h->st, &h->key);

    if (err == 0 && h->with_index && k && k->past_failed)
        err = ERR_UNAVAILABLE;
    if (err < 0)
        end_hello(h, err, 0, 0, STATE_CREATED, 0);
    else
        send_hello(h);
}

static void on_hello_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct hello *h = user;

    if (err < 0 && err != ERR_NOT_FOUND)
        end_hello(h, ERR_UNAVAILABLE, 0, 0, STATE_CREATED, 0);
    else
        known__ready(h->st, &h->key, on_hello_ready, h);
}

static void on_hello(void *user, int err, const struct reply *reply)
{
    struct hello *h = user;
    struct stream *st = h->st;
    const struct reply *r;
    const char *word;
    uint32_t wait_at;

    FAULT_POINT("stream.hello.reply");
    if (err < 0) {
        end_hello(h, err, 0, 0, STATE_CREATED, 0);
        return;
    }
    r = h->with_index ? reply_at(reply, STREAM_INDEX_COMMANDS) : stream__replicates(st) ? reply_at(reply, 0) : reply;
    word = reply_at(r, 0)->str;
    if (strcmp(word, "NEED_INDEX") == 0) {
        known__forget(st, &h->key);
        h->with_index = 1;
        known__ready(st, &h->key, on_hello_ready, h);
        return;
    }
    if (strcmp(word, "BACK") == 0 && ++h->backs <= BACKS_MAX) {
        recover__start(st, &h->key, reply_u64(reply_at(r, 2)), on_hello_recovered, h);
        return;
    }
    if (strcmp(word, "OK") == 0) {
        known__note(st, &h->key, reply_u64(reply_at(r, 6)), 0);
        if (h->with_index)
            stream__observe_state(st, &h->key);
    } else if (strcmp(word, "FENCED") == 0) {
        st->stats.fenced++;
        err = ERR_FENCED;
    } else {
        err = strcmp(word, "BACK") == 0 ? ERR_UNAVAILABLE : ERR_PROTOCOL;
    }
    /* What is held will be called safe: a replica must hold it too. */
    wait_at = h->with_index ? STREAM_INDEX_COMMANDS + 1 : 1;
    if (err == 0 && stream__replicates(st) && !stream__note_wait(st, reply_at(reply, wait_at)))
        err = ERR_UNAVAILABLE;
    end_hello(h, err, reply_u64(reply_at(r, 1)), reply_u64(reply_at(r, 2)), read_state(reply_at(r, 3)),
              reply_i64(reply_at(r, 4)) != 0);
}

static void send_hello(struct hello *h)
{
    struct conn_request *r = conn_request_new(0);
    int64_t now = clock_wall_us();

    if (h->with_index)
        stream__index_add(r, &h->key, now);
    stream__script_begin(h->st, r, &h->key, "hello", 9);
    conn_request_i64(r, now);
    conn_request_str(r, h->with_index ? "1" : "0");
    conn_request_str(r, h->producer);
    conn_request_u64(r, h->epoch);
    conn_request_i64(r, h->rank);
    conn_request_u64(r, h->ranks_declared);
    conn_request_i64(r, h->stop_grace_us);
    stream__first_record(r, STATE_RUNNING, now);
    conn_request_main(r);
    stream__add_wait(h->st, r);
    FAULT_POINT("stream.hello.send");
    conn_send(h->st->cmd, &r, CONN_IDEMPOTENT, h->deadline_us, on_hello, h);
}

void stream_hello(struct stream *st, const struct job_key *key, const char *producer, uint64_t epoch, int32_t rank,
                  uint32_t ranks_declared, int64_t stop_grace_us, stream_hello_fn *done, void *user)
{
    struct hello *h = must_calloc(1, sizeof *h);

    CHECK(id_valid(producer, strlen(producer)));
    h->st = st;
    h->key = *key;
    snprintf(h->producer, sizeof h->producer, "%s", producer);
    h->epoch = epoch;
    h->rank = rank;
    h->ranks_declared = ranks_declared;
    h->stop_grace_us = stop_grace_us;
    h->deadline_us = clock_mono_us() + STREAM_CALL_US_MAX;
    h->done = done;
    h->user = user;
    stream__call_begin(st);
    known__ready(st, &h->key, on_hello_ready, h);
}

/* ---- state changes ---- */

struct change {
    struct stream *st;
    struct job_key key;
    enum job_state to;
    struct state_change asked; /* message is ours */
    size_t message_len;
    int64_t now_us, ts_us;
    unsigned backs;
    int asked_again;
    struct buf line;
    struct frame_summary sum;
    stream_state_fn *done;
    void *user;
    int is_unconfirmed; /* class replicated, and no replica has it yet */
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

static void offer_state(struct change *c, uint64_t seq, uint64_t epoch, int64_t recv_us)
{
    struct frame *f = NULL;

    if (!hub__follows(c->st, &c->key))
        return;
    if (frame_number(seq, recv_us, &c->sum, c->line.data, c->line.len, &f) < 0)
        return; /* followers read it from Redis */
    hub__offer(c->st, &c->key, epoch, f);
    frame_unref(&f);
}

static void end_change(struct change *c, int err, int moved, enum job_state from, uint64_t seq)
{
    struct stream *st = c->st;

    c->done(c->user, err, moved, from, seq);
    buf_release(&c->line);
    free((char *)(uintptr_t)c->asked.message);
    free(c);
    stream__call_end(st);
}

static void send_change(struct change *c);

static void on_change_ready(void *arg, int err)
{
    if (err < 0)
        end_change(arg, err, 0, STATE_CREATED, 0);
    else
        send_change(arg);
}

static void on_change_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct change *c = user;

    if (err < 0)
        end_change(c, err == ERR_NOT_FOUND ? err : ERR_UNAVAILABLE, 0, STATE_CREATED, 0);
    else
        known__ready(c->st, &c->key, on_change_ready, c);
}

static void on_moved(struct change *c, const struct reply *r)
{
    struct stream *st = c->st;
    uint64_t seq = reply_u64(reply_at(r, 1)), epoch = reply_u64(reply_at(r, 5));

    known__note(st, &c->key, epoch, seq);
    offer_state(c, seq, epoch, reply_i64(reply_at(r, 6)));
    if (reply_i64(reply_at(r, 3)))
        sealer__sealed(st, &c->key);
    else if (state_is_terminal(c->to))
        sealer__note(st, &c->key, reply_i64(reply_at(r, 4)));
    stream__observe_state(st, &c->key);
    end_change(c, c->is_unconfirmed ? ERR_UNAVAILABLE : 0, 1, read_state(reply_at(r, 2)), seq);
}

static void on_changed(void *user, int err, const struct reply *reply)
{
    const struct reply *r = err == 0 ? reply_at(reply, 1) : NULL; /* behind the mark */
    struct change *c = user;
    const char *word = err < 0 ? "" : reply_at(r, 0)->str;

    FAULT_POINT("stream.state.reply");
    c->is_unconfirmed = err == 0 && stream__replicates(c->st) && !stream__note_wait(c->st, reply_at(reply, 2));
    if (err < 0) {
        end_change(c, err, 0, STATE_CREATED, 0);
    } else if (strcmp(word, "OK") == 0) {
        on_moved(c, r);
    } else if (strcmp(word, "REPEAT") == 0) {
        end_change(c, c->is_unconfirmed ? ERR_UNAVAILABLE : 0, 0, read_state(reply_at(r, 1)), reply_u64(reply_at(r, 2)));
    } else if (strcmp(word, "BAD") == 0) {
        c->st->stats.transition_refused++;
        end_change(c, ERR_TRANSITION, 0, read_state(reply_at(r, 1)), 0);
    } else if (strcmp(word, "BACK") == 0 && ++c->backs <= BACKS_MAX) {
        recover__start(c->st, &c->key, reply_u64(reply_at(r, 2)), on_change_recovered, c);
    } else if (strcmp(word, "GONE") == 0 && !c->asked_again) { /* what was known of it is void: does the archive have it? */
        c->asked_again = 1;
        known__forget(c->st, &c->key);
        known__ready(c->st, &c->key, on_change_ready, c);
    } else {
        end_change(c, strcmp(word, "GONE") == 0 ? ERR_NOT_FOUND : strcmp(word, "BACK") == 0 ? ERR_UNAVAILABLE : ERR_PROTOCOL,
                   0, STATE_CREATED, 0);
    }
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

    CHECK(must_have(record_write(&c->line, &rec)) == 0);
    frame_summary_init(&c->sum);
    frame_summary_add(&c->sum, ts_us, s->rank, LEVEL_NONE);
    c->sum.is_state = 1;
}

static void send_change(struct change *c)
{
    const struct state_change *s = &c->asked;
    struct conn_request *r = conn_request_new(0);
    struct buf header = BUF_INIT;

    CHECK(must_have(frame_header_format(&header, &c->sum, c->now_us, c->line.len, 0)) == 0);
    stream__mark_unfed(r, &c->key, c->now_us);
    stream__script_begin(c->st, r, &c->key, "state", 11);
    conn_request_main(r);
    conn_request_i64(r, c->now_us);
    conn_request_str(r, state_short(s->to));
    add_allowed(r, s->to);
    conn_request_str(r, state_is_terminal(s->to) ? "1" : "0");
    conn_request_i64(r, c->st->drain_us);
    conn_request_i64(r, c->ts_us);
    conn_request_i64(r, s->rank);
    if (s->has_exit_code)
        conn_request_i64(r, s->exit_code);
    else
        conn_request_str(r, "-");
    conn_request_arg(r, s->message ? s->message : "", c->message_len);
    conn_request_str(r, buf_cstr(&header));
    conn_request_arg(r, c->line.data, c->line.len);
    buf_release(&header);
    stream__add_wait(c->st, r);
    FAULT_POINT("stream.state.send");
    conn_send(c->st->cmd, &r, CONN_IDEMPOTENT, 0, on_changed, c);
}

void stream_change_state(struct stream *st, const struct state_change *s, stream_state_fn *done, void *user)
{
    struct change *c = must_calloc(1, sizeof *c);

    c->st = st;
    c->key = s->key;
    c->to = s->to;
    c->asked = *s;
    c->asked.message = s->message ? must_strdup(s->message) : NULL;
    c->message_len = message_len(s->message);
    c->now_us = clock_wall_us();
    c->ts_us = s->ts_us ? s->ts_us : c->now_us;
    c->done = done;
    c->user = user;
    write_line(c, s, c->ts_us, c->message_len);
    stream__call_begin(st);
    known__ready(st, &c->key, on_change_ready, c);
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
    if (buf_add(&message, head, (size_t)snprintf(head, sizeof head, "P%d ", rank)) < 0 || buf_add(&message, text, len) < 0)
        goto out;
    r = conn_request_new(0);
    conn_request_begin(r, 3);
    conn_request_str(r, "PUBLISH");
    conn_request_str(r, stream__key(channel, key, "bell"));
    conn_request_arg(r, message.data, message.len);
    conn_send(st->cmd, &r, 0, 0, NULL, NULL);
out:
    buf_release(&message);
}

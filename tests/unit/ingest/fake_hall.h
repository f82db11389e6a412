/*
 * tests/unit/ingest/fake_hall.h -- the front hall and the stream as a test sees them.
 *
 * Defines every function of http/ and stream/ that ingest/ calls, so that none of theirs is linked. A test
 * makes an exchange or a socket, plays the callbacks, and answers what was asked of the stream in order.
 */
#ifndef TESTS_FAKE_HALL_H
#define TESTS_FAKE_HALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "ingest/ingest_int.h"
#include "stream/nodes.h"
#include "stream/stops.h"

#define FAKE_PAIRS_MAX 16
#define UNUSED __attribute__((unused)) /* not every test needs all of it */

/* ---- an exchange ---- */
struct http {
    const char *headers[FAKE_PAIRS_MAX][2], *args[FAKE_PAIRS_MAX][2];
    int64_t body_length;
    uint64_t body_max;
    const struct http_handler *h;
    void *user;
    int paused, pause_count, started, status;
    char reply_headers[256];
    struct buf reply;
    int is_upgrade;
    const char *subprotocol;
    struct ws *ws; /* accepted */
    struct caller *guest;
};

const char *http_arg(const struct http *x, const char *name)
{
    for (int i = 0; i < FAKE_PAIRS_MAX && x->args[i][0]; i++)
        if (!strcmp(x->args[i][0], name)) return x->args[i][1];
    return NULL;
}
const char *http_header(const struct http *x, const char *name)
{
    for (int i = 0; i < FAKE_PAIRS_MAX && x->headers[i][0]; i++)
        if (!strcasecmp(x->headers[i][0], name)) return x->headers[i][1];
    return NULL;
}
int64_t http_body_length(const struct http *x) { return x->body_length; }
void http_handle(struct http *x, const struct http_handler *h, void *user) { x->h = h, x->user = user; }
void *http_user(const struct http *x) { return x->user; }
void http_pause_body(struct http *x) { x->paused = 1, x->pause_count++; }
void http_resume_body(struct http *x) { x->paused = 0; }
void *http_guest(const struct http *x) { return x->guest; }
int http_started(const struct http *x) { return x->started; }
void http_set_header(struct http *x, const char *name, const char *value)
{
    assert_false(x->started);
    size_t at = strlen(x->reply_headers);
    snprintf(x->reply_headers + at, sizeof x->reply_headers - at, "%s: %s\n", name, value);
}
void http_reply(struct http *x, int status, const char *content_type, const void *body, size_t len)
{
    assert_false(x->started);
    x->started = 1;
    x->status = status;
    assert_string_equal(content_type, "application/json");
    assert_int_equal(buf_add(&x->reply, body, len), 0);
}
void http_reply_error(struct http *x, int status, const char *code, const char *fmt, ...)
{
    (void)fmt;
    assert_false(x->started);
    x->started = 1;
    x->status = status;
    assert_int_equal(buf_adds(&x->reply, code), 0);
}
int http_body_max(struct http *x, uint64_t bytes)
{
    x->body_max = bytes;
    if (x->body_length < 0 || (uint64_t)x->body_length <= bytes) return 0;
    http_reply_error(x, 413, "too_large", " ");
    return ERR_TOO_BIG;
}
int http_is_upgrade(const struct http *x) { return x->is_upgrade; }
int http_offers_subprotocol(const struct http *x, const char *name)
{
    return x->subprotocol && !strcmp(x->subprotocol, name);
}

/* ---- a socket ---- */
struct ws {
    const struct ws_handler *h;
    void *user;
    struct buf sent; /* messages, each with '\n' */
    size_t backlog;
    int close_code, paused;
};

int ws_accept(struct http *x, const char *subprotocol, size_t max, const struct ws_handler *h, void *user)
{
    assert_string_equal(subprotocol, "joblog.ingest.v1");
    assert_int_equal(max, 8 * 1024 * 1024);
    x->ws = calloc(1, sizeof *x->ws);
    x->ws->h = h;
    x->ws->user = user;
    return 0;
}
void *ws_user(const struct ws *w) { return w->user; }
size_t ws_send_text(struct ws *w, const void *data, size_t len)
{
    if (w->close_code) return 0;
    assert_int_equal(buf_add(&w->sent, data, len), 0);
    assert_int_equal(buf_addc(&w->sent, '\n'), 0);
    return w->backlog;
}
size_t ws_backlog(const struct ws *w) { return w->backlog; }
void ws_close(struct ws *w, int code, const char *reason)
{
    assert_true(strlen(reason) <= 123);
    if (!w->close_code) w->close_code = code;
}
void ws_pause_read(struct ws *w) { w->paused = 1; }
void ws_resume_read(struct ws *w) { w->paused = 0; }

/* ---- the stream: what was asked waits for the test's answer ---- */
struct fake_append {
    struct batch *batch;
    stream_append_fn *done;
    void *user;
};
static UNUSED struct fake_append fake_appends[256];
static UNUSED unsigned fake_first, fake_end;
static UNUSED struct state_change fake_change;
static UNUSED char fake_change_message[128];
static UNUSED stream_state_fn *fake_change_done;
static UNUSED void *fake_change_user;
static UNUSED stream_hello_fn *fake_hello_done;
static UNUSED void *fake_hello_user;
static UNUSED uint32_t fake_hello_ranks;
static UNUSED int64_t fake_hello_grace_us;
static UNUSED stream_stopped_fn *fake_stopped;
static UNUSED void *fake_stopped_user;
static UNUSED struct node_about fake_about;
static UNUSED struct node_sample fake_sample;
static UNUSED int fake_samples;
static UNUSED int fake_gets;
static UNUSED enum job_state fake_get_state;
static UNUSED char fake_progress[5000];
static UNUSED int fake_progress_count;
static UNUSED enum durability fake_durability = DURABILITY_DURABLE;

const char *durability_name(enum durability d)
{
    return d == DURABILITY_ACCEPTED ? "accepted" : d == DURABILITY_DURABLE ? "durable" : "replicated";
}
static UNUSED int64_t fake_heard_us = -1; /* -1: Redis answers all the time */
static UNUSED uint64_t fake_round;
int64_t stream_heard_us(const struct stream *st, uint64_t *ret_round)
{
    (void)st;
    *ret_round = fake_round;
    return fake_heard_us < 0 ? clock_mono_us() : fake_heard_us;
}
enum durability stream_durability(const struct stream *st)
{
    (void)st;
    return fake_durability;
}
void stream_append(struct stream *st, const struct job_key *key, struct batch **b, stream_append_fn *done,
                   void *user) {
    (void)st;
    assert_string_equal(key->job, "demo");
    assert_true(fake_end < 256);
    fake_appends[fake_end++] = (struct fake_append){*b, done, user};
    *b = NULL;
}
void stream_hello(struct stream *st, const struct job_key *key, const char *producer, uint64_t epoch, int32_t rank,
                  uint32_t ranks, int64_t stop_grace_us, stream_hello_fn *done, void *user)
{
    (void)st, (void)key, (void)producer, (void)epoch, (void)rank;
    fake_hello_grace_us = stop_grace_us;
    fake_hello_done = done;
    fake_hello_user = user;
    fake_hello_ranks = ranks;
}
void stream_node_sample(struct stream *st, const struct job_key *key, const struct node_about *about,
                        const struct node_sample *sample)
{
    (void)st, (void)key;
    fake_about = *about;
    fake_sample = *sample;
    fake_samples++;
}
void stream_watch_stops(struct stream *st, stream_stopped_fn *fn, void *user)
{
    (void)st;
    fake_stopped = fn;
    fake_stopped_user = user;
}
void stream_job_get(struct stream *st, const struct job_key *key, int detail, stream_info_fn *done, void *user)
{
    struct job_info info = {.state = fake_get_state};

    (void)st, (void)key, (void)detail;
    fake_gets++;
    done(user, 0, &info);
}
void stream_change_state(struct stream *st, const struct state_change *c, stream_state_fn *done, void *user)
{
    (void)st;
    fake_change = *c;
    snprintf(fake_change_message, sizeof fake_change_message, "%s", c->message ? c->message : "");
    fake_change_done = done;
    fake_change_user = user;
}
void stream_progress(struct stream *st, const struct job_key *key, int32_t rank, const char *text, size_t len)
{
    (void)st, (void)key, (void)rank;
    snprintf(fake_progress, sizeof fake_progress, "%.*s", (int)len, text);
    fake_progress_count++;
}

static UNUSED unsigned fake_waiting(void) { return fake_end - fake_first; }
/* The oldest append that has no answer yet. */
static UNUSED struct batch *fake_batch(void)
{
    assert_true(fake_waiting() > 0);
    return fake_appends[fake_first].batch;
}
/* Does its first frame, as it was before compression, hold text? */
static UNUSED int fake_frame_holds(const char *text)
{
    const struct batch_frame *f = &fake_batch()->frames[0];

    return memmem(f->raw, f->raw_bytes, text, strlen(text)) != NULL;
}
static UNUSED void fake_answer(const struct append_result *res)
{
    assert_true(fake_waiting() > 0);
    struct fake_append a = fake_appends[fake_first++];
    if (fake_first == fake_end) fake_first = fake_end = 0;
    a.done(a.user, res);
    batch_free(&a.batch);
}
/* It is stored: all of it is new, or was held already. */
static UNUSED void fake_store(int is_new)
{
    struct batch *b = fake_batch();
    struct append_result res = {.first = is_new ? 1 : 0, .last = is_new ? b->line_count : 0,
                                .accepted = is_new ? b->line_count : 0, .duplicates = is_new ? 0 : b->line_count,
                                .producer_last = b->producer.last, .durability = fake_durability,
                                .state = STATE_RUNNING};
    fake_answer(&res);
}
static UNUSED void fake_fail(int err, uint64_t expected)
{
    struct append_result res = {.err = err, .expected = expected, .producer_epoch = 9, .state = STATE_RUNNING};
    fake_answer(&res);
}

/* ---- the room ---- */
static UNUSED uv_loop_t fake_loop;
static UNUSED uv_async_t fake_listener; /* as listeners do, it keeps the loop alive */
static UNUSED struct ingest *fake_ingest;
static UNUSED const struct job_key fake_key = {"default", "demo"};

static UNUSED int fake_open(void **state)
{
    (void)state;
    struct ingest_options o = {.loop = &fake_loop, .line_bytes_max = 256 * 1024, .body_bytes_max = 8 << 20,
                               .memory_bytes_max = 64 << 20};
    assert_int_equal(uv_loop_init(&fake_loop), 0);
    assert_int_equal(uv_async_init(&fake_loop, &fake_listener, NULL), 0);
    assert_int_equal(ingest_open(&o, &fake_ingest), 0);
    fake_first = fake_end = 0;
    fake_durability = DURABILITY_DURABLE;
    fake_heard_us = -1;
    fake_progress_count = 0;
    return 0;
}
static UNUSED int fake_close(void **state)
{
    (void)state;
    assert_true(ingest_idle(fake_ingest));
    assert_int_equal(fake_ingest->memory_bytes, 0);
    ingest_close(&fake_ingest);
    uv_close((uv_handle_t *)&fake_listener, NULL);
    uv_run(&fake_loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fake_loop), 0);
    return 0;
}
/* One turn: what is due at its end is sent. */
static UNUSED void fake_turn(void) { uv_run(&fake_loop, UV_RUN_NOWAIT); }
/* Turns until cond holds, at most 10 s. */
#define FAKE_UNTIL(cond)                                                                                     \
    do {                                                                                                     \
        int64_t until = clock_mono_us() + 10000000;                                                          \
        while (!(cond)) {                                                                                    \
            assert_true(clock_mono_us() < until);                                                            \
            fake_turn();                                                                                     \
            usleep(500);                                                                                     \
        }                                                                                                    \
    } while (0)

#endif

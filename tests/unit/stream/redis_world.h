/*
 * tests/unit/stream/redis_world.h -- a stream over a real redis-server in a temporary directory, used
 * step by step from a test. Skips (with a message) where there is no redis-server.
 */
#ifndef TESTS_UNIT_STREAM_REDIS_WORLD_H
#define TESTS_UNIT_STREAM_REDIS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/pack.h"
#include "job/record.h"
#include "stream/stream_int.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

struct world {
    uv_loop_t loop;
    char dir[200];
    struct stream *st;
    uv_timer_t turn;
    struct stream_options opts;
};

static void on_world_turn(uv_timer_t *timer)
{
    (void)timer;
}

/* Turn the loop until cond(arg), at most ms. */
static inline int world_until(struct world *w, int (*cond)(void *arg), void *arg, int ms)
{
    int64_t end = clock_mono_us() + (int64_t)ms * 1000;

    uv_timer_start(&w->turn, on_world_turn, 5, 5);
    while (!cond(arg) && clock_mono_us() < end)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->turn);
    return cond(arg);
}

static inline int world_is_set(void *flag)
{
    return *(volatile int *)flag;
}

static inline int world_is_ready(void *st)
{
    char why[200];

    return stream_ready(st, why, sizeof why) == 0;
}

static inline int world_has_redis(void)
{
    int found = system("command -v redis-server >/dev/null 2>&1") == 0;

    if (!found)
        print_message("skipped: there is no redis-server here\n");
    return found;
}

static inline void world_start(struct world *w)
{
    char why[300] = "";
    int err = stream_open(&w->opts, why, sizeof why, &w->st);

    if (err < 0)
        print_error("stream_open: %s\n", why);
    assert_int_equal(err, 0);
    if (!world_until(w, world_is_ready, w->st, 15000)) {
        stream_ready(w->st, why, sizeof why);
        print_error("not ready: %s\n", why);
        fail();
    }
}

/* Fills dir and opts; then change opts and world_start(). */
static inline void world_prepare(struct world *w)
{
    memset(w, 0, sizeof *w);
    log_setup(getenv("WORLD_LOG") ? LOG_DEBUG : LOG_ERROR, LOG_FORMAT_TEXT);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->turn);
    snprintf(w->dir, sizeof w->dir, "%s/jl-stream-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    w->opts = (struct stream_options){.loop = &w->loop,
                                      .data_dir = w->dir,
                                      .redis_server = "redis-server",
                                      .durability = DURABILITY_ACCEPTED,
                                      .drain_us = 300000};
}

static inline void world_open(struct world *w)
{
    world_prepare(w);
    world_start(w);
}

static void on_world_closed(void *flag)
{
    *(int *)flag = 1;
}

static inline void world_stop(struct world *w)
{
    int closed = 0;

    stream_close(&w->st, on_world_closed, &closed);
    assert_true(world_until(w, world_is_set, &closed, 20000));
}

static int world_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static inline void world_close(struct world *w)
{
    if (w->st)
        world_stop(w);
    uv_close((uv_handle_t *)&w->turn, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    nftw(w->dir, world_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- one raw command, its answer as text ("(nil)", "ERR …", "7", "a b c") ---- */
struct world_answer {
    int done;
    char text[8192];
};

static inline void world_print(struct buf *b, const struct reply *r)
{
    switch (r->kind) {
    case REPLY_NIL: buf_adds(b, "(nil)"); break;
    case REPLY_INT: buf_addf(b, "%lld", (long long)r->num); break;
    case REPLY_STR:
    case REPLY_ERROR: buf_add(b, r->str, r->len); break;
    case REPLY_ARRAY:
        for (uint32_t i = 0; i < r->count; i++) {
            if (i)
                buf_addc(b, ' ');
            world_print(b, &r->items[i]);
        }
    }
}

static void on_world_answer(void *user, int err, const struct reply *reply)
{
    struct world_answer *a = user;
    struct buf b = BUF_INIT;

    if (err < 0)
        buf_adds(&b, err_name(err));
    else
        world_print(&b, reply);
    snprintf(a->text, sizeof a->text, "%s", buf_cstr(&b));
    buf_release(&b);
    a->done = 1;
}

static inline const char *world_redis(struct world *w, const char *line)
{
    static struct world_answer a;
    const char *argv[32];
    char copy[1024], *save = NULL;
    uint32_t argc = 0;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    memset(&a, 0, sizeof a);
    conn_command(w->st->cmd, 0, on_world_answer, &a, argc, argv, NULL);
    assert_true(world_until(w, world_is_set, &a.done, 15000));
    return a.text;
}

/* ---- batches ---- */
static inline struct job_key world_key(const char *job)
{
    struct job_key k;

    assert_int_equal(job_key_make(&k, "default", 7, job, strlen(job)), 0);
    return k;
}

/* n lines "<producer>:<sequence>" from sequence first; producer "" is anonymous. */
static inline struct batch *world_batch(const char *producer, uint64_t epoch, uint64_t first, uint32_t n, int32_t rank)
{
    struct batch *b = batch_new();
    struct frame_summary sum;
    struct buf raw = BUF_INIT;
    char msg[200], *text, *none = NULL;
    size_t len;

    snprintf(b->producer.id, sizeof b->producer.id, "%s", producer);
    b->producer.epoch = epoch;
    b->producer.first = first;
    b->producer.last = first + n - 1;
    b->producer.rank = rank;
    b->recv_us = clock_wall_us();
    frame_summary_init(&sum);
    for (uint32_t i = 0; i < n; i++) {
        struct record rec = {.ts_us = b->recv_us, .rank = rank, .level = LEVEL_INFO, .msg = msg};

        rec.msg_len = (size_t)snprintf(msg, sizeof msg, "%s:%llu", producer, (unsigned long long)(first + i));
        assert_int_equal(record_write(&raw, &rec), 0);
        frame_summary_add(&sum, b->recv_us, rank, LEVEL_INFO);
        batch_note_rank(b, rank, b->recv_us);
        b->msg_bytes += rec.msg_len;
        b->level_count[LEVEL_INFO]++;
    }
    b->line_count = n;
    b->raw_bytes = raw.len;
    if (n) {
        text = buf_steal(&raw, &len);
        assert_int_equal(batch_add_frame(b, &sum, &text, len, &none, 0), 0);
        b->line_count = n;
        b->raw_bytes = len;
    }
    buf_release(&raw);
    return b;
}

struct world_append {
    int done, calls;
    struct append_result res;
};

static void on_world_append(void *user, const struct append_result *res)
{
    struct world_append *a = user;

    a->res = *res;
    a->calls++;
    a->done = 1;
}

static inline struct append_result world_append_batch(struct world *w, const char *job, struct batch *b)
{
    struct job_key key = world_key(job);
    struct world_append a = {0};

    stream_append(w->st, &key, &b, on_world_append, &a);
    assert_null(b);
    assert_int_equal(a.done, 0);
    assert_true(world_until(w, world_is_set, &a.done, 20000));
    assert_int_equal(a.calls, 1);
    return a.res;
}

static inline struct append_result world_append(struct world *w, const char *job, const char *producer, uint64_t epoch,
                                                uint64_t first, uint32_t n)
{
    return world_append_batch(w, job, world_batch(producer, epoch, first, n, 0));
}

static inline struct append_result world_fin(struct world *w, const char *job, const char *producer, uint64_t epoch,
                                             uint64_t fin, int32_t rank)
{
    struct batch *b = world_batch(producer, epoch, fin + 1, 0, rank);

    b->producer.has_fin = 1;
    b->producer.fin = fin;
    return world_append_batch(w, job, b);
}

struct world_state {
    int done, err, moved;
    enum job_state from;
    uint64_t seq;
};

static void on_world_state(void *user, int err, int moved, enum job_state from, uint64_t seq)
{
    struct world_state *s = user;

    *s = (struct world_state){1, err, moved, from, seq};
}

static inline struct world_state world_change(struct world *w, const char *job, enum job_state to)
{
    struct state_change c = {.key = world_key(job), .to = to, .message = "because", .rank = RECORD_RANK_NONE};
    struct world_state s = {0};

    stream_change_state(w->st, &c, on_world_state, &s);
    assert_true(world_until(w, world_is_set, &s.done, 20000));
    return s;
}

/* ---- reading all of a job: msgs joined by '\n' ---- */
struct world_read {
    int done, err;
    uint64_t first_held, tail, epoch, after;
    struct buf text;
    uint64_t lines;
    int torn; /* a seq did not follow */
};

static void on_world_read(void *user, int err, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail,
                          uint64_t epoch)
{
    struct world_read *r = user;

    r->err = err;
    r->first_held = first_held;
    r->tail = tail;
    r->epoch = epoch;
    for (uint32_t i = 0; i < count; i++) {
        const char *line;
        size_t pos = 0, len;

        while (frame_next_line(frames[i], &pos, &line, &len)) {
            struct record_view v;

            assert_int_equal(record_parse(line, len, &v), 0);
            if (v.seq <= r->after)
                continue;
            r->torn |= v.seq != r->after + 1;
            r->after = v.seq;
            if (v.is_state)
                buf_adds(&r->text, state_short(v.state));
            else
                record_msg(&v, &r->text);
            buf_addc(&r->text, '\n');
            r->lines++;
        }
    }
    r->done = 1;
}

static inline struct world_read world_read_all(struct world *w, const char *job)
{
    struct job_key key = world_key(job);
    struct world_read r;
    uint64_t from;

    memset(&r, 0, sizeof r);
    do {
        from = r.after;
        r.done = 0;
        stream_read(w->st, &key, r.after, 64, on_world_read, &r);
        assert_true(world_until(w, world_is_set, &r.done, 20000));
    } while (r.err == 0 && r.after > from && r.after < r.tail);
    return r;
}

#endif

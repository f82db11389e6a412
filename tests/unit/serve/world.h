/*
 * tests/unit/serve/world.h -- a small world for the tests of reading and tailing: a real loop and
 * a real archive in a temp directory; Redis, the hub and the front hall are played here, by link
 * seam.
 *
 * A job of `count` records: record i (from 1) is known by world_record(). Redis holds those from
 * `held_from` on, in frames cut at seeded places; segments are written by world_archive(). Answers
 * come from the loop, as the real ones do.
 */
#ifndef TESTS_UNIT_SERVE_WORLD_H
#define TESTS_UNIT_SERVE_WORLD_H

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
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/pack.h"
#include "http/http.h"
#include "http/ws.h"
#include "job/record.h"
#include "serve/ctx.h"
#include "storage/archive.h"
#include "stream/hub.h"
#include "stream/nodes.h"
#include "stream/past.h"
#include "stream/stream.h"

#define WORLD_RECORDS_MAX 20000
#define WORLD_WAIT_US 10000000

struct call {
    struct call *next;
    void (*run)(struct call *c);
    void *user;
    void *fn;
    uint64_t a, b;
    uint32_t n;
};

struct stream {
    uint64_t count, held_from, epoch;
    uint64_t cut[WORLD_RECORDS_MAX]; /* last seq of each frame */
    uint32_t cuts;
    uint64_t archived_upto, committed_trim;
    int sealed, exists, cold;
    enum job_state state;
    int fail; /* the next reads and gets answer this */
    int fail_commit, busy_lease;
    uint64_t token;
    uint32_t round; /* of Redis */
    unsigned reads, gets, recovers;
    struct call *first, *last;
    uv_idle_t idle;
    void (*before_read)(void); /* a hook for races */
    char missing[64];
    const char *nodes; /* lines of samples that Redis holds; NULL: none */
    int nodes_dropped;
};

static struct world {
    uv_loop_t loop;
    struct stream stream;
    struct archive *archive;
    struct serve_ctx ctx;
    struct job_key key;
    char dir[64];
    uint64_t rng;
    uv_timer_t alive; /* the loop of a daemon is never without a handle */
} W;

static uint64_t rnd(uint64_t below)
{
    W.rng = W.rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (W.rng >> 33) % below;
}

/* ---- records ---- */

static int world_is_state(uint64_t seq)
{
    return seq % 97 == 1;
}
static int world_rank(uint64_t seq)
{
    return (int)(seq * 7 % 5);
}
static int world_is_rare(uint64_t seq)
{
    return seq % 131 == 0;
}

static void world_msg(uint64_t seq, struct buf *out)
{
    if (world_is_state(seq))
        buf_adds(out, "moved");
    else
        buf_addf(out, "step %llu \"loss\" %s\t%0*d", (unsigned long long)seq,
                 world_is_rare(seq) ? "needle" : "hay", (int)(seq * 13 % 90) + 1, 0);
}

static void world_record(uint64_t seq, struct buf *out)
{
    struct buf msg = BUF_INIT;
    struct record r = {.seq = seq,
                       .ts_us = INT64_C(1700000000000000) + (int64_t)seq * 1000,
                       .rank = world_rank(seq)};
    world_msg(seq, &msg);
    r.msg = msg.data;
    r.msg_len = msg.len;
    r.level = seq % 10 == 0 ? LEVEL_ERROR : LEVEL_INFO;
    if (world_is_state(seq)) {
        r.is_state = 1;
        r.level = LEVEL_NONE;
        r.state = STATE_RUNNING;
    }
    CHECK(record_write(out, &r) == 0);
    buf_release(&msg);
}

static struct frame *world_frame(uint64_t first, uint64_t last)
{
    struct buf text = BUF_INIT;
    struct frame *f = NULL;
    size_t len;
    for (uint64_t s = first; s <= last; s++)
        world_record(s, &text);
    char *data = buf_steal(&text, &len);
    CHECK(frame_from_text(first, clock_wall_us(), NULL, &data, len, &f) == 0);
    return f;
}

/* ---- Redis ---- */

static void on_idle(uv_idle_t *idle)
{
    struct stream *st = idle->data;
    struct call *c = st->first;
    if (!c) {
        uv_idle_stop(idle);
        return;
    }
    st->first = c->next;
    c->run(c);
    free(c);
}

static void later(void (*run)(struct call *c), void *fn, void *user, uint64_t a, uint64_t b,
                  uint32_t n)
{
    struct stream *st = &W.stream;
    struct call *c = must_calloc(1, sizeof *c);
    *c = (struct call){.run = run, .fn = fn, .user = user, .a = a, .b = b, .n = n};
    if (st->first)
        st->last->next = c;
    else
        st->first = c;
    st->last = c;
    uv_idle_start(&st->idle, on_idle);
}

static uint64_t frame_first(uint32_t i)
{
    return i ? W.stream.cut[i - 1] + 1 : 1;
}

static uint64_t world_held_from(void)
{
    struct stream *st = &W.stream;
    for (uint32_t i = 0; i < st->cuts; i++)
        if (st->cut[i] >= st->held_from)
            return frame_first(i);
    return st->count + 1;
}

static int take_fail(void)
{
    int err = W.stream.fail;
    W.stream.fail = 0;
    return err ? err : W.stream.exists ? 0 : ERR_NOT_FOUND;
}

static void run_read(struct call *c)
{
    struct stream *st = &W.stream;
    struct frame *frames[64];
    uint32_t count = 0;
    uint64_t held;
    int back = (int)c->b, err;
    st->reads++;
    if (st->before_read)
        st->before_read();
    err = take_fail();
    held = world_held_from();
    if (err) {
        ((stream_read_fn *)c->fn)(c->user, err, NULL, 0, 0, 0, 0);
        return;
    }
    for (uint32_t k = 0; k < st->cuts && count < c->n && count < 64; k++) {
        uint32_t i = back ? st->cuts - 1 - k : k;
        uint64_t first = frame_first(i), last = st->cut[i];
        if (last < st->held_from)
            continue;
        if (back ? (c->a && first >= c->a) : last <= c->a)
            continue;
        frames[count++] = world_frame(first, last);
    }
    ((stream_read_fn *)c->fn)(c->user, 0, frames, count, held, st->count, st->epoch);
    for (uint32_t i = 0; i < count; i++)
        frame_unref(&frames[i]);
}

void stream_read(struct stream *st, const struct job_key *key, uint64_t after, uint32_t frames_max,
                 stream_read_fn *done, void *user)
{
    later(run_read, (void *)done, user, after, 0, frames_max);
}

void stream_read_back(struct stream *st, const struct job_key *key, uint64_t before,
                      uint32_t frames_max, stream_read_fn *done, void *user)
{
    later(run_read, (void *)done, user, before, 1, frames_max);
}

static void world_info(struct job_info *info)
{
    struct stream *st = &W.stream;
    memset(info, 0, sizeof *info);
    info->key = W.key;
    info->epoch = st->epoch;
    info->seq = st->count;
    info->lines = st->count - st->count / 97;
    info->bytes = st->count * 60;
    info->state = st->state;
    info->sealed = st->sealed;
    info->sealed_seq = st->sealed ? st->count : 0;
    info->complete = 1;
    info->archived_upto = st->archived_upto;
    info->first_in_stream = world_held_from();
    info->labels_json = (char *)"{}";
    info->missing_json = (char *)"[]";
    info->created_us = INT64_C(1700000000000000);
}

static void run_get(struct call *c)
{
    struct job_info info;
    int err = take_fail();
    W.stream.gets++;
    world_info(&info);
    ((stream_info_fn *)c->fn)(c->user, err, err ? NULL : &info);
}

void stream_job_get(struct stream *st, const struct job_key *key, int detail, stream_info_fn *done,
                    void *user)
{
    later(run_get, (void *)done, user, 0, 0, 0);
}

static void run_nodes(struct call *c)
{
    const char *lines = W.stream.nodes ? W.stream.nodes : "";
    ((stream_nodes_fn *)c->fn)(c->user, take_fail(), lines, strlen(lines));
}

void stream_nodes_get(struct stream *st, const struct job_key *key, stream_nodes_fn *done, void *user)
{
    later(run_nodes, (void *)done, user, 0, 0, 0);
}

void stream_nodes_drop(struct stream *st, const struct job_key *key)
{
    W.stream.nodes_dropped++;
}

static void run_hot(struct call *c)
{
    int64_t since = clock_wall_us() - 1000;
    uint32_t n = W.stream.exists && !W.stream.cold &&
                 (W.stream.archived_upto < W.stream.count || W.stream.sealed);
    ((stream_hot_fn *)c->fn)(c->user, 0, &W.key, &since, n);
}

void stream_hot_jobs(struct stream *st, uint32_t count_max, stream_hot_fn *done, void *user)
{
    later(run_hot, (void *)done, user, 0, 0, 0);
}

static void run_lease(struct call *c)
{
    int err = W.stream.busy_lease ? ERR_BUSY : 0;
    if (!err && c->a != W.stream.token)
        W.stream.token++;
    ((stream_lease_fn *)c->fn)(c->user, err, W.stream.token);
}

void stream_lease(struct stream *st, const struct job_key *key, uint64_t token,
                  stream_lease_fn *done, void *user)
{
    later(run_lease, (void *)done, user, token, 0, 0);
}

static void run_commit(struct call *c)
{
    struct stream *st = &W.stream;
    int err = st->fail_commit;
    if (!err) {
        if (c->a > st->archived_upto)
            st->archived_upto = c->a;
        if (c->b + 1 > st->held_from)
            st->held_from = c->b + 1;
        st->committed_trim = c->b;
        if (c->n)
            st->cold = 1;
    }
    ((void (*)(void *, int))c->fn)(c->user, err);
}

void stream_commit_archived(struct stream *st, const struct job_key *key, uint64_t token, uint64_t epoch,
                            uint64_t upto, uint64_t trim_upto, int cold,
                            void (*done)(void *user, int err), void *user)
{
    CHECK(trim_upto <= upto);
    later(run_commit, (void *)done, user, upto, trim_upto, (uint32_t)cold);
}

uint32_t stream_redis_round(const struct stream *st)
{
    return st->round;
}

static void run_recover(struct call *c)
{
    W.stream.recovers++;
    ((void (*)(void *, int))c->fn)(c->user, 0);
}

void stream_recover(struct stream *st, const struct job_key *key, void (*done)(void *user, int err), void *user)
{
    later(run_recover, (void *)done, user, 0, 0, 0);
}

/* ---- the job ---- */

static void world_append(uint64_t records, uint64_t frame_max)
{
    struct stream *st = &W.stream;
    while (records) {
        uint64_t n = 1 + rnd(frame_max);
        if (n > records)
            n = records;
        st->count += n;
        records -= n;
        CHECK(st->cuts < WORLD_RECORDS_MAX);
        st->cut[st->cuts++] = st->count;
    }
}

/* A segment of the records after what is archived up to last. */
static void world_archive(uint64_t last)
{
    struct segment_writer *w = NULL;
    char dir[4096], name[SEGMENT_NAME_BYTES];
    uint64_t first = W.stream.archived_upto + 1;
    if (last < first)
        return;
    CHECK(archive_job_dir(W.archive, &W.key, 1, dir, sizeof dir) == 0);
    CHECK(segment_writer_open(dir, first, 1, &w) == 0);
    for (uint64_t s = first; s <= last;) {
        uint64_t to = s + rnd(200);
        struct frame *f = world_frame(s, to < last ? to : last);
        CHECK(segment_writer_add(w, f) == 0);
        s = frame_last_seq(f) + 1;
        frame_unref(&f);
    }
    CHECK(segment_writer_commit(&w, name) == 0);
    W.stream.archived_upto = last;
}

#include "tests/unit/serve/world_doors.h"

/* ---- the loop ---- */

static void on_deadline(uv_timer_t *t)
{
    *(int *)t->data = 1;
}

/* TEST_PATIENCE times longer under valgrind and sanitizers (tests/run.py --patience). */
static uint64_t patience_ms(void)
{
    const char *times = getenv("TEST_PATIENCE");

    return (uint64_t)(WORLD_WAIT_US / 1000 * (times ? atof(times) : 1));
}

/* Turn the loop until *flag; fails after WORLD_WAIT_US. */
static void world_wait(const int *flag)
{
    int late = 0;
    uv_timer_t timer;
    uv_timer_init(&W.loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, on_deadline, patience_ms(), 0);
    while (!*flag && !late)
        uv_run(&W.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&W.loop, UV_RUN_NOWAIT);
    assert_false(late);
}

static void world_turn(int turns)
{
    while (turns--)
        uv_run(&W.loop, UV_RUN_NOWAIT);
}

static void on_alive(uv_timer_t *t)
{
}

static int world_open(void **state)
{
    char why[200];
    memset(&W, 0, sizeof W);
    W.rng = 42;
    door_ring_from = 1;
    door_knows = 0;
    snprintf(W.dir, sizeof W.dir, "/tmp/jl-serve-XXXXXX");
    CHECK(mkdtemp(W.dir) && uv_loop_init(&W.loop) == 0);
    CHECK(archive_open(W.dir, why, sizeof why, &W.archive) == 0);
    CHECK(job_key_make(&W.key, "p", 1, "j", 1) == 0);
    uv_idle_init(&W.loop, &W.stream.idle);
    W.stream.idle.data = &W.stream;
    uv_timer_init(&W.loop, &W.alive);
    uv_timer_start(&W.alive, on_alive, 20, 20);
    W.stream.epoch = 7;
    W.stream.held_from = 1;
    W.stream.exists = 1;
    W.stream.state = STATE_RUNNING;
    W.ctx = (struct serve_ctx){.loop = &W.loop, .stream = &W.stream, .archive = W.archive};
    serve_ctx_open(&W.ctx);
    return 0;
}

static int world_close(void **state)
{
    char command[128];
    world_turn(50);
    serve_ctx_close(&W.ctx);
    uv_close((uv_handle_t *)&W.stream.idle, NULL);
    uv_close((uv_handle_t *)&W.alive, NULL);
    uv_run(&W.loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&W.loop) == 0);
    archive_close(&W.archive);
    door_forget_frames();
    CHECKF(door_messages_alive == 0, "%d", door_messages_alive);
    snprintf(command, sizeof command, "rm -rf %s", W.dir);
    return system(command);
}

/* Helpers that a test file does not use are no fault of it. */
static inline void world_unused(void)
{
    (void)world_wait, (void)world_archive, (void)door_init, (void)door_arg, (void)door_header,
        (void)door_close;
    (void)world_append, (void)world_open, (void)world_close, (void)world_is_rare, (void)world_rank,
        (void)world_turn;
}

#endif

/*
 * tests/unit/stream/hub_test.c -- the hub against a model of Redis whose every step the test decides.
 *
 * The model answers in order, like one connection: a command is executed at one moment (its snapshot)
 * and its reply delivered at a later one; bells come on a road of their own, late or never. A seed
 * printed on failure replays the run.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "job/record.h"
#include "stream/hub_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define RECORDS_MAX 60000
#define FRAMES_MAX 100000
#define PENDING_MAX 4096
#define SUBS_MAX 24

/* ---- the model ---- */
enum cmd_kind { CMD_READ, CMD_LOAD, CMD_BUMP, CMD_APPEND };

struct cmd {
    enum cmd_kind kind;
    int executed;
    uint64_t after, old_epoch;
    uint32_t frames_max, lines, big;
    stream_read_fn *read_done;
    jobs__loaded_fn *load_done;
    void (*bump_done)(void *user, int err, uint64_t epoch);
    void *user;
    /* snapshot */
    int err;
    struct frame *frames[HUB_READ_FRAMES];
    uint32_t count;
    uint64_t first_held, tail, epoch;
    struct job_info *info;
    struct frame *appended;
};

struct model {
    int exists, fail, sealed, mute; /* fail: commands end with ERR_UNAVAILABLE; mute: no bells at all */
    enum job_state state;
    uint64_t epoch, tail, trimmed, last_epoch;
    struct frame *log[FRAMES_MAX];
    uint32_t log_count;
    uint64_t id[RECORDS_MAX]; /* of record seq: tells one content from another */
    uint64_t next_id;
    struct cmd pending[PENDING_MAX];
    uint32_t head, count, executed;
    char bells[PENDING_MAX][64];
    uint32_t bell_head, bell_count;
    const struct conn_channel_ops *ops;
    void *ops_user;
    uint64_t loads, reads, bumps, losses;
    uint32_t lines_max; /* of a random frame: with 1 and 2 a lost frame is often replaced by one just like it */
    int may_lose;
};

static struct model m;
static struct hub *hub;
static uv_loop_t loop;
static struct job_key key;
static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % n;
}

static struct cmd *cmd_new(enum cmd_kind kind)
{
    CHECK(m.count < PENDING_MAX);
    struct cmd *c = &m.pending[(m.head + m.count++) % PENDING_MAX];
    memset(c, 0, sizeof(*c));
    c->kind = kind;
    return c;
}

static void model_read(struct stream *st, const struct job_key *k, uint64_t after, uint32_t frames_max, stream_read_fn *done,
                       void *user)
{
    struct cmd *c = cmd_new(CMD_READ);
    (void)st;
    (void)k;
    c->after = after;
    c->frames_max = frames_max > 5 ? 5 : frames_max; /* short answers: the hub must come again */
    c->read_done = done;
    c->user = user;
    m.reads++;
}

static void model_load(struct stream *st, const struct job_key *k, jobs__loaded_fn *done, void *user)
{
    struct cmd *c = cmd_new(CMD_LOAD);
    (void)st;
    (void)k;
    c->load_done = done;
    c->user = user;
    m.loads++;
}

static void model_bump(struct stream *st, const struct job_key *k, uint64_t old_epoch,
                       void (*done)(void *user, int err, uint64_t epoch), void *user)
{
    struct cmd *c = cmd_new(CMD_BUMP);
    (void)st;
    (void)k;
    c->old_epoch = old_epoch;
    c->bump_done = done;
    c->user = user;
    m.bumps++;
}

static void model_subscribe(struct stream *st, const struct job_key *k, const struct conn_channel_ops *ops, void *user)
{
    (void)st;
    (void)k;
    CHECK(!m.ops);
    m.ops = ops;
    m.ops_user = user;
}

static void model_unsubscribe(struct stream *st, const struct job_key *k)
{
    (void)st;
    (void)k;
    m.ops = NULL;
}

static const struct hub_source model_source = {model_read, model_load, model_subscribe, model_unsubscribe, model_bump};

static void ring_bell(const char *fmt, ...)
{
    va_list ap;
    if (m.mute || !m.ops || m.bell_count == PENDING_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(m.bells[(m.bell_head + m.bell_count++) % PENDING_MAX], 64, fmt, ap);
    va_end(ap);
}

/* Append a frame of lines records, each with its own id as text. */
static struct frame *model_append(uint32_t lines, uint32_t big, int is_state)
{
    static char pad[300000];
    struct buf raw = BUF_INIT;
    struct frame_summary sum;
    struct frame *f = NULL;
    frame_summary_init(&sum);
    memset(pad, 'x', sizeof pad);
    for (uint32_t i = 0; i < lines; i++) {
        char text[32];
        struct record rec = {.ts_us = 1000000 + (int64_t)m.next_id, .rank = RECORD_RANK_NONE, .is_state = is_state,
                             .state = m.state};
        snprintf(text, sizeof text, "%020llu", (unsigned long long)m.next_id);
        memcpy(pad, text, 20);
        rec.msg = pad;
        rec.msg_len = 20 + big;
        CHECK(record_write(&raw, &rec) >= 0);
        frame_summary_add(&sum, rec.ts_us, RECORD_RANK_NONE, LEVEL_NONE);
        CHECK(m.tail + 1 + i < RECORDS_MAX);
        m.id[m.tail + 1 + i] = m.next_id++;
    }
    sum.is_state = is_state;
    CHECK(frame_number(m.tail + 1, (int64_t)m.next_id, &sum, raw.data, raw.len, &f) == 0);
    buf_release(&raw);
    CHECK(m.log_count < FRAMES_MAX);
    m.log[m.log_count++] = f;
    m.tail += lines;
    ring_bell("%llu", (unsigned long long)m.tail);
    return f;
}

static void model_clear(void)
{
    while (m.log_count)
        frame_unref(&m.log[--m.log_count]);
    m.tail = m.trimmed = 0;
    m.sealed = 0;
    m.state = STATE_RUNNING;
}

static void model_create(void)
{
    if (m.exists)
        return;
    model_clear();
    m.exists = 1;
    m.epoch = m.last_epoch += 10;
    ring_bell("0");
}

static void model_delete(void)
{
    if (!m.exists)
        return;
    model_clear();
    m.exists = 0;
    ring_bell("D");
}

/* Redis loses its last frames, as a kill without fsync does. */
static void model_roll_back(uint32_t frames)
{
    while (frames-- && m.log_count) {
        struct frame *f = m.log[--m.log_count];
        m.tail = f->first_seq - 1;
        frame_unref(&f);
    }
    if (m.trimmed > m.tail)
        m.trimmed = m.tail;
}

static void model_trim(uint64_t upto)
{
    uint32_t n = 0;
    while (n < m.log_count && frame_last_seq(m.log[n]) <= upto) {
        m.trimmed = frame_last_seq(m.log[n]);
        frame_unref(&m.log[n++]);
    }
    if (!n)
        return;
    m.log_count -= n;
    memmove(m.log, m.log + n, m.log_count * sizeof *m.log);
}

static struct job_info *model_info(void)
{
    struct job_info *info = job_info_new();
    info->key = key;
    info->epoch = m.epoch;
    info->seq = m.tail;
    info->lines = m.tail;
    info->state = m.state;
    info->sealed = m.sealed;
    info->sealed_seq = m.sealed ? m.tail : 0;
    info->first_in_stream = m.trimmed + 1;
    return info;
}

static void execute(struct cmd *c)
{
    c->executed = 1;
    c->err = m.fail ? ERR_UNAVAILABLE : m.exists ? 0 : ERR_NOT_FOUND;
    if (c->err)
        return;
    c->epoch = m.epoch;
    c->tail = m.tail;
    c->first_held = m.trimmed + 1;
    if (c->kind == CMD_LOAD) {
        c->info = model_info();
    } else if (c->kind == CMD_BUMP) {
        if (m.epoch == c->old_epoch)
            m.epoch = m.last_epoch += 1;
        ring_bell("E%llu", (unsigned long long)m.epoch);
    } else if (c->kind == CMD_APPEND && !m.sealed) {
        c->appended = frame_ref(model_append(c->lines, c->big, 0));
    } else if (c->kind == CMD_READ) {
        for (uint32_t i = 0; i < m.log_count && c->count < c->frames_max; i++)
            if (frame_last_seq(m.log[i]) > c->after)
                c->frames[c->count++] = frame_ref(m.log[i]);
    }
}

static void execute_next(void)
{
    if (m.executed < m.count)
        execute(&m.pending[(m.head + m.executed++) % PENDING_MAX]);
}

static void deliver_next(void)
{
    if (!m.count)
        return;
    if (!m.executed)
        execute_next();
    struct cmd c = m.pending[m.head];
    m.head = (m.head + 1) % PENDING_MAX;
    m.count--;
    m.executed--;
    if (c.kind == CMD_READ)
        c.read_done(c.user, c.err, c.frames, c.count, c.first_held, c.tail, c.epoch);
    else if (c.kind == CMD_LOAD)
        c.load_done(c.user, c.err, &c.info);
    else if (c.kind == CMD_BUMP)
        c.bump_done(c.user, c.err, c.epoch);
    else if (c.appended)
        hub__offer_to(hub, &key, c.epoch, c.appended);
    for (uint32_t i = 0; i < c.count; i++)
        frame_unref(&c.frames[i]);
    if (c.appended)
        frame_unref(&c.appended);
    job_info_free(&c.info);
}

static void deliver_bell(int drop)
{
    if (!m.bell_count)
        return;
    const char *text = m.bells[m.bell_head];
    m.bell_head = (m.bell_head + 1) % PENDING_MAX;
    m.bell_count--;
    if (m.ops && !drop)
        m.ops->message(m.ops_user, text, strlen(text));
}

static void turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void poll_now(void)
{
    struct hub_job *job = hub__find(hub, &key);
    if (job)
        job->next_poll_us = 0;
    hub__tick(hub);
}

/* Everything on its way arrives; the safety poll finds what got lost. */
static void settle(void)
{
    for (int i = 0; i < 400; i++) {
        while (m.bell_count)
            deliver_bell(0);
        while (m.count)
            deliver_next();
        turn();
        if (i % 40 == 0)
            poll_now();
    }
}

/* ---- subscribers that check what they get ---- */
struct reader {
    struct hub_sub *sub;
    uint64_t start, cursor;          /* got (start, cursor] of the log since the last reset */
    uint64_t *ids;                   /* by seq */
    uint32_t wakes, resets, lagged, progress;
    uint64_t frames;
    int woken, eager; /* eager: pulls to the end in wake() */
    char last_progress[64];
};

static void take_frame(struct reader *r, const struct frame *f)
{
    const char *line;
    size_t pos = 0, len;
    uint64_t seq = f->first_seq;
    assert_true(f->first_seq <= r->cursor + 1);
    assert_true(frame_last_seq(f) > r->cursor);
    for (; frame_next_line(f, &pos, &line, &len); seq++) {
        struct record_view v;
        if (seq <= r->cursor)
            continue;
        assert_int_equal(record_parse(line, len, &v), 0);
        assert_int_equal(v.seq, seq);
        r->ids[seq] = strtoull(v.msg_json, NULL, 10);
    }
    r->cursor = frame_last_seq(f);
    r->frames++;
}

/* The reader of history: what Redis and the archive hold now, as far as the hub has seen. */
static void read_history(struct reader *r, uint64_t count)
{
    while (count-- && r->cursor < m.tail && r->cursor < hub_sub_end(r->sub)) {
        r->cursor++;
        r->ids[r->cursor] = m.id[r->cursor];
    }
    hub_sub_seek(r->sub, r->cursor);
}

/* At most count frames; 1 when at the end. */
static int pull(struct reader *r, uint32_t count)
{
    while (count--) {
        struct frame *f = NULL;
        int got = hub_sub_next(r->sub, &f);
        if (got == 0) {
            r->woken = 0;
            return 1;
        }
        if (got == 1) {
            take_frame(r, f);
            assert_int_equal(hub_sub_cursor(r->sub), r->cursor);
        } else if (got == ERR_RESET) {
            r->start = r->cursor = 0;
            r->resets++;
            assert_int_equal(hub_sub_cursor(r->sub), 0);
        } else {
            assert_int_equal(got, ERR_LAGGED);
            r->lagged++;
            if (!m.exists) /* gone meanwhile: history has nothing, the reset is on its way */
                return 0;
            if (r->cursor >= m.tail)
                return 0; /* the same after a roll back */
            read_history(r, 1 + rnd(30));
        }
    }
    return 0;
}

static void on_wake(void *user)
{
    struct reader *r = user;
    assert_false(r->woken); /* at most once until it has pulled to the end */
    r->woken = 1;
    r->wakes++;
    if (r->eager)
        pull(r, 1000000);
}

static void on_progress(void *user, int32_t rank, const char *text, size_t len)
{
    struct reader *r = user;
    r->progress++;
    snprintf(r->last_progress, sizeof r->last_progress, "%d:%.*s", rank, (int)len, text);
}

static const struct hub_sub_ops reader_ops = {on_wake, on_progress};

static void join(struct reader *r, uint64_t after)
{
    memset(r, 0, sizeof(*r));
    r->ids = must_calloc(RECORDS_MAX, sizeof(uint64_t));
    r->start = r->cursor = after;
    hub__subscribe(hub, &key, after, &reader_ops, r, &r->sub);
}

static void leave(struct reader *r)
{
    hub_unsubscribe(&r->sub);
    assert_null(r->sub);
    free(r->ids);
    r->ids = NULL;
}

static void check_against_log(struct reader *r)
{
    if (!m.exists && r->cursor == r->start)
        return; /* gone before the hub had heard of it: nothing was given */
    assert_int_equal(r->cursor, m.exists ? m.tail : 0);
    for (uint64_t seq = r->start + 1; seq <= r->cursor; seq++)
        assert_int_equal(r->ids[seq], m.id[seq]);
}

static int setup(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    m.last_epoch = 1000;
    assert_int_equal(job_key_make(&key, "demo", 4, "train", 5), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    hub = hub__new(NULL, &loop, &model_source);
    return 0;
}

static int closed;
static void on_closed(void *user)
{
    (void)user;
    closed = 1;
}

static int teardown(void **state)
{
    (void)state;
    closed = 0;
    hub__free(&hub, on_closed, NULL);
    while (m.count)
        deliver_next();
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    model_clear();
    return 0;
}

/* ---- tests ---- */

static void two_subscribers_get_every_record_in_the_same_order(void **state)
{
    (void)state;
    struct reader a, b;
    model_create();
    join(&a, 0);
    join(&b, 0);
    settle();
    for (int i = 0; i < 50; i++) {
        struct cmd *c = cmd_new(CMD_APPEND);
        c->lines = 1 + (uint32_t)i % 7;
        if (i % 3 == 0)
            settle();
    }
    settle();
    assert_true(pull(&a, 1000));
    assert_true(pull(&b, 1000));
    check_against_log(&a);
    check_against_log(&b);
    assert_int_equal(a.cursor, m.tail);
    leave(&a);
    leave(&b);
}

static void an_offer_is_enough_no_read_is_sent_for_it(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    join(&a, 0);
    a.eager = 1;
    settle();
    uint64_t reads = m.reads, polls = hub->stats.polls;
    m.mute = 1;
    for (int i = 0; i < 100; i++) {
        cmd_new(CMD_APPEND)->lines = 3;
        deliver_next();
        turn();
    }
    assert_true(m.reads - reads <= hub->stats.polls - polls); /* none, unless this took so long that the safety poll came due */
    check_against_log(&a);
    assert_int_equal(a.cursor, 300);
    leave(&a);
}

static void a_lost_bell_is_found_by_the_poll(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    join(&a, 0);
    settle();
    m.mute = 1;
    model_append(10, 0, 0); /* by another node */
    for (int i = 0; i < 10; i++) {
        turn();
        deliver_next();
    }
    pull(&a, 10);
    assert_int_equal(a.cursor, 0);
    poll_now();
    deliver_next();
    turn();
    assert_true(a.woken);
    assert_true(pull(&a, 100));
    check_against_log(&a);
    leave(&a);
}

static void a_cursor_inside_a_frame_gets_the_frame_as_it_is(void **state)
{
    (void)state;
    struct reader a, b;
    struct frame *f = NULL;
    model_create();
    join(&a, 0);
    settle();
    model_append(500, 0, 0);
    model_append(12, 0, 0);
    settle();
    join(&b, 505);
    assert_int_equal(hub_sub_next(b.sub, &f), 1);
    assert_int_equal(f->first_seq, 501);
    assert_int_equal(hub_sub_cursor(b.sub), 512);
    assert_int_equal(hub_sub_next(b.sub, &f), 0);
    leave(&a);
    leave(&b);
}

static void a_job_that_appears_later_wakes_its_subscriber(void **state)
{
    (void)state;
    struct reader a;
    join(&a, 0);
    settle();
    assert_int_equal(a.wakes, 0);
    assert_null(hub_sub_info(a.sub));
    model_create();
    model_append(4, 0, 0);
    settle();
    assert_true(a.wakes > 0);
    assert_non_null(hub_sub_info(a.sub));
    pull(&a, 100);
    check_against_log(&a);
    leave(&a);
}

static void a_deleted_job_resets_once_and_its_successor_starts_at_one(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    join(&a, 0);
    settle();
    model_append(20, 0, 0);
    settle();
    pull(&a, 100);
    assert_int_equal(a.cursor, 20);
    model_delete();
    settle();
    assert_true(a.woken);
    pull(&a, 100);
    assert_int_equal(a.resets, 1);
    assert_null(hub_sub_info(a.sub));
    model_create();
    model_append(3, 0, 0);
    settle();
    pull(&a, 100);
    assert_int_equal(a.resets, 1);
    check_against_log(&a);
    assert_int_equal(a.cursor, 3);
    leave(&a);
}

static void a_job_that_was_deleted_before_the_hub_knew_it_resets(void **state)
{
    (void)state;
    struct reader a, b;
    model_create();
    join(&a, 0);
    hub_sub_expect(a.sub); /* its owner was told that it exists */
    model_delete();
    settle();
    pull(&a, 100);
    assert_int_equal(a.resets, 1);
    assert_null(hub_sub_info(a.sub));
    /* What the hub knew may be older than what the owner was told. */
    m.mute = 1;
    model_create(); /* no bell, so the hub still thinks that there is none */
    join(&b, 0);
    hub_sub_expect(b.sub);
    turn();
    while (m.count)
        deliver_next();
    pull(&b, 100);
    assert_int_equal(b.resets, 0);
    assert_non_null(hub_sub_info(b.sub));
    m.mute = 0;
    model_append(3, 0, 0);
    settle();
    pull(&b, 100);
    check_against_log(&b);
    leave(&a);
    leave(&b);
}

static void an_answer_from_before_is_no_deletion(void **state)
{
    (void)state;
    struct reader a;
    join(&a, 0);
    while (!m.count) /* the look at the job is on its way, and answered: there is none */
        turn();
    execute_next();
    model_create();
    hub_sub_expect(a.sub);
    settle();
    pull(&a, 100);
    assert_int_equal(a.resets, 0);
    assert_non_null(hub_sub_info(a.sub));
    leave(&a);
}

static void history_that_went_back_changes_the_epoch_and_resets(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    join(&a, 0);
    settle();
    uint64_t epoch = m.epoch;
    for (int i = 0; i < 5; i++)
        model_append(10, 0, 0);
    settle();
    pull(&a, 100);
    assert_int_equal(a.cursor, 50);
    model_roll_back(2);
    settle();
    pull(&a, 100);
    assert_int_equal(a.resets, 1);
    assert_true(m.epoch > epoch);
    assert_int_equal(hub_sub_info(a.sub)->epoch, m.epoch);
    check_against_log(&a);
    leave(&a);
}

static void lost_history_is_seen_though_the_log_has_grown_past_it_again(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    model_append(10, 0, 0);
    model_append(10, 0, 0);
    join(&a, 20); /* has seen nothing but the end */
    settle();
    pull(&a, 100);
    model_roll_back(1);
    m.mute = 1;
    model_append(10, 0, 0); /* looks the same from outside */
    model_append(3, 0, 0);
    m.ops->subscribed(m.ops_user); /* reconnected */
    settle();
    pull(&a, 100);
    assert_int_equal(a.resets, 1);
    check_against_log(&a);
    leave(&a);
}

static void history_is_read_only_as_far_as_the_hub_has_seen(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    for (int i = 0; i < 8; i++)
        model_append(10, 0, 0);
    join(&a, 0);
    deliver_next(); /* the job: its frames are still to be read */
    turn();
    assert_true(pull(&a, 1)); /* so there is no history yet either */
    assert_int_equal(a.lagged, 0);
    settle();
    assert_int_equal(hub_sub_end(a.sub), 80);
    model_append(10, 0, 0); /* by another node, and no bell of it has come */
    assert_int_equal(hub_sub_end(a.sub), 80);
    pull(&a, 100);
    settle();
    pull(&a, 100);
    assert_int_equal(a.cursor, 90);
    assert_int_equal(a.resets, 0);
    leave(&a);
}

static void what_was_trimmed_while_redis_was_away_cannot_be_trusted(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    model_append(10, 0, 0);
    model_append(10, 0, 0);
    join(&a, 0);
    settle();
    pull(&a, 100);
    uint64_t epoch = m.epoch;
    m.mute = 1;
    model_roll_back(1);
    model_append(10, 0, 0); /* another node goes on, and archives what it has */
    model_append(10, 0, 0);
    model_trim(20);
    m.ops->subscribed(m.ops_user);
    settle();
    pull(&a, 100);
    assert_int_equal(a.resets, 1);
    assert_int_equal(m.epoch, epoch);
    check_against_log(&a);
    leave(&a);
}

static void a_cursor_that_never_was_is_a_reset(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    model_append(10, 0, 0);
    join(&a, 99999);
    a.eager = 1;
    settle();
    assert_int_equal(a.resets, 1);
    check_against_log(&a);
    assert_int_equal(m.bumps, 0); /* the client's mistake is not Redis' loss */
    leave(&a);
}

static void a_cursor_that_the_hub_has_not_heard_of_yet_waits(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    model_append(10, 0, 0);
    join(&a, 0);
    settle();
    m.mute = 1;
    poll_now();
    execute_next(); /* a read that is older than the next record */
    model_append(5, 0, 0);
    read_history(&a, 15);
    assert_true(pull(&a, 1));
    deliver_next();
    assert_true(pull(&a, 1));
    settle();
    assert_true(pull(&a, 10));
    assert_int_equal(a.resets, 0);
    check_against_log(&a);
    leave(&a);
}

/* One frame lost and replaced by another of the same size. */
static void lose_and_replace(void)
{
    m.mute = 1;
    model_roll_back(1);
    model_append(10, 0, 0);
}

static void the_look_for_lost_history_is_repeated_until_it_is_answered(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    model_append(10, 0, 0);
    join(&a, 10);
    settle();
    lose_and_replace();
    m.ops->subscribed(m.ops_user);
    m.fail = 1;
    settle();
    assert_int_equal(m.bumps, 0);
    m.fail = 0;
    settle();
    assert_int_equal(m.bumps, 1);
    pull(&a, 100);
    assert_int_equal(a.resets, 1);
    check_against_log(&a);
    leave(&a);
}

static void lost_history_is_not_forgotten_when_the_epoch_could_not_be_changed(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    model_append(10, 0, 0);
    join(&a, 10);
    settle();
    lose_and_replace();
    m.ops->subscribed(m.ops_user);
    deliver_next(); /* the read that shows it */
    m.fail = 1;
    settle(); /* the epoch cannot be changed now */
    assert_true(m.bumps > 0);
    m.fail = 0;
    model_append(5, 0, 0);
    settle();
    pull(&a, 100);
    assert_int_equal(a.resets, 1);
    check_against_log(&a);
    leave(&a);
}

static void ended_is_true_only_after_the_last_record_of_a_sealed_job(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    join(&a, 0);
    settle();
    model_append(10, 0, 0);
    m.state = STATE_COMPLETED;
    model_append(1, 0, 1);
    settle();
    assert_int_equal(hub_sub_info(a.sub)->state, STATE_COMPLETED);
    assert_true(pull(&a, 100));
    assert_false(hub_sub_ended(a.sub));
    model_append(5, 0, 0);
    m.sealed = 1;
    m.mute = 1; /* even when the bell of the seal is lost */
    settle();
    assert_true(a.woken);
    assert_false(hub_sub_ended(a.sub));
    assert_true(pull(&a, 100));
    assert_true(hub_sub_ended(a.sub));
    check_against_log(&a);
    leave(&a);
}

static struct reader *leaver;
static void on_progress_leave(void *user, int32_t rank, const char *text, size_t len)
{
    on_progress(user, rank, text, len);
    if (leaver->sub)
        hub_unsubscribe(&leaver->sub);
}

static void progress_reaches_all_and_leaving_inside_it_is_allowed(void **state)
{
    (void)state;
    static const struct hub_sub_ops leave_ops = {on_wake, on_progress_leave};
    struct reader r[3];
    model_create();
    for (int i = 0; i < 3; i++) {
        memset(&r[i], 0, sizeof r[i]);
        hub__subscribe(hub, &key, 0, i == 0 ? &leave_ops : &reader_ops, &r[i], &r[i].sub);
    }
    leaver = &r[1];
    settle();
    m.ops->message(m.ops_user, "P3 40% |##  |", 13);
    assert_string_equal(r[0].last_progress, "3:40% |##  |");
    assert_int_equal(r[1].progress, 0);
    assert_int_equal(r[2].progress, 1);
    m.ops->message(m.ops_user, "P", 1);
    m.ops->message(m.ops_user, "", 0);
    m.ops->message(m.ops_user, "Q?", 2);
    assert_int_equal(r[2].progress, 1);
    hub_unsubscribe(&r[0].sub);
    hub_unsubscribe(&r[2].sub);
}

static void a_ring_keeps_its_limits_and_a_late_one_is_lagged(void **state)
{
    (void)state;
    struct reader a, b;
    struct hub_job *job;
    model_create();
    join(&a, 0);
    settle();
    job = hub__find(hub, &key);
    for (int i = 0; i < 60; i++) {
        model_append(2, 100000, 0);
        settle();
        assert_true(job->ring.bytes <= HUB_RING_BYTES || job->ring.count <= 2);
        assert_int_equal(hub->stats.ring_bytes, job->ring.bytes);
    }
    join(&b, 3);
    struct frame *f = NULL;
    assert_int_equal(hub_sub_next(b.sub, &f), ERR_LAGGED);
    assert_int_equal(hub_sub_next(b.sub, &f), ERR_LAGGED);
    assert_int_equal(hub->stats.ring_misses, 1);
    assert_int_equal(hub_sub_cursor(b.sub), 3);
    pull(&b, 10000);
    check_against_log(&b);
    leave(&a);
    leave(&b);
}

static void when_redis_is_away_it_waits_and_goes_on(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    join(&a, 0);
    settle();
    m.fail = 1;
    model_append(10, 0, 0);
    settle();
    assert_true(pull(&a, 10));
    assert_int_equal(a.cursor, 0);
    m.fail = 0;
    settle();
    assert_true(pull(&a, 10));
    check_against_log(&a);
    leave(&a);
}

static void after_the_last_subscriber_the_ring_lingers_then_goes(void **state)
{
    (void)state;
    struct reader a;
    model_create();
    join(&a, 0);
    settle();
    leave(&a);
    struct hub_job *job = hub__find(hub, &key);
    assert_non_null(job);
    poll_now();
    assert_int_equal(map_count(hub->jobs), 1);
    job->linger_until_us = 0;
    hub__tick(hub); /* a reply is still on its way: it must find nothing */
    assert_int_equal(map_count(hub->jobs), 0);
    assert_null(m.ops);
    while (m.count)
        deliver_next();
    assert_int_equal(hub->stats.ring_bytes, 0);
    join(&a, 0);
    model_append(3, 0, 0);
    settle();
    pull(&a, 10);
    check_against_log(&a);
    leave(&a);
}

static void a_subscriber_outlives_the_hub_in_silence(void **state)
{
    struct reader a;
    struct frame *f = NULL;
    model_create();
    join(&a, 0);
    settle();
    teardown(state);
    assert_int_equal(hub_sub_next(a.sub, &f), 0);
    assert_null(hub_sub_info(a.sub));
    assert_false(hub_sub_ended(a.sub));
    hub_sub_seek(a.sub, 7);
    leave(&a);
    setup(state);
}

/* One random act of the world. */
static void world_moves(void)
{
    switch (rnd(24)) {
    case 0: case 1: case 2: case 3:
        if (m.exists && !m.sealed && m.count < 100) {
            struct cmd *c = cmd_new(CMD_APPEND);
            c->lines = 1 + (uint32_t)rnd(m.lines_max);
            c->big = rnd(8) == 0 ? 20000 + (uint32_t)rnd(100000) : 0;
        }
        break;
    case 4: case 5: case 6:
        if (m.exists && !m.sealed && !m.fail)
            model_append(1 + (uint32_t)rnd(m.lines_max), 0, rnd(10) == 0);
        break;
    case 7: case 8: case 9:
        execute_next();
        break;
    case 10: case 11: case 12: case 13:
        deliver_next();
        break;
    case 14: case 15: case 16:
        deliver_bell(rnd(4) == 0);
        break;
    case 17:
        poll_now();
        break;
    case 18:
        if (m.exists && m.tail)
            model_trim(rnd(m.tail));
        break;
    case 19:
        if (rnd(60) == 0)
            model_delete();
        else if (rnd(5) == 0)
            model_create();
        break;
    case 20:
        if (m.may_lose && rnd(30) == 0 && m.exists) { /* Redis killed: its connections are lost and come back */
            model_roll_back(1 + (uint32_t)rnd(3));
            m.losses++;
            m.bell_count = 0;
            for (uint32_t lost = (uint32_t)rnd(4); lost && !m.sealed; lost--) /* others are faster than we */
                model_append(1 + (uint32_t)rnd(m.lines_max), 0, 0);
            if (m.ops)
                m.ops->subscribed(m.ops_user);
        }
        break;
    case 21:
        m.fail = rnd(12) == 0;
        break;
    default:
        turn();
    }
}

static void random_run(uint64_t from)
{
    static struct reader r[SUBS_MAX];
    seed = from;
    memset(r, 0, sizeof r);
    m.may_lose = from % 2 == 0;
    m.lines_max = from % 3 ? 2 : 20;
    model_create();
    for (int step = 0; step < 6000; step++) {
        struct reader *one = &r[rnd(SUBS_MAX)];
        world_moves();
        if (!one->sub && rnd(6) == 0) {
            join(one, m.exists && rnd(3) ? m.tail - rnd(m.tail < 60 ? m.tail + 1 : 60) : 0);
            one->eager = rnd(3) == 0;
        } else if (one->sub && rnd(50) == 0) {
            leave(one);
        } else if (one->sub && rnd(2)) {
            pull(one, 1 + (uint32_t)rnd(4));
        }
    }
    m.fail = 0;
    if (!m.losses)
        assert_int_equal(m.bumps, 0); /* never cries wolf */
    for (int i = 0; i < 6; i++) {
        settle();
        for (int k = 0; k < SUBS_MAX; k++)
            if (r[k].sub)
                pull(&r[k], 1000000);
    }
    for (int k = 0; k < SUBS_MAX; k++) {
        if (!r[k].sub)
            continue;
        check_against_log(&r[k]);
        leave(&r[k]);
    }
}

static void whatever_happens_each_record_comes_once_and_in_order_or_a_reset_tells(void **state)
{
    const char *one = getenv("SEED");
    uint64_t runs = getenv("RUNS") ? strtoull(getenv("RUNS"), NULL, 10) : 40;
    uint64_t from = one ? strtoull(one, NULL, 10) : 1;
    if (one)
        runs = 1;
    for (uint64_t i = 0; i < runs; i++) {
        if (getenv("VERBOSE"))
            fprintf(stderr, "SEED=%llu\n", (unsigned long long)(from + i));
        random_run(from + i);
        teardown(state);
        setup(state);
    }
}

static void null_subscribe(struct stream *st, const struct job_key *k, const struct conn_channel_ops *o, void *user)
{
    (void)st;
    (void)k;
    (void)o;
    (void)user;
}

static void null_load(struct stream *st, const struct job_key *k, jobs__loaded_fn *done, void *user)
{
    struct job_info *info = model_info();
    (void)st;
    (void)k;
    done(user, 0, &info);
}

static void all_rings_together_stay_under_the_nodes_cap(void **state)
{
    (void)state;
    static const struct hub_source null_source = {model_read, null_load, null_subscribe, model_unsubscribe, model_bump};
    enum { JOBS = 100 };
    struct reader r[JOBS];
    uint64_t most = 0;
    hub->source = &null_source;
    m.exists = 1;
    m.epoch = 5;
    for (int i = 0; i < JOBS; i++) {
        struct job_key k;
        char name[16];
        snprintf(name, sizeof name, "job%d", i);
        assert_int_equal(job_key_make(&k, "p", 1, name, strlen(name)), 0);
        memset(&r[i], 0, sizeof r[i]);
        hub__subscribe(hub, &k, 0, &reader_ops, &r[i], &r[i].sub);
    }
    for (int round = 0; round < 12; round++) {
        struct frame *f = model_append(1, 250000, 0), *got = NULL;
        for (int i = 0; i < JOBS; i++) {
            hub__push(r[i].sub->job, f); /* none is left behind, whoever had to give up memory */
            assert_int_equal(hub_sub_next(r[i].sub, &got), 1);
            assert_ptr_equal(got, f);
            most = hub->stats.ring_bytes > most ? hub->stats.ring_bytes : most;
        }
        turn();
    }
    assert_true(most <= HUB_TOTAL_BYTES_MAX);
    assert_true(most > HUB_TOTAL_BYTES_MAX / 2);
    uint64_t sum = 0;
    for (int i = 0; i < JOBS; i++)
        sum += r[i].sub->job->ring.bytes;
    assert_int_equal(sum, hub->stats.ring_bytes);
    for (int i = 0; i < JOBS; i++)
        hub_unsubscribe(&r[i].sub);
}

static uint32_t woken_count;
static void on_count(void *user)
{
    struct frame *f = NULL;
    struct hub_sub **sub = user;
    woken_count++;
    while (hub_sub_next(*sub, &f) == 1)
        ;
}

static void a_broadcast_to_5000_is_cheap_and_sliced_and_idle_ones_cost_nothing(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static const struct hub_sub_ops ops = {on_count, NULL};
    static struct hub_sub *subs[COUNT];
    model_create();
    for (int i = 0; i < COUNT; i++)
        hub__subscribe(hub, &key, 0, &ops, &subs[i], &subs[i]);
    settle();
    woken_count = 0;
    int64_t begin_us = clock_mono_us(), turn_us_max = 0;
    for (int i = 0; i < 20; i++) {
        cmd_new(CMD_APPEND)->lines = 10;
        deliver_next();
        for (uint32_t before = woken_count; woken_count < before + COUNT;) {
            int64_t turn_us = clock_mono_us();
            turn();
            turn_us = clock_mono_us() - turn_us;
            turn_us_max = turn_us > turn_us_max ? turn_us : turn_us_max;
        }
    }
    double each_ns = (double)(clock_mono_us() - begin_us) * 1000 / (20.0 * COUNT);
    assert_int_equal(woken_count, 20 * COUNT);
    struct timespec cpu0, cpu1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu0);
    for (int64_t end_us = clock_mono_us() + 300000; clock_mono_us() < end_us;)
        uv_run(&loop, UV_RUN_ONCE);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu1);
    double cpu_us = (double)(cpu1.tv_sec - cpu0.tv_sec) * 1e6 + (double)(cpu1.tv_nsec - cpu0.tv_nsec) / 1e3;
    print_message("wake and pull: %.0f ns each, longest turn %lld us; 0.3 s idle: %.0f us of CPU\n", each_ns,
                  (long long)turn_us_max, cpu_us);
    assert_true(cpu_us < 30000);
    assert_int_equal(woken_count, 20 * COUNT);
    for (int i = 0; i < COUNT; i++)
        hub_unsubscribe(&subs[i]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(two_subscribers_get_every_record_in_the_same_order),
        T(an_offer_is_enough_no_read_is_sent_for_it),
        T(a_lost_bell_is_found_by_the_poll),
        T(a_cursor_inside_a_frame_gets_the_frame_as_it_is),
        T(a_job_that_appears_later_wakes_its_subscriber),
        T(a_deleted_job_resets_once_and_its_successor_starts_at_one),
        T(a_job_that_was_deleted_before_the_hub_knew_it_resets),
        T(an_answer_from_before_is_no_deletion),
        T(history_that_went_back_changes_the_epoch_and_resets),
        T(lost_history_is_seen_though_the_log_has_grown_past_it_again),
        T(history_is_read_only_as_far_as_the_hub_has_seen),
        T(what_was_trimmed_while_redis_was_away_cannot_be_trusted),
        T(a_cursor_that_never_was_is_a_reset),
        T(a_cursor_that_the_hub_has_not_heard_of_yet_waits),
        T(the_look_for_lost_history_is_repeated_until_it_is_answered),
        T(lost_history_is_not_forgotten_when_the_epoch_could_not_be_changed),
        T(ended_is_true_only_after_the_last_record_of_a_sealed_job),
        T(progress_reaches_all_and_leaving_inside_it_is_allowed),
        T(a_ring_keeps_its_limits_and_a_late_one_is_lagged),
        T(when_redis_is_away_it_waits_and_goes_on),
        T(after_the_last_subscriber_the_ring_lingers_then_goes),
        T(a_subscriber_outlives_the_hub_in_silence),
        T(whatever_happens_each_record_comes_once_and_in_order_or_a_reset_tells),
        T(all_rings_together_stay_under_the_nodes_cap),
        T(a_broadcast_to_5000_is_cheap_and_sliced_and_idle_ones_cost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

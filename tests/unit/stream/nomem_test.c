/*
 * tests/unit/stream/nomem_test.c -- every allocation of appending, reading, following, changing states and sealing fails once,
 * over a real redis-server: never a crash, never a false ack, never a wrong record, never a call without an answer.
 */
#include "tests/unit/stream/nomem_world.h"

#include "base/pack.h"
#include "stream/place.h"

#define LONG_US INT64_C(3600000000)

/* ---- appending ---- */

struct free_lines { /* of nobody: an append that is not repeated */
    struct world_append a;
    int step;
};

static int are_answered(void *arg)
{
    struct free_lines *f = arg;

    return f[0].a.done && f[1].a.done && f[2].a.done;
}

/* Three small ones at once: the second and third leave together (stream/append_group.c). */
static int append_free(const struct job_key *key)
{
    struct free_lines f[3];
    int err = 0;

    memset(f, 0, sizeof f);
    for (int i = 0; i < 3; i++) {
        struct batch *b = child_batch("", 100 + (uint64_t)i, 1);

        stream_append(mine.st, key, &b, on_world_append, &f[i].a);
    }
    child_await(are_answered, f);
    for (int i = 0; i < 3; i++) {
        if (f[i].a.calls != 1) _exit(70);
        told->done[i] = f[i].a.res.err == 0;
        if (f[i].a.res.err < 0) err = f[i].a.res.err;
    }
    return err;
}

static int append(void)
{
    struct job_key key;
    int a, b, c;

    child_open(NULL, LONG_US);
    key = key_of_run("a");
    a = child_insist(&key, "p", 1, 3);
    b = child_insist(&key, "p", 2, 5); /* some are held already */
    c = append_free(&key);
    return child_close(a ? a : b ? b : c);
}

static void check_appended(enum nomem_outcome outcome)
{
    check_stored("a", "p");
    if (outcome != NOMEM_ABORTED) assert_int_equal(told->acked, 6);
    for (int i = 0; i < 3; i++) {
        char line[16];
        unsigned n;

        snprintf(line, sizeof line, ":%d", 100 + i);
        n = times_stored("a", line);
        assert_true(n <= 1 && (n == 1 || !told->done[i]));
    }
    next_run();
}

static void test_appending(void **state)
{
    /* What was acknowledged is in Redis, once; a producer that insists gets its lines in. */
    assert_swept(append, check_appended, 60);
}

static int connect_and_append(void)
{
    struct job_key key;
    int err;

    child_connect(NULL, LONG_US);
    key = key_of_run("c");
    err = child_insist(&key, "p", 1, 2);
    return child_close(err);
}

static void check_connected(enum nomem_outcome outcome)
{
    check_stored("c", "p");
    if (outcome != NOMEM_ABORTED) assert_int_equal(told->acked, 2);
    next_run();
}

static void test_connecting(void **state)
{
    /* The same with the connections themselves: greeting, script, channels. */
    assert_swept(connect_and_append, check_connected, 60);
}

static int append_over_a_cut(void)
{
    struct job_key key;
    struct world_append a = {0};
    struct batch *b;
    int err;

    child_open(NULL, LONG_US);
    key = key_of_run("cut");
    err = child_insist(&key, "p", 1, 2);
    b = child_batch("p", 3, 2);
    stream_append(mine.st, &key, &b, on_world_append, &a);
    uv_run(&mine.loop, UV_RUN_NOWAIT); /* it is written */
    child_cut();
    child_await(world_is_set, &a.done);
    note_ack(&a.res, 4);
    if (a.res.err < 0) err = a.res.err;
    child_await(world_is_ready, mine.st);
    int again = child_insist(&key, "p", 3, 4);
    return child_close(err ? err : again);
}

static void check_cut(enum nomem_outcome outcome)
{
    check_stored("cut", "p");
    if (outcome != NOMEM_ABORTED) assert_int_equal(told->acked, 6);
    next_run();
}

static void test_reconnecting(void **state)
{
    /* The connection breaks with an append on its way. */
    assert_swept(append_over_a_cut, check_cut, 60);
}

/* ---- reading ---- */

#define READ_LINES 20 /* 1-4 5-8 9-12, packed 13-16, 17-20 */

struct child_read {
    int done, err, backwards;
    uint64_t after, want_first, want_last;
};

static void on_child_read(void *user, int err, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail,
                          uint64_t epoch)
{
    struct child_read *r = user;
    uint64_t after = r->want_first - 1;

    r->err = err;
    r->done = 1;
    if (err < 0) return;
    if (first_held != 1 || tail != READ_LINES || epoch == 0 || count == 0) _exit(77);
    for (uint32_t i = 0; i < count; i++) {
        const struct frame *f = frames[r->backwards ? count - 1 - i : i];

        if (f->is_lost || (i == 0 && f->first_seq != r->want_first)) _exit(77);
        after = child_check_frame(f, "p", after);
    }
    if (after != r->want_last) _exit(77);
}

static int read_one(int backwards, uint64_t from, uint64_t want_first, uint64_t want_last)
{
    struct child_read r = {.backwards = backwards, .want_first = want_first, .want_last = want_last};
    struct job_key key;

    if (job_key_make(&key, "default", 7, "read", 4) < 0) _exit(79);
    if (backwards)
        stream_read_back(mine.st, &key, from, 10, on_child_read, &r);
    else
        stream_read(mine.st, &key, from, 10, on_child_read, &r);
    child_await(world_is_set, &r.done);
    return r.err;
}

struct child_places {
    int done, err;
};

static void on_child_places(void *user, int err, const struct stream_places *p)
{
    struct child_places *c = user;

    c->err = err;
    if (err == 0 && (p->seq != READ_LINES || p->first_held != 1 || p->at[0].first != 13 || p->at[0].count != 4 ||
                     p->at[1].first != 17))
        _exit(78);
    c->done = 1;
}

static int find_places(void)
{
    struct stream_place_ask asks[2] = {{.seq = 14}, {.us = INT64_C(4000000000000000)}};
    struct child_places c = {0};
    struct job_key key;

    if (job_key_make(&key, "default", 7, "read", 4) < 0) _exit(79);
    stream_find_places(mine.st, &key, 0, asks, 2, on_child_places, &c);
    child_await(world_is_set, &c.done);
    return c.err;
}

static int read_everywhere(void)
{
    int errs[6], err = 0;

    child_open(NULL, LONG_US);
    errs[0] = read_one(0, 0, 1, 20);
    errs[1] = read_one(0, 4, 5, 20);
    errs[2] = read_one(0, 14, 13, 20);
    errs[3] = read_one(1, 0, 1, 20);
    errs[4] = read_one(1, 9, 1, 8);
    errs[5] = find_places();
    for (int i = 0; i < 6; i++)
        if (errs[i] < 0) err = errs[i];
    return child_close(err);
}

static void pack(struct batch *b)
{
    struct buf out = BUF_INIT;

    assert_int_equal(pack_zstd(&out, b->frames[0].raw, b->frames[0].raw_bytes, 1), 0);
    b->frames[0].packed_bytes = out.len;
    b->frames[0].packed = buf_steal(&out, NULL);
}

static void test_reading(void **state)
{
    /* The frames that hold what was asked for, or an error. */
    for (uint64_t first = 1; first < READ_LINES; first += 4) {
        struct batch *b = world_batch("p", 1, first, 4, 0);

        if (first == 13) pack(b);
        assert_int_equal(world_append_batch(&w, "read", b).err, 0);
    }
    assert_swept(read_everywhere, NULL, 60);
}

/* ---- following ---- */

struct follower {
    struct job_key key;
    struct hub_sub *sub;
    uint64_t cursor;
    int reading, ended;
};

static void pull(struct follower *f);

static void on_history(void *user, int err, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail,
                       uint64_t epoch)
{
    struct follower *f = user;

    f->reading = 0;
    for (uint32_t i = 0; err == 0 && i < count; i++) f->cursor = child_check_frame(frames[i], "p", f->cursor);
    hub_sub_seek(f->sub, f->cursor);
    pull(f);
}

static void pull(struct follower *f)
{
    while (!f->reading) {
        struct frame *got = NULL;
        int is = hub_sub_next(f->sub, &got);

        if (is == 0) break;
        if (is == 1) {
            f->cursor = child_check_frame(got, "p", f->cursor);
        } else if (is == ERR_LAGGED) {
            f->reading = 1;
            stream_read(mine.st, &f->key, f->cursor, 8, on_history, f);
        } else {
            _exit(77); /* nothing was reset */
        }
    }
    f->ended = hub_sub_ended(f->sub);
}

static void on_wake(void *user)
{
    pull(user);
}

static int has_ended(void *user)
{
    struct follower *f = user;

    return f->ended && !f->reading;
}

static int change(const struct job_key *key, enum job_state to)
{
    struct state_change c = {.key = *key, .to = to, .message = "because", .rank = RECORD_RANK_NONE};
    int first_err = 0;

    for (int i = 0; i < INSIST_MAX; i++) {
        struct world_state s = {0};

        stream_change_state(mine.st, &c, on_world_state, &s);
        child_await(world_is_set, &s.done);
        if (s.err == 0) return first_err;
        if (s.err == ERR_TRANSITION || s.err == ERR_SEALED || s.err == ERR_NOT_FOUND) _exit(78);
        first_err = first_err ? first_err : s.err;
        child_await(world_is_ready, mine.st);
    }
    _exit(73);
}

/* Until it is noted, as by its agent. */
static int finish(const struct job_key *key, uint64_t fin)
{
    int first_err = 0;

    for (int i = 0; i < INSIST_MAX; i++) {
        struct batch *b = child_batch("p", fin + 1, 0);
        struct append_result res;

        b->producer.has_fin = 1;
        b->producer.fin = fin;
        res = child_append(key, b);
        if (res.err == 0 || res.err == ERR_SEALED) return first_err;
        first_err = first_err ? first_err : res.err;
        child_await(world_is_ready, mine.st);
    }
    _exit(73);
}

static int follow_to_the_end(int is_cut)
{
    static const struct hub_sub_ops ops = {.wake = on_wake};
    struct follower f = {0};
    int errs[5], err = 0;

    child_open(NULL, LONG_US);
    f.key = key_of_run("f");
    errs[0] = child_insist(&f.key, "p", 1, 2);
    hub_subscribe(mine.st, &f.key, 0, &ops, &f, &f.sub);
    errs[1] = child_insist(&f.key, "p", 3, 3);
    if (is_cut) child_cut();
    errs[2] = child_insist(&f.key, "p", 6, 2);
    errs[3] = change(&f.key, STATE_COMPLETED);
    errs[4] = finish(&f.key, 7);
    child_await(has_ended, &f);
    if (f.cursor != 8 || hub_sub_info(f.sub)->lines != 7 || hub_sub_info(f.sub)->state != STATE_COMPLETED ||
        !hub_sub_info(f.sub)->complete)
        _exit(77);
    told->done[0] = 1;
    hub_unsubscribe(&f.sub);
    for (int i = 0; i < 5; i++)
        if (errs[i] < 0) err = errs[i];
    return child_close(err);
}

static int follow(void)
{
    return follow_to_the_end(0);
}

static int follow_over_a_cut(void)
{
    return follow_to_the_end(1);
}

static void check_followed(enum nomem_outcome outcome)
{
    check_stored("f", "p");
    if (outcome != NOMEM_ABORTED) assert_true(told->acked == 7 && told->done[0]);
    next_run();
}

static void test_following(void **state)
{
    /* Every record once, in order, to the end: a follower is never left behind, nor sent back to the start. */
    assert_swept(follow, check_followed, 100);
}

static void test_following_over_a_cut(void **state)
{
    assert_swept(follow_over_a_cut, check_followed, 100);
}

#define T(f) cmocka_unit_test(f)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_appending), T(test_connecting), T(test_reconnecting), T(test_reading),
        T(test_following), T(test_following_over_a_cut),
    };
    int failed;

    if (!world_has_redis()) return 0;
    world_of_parent();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_close(&w);
    return failed;
}

/*
 * tests/unit/stream/place_test.c -- receive times: their order, and finding places by them, against a real Redis.
 */
#include "stream/place.h"
#include "tests/unit/stream/redis_world.h"

#define DRAIN_US INT64_C(3600000000) /* jobs with a terminal state are still appended to, however slow this machine is */

static struct world w;

static int setup(void **state)
{
    if (!world_has_redis())
        return 0;
    world_prepare(&w);
    w.opts.drain_us = DRAIN_US;
    world_start(&w);
    return 0;
}

static int teardown(void **state)
{
    if (w.st)
        world_close(&w);
    return 0;
}

#define NEEDS_REDIS() do { if (!w.st) skip(); } while (0)
#define RECORDS_MAX 300000

/* ---- what the records of a job say: their times in order ---- */
struct times {
    int done;
    uint64_t tail, next;
    int64_t ns[RECORDS_MAX + 1]; /* by seq */
};
static struct times held;

static void on_times(void *user, int err, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail,
                     uint64_t epoch)
{
    struct times *t = user;

    assert_int_equal(err, 0);
    for (uint32_t i = 0; i < count; i++)
        for (uint64_t seq = frames[i]->first_seq; seq <= frame_last_seq(frames[i]); seq++) {
            assert_int_equal(seq, t->next);
            assert_true(seq <= RECORDS_MAX);
            t->ns[t->next++] = frame_recv_ns(frames[i], seq);
        }
    t->tail = tail;
    t->done = 1;
}

static void read_times(const char *job)
{
    struct job_key key = world_key(job);

    memset(&held, 0, sizeof held);
    held.next = 1;
    do {
        held.done = 0;
        stream_read(w.st, &key, held.next - 1, 64, on_times, &held);
        assert_true(world_until(&w, world_is_set, &held.done, 20000));
    } while (held.next <= held.tail);
}

/* A batch of several frames of n lines each, received at recv_us. */
static struct batch *frames_batch(uint32_t frames, uint32_t n, int64_t recv_us)
{
    struct batch *b = batch_new();

    for (uint32_t i = 0; i < frames; i++) {
        struct batch *one = world_batch("", 0, 1, n, 0);
        struct batch_frame *f = &one->frames[0];
        struct frame_summary sum = f->sum;
        char *raw = f->raw;

        f->raw = NULL;
        assert_int_equal(batch_add_frame(b, &sum, &raw, f->raw_bytes, NULL, 0), 0);
        batch_free(&one);
    }
    b->recv_us = recv_us;
    b->level_count[LEVEL_INFO] = b->line_count;
    return b;
}

static uint64_t random_state = 7;
static uint64_t below(uint64_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (random_state >> 33) % n;
}

static void no_two_records_share_a_nanosecond(void **state)
{
    /* Whatever the nodes' clocks say, times of a job's records grow, state changes among them. */
    int64_t now = clock_wall_us();

    NEEDS_REDIS();
    for (int i = 0; i < 120; i++) {
        int64_t recv_us = now + (int64_t)below(5000) - (int64_t)below(20) * 1000;
        uint32_t lines = below(4) ? 1 + (uint32_t)below(5) : 900 + (uint32_t)below(2200);

        assert_int_equal(world_append_batch(&w, "grow", frames_batch(1 + (uint32_t)below(3), lines, recv_us)).err, 0);
        if (i == 60)
            assert_int_equal(world_change(&w, "grow", STATE_FAILED).err, 0);
    }
    read_times("grow");
    assert_true(held.tail > 2000);
    for (uint64_t seq = 2; seq <= held.tail; seq++)
        assert_true(held.ns[seq] > held.ns[seq - 1]);
    /* and they are times: near those given */
    assert_true(held.ns[1] / 1000 > now - 30000 && held.ns[held.tail] / 1000 < clock_wall_us() + 60000);
}

static void nothing_is_received_before_its_job_exists(void **state)
{
    /* A batch received before the append that makes its job gets the time of the making. */
    struct batch *b;

    NEEDS_REDIS();
    b = frames_batch(1, 3, clock_wall_us() - 5000000);
    assert_int_equal(world_append_batch(&w, "born", b).err, 0);
    read_times("born");
    assert_int_equal(held.ns[1] / 1000, strtoll(world_redis(&w, "HGET jl:{default/born}:meta created_us"), NULL, 10));
}

/* ---- what the hub is offered ---- */
static int woken;
static void on_wake(void *user)
{
    woken = 1;
}

static void what_is_offered_is_what_redis_holds(void **state)
{
    /* The frame a node offers to its own followers carries the time the script has given it. */
    static const struct hub_sub_ops ops = {.wake = on_wake};
    struct job_key key = world_key("offer");
    struct hub_sub *sub = NULL;
    struct frame *f = NULL;
    int64_t now = clock_wall_us();
    uint64_t seen = 2; /* where it subscribes */

    NEEDS_REDIS();
    assert_int_equal(world_append_batch(&w, "offer", frames_batch(1, 2, now)).err, 0);
    hub_subscribe(w.st, &key, 2, &ops, NULL, &sub);
    assert_true(world_until(&w, world_is_set, &woken, 10000));
    for (int i = 0; i < 6; i++)
        assert_int_equal(world_append_batch(&w, "offer", frames_batch(3, 400, now - i * 1000)).err, 0);
    assert_int_equal(world_change(&w, "offer", STATE_COMPLETED).err, 0);
    read_times("offer");
    while (seen < held.tail) {
        int got = hub_sub_next(sub, &f);

        assert_true(got >= 0);
        for (uint64_t seq = f->first_seq; got && seq <= frame_last_seq(f); seq++) {
            assert_int_equal(frame_recv_ns(f, seq), held.ns[seq]);
            seen = seq;
        }
        woken = 0;
        if (!got && seen < held.tail)
            assert_true(world_until(&w, world_is_set, &woken, 10000));
    }
    hub_unsubscribe(&sub);
}

/* ---- places ---- */
struct found {
    int done, err;
    struct stream_places p;
};

static void on_found(void *user, int err, const struct stream_places *p)
{
    struct found *f = user;

    f->err = err;
    if (p)
        f->p = *p;
    f->done = 1;
}

static struct found find(const char *job, int close_ms, const struct stream_place_ask *asks, uint32_t count)
{
    struct job_key key = world_key(job);
    struct found f = {0};

    stream_find_places(w.st, &key, close_ms, asks, count, on_found, &f);
    assert_true(world_until(&w, world_is_set, &f.done, 20000));
    return f;
}

static void places_are_where_a_walk_finds_them(void **state)
{
    /* The last frame at or before a time, and the frame of a record, for any of them. */
    int64_t now = clock_wall_us() - 60000000;

    NEEDS_REDIS();
    for (int i = 0; i < 100; i++) {
        now += (int64_t)below(3) * 700;
        struct batch *b = frames_batch(1 + (uint32_t)below(2), 1 + (uint32_t)below(40), now);

        assert_int_equal(world_append_batch(&w, "place", b).err, 0);
    }
    read_times("place");
    for (int i = 0; i < 200; i++) {
        uint64_t seq = 1 + below(held.tail), at;
        int64_t us = held.ns[seq] / 1000 + (int64_t)below(3) - 1;
        struct stream_place_ask asks[2] = {{.us = us}, {.seq = seq}};
        struct found f = find("place", 0, asks, 2);

        assert_int_equal(f.err, 0);
        assert_int_equal(f.p.seq, held.tail);
        assert_int_equal(f.p.first_held, 1);
        assert_true(f.p.at[1].first <= seq && seq < f.p.at[1].first + f.p.at[1].count);
        assert_int_equal(f.p.at[1].recv_us * 1000 + (int64_t)(seq - f.p.at[1].first), held.ns[seq]);
        for (at = held.tail; at && held.ns[at] / 1000 > us; at--)
            ;
        if (!at) {
            assert_int_equal(f.p.at[0].first, 0);
            continue;
        }
        assert_true(f.p.at[0].first <= at && at < f.p.at[0].first + f.p.at[0].count);
    }
    assert_int_equal(find("nobody", 0, NULL, 0).err, ERR_NOT_FOUND);
}

static void a_closed_millisecond_stays_as_it_is(void **state)
{
    /* What comes after a closing look is of a later millisecond, however old its batch is. */
    int64_t now = clock_wall_us();
    struct found f;

    NEEDS_REDIS();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(world_append_batch(&w, "close", frames_batch(1, 2, now)).err, 0);
        f = find("close", 1, NULL, 0);
        assert_int_equal(f.err, 0);
        assert_int_equal(world_append_batch(&w, "close", frames_batch(1, 1, now - 1000000)).err, 0);
        read_times("close");
        assert_int_equal(f.p.seq + 1, held.tail);
        assert_true(held.ns[held.tail] / 1000000 > held.ns[held.tail - 1] / 1000000);
    }
    f = find("close", 0, NULL, 0);
    assert_int_equal(world_append_batch(&w, "close", frames_batch(1, 1, now - 1000000)).err, 0);
    read_times("close");
    assert_int_equal(held.ns[held.tail] / 1000000, held.ns[held.tail - 1] / 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_records_share_a_nanosecond),
        cmocka_unit_test(nothing_is_received_before_its_job_exists),
        cmocka_unit_test(what_is_offered_is_what_redis_holds),
        cmocka_unit_test(places_are_where_a_walk_finds_them),
        cmocka_unit_test(a_closed_millisecond_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * tests/unit/stream/hub_redis_test.c -- the hub over a real Redis, with a second node beside it.
 *
 * Node a (the world) has the embedded server, node b joins it by its socket. Readers follow on either
 * and check every record against the text that the writers gave it.
 */
#include "tests/unit/stream/redis_world.h"

#include "stream/hub_int.h"

#define READERS 12
#define WRITERS 3

static struct world w;
static struct stream *nodes[2];
static uint64_t seed = 11;

static uint64_t rnd(uint64_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % n;
}

/* ---- readers ---- */
struct reader {
    struct stream *st;
    struct job_key key;
    struct hub_sub *sub;
    uint64_t cursor, count, hash;  /* hash over the records got since the last reset, from seq 1 */
    uint32_t resets, lagged, wakes, progress;
    int reading, slow, ended, closing;
    char last[64];
};

static void pull(struct reader *r, uint32_t frames);

static void take(struct reader *r, const struct frame *f)
{
    const char *line;
    size_t pos = 0, len;
    for (uint64_t seq = f->first_seq; frame_next_line(f, &pos, &line, &len); seq++) {
        if (seq <= r->cursor)
            continue;
        assert_int_equal(seq, r->cursor + 1);
        for (size_t i = 0; i < len; i++)
            r->hash = (r->hash ^ (unsigned char)line[i]) * 1099511628211ull;
        r->cursor = seq;
        r->count++;
    }
}

static void on_history(void *user, int err, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail,
                       uint64_t epoch)
{
    struct reader *r = user;
    (void)first_held;
    (void)tail;
    (void)epoch;
    r->reading = 0;
    if (r->closing)
        return;
    for (uint32_t i = 0; err == 0 && i < count; i++)
        take(r, frames[i]);
    hub_sub_seek(r->sub, r->cursor);
    pull(r, 1000);
}

static void pull(struct reader *r, uint32_t frames)
{
    while (frames-- && !r->reading) {
        struct frame *f = NULL;
        int got = hub_sub_next(r->sub, &f);
        if (got == 0)
            break;
        if (got == 1) {
            take(r, f);
        } else if (got == ERR_RESET) {
            r->resets++;
            r->cursor = r->count = r->hash = 0;
        } else {
            assert_int_equal(got, ERR_LAGGED);
            r->lagged++;
            r->reading = 1;
            stream_read(r->st, &r->key, r->cursor, 8, on_history, r);
        }
    }
    r->ended = hub_sub_ended(r->sub);
}

static void on_wake(void *user)
{
    struct reader *r = user;
    r->wakes++;
    if (!r->slow)
        pull(r, 1000000);
}

static void on_progress(void *user, int32_t rank, const char *text, size_t len)
{
    struct reader *r = user;
    r->progress++;
    snprintf(r->last, sizeof r->last, "%d:%.*s", rank, (int)len, text);
}

static const struct hub_sub_ops ops = {on_wake, on_progress};

static void join(struct reader *r, int node, const char *job)
{
    memset(r, 0, sizeof(*r));
    r->st = nodes[node];
    r->key = world_key(job);
    hub_subscribe(r->st, &r->key, 0, &ops, r, &r->sub);
}

static int is_read(void *arg)
{
    return !((struct reader *)arg)->reading;
}

static void leave(struct reader *r)
{
    r->closing = 1;
    hub_unsubscribe(&r->sub);
    assert_true(world_until(&w, is_read, r, 10000));
}

struct at {
    struct reader *r;
    uint64_t seq;
};

static int has_come_to(void *arg)
{
    struct at *a = arg;
    if (a->r->slow && !a->r->reading)
        pull(a->r, 1000000);
    return a->r->cursor == a->seq;
}

static void until_at(struct reader *r, uint64_t seq)
{
    struct at a = {r, seq};
    if (!world_until(&w, has_come_to, &a, 8000))
        print_error("cursor %llu, wanted %llu\n", (unsigned long long)r->cursor, (unsigned long long)seq);
    assert_int_equal(r->cursor, seq);
}

static int has_reset(void *arg)
{
    return ((struct reader *)arg)->resets > 0;
}

static int has_ended(void *arg)
{
    return ((struct reader *)arg)->ended;
}

/* ---- writers on node b ---- */
static struct append_result append_on(int node, const char *job, const char *producer, uint64_t first, uint32_t n)
{
    struct job_key key = world_key(job);
    struct world_append a = {0};
    struct batch *b = world_batch(producer, 1, first, n, 0);
    stream_append(nodes[node], &key, &b, on_world_append, &a);
    assert_true(world_until(&w, world_is_set, &a.done, 20000));
    return a.res;
}

static int setup(void **state)
{
    char why[200];
    (void)state;
    world_prepare(&w);
    w.opts.durability = DURABILITY_DURABLE;
    world_start(&w);
    struct stream_options other = w.opts;
    other.url = embedded_url(w.st->embedded);
    nodes[0] = w.st;
    assert_int_equal(stream_open(&other, why, sizeof why, &nodes[1]), 0);
    assert_true(world_until(&w, world_is_ready, nodes[1], 10000));
    return 0;
}

static int teardown(void **state)
{
    int closed = 0;
    (void)state;
    stream_close(&nodes[1], on_world_closed, &closed);
    assert_true(world_until(&w, world_is_set, &closed, 20000));
    world_close(&w);
    return 0;
}

/* ---- tests ---- */

static void readers_on_two_nodes_get_the_same_records_in_the_same_order(void **state)
{
    (void)state;
    struct reader r[4];
    for (int i = 0; i < 4; i++)
        join(&r[i], i % 2, "both");
    for (int i = 0; i < 60; i++) /* both nodes write */
        assert_int_equal(append_on(i % 2, "both", i % 2 ? "p1" : "p0", (uint64_t)(i / 2) * 5 + 1, 5).err, 0);
    for (int i = 0; i < 4; i++)
        until_at(&r[i], 300);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(r[i].hash, r[0].hash);
        leave(&r[i]);
    }
}

struct writer {
    struct job_key key;
    char producer[8];
    uint64_t next;
    int busy, node, stop;
    uint64_t stored;
};

static void write_on(struct writer *wr);

static void on_written(void *user, const struct append_result *res)
{
    struct writer *wr = user;
    wr->busy = 0;
    if (res->err == 0) {
        wr->stored += res->accepted;
        wr->next = res->producer_last + 1;
    }
    if (!wr->stop)
        write_on(wr);
}

static void write_on(struct writer *wr)
{
    struct batch *b = world_batch(wr->producer, 1, wr->next, 1 + (uint32_t)rnd(600), 0);
    wr->busy = 1;
    stream_append(nodes[wr->node], &wr->key, &b, on_written, wr);
}

static int is_idle(void *arg)
{
    return !((struct writer *)arg)->busy;
}

static int has_passed(void *arg)
{
    return clock_mono_us() > *(int64_t *)arg;
}

static void run_for(int64_t us)
{
    int64_t end_us = clock_mono_us() + us;
    world_until(&w, has_passed, &end_us, 60000);
}

/* Readers come, go and dawdle for some time while writers write; then all must have the same. */
static void storm(int64_t us, void (*disturb)(int round))
{
    static struct reader r[READERS];
    static struct writer wr[WRITERS];
    uint64_t total = 0, lagged = 0;
    for (int i = 0; i < WRITERS; i++) {
        memset(&wr[i], 0, sizeof wr[i]);
        wr[i].key = world_key("storm");
        snprintf(wr[i].producer, sizeof wr[i].producer, "w%d", i);
        wr[i].next = 1;
        wr[i].node = i % 2;
        write_on(&wr[i]);
    }
    memset(r, 0, sizeof r);
    int64_t end_us = clock_mono_us() + us;
    for (int round = 0; clock_mono_us() < end_us; round++) {
        struct reader *one = &r[rnd(READERS)];
        if (!one->sub) {
            join(one, (int)rnd(2), "storm");
            one->slow = rnd(2) == 0;
        } else if (rnd(6) == 0) {
            leave(one);
        } else if (one->slow && !one->reading) {
            pull(one, 1 + (uint32_t)rnd(5));
        }
        if (disturb)
            disturb(round);
        run_for(1000 + (int64_t)rnd(8000));
    }
    for (int i = 0; i < WRITERS; i++) {
        wr[i].stop = 1;
        assert_true(world_until(&w, is_idle, &wr[i], 30000));
    }
    for (int i = 0; i < WRITERS; i++)
        total += wr[i].next - 1;
    struct reader whole;
    join(&whole, 0, "storm");
    until_at(&whole, total);
    for (int i = 0; i < READERS; i++) {
        if (!r[i].sub)
            continue;
        until_at(&r[i], total);
        assert_int_equal(r[i].resets, 0);
        assert_int_equal(r[i].hash, whole.hash);
        lagged += r[i].lagged;
        leave(&r[i]);
    }
    leave(&whole);
    struct hub_stats s;
    hub_stats(nodes[0], &s);
    print_message("%llu records, lagged %llu; node a: bells %llu polls %llu frames %llu\n", (unsigned long long)total,
                  (unsigned long long)lagged, (unsigned long long)s.doorbells, (unsigned long long)s.polls,
                  (unsigned long long)s.frames);
}

static void joining_and_leaving_while_it_is_written_nothing_is_lost_or_repeated(void **state)
{
    (void)state;
    storm(2500000, NULL);
}

static void kill_redis(int round)
{
    if (round % 120 == 60 && embedded_pid(nodes[0]->embedded))
        kill(embedded_pid(nodes[0]->embedded), SIGKILL);
}

static void redis_killed_in_between_is_only_a_pause(void **state)
{
    (void)state;
    storm(4000000, kill_redis);
}

static void a_lost_doorbell_is_rescued_by_the_poll(void **state)
{
    (void)state;
    struct reader r;
    char channel[STREAM_KEY_BYTES];
    join(&r, 0, "deaf");
    append_on(1, "deaf", "p", 1, 3);
    until_at(&r, 3);
    conn_unsubscribe(nodes[0]->bell, stream__key(channel, &r.key, "bell"));
    run_for(50000);
    int64_t begin_us = clock_mono_us();
    append_on(1, "deaf", "p", 4, 7);
    until_at(&r, 10);
    assert_true(clock_mono_us() - begin_us < HUB_POLL_US + 500000);
    leave(&r);
}

static void a_foreign_append_is_heard_at_once(void **state)
{
    (void)state;
    struct reader r;
    join(&r, 0, "fast");
    append_on(1, "fast", "p", 1, 1);
    until_at(&r, 1);
    int64_t worst_us = 0;
    for (uint64_t i = 2; i < 40; i++) {
        append_on(1, "fast", "p", i, 1);
        int64_t begin_us = clock_mono_us();
        until_at(&r, i);
        worst_us = clock_mono_us() - begin_us > worst_us ? clock_mono_us() - begin_us : worst_us;
    }
    print_message("after the ack on the other node: %lld us at worst\n", (long long)worst_us);
    assert_true(worst_us < 500000);
    leave(&r);
}

static void history_that_went_back_is_a_reset_in_a_new_epoch(void **state)
{
    (void)state;
    struct reader r[2];
    for (int i = 0; i < 2; i++)
        join(&r[i], i, "back");
    append_on(0, "back", "p", 1, 10);
    append_on(0, "back", "p", 11, 10);
    for (int i = 0; i < 2; i++)
        until_at(&r[i], 20);
    uint64_t epoch = hub_sub_info(r[0].sub)->epoch;
    world_redis(&w, "MULTI");
    world_redis(&w, "XDEL jl:{default/back}:log 20-0");
    world_redis(&w, "HSET jl:{default/back}:meta seq 10");
    world_redis(&w, "EXEC");
    for (int i = 0; i < 2; i++) {
        assert_true(world_until(&w, has_reset, &r[i], 8000));
        until_at(&r[i], 10);
        assert_true(hub_sub_info(r[i].sub)->epoch > epoch);
        assert_int_equal(hub_sub_info(r[i].sub)->epoch, hub_sub_info(r[0].sub)->epoch);
        assert_int_equal(r[i].resets, 1);
    }
    for (int i = 0; i < 2; i++)
        leave(&r[i]);
}

static void on_deleted(void *user, int err)
{
    assert_int_equal(err, 0);
    *(int *)user = 1;
}

static void a_deleted_job_is_a_reset_and_may_come_again(void **state)
{
    (void)state;
    struct reader r[2];
    int done = 0;
    for (int i = 0; i < 2; i++)
        join(&r[i], i, "gone");
    append_on(0, "gone", "p", 1, 10);
    for (int i = 0; i < 2; i++)
        until_at(&r[i], 10);
    uint64_t epoch = hub_sub_info(r[0].sub)->epoch;
    stream_job_delete(nodes[1], &r[0].key, on_deleted, &done);
    assert_true(world_until(&w, world_is_set, &done, 8000));
    for (int i = 0; i < 2; i++) {
        assert_true(world_until(&w, has_reset, &r[i], 8000));
        assert_null(hub_sub_info(r[i].sub));
    }
    append_on(0, "gone", "p", 1, 4);
    for (int i = 0; i < 2; i++) {
        until_at(&r[i], 4);
        assert_true(hub_sub_info(r[i].sub)->epoch > epoch);
        assert_int_equal(r[i].resets, 1);
        leave(&r[i]);
    }
}

static int is_completed(void *user)
{
    const struct reader *r = user;
    const struct job_info *info = hub_sub_info(r->sub);
    return info && info->state == STATE_COMPLETED;
}

static void a_sealed_job_ends_on_every_node_with_final_counts(void **state)
{
    (void)state;
    struct reader r[2];
    for (int i = 0; i < 2; i++)
        join(&r[i], i, "end");
    append_on(0, "end", "p", 1, 10);
    assert_int_equal(world_change(&w, "end", STATE_COMPLETED).err, 0);
    append_on(1, "end", "p", 11, 5); /* late lines of another rank still enter */
    for (int i = 0; i < 2; i++) {
        until_at(&r[i], 16);
        assert_true(world_until(&w, is_completed, &r[i], 8000)); /* looked at after the record has come */
    }
    assert_int_equal(world_fin(&w, "end", "p", 1, 15, 0).err, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(world_until(&w, has_ended, &r[i], 8000));
        const struct job_info *info = hub_sub_info(r[i].sub);
        assert_int_equal(info->lines, 15);
        assert_int_equal(info->sealed_seq, 16);
        assert_int_equal(info->complete, 1);
        assert_int_equal(r[i].cursor, 16);
        leave(&r[i]);
    }
}

static int has_progress(void *arg)
{
    return ((struct reader *)arg)->progress > 0;
}

static void a_redraw_reaches_the_tails_of_every_node(void **state)
{
    (void)state;
    struct reader r[2];
    append_on(0, "bar", "p", 1, 1);
    for (int i = 0; i < 2; i++) {
        join(&r[i], i, "bar");
        until_at(&r[i], 1);
    }
    run_for(20000); /* subscribed */
    stream_progress(nodes[0], &r[0].key, 3, " 40%|##  |", 10);
    for (int i = 0; i < 2; i++) {
        assert_true(world_until(&w, has_progress, &r[i], 8000));
        assert_string_equal(r[i].last, "3: 40%|##  |");
        leave(&r[i]);
    }
}

static void closing_with_readers_and_calls_on_their_way_is_clean(void **state)
{
    (void)state;
    static struct reader r;
    static struct writer wr;
    memset(&wr, 0, sizeof wr);
    wr.key = world_key("closing");
    snprintf(wr.producer, sizeof wr.producer, "w");
    wr.next = 1;
    wr.stop = 1;
    join(&r, 1, "closing");
    r.closing = 1;
    write_on(&wr);
    teardown(state);
    assert_false(wr.busy);
    hub_unsubscribe(&r.sub);
    setup(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(readers_on_two_nodes_get_the_same_records_in_the_same_order),
        T(joining_and_leaving_while_it_is_written_nothing_is_lost_or_repeated),
        T(redis_killed_in_between_is_only_a_pause),
        T(a_lost_doorbell_is_rescued_by_the_poll),
        T(a_foreign_append_is_heard_at_once),
        T(history_that_went_back_is_a_reset_in_a_new_epoch),
        T(a_deleted_job_is_a_reset_and_may_come_again),
        T(a_sealed_job_ends_on_every_node_with_final_counts),
        T(a_redraw_reaches_the_tails_of_every_node),
        T(closing_with_readers_and_calls_on_their_way_is_clean),
    };
    return world_has_redis() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}

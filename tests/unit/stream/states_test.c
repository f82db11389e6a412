/*
 * tests/unit/stream/states_test.c -- states, hellos, seals: stream/states.c, stream/sealer.c and their script ops.
 */
#include "tests/unit/stream/redis_world.h"

static struct world w;

static int setup(void **state)
{
    if (world_has_redis())
        world_open(&w);
    return 0;
}

static int teardown(void **state)
{
    if (w.st)
        world_close(&w);
    return 0;
}

#define NEEDS_REDIS() do { if (!w.st) skip(); } while (0)

struct welcome {
    int done, err, sealed;
    uint64_t epoch, last;
    enum job_state state;
};

static void on_welcome(void *user, int err, uint64_t epoch, uint64_t last, enum job_state state, int sealed)
{
    struct welcome *h = user;

    *h = (struct welcome){1, err, sealed, epoch, last, state};
}

static struct welcome hello(const char *job, const char *producer, uint64_t epoch, int32_t rank, uint32_t ranks)
{
    struct job_key key = world_key(job);
    struct welcome h = {0};

    stream_hello(w.st, &key, producer, epoch, rank, ranks, 0, on_welcome, &h);
    assert_true(world_until(&w, world_is_set, &h.done, 15000));
    return h;
}

static const char *meta(const char *job, const char *fields)
{
    char line[300];

    snprintf(line, sizeof line, "HMGET jl:{default/%s}:meta %s", job, fields);
    return world_redis(&w, line);
}

static int is_sealed(void *job)
{
    return strcmp(meta(job, "sealed"), "1") == 0;
}

static void every_pair_of_states_follows_the_table(void **state)
{
    /* For every pair of states the script allows exactly what state_move() allows. */
    NEEDS_REDIS();
    for (int from = 0; from < STATE_COUNT; from++) {
        for (int to = 0; to < STATE_COUNT; to++) {
            char job[32], line[200];
            struct world_state s;
            enum state_move want = state_move((enum job_state)from, (enum job_state)to);

            snprintf(job, sizeof job, "pair-%d-%d", from, to);
            world_append(&w, job, "", 0, 0, 1);
            snprintf(line, sizeof line, "HSET jl:{default/%s}:meta state %s", job, state_short((enum job_state)from));
            world_redis(&w, line);
            s = world_change(&w, job, (enum job_state)to);
            assert_int_equal(s.err, want == MOVE_BAD ? ERR_TRANSITION : 0);
            assert_int_equal(s.moved, want == MOVE_OK);
            assert_int_equal(s.from, from);
            assert_string_equal(meta(job, "seq"), want == MOVE_OK ? "2" : "1");
        }
    }
}

static void a_state_change_is_a_record_and_history(void **state)
{
    /* A state change takes a seq, stands in the log, and keeps its message and time in the history. */
    struct world_read all;
    struct world_state s;

    NEEDS_REDIS();
    s = world_change(&w, "nobody", STATE_RUNNING);
    assert_int_equal(s.err, ERR_NOT_FOUND);
    world_append(&w, "hist", "p", 1, 1, 2);
    s = world_change(&w, "hist", STATE_FAILED);
    assert_int_equal(s.err, 0);
    assert_int_equal(s.seq, 3);
    assert_int_equal(s.from, STATE_RUNNING);
    all = world_read_all(&w, "hist");
    assert_string_equal(buf_cstr(&all.text), "p:1\np:2\nFAILED\n");
    buf_release(&all.text);
    assert_non_null(strstr(meta("hist", "h2"), " 3 - -1 because"));
    assert_string_equal(meta("hist", "error_message hist state"), "because 2 FAILED");
    s = world_change(&w, "hist", STATE_FAILED);
    assert_int_equal(s.err, 0);
    assert_int_equal(s.moved, 0);
    s = world_change(&w, "hist", STATE_COMPLETED);
    assert_int_equal(s.err, ERR_TRANSITION);
    assert_int_equal(s.from, STATE_FAILED);
}

static void a_long_message_is_cut_between_characters(void **state)
{
    /* A message over 4096 bytes is cut at a character boundary. */
    struct state_change c = {.key = world_key("long"), .to = STATE_FAILED, .rank = 2, .has_exit_code = 1, .exit_code = -9};
    struct world_state s = {0};
    char message[6001];

    NEEDS_REDIS();
    for (int i = 0; i < 6000; i += 3)
        memcpy(message + i, "\xe2\x82\xac", 3);
    message[6000] = '\0';
    c.message = message;
    world_append(&w, "long", "p", 1, 1, 1);
    stream_change_state(w.st, &c, on_world_state, &s);
    assert_true(world_until(&w, world_is_set, &s.done, 15000));
    assert_int_equal(s.err, 0);
    assert_int_equal(strlen(meta("long", "error_message")), 4095);
    assert_string_equal(meta("long", "exit_code"), "-9");
}

static void sealed_when_all_producers_said_fin(void **state)
{
    /* With every producer's fin held the terminal state seals at once; nothing is stored after it. */
    struct append_result r;
    struct world_state s;

    NEEDS_REDIS();
    world_append(&w, "fin", "a", 1, 1, 3);
    world_append(&w, "fin", "b", 1, 1, 3);
    assert_int_equal(world_fin(&w, "fin", "a", 1, 3, 0).err, 0);
    s = world_change(&w, "fin", STATE_COMPLETED);
    assert_int_equal(s.err, 0);
    assert_string_equal(meta("fin", "sealed"), "(nil)");
    r = world_append(&w, "fin", "b", 1, 4, 1); /* late lines still enter */
    assert_int_equal(r.err, 0);
    assert_int_equal(r.sealed, 0);
    r = world_fin(&w, "fin", "b", 1, 4, 0);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.sealed, 1);
    assert_string_equal(meta("fin", "sealed sealed_seq complete missing nprod nfin"), "1 8 1 [] 2 2");
    r = world_append(&w, "fin", "b", 1, 5, 2);
    assert_int_equal(r.err, ERR_SEALED);
    assert_int_equal(r.state, STATE_COMPLETED);
    r = world_append(&w, "fin", "b", 1, 3, 2); /* held already: a repeat, not a refusal */
    assert_int_equal(r.err, 0);
    assert_int_equal(r.duplicates, 2);
    assert_string_equal(meta("fin", "refused seq"), "2 8");
    assert_string_equal(world_redis(&w, "ZSCORE jl:active default/fin"), "(nil)");
    assert_int_equal(hello("fin", "b", 1, 0, 0).sealed, 1);
    assert_int_equal(hello("fin", "b", 1, 0, 0).last, 4);
}

static void fin_beyond_what_is_held_is_missing(void **state)
{
    /* A fin larger than what is held does not count: the drain time seals, incomplete. */
    NEEDS_REDIS();
    world_append(&w, "short", "a", 1, 1, 3);
    world_fin(&w, "short", "a", 1, 5, 0);
    world_change(&w, "short", STATE_FAILED);
    assert_string_equal(meta("short", "sealed"), "(nil)");
    assert_true(world_until(&w, is_sealed, "short", 5000));
    assert_string_equal(meta("short", "complete missing"), "0 [\"a\"]");
}

static void declared_ranks_are_waited_for_and_named(void **state)
{
    /* With ranks declared, those never seen are named when the drain time is over. */
    struct welcome h;

    NEEDS_REDIS();
    h = hello("ranks", "n0", 7, 0, 4);
    assert_int_equal(h.err, 0);
    assert_int_equal(h.last, 0);
    assert_int_equal(h.state, STATE_RUNNING);
    hello("ranks", "n2", 7, 2, 4);
    world_append(&w, "ranks", "n0", 7, 1, 1);
    assert_int_equal(hello("ranks", "n0", 7, 0, 4).last, 1);
    assert_int_equal(hello("ranks", "n0", 6, 0, 4).err, ERR_FENCED);
    world_fin(&w, "ranks", "n0", 7, 1, 0);
    world_fin(&w, "ranks", "n2", 7, 0, 2);
    world_change(&w, "ranks", STATE_FAILED);
    assert_string_equal(meta("ranks", "sealed"), "(nil)");
    assert_true(world_until(&w, is_sealed, "ranks", 5000));
    assert_string_equal(meta("ranks", "complete missing"), "0 [\"rank 1\",\"rank 3\"]");
}

static void anonymous_lines_wait_out_the_drain_time(void **state)
{
    /* A job of anonymous lines is sealed by the drain time, complete; one without lines at once. */
    struct append_result r;

    NEEDS_REDIS();
    world_append(&w, "anon", "", 0, 0, 3);
    world_change(&w, "anon", STATE_COMPLETED);
    r = world_append(&w, "anon", "", 0, 0, 1);
    assert_int_equal(r.err, 0);
    assert_true(world_until(&w, is_sealed, "anon", 5000));
    assert_string_equal(meta("anon", "complete missing sealed_seq"), "1 [] 5");
    assert_string_equal(world_redis(&w, "ZSCORE jl:draining default/anon"), "(nil)");
    hello("empty", "x", 1, -1, 0);
    world_redis(&w, "DEL jl:{default/empty}:prod");
    world_redis(&w, "HDEL jl:{default/empty}:meta nprod");
    world_change(&w, "empty", STATE_STOPPED);
    assert_string_equal(meta("empty", "sealed complete"), "1 1");
}

static void a_new_epoch_takes_its_fin_back(void **state)
{
    /* A producer that starts again under a newer epoch is waited for again. */
    NEEDS_REDIS();
    world_append(&w, "again", "a", 1, 1, 3);
    world_fin(&w, "again", "a", 1, 3, 0);
    assert_string_equal(meta("again", "nfin"), "1");
    assert_int_equal(hello("again", "a", 2, 0, 0).last, 0);
    assert_string_equal(meta("again", "nfin nprod"), "0 1");
    world_append(&w, "again", "a", 2, 1, 1);
    world_fin(&w, "again", "a", 2, 1, 0);
    world_change(&w, "again", STATE_COMPLETED);
    assert_string_equal(meta("again", "sealed complete"), "1 1");
}

static void a_terminal_job_nobody_noted_is_found(void **state)
{
    /* A node that died between the terminal state and jl:draining leaves a job the sweep finds. */

    NEEDS_REDIS();
    world_append(&w, "lost", "a", 1, 1, 1);
    w.st->drain_us = 100000;
    world_change(&w, "lost", STATE_FAILED);
    world_redis(&w, "ZREM jl:draining default/lost");
    sealer__close(w.st, on_world_closed, &(int){0}); /* a node that starts sweeps first */
    sealer__open(w.st);
    assert_true(world_until(&w, is_sealed, "lost", 5000));
    w.st->drain_us = 300000;
}

static void a_job_that_ended_in_the_future_is_sealed_after_its_drain_time(void **state)
{
    /* The clock was a year ahead at the terminal state, and is set back. */
    char year[32], words[160];

    NEEDS_REDIS();
    world_append(&w, "future", "a", 1, 1, 1);
    world_change(&w, "future", STATE_FAILED);
    assert_string_equal(meta("future", "drain_us"), "300000");
    snprintf(year, sizeof year, "%lld", (long long)(clock_wall_us() + 365LL * 86400 * 1000000));
    snprintf(words, sizeof words, "HSET jl:{default/future}:meta drain_until_us %s", year);
    world_redis(&w, words);
    snprintf(words, sizeof words, "ZADD jl:draining %s default/future", year);
    world_redis(&w, words);
    assert_true(world_until(&w, is_sealed, "future", 12000));
    assert_true(strcmp(meta("future", "drain_until_us"), year) < 0);
}

struct race {
    int left, ok, sealed_refused;
    uint64_t last;
};

static void on_race_append(void *user, const struct append_result *res)
{
    struct race *r = user;

    r->left--;
    if (res->err == 0 && res->last > r->last)
        r->last = res->last;
    r->ok += res->err == 0;
    r->sealed_refused += res->err == ERR_SEALED;
}

static void on_race_state(void *user, int err, int moved, enum job_state from, uint64_t seq)
{
    struct race *r = user;

    r->left--;
    assert_int_equal(err, 0);
    if (seq > r->last)
        r->last = seq;
}

static int race_over(void *arg)
{
    return ((struct race *)arg)->left == 0;
}

static void nothing_after_the_seal(void **state)
{
    /* 1000 races of the terminal event with the last lines and fins: what was acked ends at the sealed seq. */
    NEEDS_REDIS();
    for (int i = 0; i < 1000; i++) {
        struct race r = {.left = 4};
        char job[32], want[64];
        struct job_key key;
        struct state_change c = {.to = STATE_COMPLETED, .rank = RECORD_RANK_NONE};
        struct batch *lines, *late, *fin = world_batch("a", 1, 3, 0, 0);

        snprintf(job, sizeof job, "race-%d", i);
        key = c.key = world_key(job);
        world_append(&w, job, "a", 1, 1, 1);
        lines = world_batch("a", 1, 2, 1, 0);
        late = world_batch("", 0, 1, 1, 0);
        fin->producer.has_fin = 1;
        fin->producer.fin = 2;
        if (i % 3 == 0)
            stream_change_state(w.st, &c, on_race_state, &r);
        stream_append(w.st, &key, &lines, on_race_append, &r);
        if (i % 3 == 1)
            stream_change_state(w.st, &c, on_race_state, &r);
        stream_append(w.st, &key, &fin, on_race_append, &r);
        if (i % 3 == 2)
            stream_change_state(w.st, &c, on_race_state, &r);
        stream_append(w.st, &key, &late, on_race_append, &r);
        assert_true(world_until(&w, race_over, &r, 10000));
        assert_int_equal(r.sealed_refused, 1);
        snprintf(want, sizeof want, "1 %llu %llu 1", (unsigned long long)r.last, (unsigned long long)r.last);
        assert_string_equal(meta(job, "sealed sealed_seq seq complete"), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_states_follows_the_table),
        cmocka_unit_test(a_state_change_is_a_record_and_history),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(sealed_when_all_producers_said_fin),
        cmocka_unit_test(fin_beyond_what_is_held_is_missing),
        cmocka_unit_test(declared_ranks_are_waited_for_and_named),
        cmocka_unit_test(anonymous_lines_wait_out_the_drain_time),
        cmocka_unit_test(a_job_that_ended_in_the_future_is_sealed_after_its_drain_time),
        cmocka_unit_test(a_new_epoch_takes_its_fin_back),
        cmocka_unit_test(a_terminal_job_nobody_noted_is_found),
        cmocka_unit_test(nothing_after_the_seal),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

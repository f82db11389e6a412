/*
 * tests/unit/stream/read_test.c -- reading back, archive marks, epochs: stream/read.c, stream/hot.c.
 */
#include "tests/unit/stream/redis_world.h"
#include "stream/recover.h"

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

/* firsts of the frames, newest first: "9-12 7-8 " */
struct back {
    int done, err;
    uint64_t first_held, tail;
    char text[400];
};

static void on_back(void *user, int err, struct frame *const *frames, uint32_t count, uint64_t first_held, uint64_t tail,
                    uint64_t epoch)
{
    struct back *b = user;
    int n = 0;

    for (uint32_t i = 0; i < count; i++)
        n += snprintf(b->text + n, sizeof b->text - (size_t)n, "%s%llu-%llu ", frames[i]->is_lost ? "lost:" : "",
                      (unsigned long long)frames[i]->first_seq, (unsigned long long)frame_last_seq(frames[i]));
    b->err = err;
    b->first_held = first_held;
    b->tail = tail;
    b->done = 1;
}

static struct back read_back(const char *job, uint64_t before, uint32_t max)
{
    struct job_key key = world_key(job);
    struct back b = {0};

    stream_read_back(w.st, &key, before, max, on_back, &b);
    assert_true(world_until(&w, world_is_set, &b.done, 15000));
    return b;
}

static struct back read_on(const char *job, uint64_t after, uint32_t max)
{
    struct job_key key = world_key(job);
    struct back b = {0};

    stream_read(w.st, &key, after, max, on_back, &b);
    assert_true(world_until(&w, world_is_set, &b.done, 15000));
    return b;
}

struct number {
    int done, err;
    uint64_t value;
};

static void on_lease(void *user, int err, uint64_t token)
{
    *(struct number *)user = (struct number){1, err, token};
}

static struct number lease(const char *job, uint64_t token)
{
    struct job_key key = world_key(job);
    struct number n = {0};

    stream_lease(w.st, &key, token, on_lease, &n);
    assert_true(world_until(&w, world_is_set, &n.done, 15000));
    return n;
}

static void on_commit(void *user, int err)
{
    *(struct number *)user = (struct number){1, err, 0};
}

static uint64_t epoch_of(const char *job)
{
    char line[128];

    snprintf(line, sizeof line, "HGET jl:{default/%s}:meta epoch", job);
    return strtoull(world_redis(&w, line), NULL, 10);
}

static int commit(const char *job, uint64_t token, uint64_t upto, uint64_t trim, int cold)
{
    struct job_key key = world_key(job);
    struct number n = {0};

    stream_commit_archived(w.st, &key, token, epoch_of(job), upto, trim, cold, on_commit, &n);
    assert_true(world_until(&w, world_is_set, &n.done, 15000));
    return n.err;
}

static void on_hot(void *user, int err, const struct job_key *keys, const int64_t *since_us, uint32_t count)
{
    struct number *n = user;

    n->err = err;
    n->value = 0;
    for (uint32_t i = 0; i < count; i++)
        n->value += strncmp(keys[i].job, "marks", 5) == 0;
    n->done = 1;
}

static uint64_t hot_count(void)
{
    struct number n = {0};

    stream_hot_jobs(w.st, 100, on_hot, &n);
    assert_true(world_until(&w, world_is_set, &n.done, 15000));
    assert_int_equal(n.err, 0);
    return n.value;
}

static void read_both_ways_from_anywhere(void **state)
{
    /* From every cursor the frames that hold a wanted record come, in order, also when the cursor lies inside one. */
    static const uint32_t sizes[] = {3, 1, 4, 2};

    NEEDS_REDIS();
    for (int i = 0; i < 4; i++)
        world_append(&w, "walk", "", 0, 0, sizes[i]); /* 1-3 4-4 5-8 9-10 */
    assert_string_equal(read_on("walk", 0, 10).text, "1-3 4-4 5-8 9-10 ");
    assert_string_equal(read_on("walk", 2, 2).text, "1-3 4-4 ");
    assert_string_equal(read_on("walk", 3, 10).text, "4-4 5-8 9-10 ");
    assert_string_equal(read_on("walk", 10, 10).text, "");
    assert_int_equal(read_on("walk", 10, 10).tail, 10);
    assert_string_equal(read_on("walk", 99, 10).text, "");
    assert_string_equal(read_back("walk", 0, 10).text, "9-10 5-8 4-4 1-3 ");
    assert_string_equal(read_back("walk", 11, 2).text, "9-10 5-8 ");
    assert_string_equal(read_back("walk", 10, 10).text, "9-10 5-8 4-4 1-3 ");
    assert_string_equal(read_back("walk", 9, 10).text, "5-8 4-4 1-3 ");
    assert_string_equal(read_back("walk", 7, 2).text, "5-8 4-4 ");
    assert_string_equal(read_back("walk", 1, 2).text, "");
    assert_int_equal(read_on("no-such", 0, 10).err, ERR_NOT_FOUND);
    assert_int_equal(read_back("no-such", 0, 10).err, ERR_NOT_FOUND);
}

static void marks_trim_exactly_and_never_go_back(void **state)
{
    /* Only whole frames at or below the mark are trimmed, only under the lease, and first_held tells. */
    uint64_t token;

    NEEDS_REDIS();
    for (int i = 0; i < 3; i++)
        world_append(&w, "marks", "p", 1, 1 + (uint64_t)i * 4, 4); /* 1-4 5-8 9-12 */
    token = lease("marks", 0).value;
    assert_true(token > 0);
    assert_int_equal(lease("marks", 0).err, ERR_BUSY);
    assert_int_equal(lease("marks", token).err, 0);
    assert_int_equal(lease("marks", token).value, token);
    assert_int_equal(commit("marks", token + 1, 8, 8, 0), ERR_FENCED);
    assert_int_equal(commit("marks", token, 8, 6, 0), 0);
    assert_string_equal(read_on("marks", 0, 10).text, "5-8 9-12 ");
    assert_int_equal(read_on("marks", 0, 10).first_held, 5);
    assert_int_equal(commit("marks", token, 8, 7, 0), 0); /* 5-8 holds 8 still */
    assert_int_equal(read_on("marks", 0, 10).first_held, 5);
    assert_int_equal(commit("marks", token, 4, 4, 0), 0);
    assert_string_equal(world_redis(&w, "HMGET jl:{default/marks}:meta archived_upto trimmed_upto"), "8 4");
    assert_int_equal(commit("marks", token, 12, 12, 1), 0); /* not sealed: stays hot */
    assert_int_equal(read_on("marks", 0, 10).first_held, 13);
    assert_int_equal(hot_count(), 1);
    assert_string_equal(read_on("marks", 12, 10).text, "");
    world_fin(&w, "marks", "p", 1, 12, 0);
    world_change(&w, "marks", STATE_COMPLETED);
    assert_int_equal(commit("marks", token, 12, 12, 1), 0); /* 13 is not archived yet */
    assert_int_equal(hot_count(), 1);
    assert_int_equal(commit("marks", token, 13, 13, 1), 0);
    assert_int_equal(hot_count(), 0);
    assert_int_equal(read_on("marks", 13, 1).first_held, 14);
    assert_int_equal(lease("no-such", 0).err, ERR_NOT_FOUND);
}

static void an_expired_lease_is_taken_over_and_fences(void **state)
{
    /* When a lease has run out another node gets a larger token and the old one is fenced. */
    uint64_t mine, theirs;

    NEEDS_REDIS();
    world_append(&w, "lease", "", 0, 0, 1);
    mine = lease("lease", 0).value;
    world_redis(&w, "HSET jl:{default/lease}:meta lease_until_us 1");
    theirs = lease("lease", 0).value;
    assert_true(theirs > mine);
    assert_int_equal(commit("lease", mine, 1, 0, 0), ERR_FENCED);
    assert_int_equal(lease("lease", mine).err, ERR_BUSY);
    assert_int_equal(commit("lease", theirs, 1, 1, 0), 0);
}

static void on_mended(void *user, int err, uint64_t epoch, uint64_t seq)
{
    *(struct number *)user = (struct number){1, err, epoch};
}

static void the_epoch_moves_once(void **state)
{
    /* Two that saw the same loss change the epoch once, and to one that was never before. */
    struct job_key key = world_key("epoch");
    struct number a = {0}, b = {0};
    uint64_t old;

    NEEDS_REDIS();
    old = world_append(&w, "epoch", "", 0, 0, 1).epoch;
    recover__start(w.st, &key, old, on_mended, &a);
    assert_true(world_until(&w, world_is_set, &a.done, 15000));
    recover__start(w.st, &key, old, on_mended, &b);
    assert_true(world_until(&w, world_is_set, &b.done, 15000));
    assert_true(a.value > old);
    assert_int_equal(b.value, a.value);
    assert_int_equal(world_append(&w, "epoch", "", 0, 0, 1).epoch, a.value);
}

static uint64_t unreadable(void)
{
    struct stream_stats stats;

    stream_stats(w.st, &stats);
    return stats.unreadable;
}

static void damaged_entries_are_passed_over_as_lost(void **state)
{
    /* An entry whose bytes are damaged is a lost frame in its place, both ways and from anywhere, never a wrong record;
     * what lies around it is given; it is counted once. */
    uint64_t before;

    NEEDS_REDIS();
    before = unreadable();
    world_append(&w, "damaged", "", 0, 0, 3); /* 1-3 */
    world_redis(&w, "XADD jl:{default/damaged}:log 5-0 h 1 d x");
    world_redis(&w, "XADD jl:{default/damaged}:log 9-0 h nonsense d x");
    world_redis(&w, "HSET jl:{default/damaged}:meta seq 9");
    world_append(&w, "damaged", "", 0, 0, 2); /* 10-11 */
    assert_string_equal(read_on("damaged", 0, 10).text, "1-3 lost:4-5 lost:6-9 10-11 ");
    assert_string_equal(read_on("damaged", 3, 1).text, "lost:4-5 ");
    assert_string_equal(read_on("damaged", 7, 10).text, "lost:8-9 10-11 ");
    assert_string_equal(read_back("damaged", 0, 10).text, "10-11 lost:6-9 lost:4-5 1-3 ");
    assert_string_equal(read_back("damaged", 10, 1).text, "lost:6-9 ");
    assert_string_equal(read_back("damaged", 8, 10).text, "lost:6-9 lost:4-5 1-3 ");
    assert_string_equal(read_back("damaged", 6, 10).text, "lost:4-5 1-3 ");
    assert_int_equal(unreadable() - before, 2);
    uint64_t token = lease("damaged", 0).value; /* the archiver gets past it too */
    assert_int_equal(commit("damaged", token, 5, 5, 0), 0);
    assert_string_equal(world_redis(&w, "HMGET jl:{default/damaged}:meta archived_upto trimmed_upto"), "5 8");
    assert_int_equal(commit("damaged", token, 9, 9, 0), 0);
    assert_string_equal(read_on("damaged", 9, 10).text, "10-11 ");
}

static void a_header_that_reaches_too_far_is_damage(void **state)
{
    /* A header that claims more records than lie between two ids never shadows the entry before it. */
    static const char line[] = "{\"ts\":\"2026-11-23T20:54:01.123456Z\",\"msg\":\"a\"}\n"
                               "{\"ts\":\"2026-11-23T20:54:01.123456Z\",\"msg\":\"b\"}\n";
    const char *argv[] = {"XADD", "jl:{default/far}:log", "4-0", "h", "1 2 5 1 -1 -1 5 5 0 110 0", "d", line};
    struct world_answer a = {0};

    NEEDS_REDIS();
    world_append(&w, "far", "", 0, 0, 3); /* 1-3 */
    conn_command(w.st->cmd, 0, on_world_answer, &a, 7, argv, NULL);
    assert_true(world_until(&w, world_is_set, &a.done, 15000));
    assert_string_equal(a.text, "4-0");
    world_redis(&w, "HSET jl:{default/far}:meta seq 4");
    assert_string_equal(read_on("far", 0, 10).text, "1-3 lost:4-4 ");
    assert_string_equal(read_back("far", 0, 10).text, "lost:4-4 1-3 ");
    assert_string_equal(read_on("far", 3, 10).text, "3-4 "); /* alone nothing contradicts it */
}

static void damage_at_the_start_begins_where_redis_begins(void **state)
{
    /* Backwards the oldest entry, damaged, starts after what was trimmed. */
    NEEDS_REDIS();
    world_append(&w, "first", "", 0, 0, 3);
    world_append(&w, "first", "", 0, 0, 3);
    world_append(&w, "first", "", 0, 0, 3);
    world_redis(&w, "XTRIM jl:{default/first}:log MINID 9-0");
    world_redis(&w, "HSET jl:{default/first}:meta trimmed_upto 6");
    world_redis(&w, "XADD jl:{default/first}:log 12-0 h 1 d x");
    world_redis(&w, "XDEL jl:{default/first}:log 9-0");
    world_redis(&w, "HSET jl:{default/first}:meta seq 12");
    assert_string_equal(read_back("first", 0, 10).text, "lost:7-12 ");
    assert_string_equal(read_on("first", 6, 10).text, "lost:7-12 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_both_ways_from_anywhere),
        cmocka_unit_test(marks_trim_exactly_and_never_go_back),
        cmocka_unit_test(an_expired_lease_is_taken_over_and_fences),
        cmocka_unit_test(the_epoch_moves_once),
        cmocka_unit_test(damaged_entries_are_passed_over_as_lost),
        cmocka_unit_test(a_header_that_reaches_too_far_is_damage),
        cmocka_unit_test(damage_at_the_start_begins_where_redis_begins),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

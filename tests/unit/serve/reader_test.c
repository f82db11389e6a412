/*
 * tests/unit/serve/reader_test.c -- the one reader against a plain array.
 */
#include "serve/reader.h"

#include "tests/unit/serve/world.h"

struct reading {
    struct reader *r;
    struct buf out;
    uint64_t records, lost, last;
    int done, err, limited, hold;
};

static void take(void *user)
{
    struct reading *g = user;
    struct reader_item item;

    while (!g->hold && reader_next(g->r, &item)) {
        if (item.kind == READER_SLICE) {
            buf_add(&g->out, item.data, item.len);
            g->records += item.slice.records;
        } else if (item.kind == READER_RUN) {
            const struct run *run = item.run;

            for (unsigned i = 0; i < run->count; i++)
                buf_add(&g->out, run->frames[i]->text, run->frames[i]->text_bytes);
            g->records += run->last_seq - run->frames[0]->first_seq + 1;
        } else if (item.kind == READER_LOST) {
            buf_addf(&g->out, "lost %llu-%llu\n", (unsigned long long)item.lost_from,
                     (unsigned long long)item.lost_to);
            g->lost += item.lost_to - item.lost_from + 1;
        } else {
            g->done = 1;
            g->err = item.err;
            g->limited = item.limited;
            return;
        }
    }
}

static struct reader_options all_lines(void)
{
    return (struct reader_options){
        .key = W.key, .upto = UINT64_MAX, .shape = {.kind = SHAPE_NDJSON}};
}

/* Of whole frames, where that is offered. */
static void make_whole(struct reader_options *o)
{
    o->whole = !o->backward && !o->shape.sieve && o->shape.kind == SHAPE_NDJSON && !o->records_max;
    o->epoch = o->whole ? 7 : 0;
}

static void start(struct reading *g, const struct reader_options *o)
{
    memset(g, 0, sizeof *g);
    reader_open(&W.ctx, o, take, g, &g->r);
    take(g);
}

static void finish(struct reading *g)
{
    reader_close(&g->r);
    buf_release(&g->out);
}

static int passes(const struct sieve *s, uint64_t seq)
{
    if (!s || world_is_state(seq))
        return 1;
    if (s->filter.rank_count && world_rank(seq) != s->filter.ranks[0].lo)
        return 0;
    if (s->filter.q_len && !world_is_rare(seq))
        return 0;
    return !(s->filter.level_min == LEVEL_ERROR && seq % 10 != 0);
}

static void expect(const struct reader_options *o, struct buf *out)
{
    uint64_t to = o->upto < W.stream.count ? o->upto : W.stream.count, given = 0;

    for (uint64_t n = o->after + 1; n <= to; n++) {
        uint64_t seq = o->backward ? to - (n - o->after - 1) : n;

        if (o->shape.skip_states && world_is_state(seq))
            continue;
        if (!passes(o->shape.sieve, seq))
            continue;
        if (o->records_max && given++ == o->records_max)
            return;
        if (o->shape.kind == SHAPE_NDJSON) {
            world_record(seq, out);
        } else {
            world_msg(seq, out);
            buf_addc(out, '\n');
        }
    }
}

static void compare(const struct reader_options *o, const char *what, uint64_t seed)
{
    struct reading g;
    struct buf want = BUF_INIT;

    start(&g, o);
    world_wait(&g.done);
    expect(o, &want);
    if (g.err || g.out.len != want.len ||
        (want.len && memcmp(g.out.data, want.data, want.len) != 0)) {
        print_error(
            "%s seed=%llu err=%d got %zu bytes, want %zu; after=%llu upto=%llu back=%d max=%llu\n",
            what, (unsigned long long)seed, g.err, g.out.len, want.len,
            (unsigned long long)o->after, (unsigned long long)o->upto, o->backward,
            (unsigned long long)o->records_max);
        fail();
    }
    buf_release(&want);
    finish(&g);
}

/* What is in Redis only, in the archive only, or in both, is read as one log, in both directions,
 * through any filter. */
static void reads_one_log(void **state)
{
    struct sieve *sieves[4] = {NULL, sieve_new(), sieve_new(), sieve_new()};

    filter_parse_ranks(&sieves[1]->filter, "3", 1);
    strcpy(sieves[2]->filter.q, "needle");
    sieves[2]->filter.q_len = 6;
    sieves[3]->filter.level_min = LEVEL_ERROR;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct reader_options o = all_lines();

        W.rng = seed;
        if (W.stream.count < 4000) {
            world_append(1 + rnd(60), 12);
            if (!rnd(4))
                world_archive(W.stream.archived_upto +
                              rnd(W.stream.count - W.stream.archived_upto + 1));
            if (!rnd(3) && W.stream.archived_upto)
                W.stream.held_from =
                    W.stream.archived_upto - rnd(W.stream.archived_upto) / 8 + (uint64_t)rnd(2);
        }
        o.after = rnd(3) ? rnd(W.stream.count + 1) : 0;
        if (rnd(2))
            o.upto = o.after + rnd(W.stream.count - o.after + 3);
        o.backward = (int)rnd(2);
        o.shape.sieve = sieves[rnd(4)];
        o.shape.kind = rnd(2) ? SHAPE_NDJSON : SHAPE_TEXT;
        o.shape.skip_states = o.shape.kind == SHAPE_TEXT;
        if (!rnd(3))
            o.records_max = 1 + rnd(50);
        o.slice_bytes = 64 << rnd(12);
        o.lanes = 1 + (int)rnd(2);
        compare(&o, "reads_one_log", seed);
        make_whole(&o);
        if (o.whole)
            compare(&o, "reads_one_log whole", seed);
    }
    for (int i = 1; i < 4; i++)
        sieve_unref(&sieves[i]);
}

static void trim_some(void)
{
    if (rnd(3))
        return;
    world_archive(W.stream.archived_upto + rnd(W.stream.count - W.stream.archived_upto + 1));
    W.stream.held_from = W.stream.archived_upto + 1;
}

/* Records archived and trimmed while they are being read are neither missed nor given twice. */
static void survives_trimming(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct reader_options o = all_lines();

        W.rng = seed;
        world_append(200, 10);
        W.stream.before_read = trim_some;
        o.upto = W.stream.count;
        o.backward = (int)rnd(2);
        o.lanes = 1 + (int)rnd(2);
        o.after = W.stream.count > 1500 ? W.stream.count - 1500 : 0;
        if (rnd(2))
            make_whole(&o);
        compare(&o, "survives_trimming", seed);
        W.stream.before_read = NULL;
    }
}

/* A range that neither Redis nor the archive has is told lost, once, and the rest is given. */
static void tells_what_is_lost(void **state)
{
    struct reading g;
    struct reader_options o = all_lines();

    world_append(100, 1);
    world_archive(30);
    W.stream.held_from = 61;
    start(&g, &o);
    world_wait(&g.done);
    assert_int_equal(g.records, 70);
    assert_int_equal(g.lost, 30);
    assert_non_null(strstr(g.out.data, "lost 31-60\n"));
    finish(&g);
    o.backward = 1;
    start(&g, &o);
    world_wait(&g.done);
    assert_int_equal(g.records, 70);
    assert_non_null(strstr(g.out.data, "lost 31-60\n"));
    finish(&g);
}

/* One segment is gone, one is no segment any more, one has a flipped byte. */
static void hurt_segments(void)
{
    struct archive_file *files = NULL;
    uint32_t count = 0;
    char path[4096];

    CHECK(archive_list(W.archive, &W.key, &files, &count) == 0 && count == 20);
    CHECK(archive_file_path(W.archive, &W.key, &files[4], path, sizeof path) == 0 && unlink(path) == 0);
    CHECK(archive_file_path(W.archive, &W.key, &files[9], path, sizeof path) == 0 && truncate(path, 5) == 0);
    CHECK(archive_file_path(W.archive, &W.key, &files[14], path, sizeof path) == 0);
    FILE *f = fopen(path, "r+");
    CHECK(f && fseek(f, 40, SEEK_SET) == 0 && fputc('!', f) == '!' && fclose(f) == 0);
    free(files);
}

/* Two workers give what one gives, in its order, and tell each loss once. */
static void two_workers_read_as_one(void **state)
{
    world_append(2000, 20);
    for (uint64_t last = 100; last <= 2000; last += 100)
        world_archive(last);
    W.stream.held_from = 2001;
    hurt_segments();
    for (int back = 0; back < 2; back++) {
        struct reading one, two;
        struct reader_options o = all_lines();

        o.upto = 2000;
        o.backward = back;
        o.lanes = 1;
        start(&one, &o);
        world_wait(&one.done);
        assert_int_equal(one.records, 1700);
        assert_int_equal(one.lost, 300);
        for (int i = 0; i < 50; i++) {
            o.lanes = 2;
            start(&two, &o);
            world_wait(&two.done);
            assert_int_equal(two.lost, 300);
            assert_int_equal(two.out.len, one.out.len);
            assert_memory_equal(two.out.data, one.out.data, one.out.len);
            finish(&two);
        }
        finish(&one);
    }
}

/* A cursor of another epoch fails with ERR_RESET; Redis away fails with its error and the next
 * call goes on. */
static void fails_and_goes_on(void **state)
{
    struct reading g;
    struct reader_options o = all_lines();

    world_append(50, 5);
    o.epoch = 6;
    start(&g, &o);
    world_wait(&g.done);
    assert_int_equal(g.err, ERR_RESET);
    finish(&g);
    o.epoch = 7;
    W.stream.fail = ERR_UNAVAILABLE;
    start(&g, &o);
    world_wait(&g.done);
    assert_int_equal(g.err, ERR_UNAVAILABLE);
    g.done = 0;
    take(&g);
    world_wait(&g.done);
    assert_int_equal(g.err, 0);
    assert_int_equal(g.records, 50);
    finish(&g);
}

/* A reader may be closed at any moment: nothing is called any more, nothing leaks. */
static void closes_at_any_moment(void **state)
{
    world_append(3000, 50);
    world_archive(2000);
    W.stream.held_from = 2001;
    for (int turns = 0; turns < 40; turns++) {
        struct reading g;
        struct reader_options o = all_lines();

        o.slice_bytes = 1000;
        o.backward = turns & 1;
        o.lanes = 1 + (turns >> 1 & 1);
        if (turns & 2)
            make_whole(&o);
        start(&g, &o);
        world_turn(turns / 2);
        finish(&g);
    }
}

/* More readers than slots all end, also when the first ones have stopped taking. */
static void idle_holders_are_robbed(void **state)
{
    struct reading g[READER_SLOTS_MAX * 3];
    struct reader_options o = all_lines();
    struct reader_stats stats;
    int n = READER_SLOTS_MAX * 3;

    world_append(3000, 50);
    world_archive(2000);
    W.stream.held_from = 2001;
    o.slice_bytes = 20000;
    for (int i = 0; i < n; i++) {
        o.lanes = 1 + (i & 1);
        start(&g[i], &o);
    }
    for (int i = 0; i < READER_SLOTS_MAX; i++)
        g[i].hold = 1;
    for (int i = READER_SLOTS_MAX; i < n; i++)
        world_wait(&g[i].done);
    reader_stats(&W.ctx, &stats);
    assert_true(stats.stolen >= READER_SLOTS_MAX);
    for (int i = 0; i < READER_SLOTS_MAX; i++) {
        g[i].hold = 0;
        take(&g[i]);
        world_wait(&g[i].done);
    }
    for (int i = 0; i < n; i++) {
        assert_int_equal(g[i].records, 3000);
        assert_int_equal(g[i].lost, 0);
        finish(&g[i]);
    }
}

/* A crowd that goes over the same records is served by the reads of one, and each of it gets all; one that stops or goes
 * holds up nobody. */
static void a_crowd_shares_its_reads(void **state)
{
    struct reading g[200];
    struct reader_options o = all_lines();
    struct reader_stats before, after;
    int n = sizeof g / sizeof g[0];

    world_append(3000, 50);
    make_whole(&o);
    o.upto = 3000;
    reader_stats(&W.ctx, &before);
    for (int i = 0; i < n; i++) {
        start(&g[i], &o);
        g[i].hold = i % 10 == 3;
        if (i % 10 == 5)
            finish(&g[i]);
    }
    for (int i = 0; i < n; i++)
        if (i % 10 != 3 && i % 10 != 5)
            world_wait(&g[i].done);
    reader_stats(&W.ctx, &after);
    assert_int_equal(after.holding, 0);
    assert_in_range(after.redis_reads - before.redis_reads, 1, 10);
    for (int i = 0; i < n; i++) {
        if (i % 10 == 5)
            continue;
        if (g[i].hold) {
            g[i].hold = 0;
            take(&g[i]);
            world_wait(&g[i].done);
        }
        assert_int_equal(g[i].err, 0);
        assert_int_equal(g[i].records, 3000);
        assert_memory_equal(g[i].out.data, g[0].out.data, g[0].out.len);
        finish(&g[i]);
    }
}

/* Stored frames, decompressed, are the NDJSON of the same range, wherever it is cut. */
static void stored_equals_identity(void **state)
{
    world_append(3000, 50);
    world_archive(900);
    world_archive(2200);
    W.stream.held_from = 2201;
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct reading g;
        struct buf want = BUF_INIT, got = BUF_INIT;
        struct reader_options o = all_lines();

        W.rng = seed;
        o.after = rnd(3000);
        o.upto = o.after + 1 + rnd(3000 - o.after);
        expect(&o, &want);
        o.stored = 1;
        start(&g, &o);
        world_wait(&g.done);
        assert_int_equal(unpack_zstd(&got, g.out.data, g.out.len, 1 << 26), 0);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
        buf_release(&want);
        buf_release(&got);
        finish(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_one_log, world_open, world_close),
        cmocka_unit_test_setup_teardown(survives_trimming, world_open, world_close),
        cmocka_unit_test_setup_teardown(tells_what_is_lost, world_open, world_close),
        cmocka_unit_test_setup_teardown(two_workers_read_as_one, world_open, world_close),
        cmocka_unit_test_setup_teardown(fails_and_goes_on, world_open, world_close),
        cmocka_unit_test_setup_teardown(closes_at_any_moment, world_open, world_close),
        cmocka_unit_test_setup_teardown(idle_holders_are_robbed, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_crowd_shares_its_reads, world_open, world_close),
        cmocka_unit_test_setup_teardown(stored_equals_identity, world_open, world_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

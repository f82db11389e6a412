/*
 * tests/unit/stream/append_test.c -- stream/append.c and the append op, against a real Redis.
 */
#include "tests/unit/stream/redis_world.h"

static struct world w;

static int setup(void **state)
{
    if (!world_has_redis())
        return 0;
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

static void first_lines_create_the_job_and_its_index(void **state)
{
    /* Lines for an unknown job create it RUNNING, numbered from 1, listed in every index. */
    struct append_result r;
    struct world_read all;
    char score[sizeof(struct world_answer)];

    NEEDS_REDIS();
    r = world_append(&w, "new", "", 0, 0, 3);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.first, 1);
    assert_int_equal(r.last, 3);
    assert_int_equal(r.accepted, 3);
    assert_int_equal(r.state, STATE_RUNNING);
    snprintf(score, sizeof score, "%s", world_redis(&w, "ZSCORE jl:jobs default/new"));
    assert_string_equal(score, world_redis(&w, "HGET jl:{default/new}:meta created_us"));
    assert_string_not_equal(world_redis(&w, "ZSCORE jl:hot default/new"), "(nil)");
    assert_string_not_equal(world_redis(&w, "ZSCORE jl:active default/new"), "(nil)");
    assert_string_not_equal(world_redis(&w, "ZSCORE jl:project:default default/new"), "(nil)");
    assert_string_equal(world_redis(&w, "SMEMBERS jl:ids:new"), "default");
    assert_string_equal(world_redis(&w, "HMGET jl:{default/new}:meta seq lines l3 anon batches"), "3 3 3 3 1");
    all = world_read_all(&w, "new");
    assert_string_equal(buf_cstr(&all.text), ":0\n:1\n:2\n");
    assert_int_equal(all.torn, 0);
    assert_int_equal(all.first_held, 1);
    assert_int_equal(all.epoch, r.epoch);
    buf_release(&all.text);
}

static void repeats_gaps_cuts_and_fences(void **state)
{
    /* A sequence is stored once: a repeat, a jump, an overlap and an old epoch each get their answer. */
    struct append_result r;
    struct world_read all;

    NEEDS_REDIS();
    r = world_append(&w, "seq", "p", 5, 1, 10);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.producer_last, 10);
    r = world_append(&w, "seq", "p", 5, 1, 10);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.accepted, 0);
    assert_int_equal(r.duplicates, 10);
    assert_int_equal(r.first, 0);
    r = world_append(&w, "seq", "p", 5, 12, 3);
    assert_int_equal(r.err, ERR_GAP);
    assert_int_equal(r.expected, 11);
    r = world_append(&w, "seq", "p", 5, 8, 6); /* 8, 9, 10 are held */
    assert_int_equal(r.err, 0);
    assert_int_equal(r.accepted, 3);
    assert_int_equal(r.duplicates, 3);
    assert_int_equal(r.first, 11);
    assert_int_equal(r.last, 13);
    r = world_append(&w, "seq", "p", 4, 1, 1);
    assert_int_equal(r.err, ERR_FENCED);
    assert_int_equal(r.producer_epoch, 5);
    r = world_append(&w, "seq", "p", UINT64_MAX, 2, 1);
    assert_int_equal(r.err, ERR_GAP);
    assert_int_equal(r.expected, 1);
    r = world_append(&w, "seq", "p", UINT64_MAX, 1, 1);
    assert_int_equal(r.err, 0);
    r = world_append(&w, "seq", "p", UINT64_MAX - 1, 2, 1);
    assert_int_equal(r.err, ERR_FENCED);
    all = world_read_all(&w, "seq");
    assert_int_equal(all.lines, 14);
    assert_int_equal(all.torn, 0);
    assert_non_null(strstr(buf_cstr(&all.text), "p:10\np:11\np:12\np:13\np:1\n"));
    buf_release(&all.text);
    assert_string_equal(world_redis(&w, "HMGET jl:{default/seq}:meta lines gaps duplicates"), "14 2 10");
}

static void a_gap_record_stands_for_many(void **state)
{
    /* One gap record takes the producer's sequence over all it stands for, overlaps included. */
    struct batch *b;
    struct append_result r;

    NEEDS_REDIS();
    world_append(&w, "skip", "p", 1, 1, 10);
    b = world_batch("p", 1, 8, 1, 0);
    b->is_gap = 1;
    b->producer.last = 200;
    r = world_append_batch(&w, "skip", b);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.producer_last, 200);
    r = world_append(&w, "skip", "p", 1, 201, 1);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.last, 12);
}

static void nonsense_is_refused_before_redis(void **state)
{
    /* Sequences the script could not count exactly, and counts that do not fit, are ERR_INVALID. */
    struct batch *b;

    NEEDS_REDIS();
    b = world_batch("p", 1, UINT64_C(1) << 53, 1, 0);
    assert_int_equal(world_append_batch(&w, "bad", b).err, ERR_INVALID);
    b = world_batch("p", 1, 1, 2, 0);
    b->producer.last = 3;
    assert_int_equal(world_append_batch(&w, "bad", b).err, ERR_INVALID);
    assert_string_equal(world_redis(&w, "EXISTS jl:{default/bad}:meta"), "0");
}

static int all_done(void *arg)
{
    struct world_append *a = arg;

    for (int i = 0; i < 200; i++)
        if (!a[i].done)
            return 0;
    return 1;
}

static void calls_of_one_job_keep_their_order(void **state)
{
    /* Appends called at once for a job nobody has seen are stored in the order of the calls. */
    static struct world_append a[200];
    struct job_key key = world_key("order");
    struct world_read all;
    struct buf expect = BUF_INIT;

    NEEDS_REDIS();
    memset(a, 0, sizeof a);
    for (uint32_t i = 0; i < 200; i++) {
        struct batch *b = world_batch("", 0, 100 + i, 1, 0);

        stream_append(w.st, &key, &b, on_world_append, &a[i]);
        buf_addf(&expect, ":%u\n", 100 + i);
    }
    assert_true(world_until(&w, all_done, a, 10000));
    all = world_read_all(&w, "order");
    assert_string_equal(buf_cstr(&all.text), buf_cstr(&expect));
    buf_release(&all.text);
    buf_release(&expect);
}

static void concurrent_producers_share_one_order(void **state)
{
    /* Many producers in flight together: each one's lines once and in order, seqs without holes. */
    static struct world_append a[200];
    struct job_key key = world_key("many");
    struct world_read all;
    uint64_t next[8] = {0};
    char *line, *save = NULL;

    NEEDS_REDIS();
    memset(a, 0, sizeof a);
    for (int i = 0; i < 200; i++) {
        char name[16];
        struct batch *b;

        snprintf(name, sizeof name, "p%d", i % 8);
        b = world_batch(name, 1, 1 + (uint64_t)(i / 8) * 5, 5, i % 8);
        stream_append(w.st, &key, &b, on_world_append, &a[i]);
    }
    assert_true(world_until(&w, all_done, a, 10000));
    all = world_read_all(&w, "many");
    assert_int_equal(all.lines, 1000);
    assert_int_equal(all.torn, 0);
    for (line = strtok_r(all.text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int p = line[1] - '0';

        assert_int_equal(strtoull(line + 3, NULL, 10), ++next[p]);
    }
    for (int p = 0; p < 8; p++)
        assert_int_equal(next[p], 125);
    assert_string_equal(world_redis(&w, "HGET jl:{default/many}:meta nprod"), "8");
    buf_release(&all.text);
}

static void a_deleted_job_is_created_again_with_its_index(void **state)
{
    /* When another node deletes a job this one knows, the next append creates it with index and a new epoch. */
    struct append_result before, after;

    NEEDS_REDIS();
    before = world_append(&w, "gone", "", 0, 0, 1);
    world_redis(&w, "DEL jl:{default/gone}:meta jl:{default/gone}:log jl:{default/gone}:rank");
    world_redis(&w, "ZREM jl:jobs default/gone");
    after = world_append(&w, "gone", "", 0, 0, 1);
    assert_int_equal(after.err, 0);
    assert_int_equal(after.first, 1);
    assert_true(after.epoch > before.epoch);
    assert_string_not_equal(world_redis(&w, "ZSCORE jl:jobs default/gone"), "(nil)");
}

static void packed_frames_come_back(void **state)
{
    /* A packed payload is stored packed and read as the same lines. */
    struct batch *b = NULL;
    struct buf packed = BUF_INIT;
    struct world_read all;
    size_t len;

    NEEDS_REDIS();
    b = world_batch("p", 1, 1, 1000, 3);
    assert_int_equal(pack_zstd(&packed, b->frames[0].raw, b->frames[0].raw_bytes, 1), 0);
    b->frames[0].packed = buf_steal(&packed, &len);
    b->frames[0].packed_bytes = len;
    assert_int_equal(world_append_batch(&w, "packed", b).err, 0);
    all = world_read_all(&w, "packed");
    assert_int_equal(all.lines, 1000);
    assert_int_equal(all.torn, 0);
    buf_release(&all.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_lines_create_the_job_and_its_index),
        cmocka_unit_test(repeats_gaps_cuts_and_fences),
        cmocka_unit_test(a_gap_record_stands_for_many),
        cmocka_unit_test(nonsense_is_refused_before_redis),
        cmocka_unit_test(calls_of_one_job_keep_their_order),
        cmocka_unit_test(concurrent_producers_share_one_order),
        cmocka_unit_test(a_deleted_job_is_created_again_with_its_index),
        cmocka_unit_test(packed_frames_come_back),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

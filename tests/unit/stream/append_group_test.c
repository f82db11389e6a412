/*
 * tests/unit/stream/append_group_test.c -- stream/append_group.c against a real Redis.
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
#define CALLS 1000

struct calls {
    struct world_append a[CALLS];
    uint32_t lines[CALLS];
    uint32_t made;
    struct buf want; /* what the log must be: msgs in the order of the calls */
};

static void call(struct calls *c, const char *job, struct batch *b)
{
    struct job_key key = world_key(job);
    const char *line = NULL, *end;
    struct buf msg = BUF_INIT;

    c->lines[c->made] = (uint32_t)b->line_count;
    for (uint32_t i = 0; i < b->frame_count; i++)
        for (line = b->frames[i].raw; line < b->frames[i].raw + b->frames[i].raw_bytes; line = end + 1) {
            struct record_view v;

            end = strchr(line, '\n');
            assert_int_equal(record_parse(line, (size_t)(end - line), &v), 0);
            buf_clear(&msg);
            assert_int_equal(record_msg(&v, &msg), 0);
            buf_add(&c->want, msg.data, msg.len);
            buf_addc(&c->want, '\n');
        }
    buf_release(&msg);
    stream_append(w.st, &key, &b, on_world_append, &c->a[c->made++]);
}

static int all_are_done(void *user)
{
    struct calls *c = user;

    for (uint32_t i = 0; i < c->made; i++)
        if (!c->a[i].done)
            return 0;
    return 1;
}

/* Every call has had one answer, and the numbers of its lines; the log is that of the calls, in their order. */
static void check_all(struct calls *c, const char *job)
{
    struct world_read all;
    uint64_t next;

    assert_true(world_until(&w, all_are_done, c, 30000));
    next = c->a[0].res.first;
    for (uint32_t i = 0; i < c->made; i++) {
        const struct append_result *r = &c->a[i].res;

        assert_int_equal(c->a[i].calls, 1);
        assert_int_equal(r->err, 0);
        assert_int_equal(r->accepted, c->lines[i]);
        assert_int_equal(r->first, next);
        assert_int_equal(r->last, next + c->lines[i] - 1);
        next += c->lines[i];
    }
    all = world_read_all(&w, job);
    assert_string_equal(buf_cstr(&all.text), buf_cstr(&c->want));
    assert_int_equal(all.torn, 0);
    buf_release(&all.text);
    buf_release(&c->want);
}

static void small_ones_leave_together(void **state)
{
    /* A thousand batches of a line called at once are a few entries; each caller is told its own number; counters are those
     * of a thousand. */
    struct calls c = {0};
    struct stream_stats before, after;

    NEEDS_REDIS();
    call(&c, "many", world_batch("", 0, 0, 1, 3));
    assert_true(world_until(&w, all_are_done, &c, 15000)); /* the job is known from here on */
    stream_stats(w.st, &before);
    for (uint32_t i = 1; i < CALLS; i++)
        call(&c, "many", world_batch("", 0, i, 1, (int32_t)(i % 4)));
    check_all(&c, "many");
    stream_stats(w.st, &after);
    assert_int_equal(after.appends - before.appends, CALLS - 1);
    assert_int_equal(after.append_lines - before.append_lines, CALLS - 1);
    assert_string_equal(world_redis(&w, "HMGET jl:{default/many}:meta seq lines l3 anon"), "1000 1000 1000 1000");
    assert_true(atoi(world_redis(&w, "HGET jl:{default/many}:meta batches")) <= 10);
    assert_true(atoi(world_redis(&w, "XLEN jl:{default/many}:log")) <= 10);
    assert_non_null(strstr(world_redis(&w, "HGETALL jl:{default/many}:rank"), "250"));
}

static void order_is_that_of_the_calls(void **state)
{
    /* Small ones, large ones, those of a producer, of one job and of another, mixed: the log has the order of the calls. */
    static struct calls c, other;
    uint64_t seq = 1;
    unsigned seed = 7;

    NEEDS_REDIS();
    memset(&c, 0, sizeof c);
    memset(&other, 0, sizeof other);
    for (int i = 0; i < CALLS; i++) {
        unsigned dice = (unsigned)rand_r(&seed) % 10;

        if (dice == 0) {
            uint32_t n = 1 + (uint32_t)rand_r(&seed) % 3;

            call(&c, "mixed", world_batch("p", 1, seq, n, 0));
            seq += n;
        } else if (dice == 1) {
            call(&c, "mixed", world_batch("", 0, (uint64_t)i, 300, 0)); /* more than may wait */
        } else if (dice == 2) {
            call(&other, "aside", world_batch("", 0, (uint64_t)i, 2, 0));
        } else {
            call(&c, "mixed", world_batch("", 0, (uint64_t)i, 1 + dice % 3, 0));
        }
        if (rand_r(&seed) % 50 == 0)
            world_redis(&w, "PING"); /* some answers come in between */
    }
    check_all(&c, "mixed");
    check_all(&other, "aside");
}

static void a_refusal_is_everybodys(void **state)
{
    /* What happens to the load happens to each of its parts: a sealed job takes none of them. */
    struct calls c = {0};

    NEEDS_REDIS();
    world_append(&w, "over", "p", 1, 1, 1);
    world_change(&w, "over", STATE_COMPLETED);
    world_fin(&w, "over", "p", 1, 1, 0);
    for (uint32_t i = 0; i < 50; i++)
        call(&c, "over", world_batch("", 0, i, 1, 0));
    assert_true(world_until(&w, all_are_done, &c, 15000));
    for (uint32_t i = 0; i < c.made; i++) {
        assert_int_equal(c.a[i].calls, 1);
        assert_int_equal(c.a[i].res.err, ERR_SEALED);
        assert_int_equal(c.a[i].res.accepted, 0);
    }
    buf_release(&c.want);
}

static void a_job_that_is_gone_begins_anew(void **state)
{
    /* The job disappears from Redis under a group on its way: all of it arrives in its successor, in order. */
    struct calls c = {0};

    NEEDS_REDIS();
    world_append(&w, "gone", "", 0, 0, 1);
    world_redis(&w, "DEL jl:{default/gone}:log jl:{default/gone}:meta jl:{default/gone}:prod jl:{default/gone}:rank");
    for (uint32_t i = 0; i < 200; i++)
        call(&c, "gone", world_batch("", 0, i, 1, 0));
    check_all(&c, "gone");
}

static void waiting_ones_are_answered_at_the_close(void **state)
{
    /* A stream that closes answers every call once: those that still waited, too. */
    struct calls c = {0};
    uint32_t stored = 0;

    NEEDS_REDIS();
    world_append(&w, "close", "", 0, 0, 1);
    for (uint32_t i = 0; i < 100; i++)
        call(&c, "close", world_batch("", 0, i, 1, 0));
    world_stop(&w);
    for (uint32_t i = 0; i < c.made; i++) {
        assert_int_equal(c.a[i].calls, 1);
        stored += c.a[i].res.err == 0;
    }
    world_start(&w);
    assert_int_equal(atoi(world_redis(&w, "HGET jl:{default/close}:meta lines")), stored + 1);
    buf_release(&c.want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_ones_leave_together),
        cmocka_unit_test(order_is_that_of_the_calls),
        cmocka_unit_test(a_refusal_is_everybodys),
        cmocka_unit_test(a_job_that_is_gone_begins_anew),
        cmocka_unit_test(waiting_ones_are_answered_at_the_close),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

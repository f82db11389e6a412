/*
 * tests/unit/serve/nomem_test.c -- every allocation of reading a range and searching fails once: never a crash, never an answer
 * that lacks a record and does not say so.
 */
#include "tests/unit/serve/world.h"

#include "tests/unit/nomem.h"

#include "serve/history.h"
#include "serve/search.h"

#define COUNT 400

/* The threads are there, and the loop is the child's. */
static void on_warm(uv_work_t *w)
{
}

static int warm;

static void on_warmed(uv_work_t *w, int status)
{
    warm = 1;
}

static void arm(void)
{
    static uv_work_t w;

    if (uv_loop_fork(&W.loop) != 0) _exit(90);
    if (uv_queue_work(&W.loop, &w, on_warm, on_warmed) != 0) _exit(91);
    world_wait(&warm);
    nomem_begin();
}

static void ask(struct http *x, void (*route)(struct serve_ctx *ctx, struct http *x, const struct job_key *key),
                const char *const *args)
{
    nomem_pause();
    door_init(x, "GET");
    if (buf_reserve(&x->body, 1 << 20) < 0) _exit(92); /* the played hall asks for no more */
    for (; *args; args += 2) door_arg(x, args[0], args[1]);
    arm();
    route(&W.ctx, x, &W.key);
    world_wait(&x->finished);
    nomem_kept = nomem_at;
    nomem_at = 0;
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Done: nothing may be missing. */
static int answer(struct http *x, uint64_t want, uint64_t have)
{
    int err = x->aborted || x->status >= 500 ? ERR_NOMEM : 0;

    if (!err && (x->status != 200 || have != want)) _exit(70);
    nomem_at = nomem_kept;
    return err;
}

static uint64_t count_of(const struct buf *b, const char *piece)
{
    uint64_t n = 0;

    for (const char *at = buf_cstr((struct buf *)b); (at = strstr(at, piece)); at++) n++;
    return n;
}

static int read_lines(void)
{
    static struct http x;

    ask(&x, history_http, ARGS("format", "ndjson"));
    return answer(&x, COUNT, count_of(&x.body, "{\"seq\":"));
}

static int read_backwards(void)
{
    static struct http x;

    ask(&x, history_http, ARGS("format", "json", "order", "desc", "limit", "350", "q", "step"));
    return answer(&x, 350, count_of(&x.body, "{\"seq\":"));
}

static int search(void)
{
    static struct http x;

    ask(&x, search_http, ARGS("re", "ha[y] +0*1?0", "buckets", "10"));
    return answer(&x, 1, count_of(&x.body, "\"type\":\"done\"") ? count_of(&x.body, "\"type\":\"lost\"") == 0 : 1);
}

static void test_reading(void **state)
{
    assert_true(nomem_sweep(read_lines, NULL) > (NOMEM_ACTIVE ? 10 : 0));
    assert_true(nomem_sweep(read_backwards, NULL) > (NOMEM_ACTIVE ? 10 : 0));
}

static void test_searching(void **state)
{
    assert_true(nomem_sweep(search, NULL) > (NOMEM_ACTIVE ? 10 : 0));
}

static int set_up(void **state)
{
    world_open(state);
    world_append(COUNT, 40);
    world_archive(150);
    world_archive(300);
    W.stream.held_from = 280;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reading), cmocka_unit_test(test_searching)};

    world_unused();
    nomem_also = "world_record"; /* the played Redis */
    return cmocka_run_group_tests(tests, set_up, world_close);
}

/*
 * tests/unit/serve/search_test.c -- GET /v1/jobs/J/search against a plain count over the world's
 * records, through a played front hall.
 */
#include "serve/search.h"

#include "serve/query.h"
#include "serve/reader.h"

#include "tests/unit/serve/world.h"

#define COUNT 3000

static void start(struct http *x, const char *const *args)
{
    door_init(x, "GET");
    for (; args && *args; args += 2)
        door_arg(x, args[0], args[1]);
    search_http(&W.ctx, x, &W.key);
}

static void get(struct http *x, const char *const *args)
{
    start(x, args);
    world_wait(&x->finished);
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void fill(void)
{
    world_append(COUNT, 40);
    world_archive(1000);
    world_archive(2000);
    W.stream.held_from = 1900;
}

/* ---- reading the answer ---- */

#define ANSWER_HITS_MAX 4000

struct answer {
    uint64_t hit[ANSWER_HITS_MAX];
    unsigned hits, progress, lost;
    uint64_t lost_from, lost_to;
    uint64_t total, from, to, scanned_to;
    uint64_t buckets[QUERY_BUCKETS_MAX];
    uint32_t bucket_count;
    int done;
};

static uint64_t number(const char *line, const char *key)
{
    char mark[64];
    const char *at;

    snprintf(mark, sizeof mark, "\"%s\":", key);
    at = strstr(line, mark);
    return at ? strtoull(at + strlen(mark), NULL, 10) : UINT64_MAX;
}

static void read_counts(struct answer *a, const char *line)
{
    const char *at = strstr(line, "\"buckets\":[");

    a->total = number(line, "hits");
    a->from = number(line, "from");
    a->to = number(line, "to");
    a->bucket_count = 0;
    assert_non_null(at);
    for (at += 11; *at != ']';) {
        char *end;

        a->buckets[a->bucket_count++] = strtoull(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
    }
}

static void read_answer(struct http *x, struct answer *a)
{
    char *text = must_strdup(buf_cstr(&x->body)), *rest = text, *line;

    memset(a, 0, sizeof *a);
    assert_int_equal(x->status, 200);
    assert_false(x->aborted);
    while ((line = strsep(&rest, "\n")) && *line) {
        assert_false(a->done);
        if (strstr(line, "\"type\":\"hit\"")) {
            a->hit[a->hits++] = number(line, "seq");
        } else if (strstr(line, "\"type\":\"lost\"")) {
            a->lost++;
            a->lost_from = number(line, "from");
            a->lost_to = number(line, "to");
        } else {
            read_counts(a, line);
            if (strstr(line, "\"type\":\"done\"")) {
                a->done = 1;
            } else {
                a->progress++;
                a->scanned_to = number(line, "scanned_to");
            }
        }
    }
    assert_true(a->done);
    free(text);
}

/* ---- the model ---- */

static int is_needle(uint64_t seq)
{
    return world_is_rare(seq) && !world_is_state(seq);
}
static int is_error_of_rank_2(uint64_t seq)
{
    return !world_is_state(seq) && seq % 10 == 0 && world_rank(seq) == 2;
}

static void check(const struct answer *a, int (*model)(uint64_t seq), uint64_t from, uint64_t to,
                  uint32_t buckets, unsigned limit)
{
    uint64_t want[QUERY_BUCKETS_MAX] = {0}, total = 0;

    for (uint64_t s = from; s <= to; s++) {
        if (!model(s))
            continue;
        if (total < limit)
            assert_int_equal(a->hit[total], s);
        total++;
        want[(s - from) * buckets / (to - from + 1)]++;
    }
    assert_int_equal(a->hits, total < limit ? total : limit);
    assert_int_equal(a->total, total);
    assert_int_equal(a->from, from);
    assert_int_equal(a->to, to);
    assert_int_equal(a->bucket_count, buckets);
    for (uint32_t i = 0; i < buckets; i++)
        assert_int_equal(a->buckets[i], want[i]);
}

/* ---- tests ---- */

/* Hits come in order, counts by place, over Redis and archive alike; states are no hits. */
static void counts_as_the_model(void **state)
{
    static struct answer a;
    struct http x;

    fill();
    get(&x, ARGS("q", "needle"));
    assert_string_equal(x.type, "application/x-ndjson");
    read_answer(&x, &a);
    check(&a, is_needle, 1, COUNT, SEARCH_BUCKETS_DEFAULT, SEARCH_HITS_DEFAULT);
    door_close(&x);
    get(&x, ARGS("re", "NEED.E", "case", "0", "buckets", "7", "limit", "5"));
    read_answer(&x, &a);
    check(&a, is_needle, 1, COUNT, 7, 5);
    door_close(&x);
    get(&x, ARGS("level", "error", "rank", "2", "buckets", "2000", "after", "7:500", "before",
                 "2501"));
    read_answer(&x, &a);
    check(&a, is_error_of_rank_2, 501, 2500, 2000, SEARCH_HITS_DEFAULT);
    door_close(&x);
    get(&x, ARGS("q", "moved"));
    read_answer(&x, &a);
    assert_int_equal(a.total, 0);
    door_close(&x);
    assert_int_equal(W.ctx.searches, 0);
}

/* order=desc tells the newest hits first; the counts are the same. */
static void newest_first(void **state)
{
    static struct answer a;
    struct http x;
    uint64_t last = COUNT, total = 0;

    for (uint64_t s = 1; s <= COUNT; s++)
        total += (uint64_t)is_needle(s);
    fill();
    get(&x, ARGS("q", "needle", "order", "desc", "limit", "3"));
    read_answer(&x, &a);
    assert_int_equal(a.hits, 3);
    for (unsigned i = 0; i < 3; i++) {
        while (!is_needle(last))
            last--;
        assert_int_equal(a.hit[i], last--);
    }
    assert_int_equal(a.total, total);
    door_close(&x);
}

/* Fewer records than buckets: one bucket each; an empty range: none, and done at once. */
static void small_ranges(void **state)
{
    static struct answer a;
    struct http x;

    fill();
    get(&x, ARGS("q", "needle", "after", "129", "before", "133"));
    read_answer(&x, &a);
    check(&a, is_needle, 130, 132, 3, SEARCH_HITS_DEFAULT);
    door_close(&x);
    get(&x, ARGS("q", "needle", "after", "3000"));
    read_answer(&x, &a);
    assert_int_equal(a.total, 0);
    assert_int_equal(a.bucket_count, 0);
    door_close(&x);
    for (uint64_t n = 1; n < 50; n++)
        for (uint64_t s = 10; s < 10 + n; s++)
            for (uint32_t b = 1; b <= n; b++)
                assert_true(search_bucket(s, 10, 9 + n, b) < b);
    assert_int_equal(search_bucket(UINT64_MAX - 1, 1, UINT64_MAX - 1, 2000), 1999);
}

/* What cannot be looked at is said, and what remains is searched. */
static void lost_is_told(void **state)
{
    static struct answer a;
    struct http x;

    fill();
    W.stream.held_from = 2300; /* 2001 up to the first frame held is nowhere */
    get(&x, ARGS("q", "needle"));
    read_answer(&x, &a);
    assert_int_equal(a.lost, 1);
    assert_int_equal(a.lost_from, 2001);
    assert_int_equal(a.lost_to, world_held_from() - 1);
    assert_true(a.total < COUNT / 131 && a.total > 15);
    door_close(&x);
}

/* Without anything to look for, with arguments of other doors, of another epoch: refused. */
static void refusals(void **state)
{
    static const char *const bad[][2] = {{"tail", "5"},    {"format", "json"}, {"buckets", "0"},
                                         {"buckets", "2001"}, {"limit", "10001"}, {"wait", "1s"},
                                         {"re", "("},      {"typo", "x"},      {"states", "1"}};
    struct http x;

    fill();
    start(&x, NULL);
    assert_int_equal(x.status, 400);
    door_close(&x);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        start(&x, ARGS("q", "needle", bad[i][0], bad[i][1]));
        assert_int_equal(x.status, 400);
        door_close(&x);
    }
    get(&x, ARGS("q", "needle", "after", "6:5"));
    assert_int_equal(x.status, 409);
    assert_non_null(strstr(buf_cstr(&x.body), "\"epoch\":7"));
    door_close(&x);
    W.stream.fail = ERR_UNAVAILABLE;
    get(&x, ARGS("q", "needle"));
    assert_int_equal(x.status, 503);
    door_close(&x);
    W.stream.exists = 0;
    get(&x, ARGS("q", "needle"));
    assert_int_equal(x.status, 404);
    door_close(&x);
    assert_int_equal(W.ctx.searches, 0);
}

/* A client that leaves ends its search, wherever that is; no more than SEARCHES_MAX run. */
static void leaves_and_limits(void **state)
{
    struct http x[SEARCHES_MAX], more;
    struct reader_stats stats;

    fill();
    for (int turns = 0; turns < 40; turns++) {
        start(&x[0], ARGS("q", "needle"));
        world_turn(turns);
        door_close(&x[0]);
        world_turn(20);
        assert_int_equal(W.ctx.searches, 0);
    }
    for (int i = 0; i < SEARCHES_MAX; i++)
        start(&x[i], ARGS("q", "needle"));
    start(&more, ARGS("q", "needle"));
    assert_int_equal(more.status, 503);
    assert_string_equal(door_sent(&more, "Retry-After"), "1");
    door_close(&more);
    for (int i = 0; i < SEARCHES_MAX; i++) {
        if (i % 2)
            world_wait(&x[i].finished);
        door_close(&x[i]);
    }
    world_turn(50);
    reader_stats(&W.ctx, &stats);
    assert_int_equal(stats.open, 0);
    assert_int_equal(W.ctx.searches, 0);
}

/* A client that takes nothing stops the search; it goes on when it does. */
static void backpressure(void **state)
{
    static struct answer a;
    struct http x;

    fill();
    door_init(&x, "GET");
    door_arg(&x, "q", "step");
    door_arg(&x, "limit", "10000");
    x.stalled = 1;
    x.backlog = HTTP_BACKLOG_HIGH_BYTES;
    search_http(&W.ctx, &x, &W.key);
    world_turn(100);
    assert_false(x.finished);
    assert_int_equal(x.body.len, 0);
    door_drain(&x);
    world_wait(&x.finished);
    read_answer(&x, &a);
    assert_int_equal(a.total, COUNT - COUNT / 97 - 1);
    door_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_as_the_model, world_open, world_close),
        cmocka_unit_test_setup_teardown(newest_first, world_open, world_close),
        cmocka_unit_test_setup_teardown(small_ranges, world_open, world_close),
        cmocka_unit_test_setup_teardown(lost_is_told, world_open, world_close),
        cmocka_unit_test_setup_teardown(refusals, world_open, world_close),
        cmocka_unit_test_setup_teardown(leaves_and_limits, world_open, world_close),
        cmocka_unit_test_setup_teardown(backpressure, world_open, world_close),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/serve/query_test.c -- arguments of reads and tails, codings, byte ranges.
 */
#include "serve/query.h"

#include "serve/archive_http.h"
#include "tests/unit/serve/world.h"

static char why[256];

static int parse(struct query *q, enum query_use use, const char *const *args)
{
    struct http x;
    int err;

    door_init(&x, "GET");
    for (; *args; args += 2)
        door_arg(&x, args[0], args[1]);
    why[0] = '\0';
    err = query_parse(q, &x, use, why, sizeof why);
    buf_release(&x.body);
    return err;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Every argument lands where a reader looks for it. */
static void takes_all(void **state)
{
    struct query q;

    assert_int_equal(parse(&q, QUERY_LOGS,
                           ARGS("after", "7:12", "before", "90", "tail", "5", "rank", "0,3-5",
                                "level", "WARNING", "q", "loss", "case", "0", "order", "desc",
                                "limit", "10", "format", "json", "project", "p", "_", "1")),
                     0);
    assert_int_equal(q.after.epoch, 7);
    assert_int_equal(q.before.seq, 90);
    assert_int_equal(q.before.epoch, 0);
    assert_int_equal(q.tail, 5);
    assert_true(q.desc);
    assert_int_equal(q.limit, 10);
    assert_int_equal(q.format, QUERY_JSON);
    assert_int_equal(q.sieve->filter.rank_count, 2);
    assert_int_equal(q.sieve->filter.level_min, LEVEL_WARN);
    assert_true(q.sieve->filter.ignore_case);
    assert_int_equal(q.states, -1);
    query_release(&q);
    assert_int_equal(parse(&q, QUERY_TAIL, ARGS("tail", "all", "wait", "2s", "states", "0")), 0);
    assert_true(q.tail == QUERY_TAIL_ALL && q.wait_us == 2000000 && q.states == 0 && !q.sieve);
    query_release(&q);
}

/* A misspelt, repeated, misplaced or bad argument is refused with its name. */
static void refuses(void **state)
{
    static const char *const bad[][3] = {
        {"rnak", "3", NULL},     {"after", "x", NULL},     {"after", "-1", NULL},
        {"tail", "-1", NULL},    {"tail", "", NULL},       {"limit", "0", NULL},
        {"rank", "a", NULL},     {"level", "loud", NULL},  {"format", "xml", NULL},
        {"order", "up", NULL},   {"case", "maybe", NULL},  {"re", "(", NULL},
        {"since", "soon", NULL}, {"replica", "a/b", NULL}, {"stream", "", NULL},
        {"wait", "5s", NULL},
    };
    struct query q;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(&q, QUERY_LOGS, bad[i]), ERR_INVALID);
        assert_non_null(strstr(why, bad[i][0]));
    }
    assert_int_equal(parse(&q, QUERY_LOGS, ARGS("rank", "1", "rank", "2")), ERR_INVALID);
    assert_int_equal(parse(&q, QUERY_TAIL, ARGS("limit", "5")), ERR_INVALID);
    assert_int_equal(parse(&q, QUERY_TAIL, ARGS("format", "json")), ERR_INVALID);
}

/* A pattern takes the case wherever it stands in the query, and gives its literal away. */
static void patterns(void **state)
{
    struct query q;
    size_t len;

    assert_int_equal(parse(&q, QUERY_LOGS, ARGS("re", "NaN|inf", "case", "insensitive")), 0);
    assert_true(q.sieve->filter.match(q.sieve->filter.matcher, "nan", 3));
    query_release(&q);
    assert_int_equal(parse(&q, QUERY_LOGS, ARGS("q", "needle")), 0);
    assert_string_equal(sieve_literal(q.sieve, &len), "needle");
    query_release(&q);
    assert_int_equal(parse(&q, QUERY_LOGS, ARGS("q", "needle", "case", "0")), 0);
    assert_null(sieve_literal(q.sieve, &len));
    query_release(&q);
}

/* A coding is acceptable when it is named with a quality above zero. */
static void codings(void **state)
{
    assert_true(query_accepts_coding("gzip, zstd", "zstd"));
    assert_true(query_accepts_coding("ZSTD;q=0.5", "zstd"));
    assert_true(query_accepts_coding("zstd; q=1", "zstd"));
    assert_false(query_accepts_coding("zstd;q=0", "zstd"));
    assert_false(query_accepts_coding("zstd; q=0.000, gzip", "zstd"));
    assert_false(query_accepts_coding("zstdx, *", "zstd"));
    assert_false(query_accepts_coding("", "zstd"));
    assert_false(query_accepts_coding(NULL, "zstd"));
}

/* One byte range as RFC 9110 has it; what is no such range is ignored, what cannot be met is 416.
 * */
static void ranges(void **state)
{
    uint64_t a, b;

    assert_int_equal(archive_http_range("bytes=0-9", 100, &a, &b), 1);
    assert_true(a == 0 && b == 9);
    assert_int_equal(archive_http_range("bytes=90-", 100, &a, &b), 1);
    assert_true(a == 90 && b == 99);
    assert_int_equal(archive_http_range("bytes=-10", 100, &a, &b), 1);
    assert_true(a == 90 && b == 99);
    assert_int_equal(archive_http_range("bytes=-1000", 100, &a, &b), 1);
    assert_true(a == 0 && b == 99);
    assert_int_equal(archive_http_range("bytes=99-1000", 100, &a, &b), 1);
    assert_true(a == 99 && b == 99);
    assert_int_equal(archive_http_range("bytes=100-", 100, &a, &b), ERR_INVALID);
    assert_int_equal(archive_http_range("bytes=-0", 100, &a, &b), ERR_INVALID);
    assert_int_equal(archive_http_range("bytes=5-4", 100, &a, &b), 0);
    assert_int_equal(archive_http_range("bytes=0-1,5-6", 100, &a, &b), 0);
    assert_int_equal(archive_http_range("lines=0-1", 100, &a, &b), 0);
    assert_int_equal(archive_http_range("bytes=-", 100, &a, &b), 0);
    assert_int_equal(archive_http_range("bytes=99999999999999999999-", 100, &a, &b), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_all), cmocka_unit_test(refuses), cmocka_unit_test(patterns),
        cmocka_unit_test(codings),   cmocka_unit_test(ranges),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

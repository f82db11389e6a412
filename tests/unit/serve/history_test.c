/*
 * tests/unit/serve/history_test.c -- GET /v1/jobs/J/logs through a played front hall; archive list
 * and download.
 */
#include "serve/history.h"

#include "serve/archive_http.h"
#include "tests/unit/serve/world.h"

static void get(struct http *x, const char *const *args)
{
    door_init(x, "GET");
    for (; args && *args; args += 2)
        door_arg(x, args[0], args[1]);
    history_http(&W.ctx, x, &W.key);
    world_wait(&x->finished);
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void fill(void)
{
    world_append(3000, 40);
    world_archive(1000);
    world_archive(2000);
    W.stream.held_from = 1900;
}

static void expect_lines(struct buf *out, uint64_t from, uint64_t to, int text)
{
    for (uint64_t s = from; s <= to; s++) {
        if (!text) {
            world_record(s, out);
        } else if (!world_is_state(s)) {
            world_msg(s, out);
            buf_addc(out, '\n');
        }
    }
}

static void check_body(struct http *x, struct buf *want)
{
    assert_int_equal(x->status, 200);
    assert_false(x->aborted);
    assert_int_equal(x->body.len, want->len);
    assert_memory_equal(x->body.data, want->data, want->len);
    door_close(x);
    buf_release(want);
}

/* Text is exactly what the job wrote; NDJSON the canonical records with the state changes. */
static void text_and_ndjson(void **state)
{
    struct http x;
    struct buf want = BUF_INIT;

    fill();
    get(&x, NULL);
    assert_string_equal(x.type, "text/plain; charset=utf-8");
    expect_lines(&want, 1, 3000, 1);
    check_body(&x, &want);
    get(&x, ARGS("format", "ndjson"));
    expect_lines(&want, 1, 3000, 0);
    check_body(&x, &want);
    get(&x, ARGS("format", "ndjson", "after", "7:990", "before", "1010"));
    expect_lines(&want, 991, 1009, 0);
    check_body(&x, &want);
}

/* tail=N is the last N that match, oldest first; tail=0 nothing. */
static void tails(void **state)
{
    struct http x;
    struct buf want = BUF_INIT;

    fill();
    get(&x, ARGS("format", "ndjson", "tail", "1500"));
    expect_lines(&want, 1501, 3000, 0);
    check_body(&x, &want);
    get(&x, ARGS("tail", "200"));
    expect_lines(&want, 3000 - 201, 3000, 1); /* two state changes among the last 202 */
    check_body(&x, &want);
    get(&x, ARGS("tail", "3", "q", "needle"));
    for (uint64_t s = 19 * 131; s <= 22 * 131; s += 131)
        expect_lines(&want, s, s, 1); /* 20 * 131 is a state change */
    check_body(&x, &want);
    get(&x, ARGS("tail", "0"));
    check_body(&x, &want);
    get(&x, ARGS("tail", "100000"));
    expect_lines(&want, 1, 3000, 1);
    check_body(&x, &want);
}

/* order=desc is newest first and limit cuts it; json says where to go on. */
static void desc_limit_json(void **state)
{
    struct http x;
    struct buf want = BUF_INIT;

    fill();
    get(&x, ARGS("format", "ndjson", "order", "desc", "limit", "1200"));
    for (uint64_t s = 3000; s > 1800; s--)
        world_record(s, &want);
    check_body(&x, &want);
    get(&x, ARGS("format", "json", "limit", "2", "after", "100"));
    buf_adds(&want, "{\"logs\":[");
    world_record(101, &want);
    want.data[want.len - 1] = ',';
    world_record(102, &want);
    want.len--;
    buf_adds(&want, "],\"gaps\":[],\"cursor\":\"7:102\",\"next\":\"7:102\"}\n");
    check_body(&x, &want);
    get(&x, ARGS("format", "json", "order", "desc", "limit", "1"));
    assert_non_null(strstr(buf_cstr(&x.body), "\"next\":\"7:3000\""));
    door_close(&x);
    get(&x, ARGS("format", "json", "after", "3000"));
    assert_string_equal(buf_cstr(&x.body),
                        "{\"logs\":[],\"gaps\":[],\"cursor\":\"7:3000\",\"next\":null}\n");
    door_close(&x);
}

/* With Accept-Encoding: zstd an unfiltered NDJSON read decodes to the identity answer. */
static void stored_frames(void **state)
{
    static const char *const froms[] = {"0", "1", "500", "999", "1000", "1500", "2500", "3000"};

    fill();
    for (size_t i = 0; i < sizeof froms / sizeof *froms; i++) {
        struct http x;
        struct buf want = BUF_INIT, got = BUF_INIT;

        door_init(&x, "GET");
        door_arg(&x, "format", "ndjson");
        door_arg(&x, "after", froms[i]);
        door_header(&x, "Accept-Encoding", "gzip, zstd;q=0.9");
        history_http(&W.ctx, &x, &W.key);
        world_wait(&x.finished);
        assert_string_equal(door_sent(&x, "Content-Encoding"), "zstd");
        expect_lines(&want, strtoull(froms[i], NULL, 10) + 1, 3000, 0);
        assert_int_equal(unpack_zstd(&got, x.body.data, x.body.len, 1 << 26), 0);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data ? got.data : "", want.data ? want.data : "", want.len);
        door_close(&x);
        buf_release(&want);
        buf_release(&got);
    }
}

/* A lost range is shown in every format. */
static void lost_ranges(void **state)
{
    struct http x;

    world_append(20, 1);
    world_archive(5);
    W.stream.held_from = 11;
    get(&x, NULL);
    assert_non_null(strstr(buf_cstr(&x.body), "[joblog: records 6-10 are lost: missing]\n"));
    door_close(&x);
    get(&x, ARGS("format", "ndjson"));
    assert_non_null(
        strstr(buf_cstr(&x.body), "\n{\"gap\":{\"from\":6,\"to\":10,\"reason\":\"missing\"}}\n"));
    door_close(&x);
    get(&x, ARGS("format", "json"));
    assert_non_null(
        strstr(buf_cstr(&x.body), "],\"gaps\":[{\"from\":6,\"to\":10,\"reason\":\"missing\"}],"));
    door_close(&x);
}

/* Bad arguments, missing jobs, old epochs and an absent Redis each have their status. */
static void refusals(void **state)
{
    struct http x;

    fill();
    get(&x, ARGS("nonsense", "1"));
    assert_int_equal(x.status, 400);
    door_close(&x);
    get(&x, ARGS("after", "6:100"));
    assert_int_equal(x.status, 409);
    assert_non_null(strstr(buf_cstr(&x.body), "\"code\":\"reset\""));
    assert_non_null(strstr(x.body.data, "\"epoch\":7"));
    door_close(&x);
    W.stream.fail = ERR_UNAVAILABLE;
    get(&x, NULL);
    assert_int_equal(x.status, 503);
    assert_non_null(door_sent(&x, "Retry-After"));
    door_close(&x);
    W.stream.exists = 0;
    get(&x, NULL);
    assert_int_equal(x.status, 404);
    door_close(&x);
}

/* A peer that does not read stops the reading; one that goes away stops it for good. */
static void backpressure(void **state)
{
    struct http x;
    struct buf want = BUF_INIT;
    size_t held;

    world_append(9000, 400);
    world_archive(9000);
    W.stream.held_from = 9001;
    door_init(&x, "GET");
    door_arg(&x, "format", "ndjson");
    x.stalled = 1;
    history_http(&W.ctx, &x, &W.key);
    while (x.backlog < HTTP_BACKLOG_HIGH_BYTES)
        uv_run(&W.loop, UV_RUN_ONCE);
    held = x.body.len;
    world_turn(100);
    assert_int_equal(x.body.len, held);
    assert_true(held < 3 * HTTP_BACKLOG_HIGH_BYTES);
    door_drain(&x);
    world_wait(&x.finished);
    expect_lines(&want, 1, 9000, 0);
    check_body(&x, &want);
    door_init(&x, "GET");
    history_http(&W.ctx, &x, &W.key);
    world_turn(4);
    door_close(&x);
}

/* The archive is listed, and downloaded whole or in part as one zstd file. */
static void archive_doors(void **state)
{
    struct http x, part;
    struct buf want = BUF_INIT, got = BUF_INIT;
    char range[64];

    fill();
    door_init(&x, "GET");
    archive_list_http(&W.ctx, &x, &W.key);
    world_wait(&x.finished);
    assert_non_null(strstr(buf_cstr(&x.body), "\"first\":1001,\"last\":2000"));
    assert_non_null(strstr(x.body.data, "\"first\":1,\"last\":2000}"));
    door_close(&x);
    door_init(&x, "GET");
    archive_download_http(&W.ctx, &x, &W.key);
    world_wait(&x.finished);
    expect_lines(&want, 1, 2000, 0);
    assert_int_equal(unpack_zstd(&got, x.body.data, x.body.len, 1 << 26), 0);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    snprintf(range, sizeof range, "bytes=10-%zu", x.body.len - 5);
    door_init(&part, "GET");
    door_header(&part, "Range", range);
    door_header(&part, "If-Range", door_sent(&x, "ETag"));
    archive_download_http(&W.ctx, &part, &W.key);
    world_wait(&part.finished);
    assert_int_equal(part.status, 206);
    assert_int_equal(part.body.len, x.body.len - 14);
    assert_memory_equal(part.body.data, x.body.data + 10, part.body.len);
    door_close(&part);
    door_init(&part, "GET");
    door_header(&part, "If-None-Match", door_sent(&x, "ETag"));
    archive_download_http(&W.ctx, &part, &W.key);
    world_wait(&part.finished);
    assert_int_equal(part.status, 304);
    door_close(&part);
    door_close(&x);
    buf_release(&want);
    buf_release(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_and_ndjson, world_open, world_close),
        cmocka_unit_test_setup_teardown(tails, world_open, world_close),
        cmocka_unit_test_setup_teardown(desc_limit_json, world_open, world_close),
        cmocka_unit_test_setup_teardown(stored_frames, world_open, world_close),
        cmocka_unit_test_setup_teardown(lost_ranges, world_open, world_close),
        cmocka_unit_test_setup_teardown(refusals, world_open, world_close),
        cmocka_unit_test_setup_teardown(backpressure, world_open, world_close),
        cmocka_unit_test_setup_teardown(archive_doors, world_open, world_close),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

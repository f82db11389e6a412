/*
 * tests/unit/serve/tail_test.c -- following a job through a played hub and front hall.
 */
#include "serve/tail.h"

#include "base/json_tree.h"
#include "tests/unit/serve/world.h"

static void follow(struct http *x, const char *const *args)
{
    for (; args && *args; args += 2)
        door_arg(x, args[0], args[1]);
    tail_http(&W.ctx, x, &W.key);
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void turn_until(const struct buf *b, const char *text)
{
    int64_t until = clock_mono_us() + WORLD_WAIT_US;

    while (!(b->data && memmem(b->data, b->len, text, strlen(text)))) {
        assert_true(clock_mono_us() < until);
        uv_run(&W.loop, UV_RUN_NOWAIT);
    }
}

static void seal(enum job_state s)
{
    W.stream.state = s;
    W.stream.sealed = 1;
    door_wake_all();
}

/* Every message parses; lines and states carry 1, 2, 3 … without hole; cursors stand at the last
 * record. Returns the last seq. */
static uint64_t check_messages(const char *text, size_t len, uint64_t first)
{
    uint64_t next = first;

    for (const char *p = text, *end = text + len, *nl;
         p < end && (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) {
        struct json_tree *root = NULL;
        const char *type = NULL, *cursor = NULL;
        int64_t seq;

        assert_int_equal(json_tree_parse(p, (size_t)(nl - p), &root, NULL), 0);
        assert_int_equal(json_tree_get_str(root, "type", &type), 1);
        json_tree_get_str(root, "cursor", &cursor);
        if (!strcmp(type, "lines")) {
            const struct json_tree *l = json_tree_first(json_tree_get(root, "lines"));

            assert_non_null(l);
            for (; l; l = json_tree_next(l)) {
                assert_int_equal(json_tree_get_i64(l, "seq", &seq), 1);
                assert_int_equal(seq, next);
                next++;
            }
        } else if (!strcmp(type, "state")) {
            assert_int_equal(json_tree_get_i64(root, "seq", &seq), 1);
            assert_int_equal(seq, next);
            next++;
        }
        if (cursor) {
            char want[64];

            snprintf(want, sizeof want, "7:%llu", (unsigned long long)next - 1);
            assert_string_equal(cursor, want);
        }
        json_tree_free(&root);
    }
    return next - 1;
}

/* A WebSocket tail says hello, the last ten, what follows, and after the end closes with the
 * state. */
static void websocket_to_the_end(void **state)
{
    struct http x;
    struct ws *w;

    world_append(500, 20);
    door_init(&x, "GET");
    x.upgrade = 1;
    follow(&x, NULL);
    world_turn(20);
    w = x.w;
    turn_until(&w->sent, "\"lines\",\"cursor\":\"7:500\"");
    assert_memory_equal(w->sent.data, "{\"type\":\"hello\",\"job\":{\"id\":\"j\"", 31);
    for (int i = 0; i < 40; i++) {
        world_append(1 + rnd(30), 8);
        door_wake_all();
    }
    seal(STATE_FAILED);
    turn_until(&w->sent, "\"type\":\"end\"");
    assert_true(check_messages(w->sent.data, w->sent.len, 491) == W.stream.count);
    assert_non_null(
        memmem(w->sent.data, w->sent.len,
               "\"state\":\"TRAINING_JOB_FAILED\",\"exit_code\":null,\"last_seq\":", 58));
    assert_int_equal(w->close_code, 1000);
    assert_string_equal(w->reason, "TRAINING_JOB_FAILED");
    assert_true(w->shared > 0);
    ws_end(w);
    door_close(&x);
}

/* What is not in the hub's ring comes from history, then the tail goes on live without a hole. */
static void history_then_live(void **state)
{
    struct http x;
    struct ws *w;

    world_append(3000, 20);
    world_archive(2000);
    W.stream.held_from = 2001;
    door_ring_from = 2900;
    door_init(&x, "GET");
    x.upgrade = 1;
    follow(&x, ARGS("tail", "all"));
    world_turn(5);
    w = x.w;
    turn_until(&w->sent, "\"lines\",\"cursor\":\"7:3000\"");
    world_append(10, 3);
    door_wake_all();
    seal(STATE_COMPLETED);
    turn_until(&w->sent, "\"type\":\"end\"");
    assert_true(check_messages(w->sent.data, w->sent.len, 1) == 3010);
    ws_end(w);
    door_close(&x);
}

/* A stalled follower gets nothing more, and after it has drained everything, coalesced. */
static void stalled_then_drained(void **state)
{
    struct http x;
    struct ws *w;
    unsigned messages;

    world_append(10, 5);
    door_init(&x, "GET");
    x.upgrade = 1;
    follow(&x, NULL);
    world_turn(20);
    w = x.w;
    w->stalled = 1 << 20;
    messages = w->messages;
    for (int i = 0; i < 100; i++) {
        world_append(3, 3);
        door_wake_all();
    }
    assert_int_equal(w->messages, messages);
    w->stalled = 0;
    w->h->on_drain(w);
    assert_true(check_messages(w->sent.data, w->sent.len, 1) == 310);
    assert_true(w->messages < messages + 20);
    ws_end(w);
    door_close(&x);
}

/* A follower whose socket fills in the middle of a big frame goes on in the middle of it. */
static void fills_in_mid_frame(void **state)
{
    struct http x;
    struct ws *w;

    world_append(10, 5);
    door_init(&x, "GET");
    x.upgrade = 1;
    follow(&x, ARGS("level", "info"));
    world_turn(20);
    w = x.w;
    for (int i = 0; i < 6; i++)
        world_append(1500, 1500);
    w->stalled = 1;
    door_wake_all();
    assert_true(w->stalled >= TAIL_BACKLOG_BYTES && w->stalled < 3 * TAIL_BACKLOG_BYTES);
    for (int i = 0; i < 100; i++) {
        w->stalled = 1;
        w->h->on_drain(w);
    }
    assert_true(check_messages(w->sent.data, w->sent.len, 1) == W.stream.count);
    ws_end(w);
    door_close(&x);
}

/* Text is the lines alone, live, and finishes with the job; NDJSON shows all and says the end. */
static void text_and_ndjson(void **state)
{
    struct http x, y;
    struct buf want = BUF_INIT;

    world_append(300, 20);
    door_init(&x, "GET");
    door_init(&y, "GET");
    follow(&x, ARGS("tail", "5"));
    follow(&y, ARGS("tail", "all", "format", "ndjson", "rank", "2"));
    world_turn(40);
    world_append(5, 2);
    door_wake_all();
    seal(STATE_STOPPED);
    world_wait(&x.finished);
    world_wait(&y.finished);
    for (uint64_t s = 296; s <= 305; s++) {
        if (world_is_state(s))
            continue;
        world_msg(s, &want);
        buf_addc(&want, '\n');
    }
    assert_int_equal(x.body.len, want.len);
    assert_memory_equal(x.body.data, want.data, want.len);
    buf_clear(&want);
    for (uint64_t s = 1; s <= 305; s++)
        if (world_is_state(s) || world_rank(s) == 2)
            world_record(s, &want);
    assert_memory_equal(y.body.data, want.data, want.len);
    assert_memory_equal(y.body.data + want.len, "{\"end\":{\"state\":\"TRAINING_JOB_STOPPED\"", 38);
    buf_release(&want);
    door_close(&x);
    door_close(&y);
}

/* SSE events have type and cursor; Last-Event-ID resumes after it; at the end of a sealed job it
 * is 204. */
static void sse(void **state)
{
    struct http x;

    world_append(100, 10);
    door_init(&x, "GET");
    door_header(&x, "Accept", "text/html, text/event-stream");
    door_header(&x, "Last-Event-ID", "7:95");
    follow(&x, ARGS("tail", "50"));
    world_turn(20);
    assert_string_equal(x.type, "text/event-stream");
    turn_until(&x.body, "id: 7:100\n");
    assert_null(memmem(x.body.data, x.body.len, "\"seq\":95,", 9));
    assert_non_null(memmem(x.body.data, x.body.len, "[{\"seq\":96,", 11));
    assert_non_null(memmem(x.body.data, x.body.len, "retry: ", 7));
    seal(STATE_COMPLETED);
    world_wait(&x.finished);
    assert_non_null(
        memmem(x.body.data, x.body.len, "event: end\nid: 7:100\ndata: {\"type\":\"end\"", 39));
    door_close(&x);
    door_init(&x, "GET");
    door_header(&x, "Accept", "text/event-stream");
    door_header(&x, "Last-Event-ID", "7:100");
    follow(&x, NULL);
    world_wait(&x.finished);
    assert_int_equal(x.status, 204);
    door_close(&x);
}

/* A job that does not exist yet is waited for; one that never comes is 404, at once with wait=0. */
static void waits_for_the_job(void **state)
{
    struct http x;
    struct tail_stats stats;

    W.stream.exists = 0;
    door_init(&x, "GET");
    follow(&x, ARGS("wait", "0"));
    world_wait(&x.finished);
    assert_int_equal(x.status, 404);
    door_close(&x);
    door_init(&x, "GET");
    follow(&x, ARGS("wait", "100ms"));
    world_wait(&x.finished);
    assert_int_equal(x.status, 404);
    door_close(&x);
    door_init(&x, "GET");
    follow(&x, ARGS("wait", "20s"));
    world_turn(10);
    tail_stats(&W.ctx, &stats);
    assert_int_equal(stats.waiting, 1);
    W.stream.exists = 1;
    world_append(3, 1);
    door_wake_all();
    world_turn(10);
    seal(STATE_COMPLETED);
    world_wait(&x.finished);
    assert_int_equal(x.status, 200);
    tail_stats(&W.ctx, &stats);
    assert_int_equal(stats.waiting, 0);
    door_close(&x);
}

/* A cursor of another epoch, and an epoch that changes under a tail, are told as reset and read
 * from the start. */
static void resets(void **state)
{
    struct http x;
    struct ws *w;

    world_append(20, 5);
    door_init(&x, "GET");
    x.upgrade = 1;
    follow(&x, ARGS("after", "6:10"));
    world_turn(20);
    w = x.w;
    assert_non_null(memmem(w->sent.data, w->sent.len,
                           "{\"type\":\"reset\",\"epoch\":7,\"deleted\":false}", 42));
    assert_true(check_messages(w->sent.data, w->sent.len, 1) == 20);
    buf_clear(&w->sent);
    W.stream.epoch = 8;
    door_wake_all();
    world_turn(20);
    assert_non_null(memmem(w->sent.data, w->sent.len,
                           "{\"type\":\"reset\",\"epoch\":8,\"deleted\":false}", 42));
    assert_non_null(memmem(w->sent.data, w->sent.len, "\"cursor\":\"8:20\"", 15));
    W.stream.exists = 0;
    door_knows = 1;
    door_wake_all();
    world_turn(20);
    assert_non_null(memmem(w->sent.data, w->sent.len, "\"deleted\":true", 14));
    assert_int_equal(w->close_code, 1000);
    assert_string_equal(w->reason, "deleted");
    ws_end(w);
    door_close(&x);
}

/* Redis away in mid-history holds the tail, nothing is lost or repeated. */
static void holds_while_redis_is_away(void **state)
{
    struct http x;
    struct ws *w;

    world_append(2000, 5);
    door_ring_from = 1900;
    door_init(&x, "GET");
    x.upgrade = 1;
    follow(&x, ARGS("tail", "all"));
    while (!x.w || !x.w->messages)
        uv_run(&W.loop, UV_RUN_NOWAIT);
    w = x.w;
    W.stream.fail = ERR_UNAVAILABLE;
    turn_until(&w->sent, "\"lines\",\"cursor\":\"7:2000\"");
    assert_int_equal(W.stream.fail, 0);
    assert_true(check_messages(w->sent.data, w->sent.len, 1) == 2000);
    ws_end(w);
    door_close(&x);
}

/* Redraws are thinned to one per rank and quarter second, the newest wins, and a rank filter holds
 * for them. */
static void thins_progress(void **state)
{
    struct http x;
    struct ws *w;
    unsigned messages;

    world_append(5, 5);
    door_init(&x, "GET");
    x.upgrade = 1;
    follow(&x, ARGS("rank", "3"));
    world_turn(20);
    w = x.w;
    messages = w->messages;
    for (int i = 0; i < 50; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "%d%%", i);

        door_subs[0]->ops->progress(door_subs[0]->user, 3, text, (size_t)n);
        door_subs[0]->ops->progress(door_subs[0]->user, 4, text, (size_t)n);
    }
    assert_int_equal(w->messages, messages + 1);
    turn_until(&w->sent, "{\"type\":\"progress\",\"rank\":3,\"msg\":\"49%\"}");
    assert_int_equal(w->messages, messages + 2);
    ws_end(w);
    door_close(&x);
}

/* A redraw that waits for its turn is dropped when a line of its rank comes first: a finished bar
 * never comes back. Other ranks keep theirs. */
static void a_line_ends_the_redraw(void **state)
{
    struct http x;
    struct ws *w;
    int32_t over;

    world_append(5, 5);
    door_init(&x, "GET");
    x.upgrade = 1;
    follow(&x, NULL);
    world_turn(20);
    w = x.w;
    over = world_rank(W.stream.count + 1);
    for (int i = 0; i < 2; i++) {
        const char *text = i ? "stale" : "fresh";

        door_subs[0]->ops->progress(door_subs[0]->user, over, text, 5);
        door_subs[0]->ops->progress(door_subs[0]->user, over + 7, text, 5);
    }
    world_append(1, 1);
    door_wake_all();
    turn_until(&w->sent, "\"lines\",\"cursor\":\"7:6\"");
    char other[64], gone[64];
    snprintf(other, sizeof other, "\"rank\":%d,\"msg\":\"stale\"", (int)over + 7);
    snprintf(gone, sizeof gone, "\"rank\":%d,\"msg\":\"stale\"", (int)over);
    turn_until(&w->sent, other);
    assert_null(memmem(w->sent.data, w->sent.len, gone, strlen(gone)));
    ws_end(w);
    door_close(&x);
}

/* Draining closes WebSockets with 1012, breaks streams off and answers those who wait. */
static void drains(void **state)
{
    struct http a, b, c;

    world_append(5, 5);
    door_init(&a, "GET");
    a.upgrade = 1;
    door_init(&b, "GET");
    follow(&a, NULL);
    follow(&b, NULL);
    world_turn(20);
    W.stream.exists = 0;
    door_init(&c, "GET");
    follow(&c, NULL);
    world_turn(20);
    tail_drain_all(&W.ctx, 1012);
    assert_int_equal(a.w->close_code, 1012);
    assert_true(b.aborted);
    assert_int_equal(c.status, 503);
    ws_end(a.w);
    door_close(&a);
    door_close(&b);
    door_close(&c);
}

/* A bad upgrade and an early goodbye leak nothing. */
static void refuses_and_goes(void **state)
{
    struct http x;

    world_append(5, 5);
    door_init(&x, "GET");
    x.upgrade = x.accept_fails = 1;
    follow(&x, NULL);
    world_turn(10);
    assert_int_equal(x.status, 400);
    door_close(&x);
    for (int turns = 0; turns < 6; turns++) {
        door_init(&x, "GET");
        follow(&x, ARGS("tail", "3", "q", "hay"));
        world_turn(turns);
        door_close(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(websocket_to_the_end, world_open, world_close),
        cmocka_unit_test_setup_teardown(history_then_live, world_open, world_close),
        cmocka_unit_test_setup_teardown(stalled_then_drained, world_open, world_close),
        cmocka_unit_test_setup_teardown(fills_in_mid_frame, world_open, world_close),
        cmocka_unit_test_setup_teardown(text_and_ndjson, world_open, world_close),
        cmocka_unit_test_setup_teardown(sse, world_open, world_close),
        cmocka_unit_test_setup_teardown(waits_for_the_job, world_open, world_close),
        cmocka_unit_test_setup_teardown(resets, world_open, world_close),
        cmocka_unit_test_setup_teardown(holds_while_redis_is_away, world_open, world_close),
        cmocka_unit_test_setup_teardown(thins_progress, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_line_ends_the_redraw, world_open, world_close),
        cmocka_unit_test_setup_teardown(drains, world_open, world_close),
        cmocka_unit_test_setup_teardown(refuses_and_goes, world_open, world_close),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

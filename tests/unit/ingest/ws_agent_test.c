/*
 * tests/unit/ingest/ws_agent_test.c -- the agent's road: order, acks, window, gap, busy, fin, drain.
 */
#include "tests/unit/ingest/fake_hall.h"

#include "base/pack.h"
#include "ingest/agent.h"

static struct ws *connect_agent(void)
{
    struct http x = {.is_upgrade = 1, .subprotocol = "joblog.ingest.v1"};
    ingest_ws(fake_ingest, &x, &fake_key);
    assert_non_null(x.ws);
    x.ws->h->on_open(x.ws);
    return x.ws;
}

static void say(struct ws *w, const char *text) { w->h->on_message(w, text, strlen(text), 0); }

/* What was sent since the last look, after the turn's end. */
static const char *heard(struct ws *w)
{
    static char text[8192];
    fake_turn();
    fake_turn();
    snprintf(text, sizeof text, "%s", buf_cstr(&w->sent));
    buf_clear(&w->sent);
    return text;
}

static void hang_up(struct ws **w)
{
    (*w)->h->on_close(*w, 1006);
    buf_release(&(*w)->sent);
    free(*w);
    *w = NULL;
}

#define HELLO                                                                                                \
    "{\"type\":\"hello\",\"producer\":\"rank-3\",\"epoch\":7,\"rank\":3,\"replica\":\"node-1\",\"ranks\":8}"

static struct ws *open_agent(uint64_t last)
{
    struct ws *w = connect_agent();
    say(w, HELLO);
    fake_hello_done(fake_hello_user, 0, last ? 7 : 0, last, STATE_RUNNING, 0);
    assert_non_null(strstr(heard(w), "welcome"));
    return w;
}

static void send_lines(struct ws *w, uint64_t first, unsigned count)
{
    struct buf b = BUF_INIT;
    assert_int_equal(buf_addf(&b, "{\"type\":\"lines\",\"first\":%llu}\n", (unsigned long long)first), 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(buf_addf(&b, "{\"msg\":\"%llu\"}\n", (unsigned long long)first + i), 0);
    say(w, buf_cstr(&b));
    buf_release(&b);
}

static void test_upgrade(void **state)
{
    (void)state; /* What is no WebSocket of this subprotocol is refused. */
    struct http x = {.is_upgrade = 0};
    ingest_ws(fake_ingest, &x, &fake_key);
    assert_int_equal(x.status, 426);
    buf_release(&x.reply);
    struct http y = {.is_upgrade = 1, .subprotocol = "chat"};
    ingest_ws(fake_ingest, &y, &fake_key);
    assert_int_equal(y.status, 400);
    buf_release(&y.reply);
}

static void test_welcome(void **state)
{
    (void)state; /* hello is answered by what is held for this producer in this epoch. */
    struct ws *w = connect_agent();
    say(w, HELLO);
    send_lines(w, 1, 1); /* too early: waits */
    assert_string_equal(heard(w), "");
    assert_int_equal(fake_hello_ranks, 8);
    fake_hello_done(fake_hello_user, 0, 7, 600, STATE_RUNNING, 0);
    assert_string_equal(
        heard(w),
        "{\"type\":\"welcome\",\"project\":\"default\",\"job\":\"demo\",\"state\":\"TRAINING_JOB_RUNNING\","
        "\"epoch\":7,\"last\":600,\"window\":{\"messages\":32,\"bytes\":8388608},\"durability\":\"durable\","
        "\"sealed\":false}\n"
        "{\"type\":\"ack\",\"accepted\":600,\"durable\":600,\"durability\":\"durable\",\"state\":\"TRAINING_JOB_RUNNING\"}\n");
    assert_int_equal(fake_waiting(), 1);
    assert_true(fake_frame_holds("\"rank\":3,\"replica\":\"node-1\""));
    fake_store(1);
    hang_up(&w);
    w = connect_agent(); /* an older epoch is held: nothing of this one */
    say(w, HELLO);
    fake_hello_done(fake_hello_user, 0, 6, 600, STATE_RUNNING, 1);
    const char *text = heard(w);
    assert_non_null(strstr(text, "\"last\":0"));
    assert_non_null(strstr(text, "\"sealed\":true"));
    hang_up(&w);
}

static void test_hello_refused(void **state)
{
    (void)state; /* A newer epoch is fenced with 4409; Redis away is busy and 1013. */
    struct ws *w = connect_agent();
    say(w, HELLO);
    fake_hello_done(fake_hello_user, 0, 8, 1, STATE_RUNNING, 0);
    assert_non_null(strstr(heard(w), "{\"type\":\"error\",\"code\":\"fenced\""));
    assert_int_equal(w->close_code, 4409);
    hang_up(&w);
    w = connect_agent();
    say(w, HELLO);
    fake_hello_done(fake_hello_user, ERR_UNAVAILABLE, 0, 0, STATE_RUNNING, 0);
    assert_string_equal(heard(w), "{\"type\":\"busy\",\"retry_after\":1}\n");
    assert_int_equal(w->close_code, 1013);
    hang_up(&w);
    w = connect_agent(); /* gone before the answer */
    say(w, HELLO);
    hang_up(&w);
    assert_false(ingest_idle(fake_ingest));
    fake_hello_done(fake_hello_user, 0, 0, 0, STATE_RUNNING, 0);
}

static void test_stop(void **state)
{
    (void)state; /* A stopped job's agents are told once: idle ones at once, others with their welcome, after an outage too. */
    static const char stop[] = "{\"type\":\"stop\",\"state\":\"TRAINING_JOB_STOPPED\"}\n";
    struct job_key other;
    assert_int_equal(job_key_make(&other, "default", 7, "other", 5), 0);
    struct ws *w = open_agent(0), *late = connect_agent();
    say(late, HELLO);
    fake_stopped(fake_stopped_user, &other);
    assert_string_equal(heard(w), "");
    fake_stopped(fake_stopped_user, &fake_key);
    assert_string_equal(heard(w), stop);
    fake_stopped(fake_stopped_user, &fake_key);
    assert_string_equal(heard(w), "");
    assert_string_equal(heard(late), "");
    fake_hello_done(fake_hello_user, 0, 0, 0, STATE_RUNNING, 0); /* asked before the stop */
    assert_non_null(strstr(heard(late), stop));
    send_lines(w, 1, 2); /* its last lines still enter */
    fake_store(1);
    assert_non_null(strstr(heard(w), "\"accepted\":2"));
    hang_up(&w), hang_up(&late);
    w = connect_agent(); /* stopped while nobody was connected */
    say(w, "{\"type\":\"hello\",\"producer\":\"p\",\"epoch\":1,\"stop_grace\":45}");
    assert_int_equal(fake_hello_grace_us, 45000000);
    fake_hello_done(fake_hello_user, 0, 0, 0, STATE_STOPPED, 0);
    assert_non_null(strstr(heard(w), stop));
    hang_up(&w);
    w = open_agent(0), late = open_agent(0); /* one look for both */
    fake_gets = 0;
    fake_get_state = STATE_RUNNING;
    fake_stopped(fake_stopped_user, NULL);
    assert_string_equal(heard(w), "");
    fake_get_state = STATE_STOPPED;
    fake_stopped(fake_stopped_user, NULL);
    assert_string_equal(heard(w), stop);
    assert_string_equal(heard(late), stop);
    assert_int_equal(fake_gets, 2);
    hang_up(&w), hang_up(&late);
    w = connect_agent();
    say(w, "{\"type\":\"hello\",\"producer\":\"p\",\"epoch\":1,\"stop_grace\":99999}");
    assert_non_null(strstr(heard(w), "stop_grace must be"));
    hang_up(&w);
}

static void test_samples(void **state)
{
    (void)state; /* A sample goes to the stream under the agent's replica, dated by this clock; a flood and nonsense do not. */
    struct ws *w = open_agent(0);
    fake_samples = 0;
    say(w, "{\"type\":\"sample\",\"age_ms\":2000,\"cpu\":3.25,\"cpu_count\":8,\"memory_bytes\":500,\"memory_total_bytes\":1000,"
           "\"disk_total_bytes\":null,\"gpus\":[{\"name\":\"H100\",\"use\":0.93,\"memory_bytes\":7},{}],\"of_tomorrow\":1}");
    assert_int_equal(fake_samples, 1);
    assert_string_equal(fake_about.replica, "node-1");
    assert_true(llabs(fake_sample.at_us - (clock_wall_us() - 2000000)) < 1000000);
    assert_int_equal(fake_sample.cpu_milli, 3250);
    assert_int_equal(fake_about.cpu_milli, 8000);
    assert_int_equal(fake_sample.disk_bytes, NODE_UNKNOWN);
    assert_int_equal(fake_about.gpu_count, 2);
    assert_string_equal(fake_about.gpus[0].name, "H100");
    assert_int_equal(fake_sample.gpus[0].permille, 930);
    assert_int_equal(fake_sample.gpus[1].permille, NODE_UNKNOWN);
    for (int i = 0; i < 2000; i++) say(w, "{\"type\":\"sample\",\"cpu\":1}");
    assert_true(fake_samples > 300 && fake_samples < 600);
    assert_string_equal(heard(w), "");
    hang_up(&w);
    static const char *const bad[] = {"\"cpu\":-1", "\"cpu\":\"x\"", "\"cpu\":1e300", "\"gpus\":{}",
                                      "\"gpus\":[1]", "\"age_ms\":-5", "\"gpus\":[{\"use\":1.5}]", "\"memory_bytes\":1e17"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        w = open_agent(0);
        snprintf(text, sizeof text, "{\"type\":\"sample\",%s}", bad[i]);
        say(w, text);
        assert_non_null(strstr(heard(w), "bad_message"));
        assert_int_equal(w->close_code, 4400);
        hang_up(&w);
    }
}

static void test_acks_are_cumulative(void **state)
{
    (void)state; /* Appends answered in one turn are acknowledged by one message. */
    struct ws *w = open_agent(100);
    for (unsigned i = 0; i < 4; i++) send_lines(w, 101 + 10 * i, 10);
    assert_int_equal(fake_waiting(), 4);
    assert_int_equal(fake_batch()->producer.first, 101);
    assert_int_equal(fake_batch()->producer.last, 110);
    assert_int_equal(fake_batch()->producer.epoch, 7);
    assert_string_equal(fake_batch()->producer.id, "rank-3");
    assert_int_equal(fake_batch()->producer.rank, 3);
    assert_string_equal(heard(w), "");
    fake_store(1), fake_store(0), fake_store(1);
    assert_string_equal(
        heard(w), "{\"type\":\"ack\",\"accepted\":130,\"durable\":130,"
        "\"durability\":\"durable\",\"state\":\"TRAINING_JOB_RUNNING\"}\n");
    fake_store(1);
    assert_non_null(strstr(heard(w), "\"accepted\":140"));
    hang_up(&w);
}

static void test_durable_lags(void **state)
{
    (void)state; /* In class accepted `durable` follows only after the flush time. */
    fake_durability = DURABILITY_ACCEPTED;
    fake_ingest->flush_us = 300000;
    struct ws *w = open_agent(0);
    send_lines(w, 1, 10);
    fake_store(1);
    int64_t start = clock_mono_us();
    assert_string_equal(
        heard(w), "{\"type\":\"ack\",\"accepted\":10,\"durable\":0,"
        "\"durability\":\"accepted\",\"state\":\"TRAINING_JOB_RUNNING\"}\n");
    FAKE_UNTIL(w->sent.len);
    assert_true(clock_mono_us() - start >= 300000);
    assert_string_equal(
        heard(w), "{\"type\":\"ack\",\"accepted\":10,\"durable\":10,"
        "\"durability\":\"accepted\",\"state\":\"TRAINING_JOB_RUNNING\"}\n");
    for (unsigned i = 0; i < 40; i++) { /* more acks than marks: the newest still comes */
        send_lines(w, 11 + i, 1);
        fake_store(1);
        heard(w);
    }
    FAKE_UNTIL(strstr(heard(w), "\"durable\":50"));
    hang_up(&w);
    w = open_agent(77); /* come back with nothing to send: still learns it */
    assert_string_equal(heard(w), "");
    FAKE_UNTIL(strstr(heard(w), "\"accepted\":77,\"durable\":77"));
    hang_up(&w);
}

static void test_durable_waits_for_redis(void **state)
{
    (void)state; /* In class accepted nothing becomes durable while Redis is silent; after another connection to it the agent
                  * must ask what is held, unless a later answer tells. */
    fake_durability = DURABILITY_ACCEPTED;
    fake_ingest->flush_us = 1000;
    fake_heard_us = clock_mono_us();
    struct ws *w = open_agent(0);
    send_lines(w, 1, 10);
    fake_store(1);
    heard(w);
    for (int64_t until = clock_mono_us() + 600000; clock_mono_us() < until;) uv_run(&fake_loop, UV_RUN_ONCE);
    assert_string_equal(heard(w), "");
    fake_heard_us = clock_mono_us();
    FAKE_UNTIL(strstr(heard(w), "\"durable\":10"));
    fake_heard_us = 0;
    send_lines(w, 11, 10);
    fake_store(1);
    fake_round++;
    send_lines(w, 21, 10); /* on its way when the connection goes */
    fake_store(1);
    fake_heard_us = -1;
    FAKE_UNTIL(strstr(heard(w), "\"durable\":30"));
    assert_int_equal(w->close_code, 0);
    fake_heard_us = 0;
    send_lines(w, 31, 10);
    fake_store(1);
    fake_round++;
    FAKE_UNTIL(w->close_code);
    assert_int_equal(w->close_code, 1012);
    hang_up(&w);
}

static void test_gap(void **state)
{
    (void)state; /* After a gap what was sent ahead is ignored until the expected line comes; told once. */
    struct ws *w = open_agent(200);
    for (unsigned i = 0; i < 3; i++) send_lines(w, 201 + 10 * i, 10);
    fake_fail(ERR_GAP, 101);
    assert_string_equal(heard(w), "{\"type\":\"gap\",\"expected\":101}\n");
    send_lines(w, 231, 10); /* was on its way */
    assert_int_equal(fake_waiting(), 2);
    fake_fail(ERR_GAP, 101), fake_fail(ERR_GAP, 101);
    assert_string_equal(heard(w), "");
    send_lines(w, 101, 100);
    send_lines(w, 201, 10);
    assert_int_equal(fake_waiting(), 2);
    fake_store(1), fake_store(1);
    assert_non_null(strstr(heard(w), "\"accepted\":210"));
    hang_up(&w);
}

static void test_gap_takes_durable_back(void **state)
{
    (void)state; /* A gap below what was acknowledged takes both watermarks back. */
    fake_durability = DURABILITY_ACCEPTED;
    fake_ingest->flush_us = 1;
    struct ws *w = open_agent(0);
    send_lines(w, 1, 50);
    fake_store(1);
    FAKE_UNTIL(strstr(heard(w), "\"durable\":50"));
    send_lines(w, 51, 1);
    fake_fail(ERR_GAP, 11);
    assert_string_equal(heard(w), "{\"type\":\"gap\",\"expected\":11}\n");
    send_lines(w, 11, 5);
    fake_ingest->flush_us = 60000000;
    fake_store(1);
    assert_non_null(strstr(heard(w), "\"accepted\":15,\"durable\":10"));
    hang_up(&w);
}

static void test_busy(void **state)
{
    (void)state; /* busy: nothing is taken until the line after the last ack comes again; late successes count. */
    struct ws *w = open_agent(0);
    for (unsigned i = 0; i < 3; i++) send_lines(w, 1 + 10 * i, 10);
    fake_store(1);
    fake_fail(ERR_FULL, 0);
    assert_string_equal(
        heard(w), "{\"type\":\"ack\",\"accepted\":10,\"durable\":10,"
        "\"durability\":\"durable\",\"state\":\"TRAINING_JOB_RUNNING\"}\n"
                  "{\"type\":\"busy\",\"retry_after\":5}\n");
    fake_fail(ERR_GAP, 11); /* of what was under way */
    assert_string_equal(heard(w), "");
    send_lines(w, 31, 10);
    assert_int_equal(fake_waiting(), 0);
    send_lines(w, 11, 10);
    assert_int_equal(fake_waiting(), 1);
    fake_fail(ERR_TIMEOUT, 0); /* unknown outcome: it was stored, the next says so */
    assert_string_equal(heard(w), "{\"type\":\"busy\",\"retry_after\":1}\n");
    send_lines(w, 11, 10);
    fake_store(0);
    assert_non_null(strstr(heard(w), "\"accepted\":20"));
    hang_up(&w);
}

static void test_window(void **state)
{
    (void)state; /* 32 messages may be in flight; the 33rd closes with 4400, answers may still come. */
    struct ws *w = open_agent(0);
    for (unsigned i = 0; i < 32; i++) send_lines(w, 1 + i, 1);
    assert_int_equal(w->close_code, 0);
    fake_store(1);
    send_lines(w, 33, 1);
    assert_int_equal(w->close_code, 0);
    send_lines(w, 34, 1);
    assert_int_equal(w->close_code, 4400);
    assert_non_null(strstr(heard(w), "\"code\":\"window\""));
    hang_up(&w);
    while (fake_waiting()) fake_store(1);
}

static void test_window_after_busy(void **state)
{
    (void)state; /* After busy the whole window may be sent again, though what was sent before is still with Redis. */
    struct ws *w = open_agent(0);
    for (unsigned i = 0; i < 30; i++) send_lines(w, 1 + i, 1);
    fake_fail(ERR_UNAVAILABLE, 0);
    assert_non_null(strstr(heard(w), "\"type\":\"busy\""));
    for (unsigned i = 0; i < 30; i++) send_lines(w, 1 + i, 1);
    assert_int_equal(w->close_code, 0);
    for (unsigned i = 1; i < 30; i++) fake_store(1); /* what was sent first arrives after all */
    assert_non_null(strstr(heard(w), "\"accepted\":30"));
    for (unsigned i = 0; i < 30; i++) send_lines(w, 31 + i, 1); /* so all of it is acknowledged, the second time too */
    assert_int_equal(w->close_code, 0);
    for (unsigned i = 0; i < 60; i++) fake_store(1);
    assert_non_null(strstr(heard(w), "\"accepted\":60"));
    for (unsigned i = 0; i < 33; i++) send_lines(w, 61 + i, 1);
    assert_non_null(strstr(heard(w), "\"code\":\"window\""));
    for (unsigned i = 0; i < 32; i++) fake_store(1);
    hang_up(&w);
}

static void test_window_bytes(void **state)
{
    (void)state; /* 8 MiB of messages may be in flight, as sent. */
    struct ws *w = open_agent(0);
    struct buf b = BUF_INIT;
    for (unsigned n = 1; n <= 3; n++) {
        buf_clear(&b);
        assert_int_equal(buf_addf(&b, "{\"type\":\"lines\",\"first\":%u}\n{\"msg\":\"", n), 0);
        for (int i = 0; i < 3 * 1024 * 1024; i += 16) buf_adds(&b, "abcdefghijklmnop");
        buf_adds(&b, "\"}\n");
        w->h->on_message(w, b.data, b.len, 1);
    }
    FAKE_UNTIL(w->close_code);
    assert_int_equal(w->close_code, 4400);
    assert_int_equal(fake_waiting(), 2);
    assert_int_equal(fake_batch()->line_count, 1); /* a numbered line is not split */
    buf_release(&b);
    hang_up(&w);
    while (fake_waiting()) fake_store(1);
}

static void test_fenced_and_sealed(void **state)
{
    (void)state; /* Fenced and sealed are told once and closed with 4409. */
    for (int i = 0; i < 2; i++) {
        struct ws *w = open_agent(0);
        send_lines(w, 1, 1), send_lines(w, 2, 1);
        fake_fail(i ? ERR_SEALED : ERR_FENCED, 0);
        fake_fail(i ? ERR_SEALED : ERR_FENCED, 0);
        assert_int_equal(w->close_code, 4409);
        assert_non_null(strstr(heard(w), i ? "\"code\":\"sealed\"" : "\"code\":\"fenced\""));
        send_lines(w, 3, 1);
        assert_int_equal(fake_waiting(), 0);
        hang_up(&w);
    }
}

static void test_bad_messages(void **state)
{
    (void)state; /* What is no message closes with 4400 and says why. */
    static const char *const bad[] = {"",
                                      "x",
                                      "{}",
                                      "{\"type\":1}",
                                      "{\"type\":\"nope\"}",
                                      HELLO,
                                      "{\"type\":\"lines\"}\n{\"msg\":\"a\"}",
                                      "{\"type\":\"lines\",\"first\":0}\n{\"msg\":\"a\"}",
                                      "{\"type\":\"lines\",\"first\":1}",
                                      "{\"type\":\"lines\",\"first\":1}\n\n",
                                      "{\"type\":\"skip\",\"from\":5,\"to\":4}",
                                      "{\"type\":\"state\",\"state\":\"x\"}",
                                      "{\"type\":\"fin\",\"last\":-1}",
                                      "{\"type\":\"fin\",\"last\":3}",
                                      "{\"type\":\"progress\"}",
                                      "{\"type\":\"lines\",\"first\":9007199254740992}\n{\"msg\":\"a\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ws *w = open_agent(5);
        say(w, bad[i]);
        if (w->close_code != 4400) fail_msg("%s gave %d", bad[i], w->close_code);
        assert_non_null(strstr(heard(w), "\"type\":\"error\""));
        hang_up(&w);
    }
    struct ws *w = connect_agent(); /* the first message must be hello */
    send_lines(w, 1, 1);
    assert_int_equal(w->close_code, 4400);
    hang_up(&w);
    const char *hellos[] = {"{\"type\":\"hello\",\"producer\":\"a b\",\"epoch\":1}",
                            "{\"type\":\"hello\",\"producer\":\"a\"}",
                            "{\"type\":\"hello\",\"producer\":\"a\",\"epoch\":1,\"rank\":65536}",
                            "{\"type\":\"hello\",\"producer\":\"a\",\"epoch\":1.5}"};
    for (size_t i = 0; i < 4; i++) {
        w = connect_agent();
        say(w, hellos[i]);
        assert_int_equal(w->close_code, 4400);
        hang_up(&w);
    }
}

static void test_bad_line_is_kept(void **state)
{
    (void)state; /* One line that is no JSON does not stop an agent: it keeps its number as text. */
    struct ws *w = open_agent(0);
    say(w, "{\"type\":\"lines\",\"first\":1}\n{\"msg\":\"a\"}\nnot json\n{\"msg\":\"c\"}\n");
    assert_int_equal(fake_batch()->line_count, 3);
    assert_true(fake_frame_holds("\"msg\":\"not json\""));
    fake_store(1);
    assert_non_null(strstr(heard(w), "\"accepted\":3"));
    struct ingest_stats s;
    ingest_stats(fake_ingest, &s);
    assert_int_equal(s.lines_skipped_bad, 1);
    assert_int_equal(s.agents_open, 1);
    hang_up(&w);
}

static void test_skip(void **state)
{
    (void)state; /* Dropped lines become one record that says which. */
    struct ws *w = open_agent(100);
    say(w, "{\"type\":\"skip\",\"from\":101,\"to\":200,\"reason\":\"spool \\\"full\\\"\"}");
    struct batch *b = fake_batch();
    assert_int_equal(b->is_gap, 1);
    assert_int_equal(b->line_count, 1);
    assert_int_equal(b->producer.first, 101);
    assert_int_equal(b->producer.last, 200);
    assert_true(fake_frame_holds("\"level\":\"warn\",\"msg\":\"lines 101 to 200 were dropped by the agent: "
                                 "spool \\\"full\\\"\",\"fields\":{\"gap\":{\"from\":101,\"to\":200}}}"));
    fake_store(1);
    assert_non_null(strstr(heard(w), "\"accepted\":200"));
    hang_up(&w);
}

static void test_zstd(void **state)
{
    (void)state; /* Compressed messages are read on a worker; those behind them wait; order stays. */
    struct ws *w = open_agent(0);
    struct buf b = BUF_INIT;
    const char *plain = "{\"type\":\"lines\",\"first\":1}\n{\"msg\":\"1\"}\n";
    assert_int_equal(pack_zstd(&b, plain, strlen(plain), 1), 0);
    w->h->on_message(w, b.data, b.len, 1);
    send_lines(w, 2, 1);
    say(w, "{\"type\":\"fin\",\"last\":2}");
    assert_int_equal(fake_waiting(), 0);
    FAKE_UNTIL(fake_waiting() == 2);
    assert_int_equal(fake_batch()->producer.first, 1);
    fake_store(1);
    assert_int_equal(fake_batch()->producer.first, 2);
    fake_store(1);
    fake_store(1);
    assert_non_null(strstr(heard(w), "fin_ack"));
    b.data[b.len / 2] ^= 0x40;
    w->h->on_message(w, b.data, b.len, 1);
    FAKE_UNTIL(w->close_code);
    assert_int_equal(w->close_code, 4400);
    hang_up(&w);
    w = open_agent(0); /* gone while the worker reads */
    b.data[b.len / 2] ^= 0x40;
    w->h->on_message(w, b.data, b.len, 1);
    hang_up(&w);
    FAKE_UNTIL(ingest_idle(fake_ingest));
    buf_release(&b);
}

static void test_zstd_bomb(void **state)
{
    (void)state; /* A message that unpacks beyond 8 MiB closes the connection. */
    struct ws *w = open_agent(0);
    struct buf b = BUF_INIT;
    char *zero = calloc(1, 64 << 20);
    assert_int_equal(pack_zstd(&b, zero, 64 << 20, 1), 0);
    free(zero);
    w->h->on_message(w, b.data, b.len, 1);
    FAKE_UNTIL(w->close_code);
    assert_int_equal(w->close_code, 4400);
    assert_non_null(strstr(heard(w), "too_large"));
    buf_release(&b);
    hang_up(&w);
}

static void test_fin(void **state)
{
    (void)state; /* fin is noted and answered once everything up to it is held, and not before. */
    struct ws *w = open_agent(0);
    send_lines(w, 1, 10);
    say(w, "{\"type\":\"fin\",\"last\":10,\"exit_code\":137,\"signal\":9}");
    assert_int_equal(fake_waiting(), 1);
    fake_store(1);
    assert_int_equal(fake_waiting(), 1);
    struct batch *b = fake_batch();
    assert_int_equal(b->line_count, 0);
    assert_int_equal(b->producer.has_fin, 1);
    assert_int_equal(b->producer.fin, 10);
    assert_int_equal(b->producer.last, 10);
    assert_int_equal(b->producer.has_exit_code, 1);
    assert_int_equal(b->producer.exit_code, 137);
    assert_int_equal(b->producer.signal, 9);
    assert_null(strstr(heard(w), "fin_ack"));
    fake_store(1);
    assert_string_equal(heard(w), "{\"type\":\"fin_ack\",\"last\":10}\n");
    say(w, "{\"type\":\"fin\",\"last\":10}"); /* again, and Redis is away */
    fake_fail(ERR_UNAVAILABLE, 0);
    assert_string_equal(heard(w), "{\"type\":\"busy\",\"retry_after\":1}\n");
    say(w, "{\"type\":\"fin\",\"last\":10}");
    fake_store(1);
    assert_non_null(strstr(heard(w), "fin_ack"));
    hang_up(&w);
}

static void test_state(void **state)
{
    (void)state; /* State changes are answered in order, refusals with the state it is in. */
    struct ws *w = open_agent(0);
    say(w, "{\"type\":\"state\",\"state\":\"FAILED\",\"message\":\"oom\",\"exit_code\":137}");
    assert_int_equal(fake_change.to, STATE_FAILED);
    assert_int_equal(fake_change.rank, 3);
    assert_string_equal(fake_change_message, "oom");
    fake_change_done(fake_change_user, 0, 1, STATE_RUNNING, 9);
    assert_string_equal(heard(w), "{\"type\":\"state_ack\",\"ok\":true,\"state\":\"TRAINING_JOB_FAILED\"}\n");
    say(w, "{\"type\":\"state\",\"state\":\"RUNNING\"}");
    fake_change_done(fake_change_user, ERR_TRANSITION, 0, STATE_FAILED, 0);
    assert_string_equal(heard(w), "{\"type\":\"state_ack\",\"ok\":false,\"code\":\"bad_transition\","
                                  "\"state\":\"TRAINING_JOB_FAILED\"}\n");
    hang_up(&w);
}

static void test_progress(void **state)
{
    (void)state; /* Redraws are passed on at most five times a second. */
    struct ws *w = open_agent(0);
    for (int i = 0; i < 100; i++) say(w, "{\"type\":\"progress\",\"rank\":3,\"msg\":\" 40%|####  |\"}");
    assert_int_equal(fake_progress_count, 1);
    assert_string_equal(fake_progress, " 40%|####  |");
    hang_up(&w);
}

static void test_choked_peer(void **state)
{
    (void)state; /* A peer that does not read its acks gets one when it does, and is not read meanwhile. */
    struct ws *w = open_agent(0);
    w->backlog = WS_BACKLOG_HIGH_BYTES + 1;
    send_lines(w, 1, 1);
    assert_int_equal(w->paused, 1);
    fake_store(1);
    assert_string_equal(heard(w), "");
    w->backlog = 0;
    w->h->on_drain(w);
    assert_int_equal(w->paused, 0);
    assert_non_null(strstr(heard(w), "\"accepted\":1"));
    hang_up(&w);
}

static void test_drain(void **state)
{
    (void)state; /* A drain acknowledges what was taken, then closes with 1012; new ones are refused. */
    struct ws *w = open_agent(0), *idle = open_agent(0), *fresh = connect_agent();
    send_lines(w, 1, 5);
    ingest_drain(fake_ingest);
    heard(w);
    assert_int_equal(idle->close_code, 1012);
    assert_int_equal(fresh->close_code, 1012);
    assert_int_equal(w->close_code, 0);
    send_lines(w, 6, 5); /* not taken */
    assert_int_equal(fake_waiting(), 1);
    fake_store(1);
    assert_non_null(strstr(heard(w), "\"accepted\":5"));
    assert_int_equal(w->close_code, 1012);
    struct http x = {.is_upgrade = 1, .subprotocol = "joblog.ingest.v1"};
    ingest_ws(fake_ingest, &x, &fake_key);
    assert_int_equal(x.status, 503);
    buf_release(&x.reply);
    hang_up(&w), hang_up(&idle), hang_up(&fresh);
}

static void test_gone_with_calls_open(void **state)
{
    (void)state; /* An agent that goes while everything is under way is freed by the last answer. */
    struct ws *w = open_agent(0);
    send_lines(w, 1, 5), send_lines(w, 6, 5);
    say(w, "{\"type\":\"state\",\"state\":\"FAILED\"}");
    hang_up(&w);
    fake_store(1);
    fake_fail(ERR_UNAVAILABLE, 0);
    assert_false(ingest_idle(fake_ingest));
    fake_change_done(fake_change_user, 0, 1, STATE_RUNNING, 9);
    fake_turn();
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_open, fake_close)
int main(void)
{
    const struct CMUnitTest tests[] = {T(test_upgrade),
                                       T(test_welcome),
                                       T(test_hello_refused),
                                       T(test_stop),
                                       T(test_samples),
                                       T(test_acks_are_cumulative),
                                       T(test_durable_lags),
                                       T(test_durable_waits_for_redis),
                                       T(test_gap),
                                       T(test_gap_takes_durable_back),
                                       T(test_busy),
                                       T(test_window),
                                       T(test_window_after_busy),
                                       T(test_window_bytes),
                                       T(test_fenced_and_sealed),
                                       T(test_bad_messages),
                                       T(test_bad_line_is_kept),
                                       T(test_skip),
                                       T(test_zstd),
                                       T(test_zstd_bomb),
                                       T(test_fin),
                                       T(test_state),
                                       T(test_progress),
                                       T(test_choked_peer),
                                       T(test_drain),
                                       T(test_gone_with_calls_open)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

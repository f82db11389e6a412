/*
 * tests/unit/ingest/http_logs_test.c -- POST logs: headers, formats, answers, workers, memory.
 */
#include "tests/unit/ingest/fake_hall.h"

#include "base/pack.h"

#include <ctype.h>

static struct http *post(const char *args[][2], const char *headers[][2], int64_t length)
{
    struct http *x = calloc(1, sizeof *x);
    for (int i = 0; args && args[i][0]; i++) x->args[i][0] = args[i][0], x->args[i][1] = args[i][1];
    for (int i = 0; headers && headers[i][0]; i++)
        x->headers[i][0] = headers[i][0], x->headers[i][1] = headers[i][1];
    x->body_length = length;
    ingest_http_logs(fake_ingest, x, &fake_key);
    return x;
}

static void body(struct http *x, const char *text, size_t len)
{
    if (!x->started) x->h->on_body(x, text, len);
    if (!x->started) x->h->on_body_end(x);
}

static void end(struct http **x)
{
    (*x)->h->on_close(*x, 1);
    buf_release(&(*x)->reply);
    free(*x);
    *x = NULL;
}

static const char *reply(struct http *x) { return buf_cstr(&x->reply); }

#define ARGS(...) (const char *[][2]){__VA_ARGS__, {NULL, NULL}}

static void test_stored(void **state)
{
    (void)state; /* The reply comes after the stream's answer and says what was stored, and how well. */
    struct http *x =
        post(ARGS({"rank", "3"}, {"stream", "stderr"}, {"level", "warn"}, {"replica", "n1"}), NULL, 4);
    body(x, "a\nb\n", 4);
    assert_false(x->started);
    assert_int_equal(fake_batch()->line_count, 2);
    assert_int_equal(fake_ingest->memory_bytes, 0); /* the stream counts it now */
    assert_string_equal(fake_batch()->producer.id, "");
    assert_true(fake_frame_holds("\"rank\":3,\"replica\":\"n1\",\"stream\":\"stderr\",\"level\":\"warn\",\"msg\":\"a\""));
    fake_store(1);
    assert_int_equal(x->status, 200);
    assert_string_equal(
        reply(x), "{\"first\":1,\"last\":2,\"accepted\":2,\"duplicates\":0,\"durability\":\"durable\"}\n");
    end(&x);
}

static void test_counts_in_reply(void **state)
{
    (void)state; /* What was repaired on the way is told. */
    struct http *x =
        post(ARGS({"on_error", "skip"}), ARGS({"Content-Type", "application/x-ndjson; charset=utf-8"}), 4);
    body(x, "{\"msg\":\"\xff\\u0000\"}\nbad\n", 22);
    fake_store(1);
    assert_non_null(strstr(reply(x), "\"replaced_utf8\":1,\"nul\":1,\"bad_lines\":1}"));
    end(&x);
}

static void test_refused_arguments(void **state)
{
    (void)state; /* A bad argument or header is 400 and named, before any body. */
    static const char *const bad[][3] = {{"a", "rank", "-1"},
                                         {"a", "rank", "65536"},
                                         {"a", "replica", "a/b"},
                                         {"a", "stream", "a b"},
                                         {"a", "level", "loud"},
                                         {"a", "on_error", "maybe"},
                                         {"h", "X-Producer", "a b"},
                                         {"h", "X-Epoch", "1"},
                                         {"h", "X-Sequence", "1"},
                                         {"h", "X-Producer-Fin", "1"},
                                         {"p", "X-Epoch", "-1"},
                                         {"p", "X-Epoch", ""},
                                         {"p", "X-Epoch", "9007199254740992"},
                                         {"e", "X-Sequence", "0"},
                                         {"e", "X-Sequence", "1, 1"},
                                         {"e", "X-Sequence", "+1"},
                                         {"e", "X-Producer-Fin", "1x"},
                                         {"e", "X-Producer-Exit", "x"},
                                         {"e", "X-Producer-Exit", "1"},
                                         {"e", "X-Sequence", "99999999999999999999999"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int p = *bad[i][0] == 'p' || *bad[i][0] == 'e', e = *bad[i][0] == 'e';
        const char *name = bad[i][1], *value = bad[i][2];
        struct http *x = *bad[i][0] == 'a' ? post(ARGS({name, value}), NULL, 1)
                                           : post(NULL,
                                                  ARGS({name, value}, {p ? "X-Producer" : "X-None", "p"},
                                                       {e ? "X-Epoch" : "X-None", "7"}),
                                                  1);
        assert_int_equal(x->status, 400);
        if (!strstr(reply(x), name)) fail_msg("%s is not named in %s", name, reply(x));
        assert_non_null(strstr(reply(x), "\"code\":\"bad_request\""));
        end(&x);
    }
    /* a producer without a sequence */
    struct http *x = post(NULL, ARGS({"X-Producer", "p"}, {"X-Epoch", "7"}), 1);
    assert_int_equal(x->status, 400);
    assert_non_null(strstr(reply(x), "X-Sequence"));
    end(&x);
}

static void test_producer(void **state)
{
    (void)state; /* A producer's lines carry its numbers; a fin may come with them or alone. */
    struct http *x = post(
        NULL, ARGS({"X-Producer", "p"}, {"X-Epoch", "7"}, {"X-Sequence", "101"}, {"X-Producer-Fin", "103"}),
        6);
    body(x, "a\nb\nc\n", 6);
    const struct batch_producer *p = &fake_batch()->producer;
    assert_string_equal(p->id, "p");
    assert_int_equal(p->epoch, 7);
    assert_int_equal(p->first, 101);
    assert_int_equal(p->last, 103);
    assert_int_equal(p->has_fin, 1);
    assert_int_equal(p->fin, 103);
    fake_store(0);
    assert_non_null(strstr(reply(x), "\"accepted\":0,\"duplicates\":3"));
    end(&x);
    x = post(NULL, ARGS({"X-Producer", "p"}, {"X-Epoch", "7"}, {"X-Producer-Fin", "0"}, {"X-Producer-Exit", "256"}), 0);
    assert_int_equal(x->status, 400);
    end(&x);
    x = post(NULL, ARGS({"X-Producer", "p"}, {"X-Epoch", "7"}, {"X-Producer-Fin", "0"}, {"X-Producer-Exit", "143"}), 0);
    x->h->on_body_end(x);
    assert_true(fake_batch()->producer.has_exit_code && fake_batch()->producer.exit_code == 143);
    assert_false(fake_batch()->producer.signal);
    fake_store(1);
    end(&x);
    x = post(NULL, ARGS({"X-Producer", "p"}, {"X-Epoch", "7"}, {"X-Producer-Fin", "0"}), 0);
    x->h->on_body_end(x);
    assert_int_equal(fake_batch()->line_count, 0);
    assert_int_equal(fake_batch()->producer.first, 1);
    assert_int_equal(fake_batch()->producer.last, 0);
    fake_store(1);
    assert_int_equal(x->status, 200);
    end(&x);
    x = post(NULL,
             ARGS({"X-Producer", "p"}, {"X-Epoch", "7"}, {"X-Sequence", "101"}, {"X-Producer-Fin", "101"}),
             6);
    body(x, "a\nb\n", 4);
    assert_int_equal(x->status, 400);
    end(&x);
    x = post(NULL, ARGS({"X-Producer", "p"}, {"X-Epoch", "7"}, {"X-Producer-Fin", "101"}), 6);
    body(x, "a\nb\n", 4);
    assert_int_equal(x->status, 400);
    end(&x);
}

static void test_numbered_line_stays_one(void **state)
{
    (void)state; /* With X-Sequence a line over the line limit stays one record; without it becomes parts. */
    size_t len = 600 * 1024;
    char *big = malloc(len);
    memset(big, 'x', len);
    for (int numbered = 0; numbered < 2; numbered++) {
        struct http *x = post(
            NULL, numbered ? ARGS({"X-Producer", "p"}, {"X-Epoch", "7"}, {"X-Sequence", "5"}) : NULL, -1);
        body(x, big, len);
        FAKE_UNTIL(fake_waiting());
        assert_int_equal(fake_batch()->line_count, numbered ? 1 : 3);
        fake_store(1);
        assert_int_equal(x->status, 200);
        assert_int_equal(strstr(reply(x), "\"split\":1") == NULL, numbered);
        end(&x);
    }
    free(big);
}

static void test_stream_errors(void **state)
{
    (void)state; /* Every refusal of the stream has its status, code and Retry-After. */
    static const struct {
        int err, status;
        const char *has, *header;
    } table[] = {{ERR_GAP, 409, "\"code\":\"gap\"", ""},
                 {ERR_FENCED, 409, "\"code\":\"fenced\"", ""},
                 {ERR_SEALED, 409, "\"code\":\"sealed\"", ""},
                 {ERR_UNAVAILABLE, 503, "\"code\":\"unavailable\"", "Retry-After: 1\n"},
                 {ERR_TIMEOUT, 503, "timeout", "Retry-After: 1\n"},
                 {ERR_FULL, 503, "\"code\":\"full\"", "Retry-After: 5\n"},
                 {ERR_READONLY, 503, "read_only", "Retry-After: 1\n"},
                 {ERR_BUSY, 429, "busy", "Retry-After: 1\n"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct http *x = post(NULL, NULL, 1);
        body(x, "a", 1);
        fake_fail(table[i].err, 42);
        assert_int_equal(x->status, table[i].status);
        assert_non_null(strstr(reply(x), table[i].has));
        assert_string_equal(x->reply_headers, table[i].header);
        if (table[i].err == ERR_GAP) assert_non_null(strstr(reply(x), "\"expected\":42"));
        if (table[i].err == ERR_FENCED) assert_non_null(strstr(reply(x), "\"epoch\":9"));
        end(&x);
    }
}

static void test_bodies(void **state)
{
    (void)state; /* The content type chooses the format; bad lines name their number; empty bodies are refused. */
    static const struct {
        const char *type, *text;
        unsigned lines;
        int status;
        const char *has;
    } table[] = {{"application/x-www-form-urlencoded", "{\"msg\":\"a\"}\n{\"msg\":\"b\"}", 2, 200, "accepted"},
                 {"application/x-www-form-urlencoded", "a=b&c\n", 1, 200, "accepted"},
                 {"Application/JSON", "[{\"msg\":\"a\"},\"b\"]", 2, 200, "accepted"},
                 {"application/json", "{\"msg\":\n\"a\"}", 1, 200, "accepted"},
                 {"text/plain", "{\"msg\":\"a\"}\n\n", 2, 200, "accepted"},
                 {"application/jsonl", "{\"msg\":\"a\"}\nx\n", 0, 400, "\"code\":\"bad_line\""},
                 {"application/jsonl", "{\"msg\":\"a\"}\nx\n", 0, 400, "\"line\":2"},
                 {"application/x-ndjson", "\n\n", 0, 400, "empty_body"},
                 {"application/json", "[]", 0, 400, "empty_body"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct http *x = post(NULL, ARGS({"Content-Type", table[i].type}), -1);
        body(x, table[i].text, strlen(table[i].text));
        if (table[i].lines) {
            assert_int_equal(fake_batch()->line_count, table[i].lines);
            fake_store(1);
        }
        assert_int_equal(x->status, table[i].status);
        assert_non_null(strstr(reply(x), table[i].has));
        end(&x);
    }
    struct http *x = post(NULL, NULL, 0);
    x->h->on_body_end(x);
    assert_non_null(strstr(reply(x), "empty_body"));
    end(&x);
}

static void test_codings(void **state)
{
    (void)state; /* zstd is decoded on a worker; what is no coding is 415 and says which are; garbage is 400. */
    struct buf packed = BUF_INIT;
    assert_int_equal(pack_zstd(&packed, "{\"msg\":\"a\"}\n", 12, 1), 0);
    struct http *x = post(NULL, ARGS({"Content-Encoding", "zstd"}), (int64_t)packed.len);
    body(x, packed.data, packed.len);
    assert_int_equal(fake_waiting(), 0);
    FAKE_UNTIL(fake_waiting());
    fake_store(1);
    assert_int_equal(x->status, 200);
    end(&x);
    x = post(NULL, ARGS({"Content-Encoding", "br"}), 1);
    assert_int_equal(x->status, 415);
    assert_string_equal(x->reply_headers, "Accept-Encoding: zstd, gzip, identity\n");
    end(&x);
    x = post(NULL, ARGS({"Content-Encoding", "gzip"}), -1);
    body(x, packed.data, packed.len);
    FAKE_UNTIL(x->started);
    assert_int_equal(x->status, 400);
    assert_non_null(strstr(reply(x), "bad_encoding"));
    end(&x);
    buf_clear(&packed); /* a bomb: 64 MiB where 8 are allowed */
    char *zero = calloc(1, 64 << 20);
    assert_int_equal(pack_zstd(&packed, zero, 64 << 20, 1), 0);
    free(zero);
    x = post(NULL, ARGS({"Content-Encoding", "zstd"}), (int64_t)packed.len);
    body(x, packed.data, packed.len);
    FAKE_UNTIL(x->started);
    assert_int_equal(x->status, 413);
    end(&x);
    buf_release(&packed);
}

static void test_big_body(void **state)
{
    (void)state; /* A big body is decoded on a worker in order; the socket is paused while much waits. */
    struct buf text = BUF_INIT;
    for (int i = 0; i < 60000; i++)
        assert_int_equal(buf_addf(&text, "{\"msg\":\"line %d of many, with some length to it\"}\n", i), 0);
    struct http *x = post(NULL, NULL, -1);
    for (size_t at = 0; at < text.len;) {
        size_t n = text.len - at < 300000 ? text.len - at : 300000;
        x->h->on_body(x, text.data + at, n);
        at += n;
        if (x->paused) FAKE_UNTIL(!x->paused);
    }
    assert_true(x->pause_count > 0);
    x->h->on_body_end(x);
    FAKE_UNTIL(fake_waiting());
    struct batch *b = fake_batch();
    assert_int_equal(b->line_count, 60000);
    int n = 0;
    for (uint32_t i = 0; i < b->frame_count; i++) {
        assert_true(b->frames[i].raw_bytes <= FRAME_RAW_BYTES_MAX && b->frames[i].sum.count <= FRAME_LINES_MAX);
        assert_true(b->frames[i].packed && b->frames[i].packed_bytes <= FRAME_PACKED_BYTES_AIM);
        const char *p = b->frames[i].raw, *frame_end = p + b->frames[i].raw_bytes;
        for (; (p = memmem(p, (size_t)(frame_end - p), "line ", 5)); p++) {
            char want[24];
            int len = snprintf(want, sizeof want, "line %d", n++);
            assert_true(frame_end - p > len && memcmp(p, want, (size_t)len) == 0 && !isdigit((unsigned char)p[len]));
        }
    }
    assert_int_equal(n, 60000);
    fake_store(1);
    assert_int_equal(x->status, 200);
    end(&x);
    buf_release(&text);
}

static void test_client_gone(void **state)
{
    (void)state; /* A client that leaves while a worker decodes or the stream stores costs nothing. */
    char *big = malloc(400000);
    memset(big, 'x', 400000);
    struct http *x = post(NULL, NULL, 400000);
    x->h->on_body(x, big, 400000);
    end(&x);
    FAKE_UNTIL(ingest_idle(fake_ingest));
    x = post(NULL, NULL, 1);
    body(x, "a", 1);
    end(&x);
    assert_false(ingest_idle(fake_ingest));
    fake_store(1);
    assert_true(ingest_idle(fake_ingest));
    free(big);
}

static void test_memory_cap(void **state)
{
    (void)state; /* Over memory_bytes_max a body is 429, and everything is given back. */
    fake_ingest->o.memory_bytes_max = 300000;
    char *big = malloc(1000000);
    memset(big, 'x', 1000000);
    struct http *x = post(NULL, NULL, 1000000);
    body(x, big, 1000000);
    FAKE_UNTIL(x->started);
    assert_int_equal(x->status, 429);
    assert_string_equal(x->reply_headers, "Retry-After: 1\n");
    end(&x);
    FAKE_UNTIL(ingest_idle(fake_ingest));
    free(big);
}

static void test_too_large(void **state)
{
    (void)state; /* A declared length over the cap is 413 before the body; one found later too. */
    struct http *x = post(NULL, NULL, 9 << 20);
    assert_int_equal(x->status, 413);
    end(&x);
    fake_ingest->o.body_bytes_max = 10;
    x = post(NULL, NULL, -1);
    body(x, "0123456789012", 13);
    assert_int_equal(x->status, 413);
    end(&x);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_open, fake_close)
int main(void)
{
    const struct CMUnitTest tests[] = {T(test_stored),
                                       T(test_counts_in_reply),
                                       T(test_refused_arguments),
                                       T(test_producer),
                                       T(test_numbered_line_stays_one),
                                       T(test_stream_errors),
                                       T(test_bodies),
                                       T(test_codings),
                                       T(test_big_body),
                                       T(test_client_gone),
                                       T(test_memory_cap),
                                       T(test_too_large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

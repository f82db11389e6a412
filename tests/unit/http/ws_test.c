/*
 * tests/unit/http/ws_test.c -- WebSockets over real sockets: hand-over, messages both ways, closing.
 */
#include "tests/unit/http/client.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static const char upgrade[] = "Host: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n"
                              "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/* A masked frame appended to b. */
static void add_frame(struct buf *b, int opcode, int fin, const void *data, size_t len)
{
    static const unsigned char mask[4] = {1, 2, 3, 4};
    size_t at;
    buf_addc(b, (char)(opcode | (fin ? 0x80 : 0)));
    if (len < 126) buf_addc(b, (char)(0x80 | len));
    else if (len < 65536) {
        buf_addc(b, (char)(0x80 | 126));
        buf_addc(b, (char)(len >> 8));
        buf_addc(b, (char)len);
    } else {
        buf_addc(b, (char)(0x80 | 127));
        for (int i = 7; i >= 0; i--) buf_addc(b, (char)((uint64_t)len >> (8 * i)));
    }
    buf_add(b, mask, 4);
    at = b->len;
    buf_add(b, data, len);
    for (size_t i = 0; i < len; i++) b->data[at + i] ^= (char)mask[i & 3];
}

static void put_frame(int fd, int opcode, const void *data, size_t len)
{
    struct buf b = BUF_INIT;
    add_frame(&b, opcode, 1, data, len);
    put(fd, b.data, b.len);
    buf_release(&b);
}

static int ws_dial(const char *target, const char *more)
{
    struct answer a;
    char request[1000];
    int fd = dial();
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n%s%s\r\n", target, upgrade, more);
    puts_to(fd, request);
    assert_int_equal(read_head(fd, &a), 101);
    assert_non_null(strstr(a.head, "Sec-WebSocket-Accept: " ACCEPT "\r\n"));
    assert_null(strstr(a.head, "Extensions"));
    if (*more) assert_non_null(strstr(a.head, "Sec-WebSocket-Protocol: joblog.test.v1\r\n"));
    else assert_null(strstr(a.head, "Sec-WebSocket-Protocol"));
    return fd;
}

/* One frame; its first byte, or -1. */
static int get_frame(int fd, struct buf *body)
{
    unsigned char h[10];
    uint64_t len;
    if (!get(fd, h, 2)) return -1;
    assert_false(h[1] & 0x80);
    len = h[1];
    if (len == 126) {
        assert_true(get(fd, h + 2, 2));
        len = (uint64_t)h[2] << 8 | h[3];
    } else if (len == 127) {
        assert_true(get(fd, h + 2, 8));
        len = 0;
        for (int i = 2; i < 10; i++) len = len << 8 | h[i];
    }
    assert_int_equal(buf_reserve(body, len), 0);
    if (!get(fd, body->data + body->len, len)) return -1;
    body->len += len;
    body->data[body->len] = '\0';
    return h[0];
}

/* One message with all its fragments; its opcode, or -1. */
static int get_message(int fd, struct buf *body)
{
    int first, b;
    buf_clear(body);
    b = first = get_frame(fd, body);
    while (b >= 0 && !(b & 0x80)) {
        b = get_frame(fd, body);
        assert_true(b < 0 || (b & 0x0f) == 0);
    }
    return b < 0 ? -1 : first & 0x0f;
}

static void expect_message(int fd, int opcode, const char *text)
{
    struct buf b = BUF_INIT;
    assert_int_equal(get_message(fd, &b), opcode);
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(buf_cstr(&b), text, b.len);
    buf_release(&b);
}

static void expect_close(int fd, int code, const char *reason)
{
    struct buf b = BUF_INIT;
    assert_int_equal(get_message(fd, &b), 8);
    assert_int_equal((unsigned char)b.data[0] << 8 | (unsigned char)b.data[1], code);
    if (reason) assert_string_equal(b.data + 2, reason);
    buf_release(&b);
}

static void test_echo(void **state)
{
    /* Text and binary come back as what they were, with the chosen subprotocol or none. */
    int fd = ws_dial("/ws/echo", "");
    (void)state;
    put_frame(fd, 1, "hello", 5);
    expect_message(fd, 1, "hello");
    put_frame(fd, 2, "\x01\x02", 2);
    expect_message(fd, 2, "\x01\x02");
    put_frame(fd, 1, "", 0);
    expect_message(fd, 1, "");
    put_frame(fd, 9, "ping", 4);
    expect_message(fd, 10, "ping");
    close(fd);
    fd = ws_dial("/ws/echo", "Sec-WebSocket-Protocol: other, joblog.test.v1\r\n");
    put_frame(fd, 1, "x", 1);
    expect_message(fd, 1, "x");
    close(fd);
    wait_stat("ws_open", 0);
}

static void test_frames_with_the_head(void **state)
{
    /* Frames in the segment of the upgrade, behind another request, are delivered. */
    struct buf b = BUF_INIT;
    struct answer a;
    int fd = dial();
    (void)state;
    buf_addf(&b, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /ws/echo HTTP/1.1\r\n%s\r\n", upgrade);
    add_frame(&b, 1, 1, "one", 3);
    add_frame(&b, 1, 0, "t", 1);
    add_frame(&b, 0, 1, "wo", 2);
    put(fd, b.data, b.len - 1);
    expect(fd, 200, "ok");
    assert_int_equal(read_head(fd, &a), 101);
    expect_message(fd, 1, "one");
    put(fd, b.data + b.len - 1, 1);
    expect_message(fd, 1, "two");
    close(fd);
    buf_release(&b);
}

static void test_big_messages(void **state)
{
    /* Messages of 8 MiB go both ways whole. */
    struct buf b = BUF_INIT, back = BUF_INIT;
    int fd = ws_dial("/ws/echo", "");
    (void)state;
    for (int i = 0; i < 8 << 20; i++) buf_addc(&b, (char)(i * 7 % 251));
    for (int i = 0; i < 2; i++) {
        put_frame(fd, 2, b.data, b.len);
        assert_int_equal(get_message(fd, &back), 2);
        assert_int_equal(back.len, b.len);
        assert_memory_equal(back.data, b.data, b.len);
    }
    for (size_t n = 65530; n < 65550; n++) {
        put_frame(fd, 2, b.data, n);
        assert_int_equal(get_message(fd, &back), 2);
        assert_int_equal(back.len, n);
        assert_memory_equal(back.data, b.data, n);
    }
    close(fd);
    buf_release(&b);
    buf_release(&back);
}

static void test_broadcast(void **state)
{
    /* One message, built once, reaches 200 clients unspoilt, small or in fragments. */
    int fds[200];
    struct buf b = BUF_INIT, back = BUF_INIT;
    (void)state;
    for (int i = 0; i < 200; i++) fds[i] = ws_dial("/ws/room", "");
    for (int i = 0; i < 100000; i++) buf_addc(&b, (char)('a' + i % 26));
    for (int round = 0; round < 4; round++) {
        size_t n = round % 2 ? 100000 : 300;
        put_frame(fds[round], 1, b.data, n);
        for (int i = 0; i < 200; i++) {
            assert_int_equal(get_message(fds[i], &back), 1);
            assert_int_equal(back.len, n);
            assert_memory_equal(back.data, b.data, n);
        }
    }
    for (int i = 0; i < 200; i++) close(fds[i]);
    wait_stat("ws_open", 0);
    buf_release(&b);
    buf_release(&back);
}

static void test_close(void **state)
{
    /* The close handshake is finished whoever begins it; a peer that never answers is dropped. */
    int fd = ws_dial("/ws/echo", "");
    int64_t start;
    (void)state;
    put_frame(fd, 1, "close", 5);
    expect_close(fd, 4001, "as asked");
    put_frame(fd, 8, "\x0f\xa1", 2);
    assert_true(is_eof(fd));
    close(fd);
    fd = ws_dial("/ws/echo", "");
    put_frame(fd, 8, "\x03\xe8", 2);
    expect_close(fd, 1000, NULL);
    assert_true(is_eof(fd));
    close(fd);
    fd = ws_dial("/ws/echo", "");
    put_frame(fd, 1, "abort", 5);
    assert_true(is_eof(fd));
    close(fd);
    fd = ws_dial("/ws/echo", "");
    start = clock_mono_us();
    put_frame(fd, 1, "close", 5);
    expect_close(fd, 4001, NULL);
    assert_true(is_eof(fd));
    assert_in_range(clock_mono_us() - start, 1900000, 4000000);
    close(fd);
    wait_stat("ws_open", 0);
    assert_idle();
}

static void test_refused_messages(void **state)
{
    /* Bad UTF-8 is 1007, too large a message is 1009; a binary message may hold anything. */
    char big[2000] = {0};
    struct buf b = BUF_INIT;
    int fd = ws_dial("/ws/echo", "");
    (void)state;
    put_frame(fd, 2, "\xff", 1);
    expect_message(fd, 2, "\xff");
    put_frame(fd, 1, "\xc3\xa9", 2);
    expect_message(fd, 1, "\xc3\xa9");
    add_frame(&b, 1, 0, "\xc3", 1);
    add_frame(&b, 0, 1, "\xa9", 1);
    put(fd, b.data, b.len);
    expect_message(fd, 1, "\xc3\xa9");
    put_frame(fd, 1, "\xff", 1);
    expect_close(fd, 1007, NULL);
    close(fd);
    fd = ws_dial("/ws/echo?small=1", "");
    put_frame(fd, 2, big, 1000);
    assert_int_equal(get_message(fd, &b), 2);
    put_frame(fd, 2, big, 1001);
    expect_close(fd, 1009, NULL);
    close(fd);
    fd = ws_dial("/ws/echo?small=1", "");
    for (int i = 0; i < 3; i++) {
        buf_clear(&b);
        add_frame(&b, i ? 0 : 2, 0, big, 400);
        put(fd, b.data, b.len);
    }
    expect_close(fd, 1009, NULL);
    close(fd);
    buf_release(&b);
    wait_stat("ws_open", 0);
}

static void test_slow_reader(void **state)
{
    /* A WebSocket that is not read holds a bounded backlog; when it goes nothing is left. */
    int fds[20], small = 65536;
    struct buf b = BUF_INIT;
    size_t sum = 0;
    (void)state;
    for (int i = 0; i < 20; i++) {
        fds[i] = ws_dial("/ws/flood?bytes=20000000", "");
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    }
    assert_idle();
    /* the mark, the message that passed it, and what TLS holds back as records */
    assert_in_range(stat_of("backlog"), 1, 20 * (WS_BACKLOG_HIGH_BYTES + 3 * 65536));
    while (sum < 20000000) {
        assert_int_equal(get_message(fds[0], &b), 1);
        sum += b.len;
    }
    assert_int_equal(sum, 20000000);
    for (int i = 0; i < 20; i++) close(fds[i]);
    wait_stat("ws_open", 0);
    wait_stat("backlog", 0);
    buf_release(&b);
    assert_idle();
}

static void test_silence(void **state)
{
    /* A peer that is silent is asked, and dropped when it neither answers nor reads; one that still reads is
     * kept, however slowly. */
    struct http_limits l = small_limits();
    struct buf b = BUF_INIT;
    char some[16384];
    int64_t until;
    int quiet, slow;
    (void)state;
    assert_int_equal(stop_server(NULL), 0);
    l.ws_silence_us = 800000;
    assert_int_equal(start_with(&l), 0);
    quiet = ws_dial("/ws/echo", "");
    slow = ws_dial("/ws/flood?bytes=20000000", "");
    until = clock_mono_us() + 3 * l.ws_silence_us;
    assert_int_equal(get_message(quiet, &b), 9);
    while (clock_mono_us() < until) {
        assert_true(read(slow, some, sizeof(some)) > 0);
        poll(NULL, 0, 5);
    }
    assert_true(is_eof(quiet));
    wait_stat("ws_open", 1);
    wait_stat("ws_open", 0); /* slow is stuck from here on */
    close(quiet);
    close(slow);
    buf_release(&b);
    assert_int_equal(stop_server(NULL), 0);
    assert_int_equal(start_server(NULL), 0);
}

static void test_churn(void **state)
{
    /* A thousand upgrades that end by FIN, reset, garbage or half a frame leave nothing behind. */
    struct linger hard = {1, 0};
    char request[1000];
    int before;
    (void)state;
    wait_stat("connections_open", 1);
    before = open_fds();
    snprintf(request, sizeof(request), "GET /ws/echo HTTP/1.1\r\n%s\r\n", upgrade);
    for (int i = 0; i < 1000; i++) {
        int fd = dial();
        puts_to(fd, request);
        if (i % 3 == 0) {
            struct answer a;
            assert_int_equal(read_head(fd, &a), 101);
            put(fd, i % 2 ? "\x81\x85" : "\xff\xff\xff\xff\xff", i % 2 ? 2 : 5);
        }
        if (i % 4 == 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(fd);
    }
    wait_stat("ws_open", 0);
    wait_stat("connections_open", 1);
    for (int i = 0; open_fds() > before && i < 100; i++) poll(NULL, 0, 20);
    assert_in_range(open_fds(), 1, before + 1);
    assert_int_equal(once("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_idle();
}

static void test_shutdown(void **state)
{
    /* SIGTERM with connections in every state: WebSockets are told 1012, and the server ends clean. */
    int ws = ws_dial("/ws/echo", ""), stuck = ws_dial("/ws/flood?bytes=20000000", ""), idle = dial();
    int stream = dial(), half = dial(), upload = dial();
    struct answer a;
    (void)state;
    puts_to(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(idle, 200, "ok");
    puts_to(stream, "GET /forever HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(read_head(stream, &a), 200);
    puts_to(half, "GET /hea");
    puts_to(upload, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\npart");
    kill(server.pid, SIGTERM);
    expect_close(ws, 1012, "restart");
    assert_true(is_eof(idle));
    close(ws);
    assert_int_equal(stop_server(NULL), 0);
    close(idle);
    close(stuck);
    close(stream);
    close(half);
    close(upload);
    assert_int_equal(start_server(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_frames_with_the_head),
        cmocka_unit_test(test_big_messages),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_refused_messages),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_shutdown),
    };
    if (getenv("HALL_ONLY")) cmocka_set_test_filter(getenv("HALL_ONLY"));
    return cmocka_run_group_tests(tests, start_server, stop_server);
}

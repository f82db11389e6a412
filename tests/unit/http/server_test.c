/*
 * tests/unit/http/server_test.c -- the hall over real sockets, against a server in a child process.
 *
 * `server_test --serve ADDRESS [HEADER_MS BODY_MS BODY_BYTES]` is that server alone, for wrk and for tests/e2e/12-http-probes.py.
 */
#include "tests/unit/http/client.h"

/* ---- HTTP ---- */

static void test_pipelined(void **state)
{
    /* Requests that come in one segment are answered in order, each with its own body. */
    int fd = dial();
    (void)state;
    puts_to(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                "POST /echo-late HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
                "GET /late?ms=5 HTTP/1.1\r\nHost: x\r\n\r\n"
                "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "ok");
    expect(fd, 200, "hello");
    expect(fd, 200, "abc");
    expect(fd, 200, "xyz");
    expect(fd, 200, "late");
    expect(fd, 200, "ok");
    close(fd);
}

static void test_many_pipelined(void **state)
{
    /* A thousand pipelined requests are all answered. */
    int fd;
    struct buf b = BUF_INIT;
    (void)state;
    for (int i = 0; i < 1000; i++) buf_adds(&b, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    fd = dial();
    put(fd, b.data, b.len);
    for (int i = 0; i < 1000; i++) expect(fd, 200, "ok");
    buf_release(&b);
    close(fd);
    assert_idle();
}

static void test_byte_by_byte(void **state)
{
    /* A request that comes one byte at a time is the same request. */
    static const char text[] = "POST /echo?a=%41 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "a\r\n0123456789\r\n1\r\nz\r\n0\r\nTrailer: dropped\r\n\r\n";
    int fd = dial();
    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1; i++) put(fd, text + i, 1);
    expect(fd, 200, "0123456789z");
    puts_to(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "ok");
    close(fd);
}

static void test_keep_alive(void **state)
{
    /* One connection carries 10,000 requests. */
    int fd = dial();
    (void)state;
    for (int i = 0; i < 10000; i++) {
        struct answer a;
        puts_to(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(answer(fd, &a), 200);
        buf_release(&a.body);
    }
    close(fd);
}

static void test_refused_heads(void **state)
{
    /* Every ambiguous or malformed head has its status, and the server lives on. */
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        {400, "GET / HTTP/1.1\nHost: a\n\n"},
        {400, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01\r\n\r\n"},
        {400, "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /?a=%ff HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET / ICE/1.0\r\nHost: a\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
        {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        {505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
        {501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {501, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3abc\r\n\r\nabc"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nabc"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nabc"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"},
        {413, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1844674407370955161\r\n\r\nabc"},
        {501, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n"},
        {413, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n"},
        {413, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n"},
        {417, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: wonders\r\n\r\nabc"},
        {426, "GET /ws/echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"},
        {400, "GET /ws/echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int status = once(table[i].text);
        if (status != table[i].status) fail_msg("%d, not %d: %s", status, table[i].status, table[i].text);
    }
    assert_int_equal(once("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_idle();
}

static void test_accepted_heads(void **state)
{
    /* What is unusual but well-formed is served. */
    int fd = dial();
    struct answer a;
    (void)state;
    puts_to(fd, "GET http://x/echo-target?a=1%202&b&c=%C3%A9+x&=e&&a=2 HTTP/1.1\r\nhost: x\r\nX-Test: one\r\n"
                "x-tEST:   two\t \r\nEmpty:\r\nX-TEST: \r\nCookie: caf\xe9\r\n\r\n");
    assert_int_equal(answer(fd, &a), 200);
    assert_string_equal(a.body.data, "GET /echo-target\na=1 2\nb=\nc=\xc3\xa9 x\n=e\na=2\nX-Test: one, two, \n");
    assert_non_null(strstr(a.head, "X-Extra: yes\r\n"));
    buf_release(&a.body);
    puts_to(fd, "GET /a%2Fb%20c HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer(fd, &a), 404);
    assert_string_equal(a.body.data, "{\"code\":\"not_found\",\"message\":\"no such path: /a%2Fb c\"}\n");
    buf_release(&a.body);
    puts_to(fd, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer(fd, &a), 204);
    assert_null(strstr(a.head, "Content-Length"));
    puts_to(fd, "HEAD /whole?bytes=100000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(read_head(fd, &a), 200);
    assert_int_equal(a.length, 100000);
    puts_to(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n");
    expect(fd, 200, "ok");
    puts_to(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi");
    expect(fd, 200, "hi");
    close(fd);
}

static void test_http_1_0(void **state)
{
    /* HTTP/1.0 closes unless it asked to be kept, and gets a stream until close. */
    struct answer a;
    char byte;
    long n = 0;
    int fd = dial();
    (void)state;
    puts_to(fd, "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect(fd, 200, "ok");
    puts_to(fd, "GET /stream?bytes=1000&chunked=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(read_head(fd, &a), 200);
    assert_null(strstr(a.head, "Transfer-Encoding"));
    while (recv(fd, &byte, 1, 0) == 1) n++;
    assert_int_equal(n, 1000);
    close(fd);
}

static void test_limits(void **state)
{
    /* Too long a target is 414, too large a head 431, too large a body 413, declared or chunked. */
    struct buf b = BUF_INIT;
    int fd;
    (void)state;
    buf_adds(&b, "GET /");
    for (int i = 0; i < 9000; i++) buf_addc(&b, 'a');
    buf_adds(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(once(buf_cstr(&b)), 414);
    buf_clear(&b);
    buf_adds(&b, "GET /");
    for (int i = 0; i < 100000; i++) buf_addc(&b, 'a');
    assert_int_equal(once(buf_cstr(&b)), 414);
    buf_clear(&b);
    buf_adds(&b, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    for (int i = 0; i < 100000; i++) buf_addc(&b, 'a');
    assert_int_equal(once(buf_cstr(&b)), 431);
    buf_clear(&b);
    buf_adds(&b, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 200; i++) buf_addf(&b, "X-%d: y\r\n", i);
    buf_adds(&b, "\r\n");
    assert_int_equal(once(buf_cstr(&b)), 431);
    buf_clear(&b);
    buf_adds(&b, "GET /echo-target?");
    for (int i = 0; i < 100; i++) buf_addf(&b, "k%d=%d&", i, i);
    buf_adds(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(once(buf_cstr(&b)), 200);
    assert_int_equal(once("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10485761\r\n\r\n"), 413);
    buf_clear(&b);
    buf_adds(&b, "100000\r\n");
    for (int i = 0; i < 1 << 20; i++) buf_addc(&b, 'x');
    buf_adds(&b, "\r\n");
    fd = dial();
    puts_to(fd, "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 11; i++) put(fd, b.data, b.len);
    expect(fd, 413, NULL);
    close(fd);
    buf_release(&b);
}

static void test_continue(void **state)
{
    /* Expect: 100-continue is answered before the body, and not when the request is refused. */
    struct answer a;
    int fd = dial();
    (void)state;
    puts_to(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(read_head(fd, &a), 100);
    puts_to(fd, "body");
    expect(fd, 200, "body");
    puts_to(fd, "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    expect(fd, 401, NULL);
    assert_true(is_eof(fd));
    close(fd);
}

static void test_early_refusal(void **state)
{
    /* An answer before the body reaches a client that is still sending megabytes. */
    struct buf b = BUF_INIT;
    struct answer a;
    int fd;
    (void)state;
    for (int i = 0; i < 3000000; i++) buf_addc(&b, 'x');
    fd = dial();
    puts_to(fd, "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
    put(fd, b.data, b.len);
    assert_int_equal(answer(fd, &a), 401);
    assert_non_null(strstr(a.head, "Connection: close"));
    buf_release(&a.body);
    assert_true(is_eof(fd));
    close(fd);
    buf_release(&b);
    /* What is still sent for a while is taken and thrown away: a reset could overtake the answer. */
    fd = dial();
    puts_to(fd, "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
    expect(fd, 401, NULL);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
        poll(NULL, 0, 10);
    }
    close(fd);
}

static void test_answer_during_upload(void **state)
{
    /* A response that fills the socket while its request still comes does not spin the loop. */
    struct answer a;
    int fd = dial();
    (void)state;
    puts_to(fd, "POST /stream?bytes=8388608 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome");
    poll(NULL, 0, 100);
    puts_to(fd, "more and more");
    assert_idle();
    assert_int_equal(answer(fd, &a), 200);
    assert_int_equal(a.body.len, 8 << 20);
    buf_release(&a.body);
    close(fd);
}

static void test_large_bodies(void **state)
{
    /* 8 MiB go up, in steps when the handler pauses, and come back whole. */
    struct buf b = BUF_INIT;
    struct answer a;
    int fd;
    (void)state;
    for (int i = 0; i < 8 << 20; i++) buf_addc(&b, (char)('a' + i % 26));
    fd = dial();
    puts_to(fd, "POST /count?pause=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n");
    put(fd, b.data, b.len);
    expect(fd, 200, "8388608");
    puts_to(fd, "GET /stream?bytes=8388608&chunked=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer(fd, &a), 200);
    assert_int_equal(a.body.len, 8 << 20);
    buf_release(&a.body);
    puts_to(fd, "GET /whole?bytes=8388608 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer(fd, &a), 200);
    assert_int_equal(a.body.len, 8 << 20);
    buf_release(&a.body);
    buf_release(&b);
    close(fd);
}

static void test_slow_reader(void **state)
{
    /* A reader that sleeps holds at most the backlog's bound, and gets every byte later. */
    struct answer a;
    int fds[20], small = 65536;
    long before = rss_kib();
    (void)state;
    (void)before;
    for (int i = 0; i < 20; i++) {
        fds[i] = dial();
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        puts_to(fds[i], "GET /stream?bytes=8388608 HTTP/1.1\r\nHost: x\r\n\r\n"
                        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    assert_int_equal(once("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_idle();
    assert_in_range(stat_of("backlog"), 1, 20 * (HTTP_BACKLOG_HIGH_BYTES + 2 * 65536));
#ifndef __SANITIZE_THREAD__ /* it keeps several bytes of its own for each of ours */
    assert_true(rss_kib() - before < 20 * 800);
#endif
    for (int i = 0; i < 20; i++) {
        if (i % 2) {
            assert_int_equal(answer(fds[i], &a), 200);
            assert_int_equal(a.body.len, 8 << 20);
            buf_release(&a.body);
            expect(fds[i], 200, "ok");
        }
        close(fds[i]);
    }
    wait_stat("backlog", 0);
    wait_stat("connections_open", 1);
}

/* Send a byte every 15 ms until the server speaks; how long that took. */
static int64_t dribble(int fd)
{
    int64_t start = clock_mono_us();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 15) == 0) {
        put(fd, "x", 1);
        assert_true(clock_mono_us() - start < 5000000);
    }
    return clock_mono_us() - start;
}

static void test_slow_head_and_body(void **state)
{
    /* A head or a body that dribbles is ended by its deadline, not by its last byte. */
    int fd = dial(), silent = dial();
    (void)state;
    puts_to(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ");
    assert_in_range(dribble(fd), 700000, 2500000);
    expect(fd, 408, NULL);
    assert_true(is_eof(silent));
    close(silent);
    close(fd);
    fd = dial();
    puts_to(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    assert_in_range(dribble(fd), 900000, 2500000);
    expect(fd, 408, NULL);
    close(fd);
    fd = dial(); /* and so on a connection that was good before */
    puts_to(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "ok");
    assert_in_range(dribble(fd), 700000, 2500000);
    expect(fd, 408, NULL);
    close(fd);
}

static void test_half_close_and_reset(void **state)
{
    /* A closed half still gets its answer; a vanished reader of a stream is noticed; a reset frees all. */
    struct linger hard = {1, 0};
    struct answer a;
    int fd = dial();
    (void)state;
    puts_to(fd, "POST /echo-late HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    shutdown(fd, SHUT_WR);
    expect(fd, 200, "abc");
    close(fd);
    fd = dial();
    puts_to(fd, "GET /forever HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(read_head(fd, &a), 200);
    wait_stat("connections_open", 2);
    close(fd);
    wait_stat("connections_open", 1);
    for (int i = 0; i < 50; i++) {
        fd = dial();
        puts_to(fd, i % 2 ? "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\npart"
                          : "GET /stream?bytes=8388608 HTTP/1.1\r\nHost: x\r\n\r\n");
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(fd);
    }
    wait_stat("connections_open", 1);
    wait_stat("backlog", 0);
    assert_idle();
}

static void test_too_many_connections(void **state)
{
    /* Over the limit a connection is told 503; below it again, all is as before. */
    struct http_limits l = small_limits();
    int fds[20], refused = 0;
    (void)state;
    assert_int_equal(stop_server(NULL), 0);
    l.connections_max = 10;
    l.header_us = 5000000;
    assert_int_equal(start_with(&l), 0);
    for (int i = 0; i < 20; i++) fds[i] = dial();
    for (int i = 0; i < 20; i++) {
        struct answer a;
        puts_to(fds[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        refused += answer(fds[i], &a) == 503;
        buf_release(&a.body);
    }
    assert_int_equal(refused, 10);
    for (int i = 0; i < 20; i++) close(fds[i]);
    for (int i = 0; once("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") != 200; i++) {
        assert_true(i < 200);
        poll(NULL, 0, 10);
    }
    assert_int_equal(stop_server(NULL), 0);
    assert_int_equal(start_server(NULL), 0);
}

static void test_too_many_from_one_address(void **state)
{
    /* One address may hold only so many connections, WebSockets counted with the others. */
    struct http_limits l = small_limits();
    int fds[6];
    (void)state;
    assert_int_equal(stop_server(NULL), 0);
    l.connections_per_ip_max = 5;
    l.header_us = 5000000;
    assert_int_equal(start_with(&l), 0);
    for (int i = 0; i < 6; i++) {
        struct answer a;
        fds[i] = dial();
        puts_to(fds[i], i % 2 ? "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                              : "GET /ws/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        assert_int_equal(answer(fds[i], &a), i == 5 ? 503 : i % 2 ? 200 : 101);
        buf_release(&a.body);
    }
    for (int i = 0; i < 6; i++) close(fds[i]);
    for (int i = 0; once("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") != 200; i++) {
        assert_true(i < 200);
        poll(NULL, 0, 10);
    }
    assert_int_equal(stop_server(NULL), 0);
    assert_int_equal(start_server(NULL), 0);
}

static void test_out_of_descriptors(void **state)
{
    /* Out of descriptors the server answers whom it has, does not spin, and recovers by itself. */
    struct http_limits l = small_limits();
    struct rlimit few = {40, 4096}, before;
    int held, fds[80];
    (void)state;
    assert_int_equal(stop_server(NULL), 0);
    l.header_us = 20000000;
    getrlimit(RLIMIT_NOFILE, &before);
    few.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    assert_int_equal(start_with(&l), 0);
    setrlimit(RLIMIT_NOFILE, &before);
    held = dial();
    puts_to(held, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(held, 200, "ok");
    for (int i = 0; i < 80; i++) fds[i] = dial();
    poll(NULL, 0, 200);
    for (int i = 0; i < 100; i++) {
        puts_to(held, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(held, 200, "ok");
    }
    assert_idle();
    /* A descriptor is needed for an upgrade too: without one it fails closed. */
    puts_to(held, "GET /ws/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    assert_true(is_eof(held));
    close(held);
    for (int i = 0; i < 80; i++) close(fds[i]);
    for (int i = 0; once("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") != 200; i++) {
        assert_true(i < 300);
        poll(NULL, 0, 10);
    }
    assert_in_range(stat_of("overload"), 1, 1000);
    assert_int_equal(stop_server(NULL), 0);
    assert_int_equal(start_server(NULL), 0);
}

static void test_addresses(void **state)
{
    /* Addresses of every form are listened on; what is none is refused with a reason; a dead socket
     * file is replaced, a living one is not. */
    static const struct http_handler root = {.on_request = on_request};
    char why[200] = "", path[64];
    struct http_server *s = NULL, *other = NULL;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct answer ans;
    uv_loop_t loop;
    int fd;
    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(http_server_open(&loop, NULL, &root, NULL, &s), 0);
    assert_int_equal(http_server_open(&loop, NULL, &root, NULL, &other), 0);
    assert_int_equal(http_port(s), 0);
    assert_int_equal(http_listen(s, ":0", why, sizeof(why)), 0);
    assert_int_equal(http_listen(s, "localhost:0", why, sizeof(why)), 0);
    assert_in_range(http_port(s), 1024, 65535);
    for (const char *const *bad = (const char *const[]){"", "8000", "x", "127.0.0.1", "127.0.0.1:", "::1:80", "1.2.3.4:99999",
                                                        "1.2.3.4:80x", "unix:", NULL}; *bad; bad++) {
        *why = '\0';
        assert_int_equal(http_listen(s, *bad, why, sizeof(why)), ERR_INVALID);
        assert_true(*why);
    }
    assert_int_equal(http_listen(s, "192.0.2.1:80", why, sizeof(why)), ERR_IO);
    snprintf(path, sizeof(path), "unix:/tmp/hall-test-%d", (int)getpid());
    assert_int_equal(http_listen(s, path, why, sizeof(why)), 0);
    assert_int_equal(http_listen(other, path, why, sizeof(why)), ERR_IO);
    memcpy(a.sun_path, path + 5, strlen(path + 5));
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    puts_to(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    hall.server = s;
    while (http_server_idle(s)) uv_run(&loop, UV_RUN_ONCE);
    while (!http_server_idle(s)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uv_run(&loop, UV_RUN_NOWAIT);
        if (poll(&p, 1, 1) > 0) break;
    }
    assert_int_equal(answer(fd, &ans), 200);
    buf_release(&ans.body);
    close(fd);
    http_server_close(&s);
    http_server_close(&other);
    http_server_close(&other);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(access(path + 5, F_OK), -1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_many_pipelined),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_refused_heads),
        cmocka_unit_test(test_accepted_heads),
        cmocka_unit_test(test_http_1_0),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_early_refusal),
        cmocka_unit_test(test_answer_during_upload),
        cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_slow_head_and_body),
        cmocka_unit_test(test_half_close_and_reset),
        cmocka_unit_test(test_too_many_connections),
        cmocka_unit_test(test_too_many_from_one_address),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_addresses),
    };
    if (argc >= 3 && strcmp(argv[1], "--serve") == 0) {
        struct http_limits l;
        http_limits_default(&l);
        if (argc == 6) { /* header and body deadline in ms, body cap in bytes */
            l.header_us = atol(argv[3]) * 1000;
            l.body_us = atol(argv[4]) * 1000;
            l.body_bytes_max = (uint64_t)atol(argv[5]);
        }
        return hall_serve(&l, argv[2], 1);
    }
    if (getenv("HALL_ONLY")) cmocka_set_test_filter(getenv("HALL_ONLY"));
    return cmocka_run_group_tests(tests, start_server, stop_server);
}

/*
 * tests/unit/http/nomem_test.c -- every allocation of reading a request's head, and of whole connections, fails once: the
 * whole head and the whole answer, or an error that the client can see; and the next connection is served.
 *
 *     the test ── fork, n ──> the hall (hall.h), whose nth allocation fails
 *                               └─ fork ──> the client: blocking, with all memory; SIGTERM at its end
 *
 * libwebsockets asks through an allocator of ours (http/server_lws.c), so its allocations are among them. Not here: opening the
 * server, which is OpenSSL's 1,200 allocations above all, and TLS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tests/unit/nomem.h"

#include "base/clock.h"
#include "http/head.h"
#define HALL_IS_OPEN() nomem_begin() /* not the start: see above */
#include "tests/unit/http/hall.h"

#define CLIENT_S 20

/* ---- heads ---- */

static const char head_text[] = "POST /v1/jobs/a%20b?q=x%3Dy&tail=5 HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n"
                                "Accept: text/plain\r\nContent-Length: 5\r\n\r\n";

static int parse_head(void)
{
    struct http_limits l;
    struct refusal r = {0};
    struct head h;
    int err;

    http_limits_default(&l);
    err = head__parse(&h, head_text, sizeof head_text - 1, &l, &r);
    if (err < 0) return err;
    if (strcmp(h.path, "/v1/jobs/a b") != 0 || h.arg_count != 2 || strcmp(h.args[0].value, "x=y") != 0 ||
        strcmp(head__field(&h, "Accept"), "text/html, text/plain") != 0 || h.length != 5)
        _exit(70);
    head__release(&h);
    return 0;
}

static void test_head(void **state)
{
    /* The whole head, or an error. */
    assert_true(nomem_sweep(parse_head, NULL) >= (NOMEM_ACTIVE ? 3 : 0));
}

/* ---- the client: never asserts, a process of its own ---- */

enum seen { SEEN_NOTHING, SEEN_ALL, SEEN_ERROR, SEEN_WRONG, SEEN_REFUSED, SEEN_LATE };
static enum seen *seen; /* shared with the parent */
static int port, is_late;

static int dial(void)
{
    struct timeval patience = {CLIENT_S, 0};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

static void put(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0) return; /* the answer tells */
        at += n;
        len -= (size_t)n;
    }
}

static int get(int fd, void *data, size_t len)
{
    char *at = data;

    while (len) {
        ssize_t n = recv(fd, at, len, 0);
        if (n < 0 && errno == EAGAIN) is_late = 1;
        if (n <= 0) return 0;
        at += n;
        len -= (size_t)n;
    }
    return 1;
}

/* The status, 0 when the connection ended before; *ret_length -1: chunked. */
static int get_head(int fd, long *ret_length)
{
    static char head[4096];
    const char *length;

    for (size_t n = 0; n < sizeof head - 1 && get(fd, head + n, 1);) {
        head[++n] = '\0';
        if (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0) continue;
        length = strstr(head, "Content-Length: ");
        *ret_length = length ? atol(length + 16) : strstr(head, "chunked") ? -1 : 0;
        return atoi(head + 9);
    }
    return 0;
}

static int is_filled(const char *data, size_t len, char with)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != with) return 0;
    return 1;
}

/* A body of len bytes, all alike, as its head says. Cut off: the client sees it by the framing. */
static enum seen get_body(int fd, long length, size_t want, char with)
{
    static char piece[1 << 20];
    size_t had = 0;

    if (length >= 0) {
        if ((size_t)length != want) return SEEN_WRONG;
        if (!get(fd, piece, want)) return SEEN_ERROR;
        return is_filled(piece, want, with) ? SEEN_ALL : SEEN_WRONG;
    }
    for (;;) {
        char line[32] = {0};
        size_t n = 0, size;

        while (n < sizeof line - 1 && get(fd, line + n, 1) && line[n] != '\n') n++;
        if (line[n] != '\n') return SEEN_ERROR;
        size = strtoul(line, NULL, 16);
        if (size + 2 > sizeof piece || !get(fd, piece, size + 2)) return SEEN_ERROR;
        if (size == 0) return had == want ? SEEN_ALL : SEEN_WRONG;
        if (!is_filled(piece, size, with)) return SEEN_WRONG;
        had += size;
    }
}

static enum seen ask(int fd, const char *head, const char *body, size_t len, size_t want, char with)
{
    long length = 0;
    int status;

    put(fd, head, strlen(head));
    put(fd, body, len);
    status = get_head(fd, &length);
    if (status == 0 || status >= 500) return SEEN_ERROR;
    return status == 200 ? get_body(fd, length, want, with) : SEEN_WRONG;
}

#define BODY_BYTES 100000
#define STREAM_BYTES 300000

static enum seen requests(int fd)
{
    static char body[BODY_BYTES];
    enum seen s;

    memset(body, 'b', sizeof body);
    s = ask(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", body, sizeof body, sizeof body, 'b');
    if (s == SEEN_ALL) s = ask(fd, "GET /whole?bytes=200000 HTTP/1.1\r\nHost: h\r\n\r\n", NULL, 0, 200000, 'w');
    if (s == SEEN_ALL) s = ask(fd, "POST /echo-late HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n", body, 4, 4, 'b');
    if (s == SEEN_ALL) s = ask(fd, "GET /stream?bytes=300000&chunked=1 HTTP/1.1\r\nHost: h\r\n\r\n", NULL, 0, STREAM_BYTES, 'f');
    if (s == SEEN_ALL)
        s = ask(fd, "POST /count?pause=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n8\r\ndefghijk\r\n0\r\n\r\n", NULL, 0, 2, '1');
    return s;
}

/* ---- WebSockets ---- */

static void put_frame(int fd, int first, const char *data, size_t len)
{
    unsigned char head[8] = {(unsigned char)first, (unsigned char)(0x80 | (len < 126 ? len : 126)), (unsigned char)(len >> 8),
                             (unsigned char)len};
    size_t n = len < 126 ? 2 : 4;

    memset(head + n, 0, 4); /* a mask of nothing */
    put(fd, head, n + 4);
    put(fd, data, len);
}

/* Frames of data until want bytes are there; 0 the end, -1 something else. */
static int get_data(int fd, size_t want, char with)
{
    static char piece[1 << 16];

    while (want) {
        unsigned char h[10];
        size_t len;

        if (!get(fd, h, 2)) return 0;
        if ((h[0] & 15) == 8) return 0; /* close: told */
        if ((h[0] & 15) > 2) return -1;
        len = h[1];
        if (len == 126) {
            if (!get(fd, h, 2)) return 0;
            len = (size_t)h[0] << 8 | h[1];
        } else if (len == 127) {
            if (!get(fd, h, 8)) return 0;
            len = (size_t)h[4] << 24 | (size_t)h[5] << 16 | (size_t)h[6] << 8 | h[7];
        }
        if (len > want) return -1;
        want -= len;
        for (; len; len -= len < sizeof piece ? len : sizeof piece) {
            size_t n = len < sizeof piece ? len : sizeof piece;

            if (!get(fd, piece, n)) return 0;
            if (!is_filled(piece, n, with)) return -1;
        }
    }
    return 1;
}

static enum seen upgrade(int fd, const char *target)
{
    char text[400];
    long length;
    int status;

    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", target);
    put(fd, text, strlen(text));
    status = get_head(fd, &length);
    return status == 101 ? SEEN_ALL : status == 0 || status >= 500 ? SEEN_ERROR : SEEN_WRONG;
}

/* As an agent: messages up, whole and in pieces, each answered; then a close. */
static enum seen ingest(int fd)
{
    static char text[50000];
    enum seen s = upgrade(fd, "/ws/echo");
    int got = 1;

    memset(text, 'i', sizeof text);
    if (s != SEEN_ALL) return s;
    put_frame(fd, 0x81, text, 100);
    if ((got = get_data(fd, 100, 'i')) == 1) {
        put_frame(fd, 0x01, text, 30000);
        put_frame(fd, 0x80, text, 20000);
        got = get_data(fd, 50000, 'i');
    }
    if (got == 1) {
        put_frame(fd, 0x81, "close", 5);
        got = get_data(fd, 1, 'i') == 0 ? 1 : -1;
        put_frame(fd, 0x88, "\x0f\xa1", 2);
    }
    return got == 1 ? SEEN_ALL : got == 0 ? SEEN_ERROR : SEEN_WRONG;
}

/* As a tail: more than fits in any buffer. */
static enum seen tail(int fd)
{
    enum seen s = upgrade(fd, "/ws/flood?bytes=300000");
    int got;

    if (s != SEEN_ALL) return s;
    got = get_data(fd, STREAM_BYTES, 'f');
    return got == 1 ? SEEN_ALL : got == 0 ? SEEN_ERROR : SEEN_WRONG;
}

/* The server ends with a WebSocket and a stream open. */
static enum seen is_closed(int fd)
{
    int other = dial();
    long length = 0;
    char byte;
    enum seen s = upgrade(fd, "/ws/room");

    put(other, "GET /forever HTTP/1.1\r\nHost: h\r\n\r\n", 34);
    if (s == SEEN_ALL) s = get_head(other, &length) == 200 ? SEEN_ALL : SEEN_ERROR;
    kill(getppid(), SIGTERM);
    if (s == SEEN_ALL && get_data(fd, 1, 'x') != 0) s = SEEN_WRONG;
    while (recv(other, &byte, 1, 0) > 0) {}
    close(other);
    return s;
}

static int is_served(void)
{
    static const char healthz[] = "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    int fd = dial();
    long length = 0;
    char text[2];
    int ok;

    put(fd, healthz, strlen(healthz));
    ok = get_head(fd, &length) == 200 && length == 2 && get(fd, text, 2) && memcmp(text, "ok", 2) == 0;
    close(fd);
    return ok;
}

/* In the child: a server, and a client below it. What failed was seen, or nothing; afterwards it serves on. */
static int serve(enum seen (*client)(int fd))
{
    struct http_limits limits;
    char line[32] = {0};
    int ready[2], status;
    pid_t server = getpid(), below;

    nomem_pause();
    if (pipe(ready) != 0) _exit(90);
    if ((below = fork()) == 0) {
        enum seen s = SEEN_REFUSED;
        int fd;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[1]);
        if (read(ready[0], line, sizeof line - 1) <= 0) _exit(0);
        port = atoi(line);
        if ((fd = dial()) >= 0) {
            s = client(fd);
            close(fd);
        }
        if (is_late) s = SEEN_LATE;
        /* Twice: what failed may have been the first one's. */
        if (s != SEEN_WRONG && s != SEEN_LATE && client != is_closed && !is_served() && !is_served()) s = SEEN_REFUSED;
        *seen = s;
        if (client != is_closed && getppid() == server) kill(server, SIGTERM);
        _exit(0);
    }
    close(ready[0]);
    http_limits_default(&limits);
    status = hall_serve(&limits, "127.0.0.1:0", ready[1]);
    close(ready[1]);
    if (waitpid(below, NULL, 0) != below) _exit(91);
    if (status == 6) _exit(79); /* a handle was left open */
    return status == 0 ? 0 : -1;
}

static void check_seen(enum nomem_outcome outcome)
{
    int is_good = *seen == SEEN_ALL || *seen == SEEN_ERROR;

    if (*seen == SEEN_WRONG || (outcome == NOMEM_DONE && !is_good))
        print_error("seen %d after what %s asked for\n", (int)*seen, nomem_asker);
    if (outcome == NOMEM_DONE) assert_true(is_good);
    else assert_int_not_equal(*seen, SEEN_WRONG);
    *seen = SEEN_NOTHING;
}

static int serve_requests(void) { return serve(requests); }
static int serve_ingest(void) { return serve(ingest); }
static int serve_tail(void) { return serve(tail); }
static int serve_and_close(void) { return serve(is_closed); }

static void swept(int (*scenario)(void))
{
    int64_t began_us = clock_mono_us();
    long n = nomem_sweep(scenario, check_seen);

    assert_true(n > (NOMEM_ACTIVE ? 20 : 0));
    print_message("%ld allocations, %lld ms\n", n, (long long)(clock_mono_us() - began_us) / 1000);
}

static void test_requests(void **state)
{
    swept(serve_requests);
}

static void test_ingest(void **state)
{
    swept(serve_ingest);
}

static void test_tail(void **state)
{
    swept(serve_tail);
}

static void test_closing(void **state)
{
    swept(serve_and_close);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head), cmocka_unit_test(test_requests), cmocka_unit_test(test_ingest),
        cmocka_unit_test(test_tail), cmocka_unit_test(test_closing),
    };

    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/http/client.h -- the server of hall.h as a child, and a blocking client to talk to it.
 *
 * With HALL_TLS in the environment the client's sockets lead through relay.h: tls_test.c runs the tests of this folder so.
 */
#ifndef TESTS_UNIT_HTTP_CLIENT_H
#define TESTS_UNIT_HTTP_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/unit/http/hall.h"
#include "tests/unit/http/relay.h"

static __attribute__((unused)) struct {
    pid_t pid;
    int port;
} server;

/* ---- the child ---- */

static __attribute__((unused)) struct http_limits small_limits(void)
{
    struct http_limits l;
    http_limits_default(&l);
    l.connections_max = 2000;
    l.body_bytes_max = 10u << 20;
    l.header_us = getenv("HALL_PATIENT") ? 10000000 : 800000;
    l.body_us = 1000000;
    l.keepalive_us = 5000000;
    l.write_us = 60000000;
    return l;
}

static __attribute__((unused)) int start_with(const struct http_limits *l)
{
    int ready[2];
    char line[32] = {0};
    if (pipe(ready) < 0) return -1;
    server.pid = fork();
    if (server.pid == 0) {
        close(ready[0]);
        for (int i = 1; i < 32; i++) signal(i, SIG_DFL); /* cmocka's handlers would run on as a test */
        signal(SIGPIPE, SIG_IGN);
        int code = hall_serve(l, "127.0.0.1:0", ready[1]);
        if (relay_used) _exit(code); /* LeakSanitizer's list has threads of before the fork: what they hold it would call lost */
        exit(code);
    }
    close(ready[1]);
    if (read(ready[0], line, sizeof(line) - 1) <= 0) return -1;
    close(ready[0]);
    server.port = atoi(line);
    return 0;
}

static __attribute__((unused)) int start_server(void **state)
{
    struct http_limits l = small_limits();
    (void)state;
    return start_with(&l);
}

static __attribute__((unused)) int stop_server(void **state)
{
    int status = -1;
    (void)state;
    kill(server.pid, SIGTERM);
    for (int i = 0; i < 1500; i++) {
        if (waitpid(server.pid, &status, WNOHANG) == server.pid) {
            if (status != 0) fprintf(stderr, "server ended with status %#x\n", (unsigned)status);
            return status == 0 ? 0 : -1;
        }
        poll(NULL, 0, 10);
    }
    fprintf(stderr, "server did not end\n");
    kill(server.pid, SIGKILL);
    waitpid(server.pid, &status, 0);
    return -1;
}

static __attribute__((unused)) long proc_ticks(void)
{
    char path[64], text[1024] = {0}, *at;
    unsigned long user, sys;
    FILE *f;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)server.pid);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
    fclose(f);
    at = strrchr(text, ')');
    assert_int_equal(sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys), 2);
    return (long)(user + sys);
}

static __attribute__((unused)) long rss_kib(void)
{
    char path[64], line[256];
    long kib = 0;
    FILE *f;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)server.pid);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
    fclose(f);
    return kib;
}

static __attribute__((unused)) int open_fds(void)
{
    char cmd[64], line[32] = {0};
    FILE *f;
    snprintf(cmd, sizeof(cmd), "ls /proc/%d/fd | wc -l", (int)server.pid);
    f = popen(cmd, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    pclose(f);
    return atoi(line);
}

/* ---- a blocking client ---- */

static __attribute__((unused)) int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval tv = {10, 0};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_port = htons((uint16_t)server.port);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    if (!getenv("HALL_TLS")) return fd;
    fd = relay_over(fd);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    return fd;
}

static __attribute__((unused)) void put(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0) return; /* the server may have refused and gone: the answer tells */
        at += n;
        len -= (size_t)n;
    }
}

static __attribute__((unused)) void puts_to(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* Exactly len bytes; 0 when the peer closed or time is up. */
static __attribute__((unused)) int get(int fd, void *data, size_t len)
{
    char *at = data;
    while (len) {
        ssize_t n = recv(fd, at, len, 0);
        if (n <= 0) return 0;
        at += n;
        len -= (size_t)n;
    }
    return 1;
}

struct answer {
    int status;
    long length; /* -1: chunked */
    char head[4096];
    struct buf body;
};

static __attribute__((unused)) int read_head(int fd, struct answer *a)
{
    size_t n = 0;
    const char *cl;
    memset(a, 0, sizeof(*a));
    while (n < sizeof(a->head) - 1 && get(fd, a->head + n, 1)) {
        n++;
        if (n >= 4 && memcmp(a->head + n - 4, "\r\n\r\n", 4) == 0) {
            a->status = atoi(a->head + 9);
            cl = strstr(a->head, "Content-Length: ");
            a->length = cl ? atol(cl + 16) : strstr(a->head, "Transfer-Encoding: chunked") ? -1 : 0;
            return a->status;
        }
    }
    return 0;
}

static __attribute__((unused)) void read_chunks(int fd, struct answer *a)
{
    for (;;) {
        char line[32] = {0}, piece[65536 + 2];
        size_t n = 0, size;
        while (n < sizeof(line) - 1 && get(fd, line + n, 1) && line[n] != '\n') n++;
        size = strtoul(line, NULL, 16);
        assert_true(size <= 65536);
        assert_true(get(fd, piece, size + 2));
        assert_memory_equal(piece + size, "\r\n", 2);
        if (size == 0) return;
        buf_add(&a->body, piece, size);
    }
}

/* Read one answer whole; its status, 0 when there is none. */
static __attribute__((unused)) int answer(int fd, struct answer *a)
{
    if (!read_head(fd, a)) return 0;
    if (a->length == -1) read_chunks(fd, a);
    else if (a->length > 0 && a->status != 304) {
        assert_int_equal(buf_reserve(&a->body, (size_t)a->length), 0);
        if (!get(fd, a->body.data, (size_t)a->length)) return -1;
        a->body.len = (size_t)a->length;
        a->body.data[a->body.len] = '\0';
    }
    return a->status;
}

static __attribute__((unused)) void expect(int fd, int status, const char *body)
{
    struct answer a;
    assert_int_equal(answer(fd, &a), status);
    if (body) assert_string_equal(buf_cstr(&a.body), body);
    buf_release(&a.body);
}

static __attribute__((unused)) int is_eof(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}

/* One request on a connection of its own; status, or -1 when it was closed without one. */
static __attribute__((unused)) int once(const char *request)
{
    struct answer a;
    int fd = dial(), status;
    puts_to(fd, request);
    status = answer(fd, &a);
    buf_release(&a.body);
    close(fd);
    return status;
}

static __attribute__((unused)) long stat_of(const char *name)
{
    struct answer a;
    char key[40];
    const char *at;
    long value;
    int fd = dial();
    puts_to(fd, "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_int_equal(answer(fd, &a), 200);
    snprintf(key, sizeof(key), "\"%s\":", name);
    at = strstr(a.body.data, key);
    assert_non_null(at);
    value = atol(at + strlen(key));
    buf_release(&a.body);
    close(fd);
    return value;
}

/* Wait until a counter has a value, at most 5 s. */
static __attribute__((unused)) void wait_stat(const char *name, long value)
{
    int64_t end = clock_mono_us() + 5000000;
    while (stat_of(name) != value) {
        assert_true(clock_mono_us() < end);
        poll(NULL, 0, 10);
    }
}

/* It comes to rest: what spins never does. */
static __attribute__((unused)) void assert_idle(void)
{
    for (int i = 0;; i++) {
        long before = proc_ticks();
        poll(NULL, 0, 300);
        if (proc_ticks() - before <= 3) return;
        assert_true(i < 10);
    }
}

#endif

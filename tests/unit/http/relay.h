/*
 * tests/unit/http/relay.h -- a plain socket whose far end speaks TLS to a server: for clients that know nothing of it.
 *
 * relay_over(tcp) gives one end of a socketpair; a thread does the rest. Closing the sending half sends TLS' goodbye,
 * the server's goodbye or end closes the half that is read.
 */
#ifndef TESTS_UNIT_HTTP_RELAY_H
#define TESTS_UNIT_HTTP_RELAY_H

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

#define RELAY_END_S 10

static pthread_mutex_t relay_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t relay_gone = PTHREAD_COND_INITIALIZER;
static int relay_count; /* threads that run */
static int relay_used;  /* there have been some */

struct relay {
    int tcp, near; /* near: our end of the pair */
    SSL *ssl;
    char up[16384], down[16384];
    size_t up_len, down_at, down_len;
    int client_done, server_done, told;
};

static inline int relay_up(struct relay *r)
{
    ssize_t n;
    int w;
    if (!r->up_len && !r->client_done) {
        n = recv(r->near, r->up, sizeof r->up, MSG_DONTWAIT);
        if (n > 0)
            r->up_len = (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            r->client_done = 1;
        if (r->client_done)
            SSL_shutdown(r->ssl);
    }
    if (!r->up_len)
        return 0;
    w = SSL_write(r->ssl, r->up, (int)r->up_len);
    if (w > 0)
        r->up_len = 0;
    else if (SSL_get_error(r->ssl, w) != SSL_ERROR_WANT_READ && SSL_get_error(r->ssl, w) != SSL_ERROR_WANT_WRITE)
        r->up_len = 0, r->client_done = 1;
    return w > 0;
}

/* 1: something moved; -1: the client has gone. */
static inline int relay_down(struct relay *r)
{
    ssize_t n;
    if (!r->down_len && !r->server_done) {
        int got = SSL_read(r->ssl, r->down, sizeof r->down);
        r->down_at = 0;
        if (got > 0)
            r->down_len = (size_t)got;
        else if (SSL_get_error(r->ssl, got) != SSL_ERROR_WANT_READ && SSL_get_error(r->ssl, got) != SSL_ERROR_WANT_WRITE)
            r->server_done = 1;
    }
    if (r->server_done && !r->down_len && !r->told) {
        r->told = 1;
        shutdown(r->near, SHUT_WR);
    }
    if (!r->down_len)
        return 0;
    n = send(r->near, r->down + r->down_at, r->down_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    r->down_at += (size_t)n;
    r->down_len -= (size_t)n;
    return 1;
}

static inline void *relay_run(void *user)
{
    struct relay *r = user;
    for (;;) {
        int up, down;
        ERR_clear_error();
        up = relay_up(r);
        ERR_clear_error();
        down = relay_down(r);
        if (down < 0 || (r->server_done && !r->down_len && r->client_done))
            break;
        if (up || down)
            continue;
        struct pollfd p[2] = {
            {.fd = r->tcp, .events = (short)((r->down_len || r->server_done ? 0 : POLLIN) | (r->up_len ? POLLOUT : 0))},
            {.fd = r->near, .events = (short)((r->up_len || r->client_done ? 0 : POLLIN) | (r->down_len ? POLLOUT : 0))}};
        if (!p[0].events)
            p[0].fd = -1; /* it may stay in an error for ever */
        poll(p, 2, 100);
        if ((p[1].revents & POLLHUP) && r->client_done)
            break;
    }
    SSL_free(r->ssl);
    close(r->tcp);
    close(r->near);
    free(r);
    pthread_mutex_lock(&relay_lock);
    relay_count--;
    pthread_cond_signal(&relay_gone);
    pthread_mutex_unlock(&relay_lock);
    return NULL;
}

/* Before OpenSSL cleans up (its handler was there first): a thread that still frees its connection would meet it. */
static inline void relay_wait_all(void)
{
    struct timespec until;
    int err = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RELAY_END_S;
    pthread_mutex_lock(&relay_lock);
    while (relay_count && err == 0) err = pthread_cond_timedwait(&relay_gone, &relay_lock, &until);
    pthread_mutex_unlock(&relay_lock);
}

/* The plain end; takes tcp. The handshake goes on in the thread. */
static inline int relay_over(int tcp)
{
    static SSL_CTX *ctx;
    struct relay *r = must_calloc(1, sizeof *r);
    pthread_attr_t attr;
    pthread_t thread;
    int pair[2];
    relay_used = 1;
    if (!ctx) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        atexit(relay_wait_all);
    }
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    fcntl(tcp, F_SETFL, fcntl(tcp, F_GETFL) | O_NONBLOCK);
    r->tcp = tcp;
    r->near = pair[0];
    r->ssl = SSL_new(ctx);
    SSL_set_fd(r->ssl, tcp);
    SSL_set_connect_state(r->ssl);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    pthread_mutex_lock(&relay_lock);
    relay_count++;
    pthread_mutex_unlock(&relay_lock);
    CHECK(pthread_create(&thread, &attr, relay_run, r) == 0);
    pthread_attr_destroy(&attr);
    return pair[1];
}

#endif

/*
 * http/listen.c -- addresses, listening sockets, accept.
 *
 * We open the listeners ourselves (libwebsockets' own lack SO_REUSEPORT in Debian 12, and hide
 * accept errors) and watch them with uv_poll. Out of descriptors: a few connections are answered one
 * after the other with the spare descriptor and closed, then accepting pauses for ACCEPT_PAUSE_US, so
 * that a level-triggered listener cannot spin; the connections that are there go on. It is over once
 * FREE_AGAIN descriptors can be had: logged at both ends, and told by http_server_stats() meanwhile.
 *
 * A TLS listener differs in one bit, which its connections keep.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/http_int.h"

#define LISTEN_BACKLOG 4096
#define ACCEPTS_PER_TURN_MAX 256
#define ACCEPT_PAUSE_US INT64_C(100000)
#define OVERLOAD_EXTRA_MAX 256 /* connections over the limit that are told so politely */
#define SPARED_PER_PAUSE 64    /* connections answered with the spare descriptor in one turn */
#define SPARED_READS_MAX 8     /* of their bytes are read first */
#define FREE_AGAIN 16          /* descriptors: fewer would be gone with the next few connections */
#define HOST_BYTES_MAX 256

struct listener {
    struct link link;
    struct http_server *server;
    uv_poll_t poll;
    int fd;
    int port; /* 0: unix socket */
    int is_tls;
    char path[108];
};

static const char overload_reply[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    "Content-Length: 66\r\nConnection: close\r\n\r\n"
    "{\"code\":\"overloaded\",\"message\":\"too many connections; try later\"}\n";

static const char exhausted_reply[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    "Content-Length: 74\r\nConnection: close\r\n\r\n"
    "{\"code\":\"overloaded\",\"message\":\"no file descriptors are left; try later\"}\n";

static void on_accept_again(uv_timer_t *timer);

static void name_peer(const struct sockaddr_storage *addr, char peer[PEER_BYTES_MAX], int *ret_loopback)
{
    *ret_loopback = 0;
    if (addr->ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const void *)addr;
        inet_ntop(AF_INET, &in4->sin_addr, peer, PEER_BYTES_MAX);
        *ret_loopback = (ntohl(in4->sin_addr.s_addr) >> 24) == 127;
    } else if (addr->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)addr;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, peer, PEER_BYTES_MAX);
            *ret_loopback = in6->sin6_addr.s6_addr[12] == 127;
        } else {
            inet_ntop(AF_INET6, &in6->sin6_addr, peer, PEER_BYTES_MAX);
            *ret_loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
        }
    } else {
        snprintf(peer, PEER_BYTES_MAX, "unix");
        *ret_loopback = 1;
    }
}

/* ---- no descriptors ---- */

static int are_free_again(const struct http_server *s)
{
    int fds[FREE_AGAIN], count = 0;

    while (s->spare_fd >= 0 && count < FREE_AGAIN && (fds[count] = fcntl(s->spare_fd, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    for (int i = 0; i < count; i++) close(fds[i]);
    return count == FREE_AGAIN;
}

static void note_exhausted(struct http_server *s)
{
    struct rlimit limit = {0};

    if (s->stats.no_descriptors) return;
    s->stats.no_descriptors = 1;
    getrlimit(RLIMIT_NOFILE, &limit);
    log_warn("http", "no file descriptors are left: new connections are refused until some leave; raise LimitNOFILE",
             "limit=%llu connections=%zu", (unsigned long long)limit.rlim_cur, s->conn_count + s->ws_count);
}

static void look_for_free(struct http_server *s)
{
    if (s->spare_fd < 0) s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (!are_free_again(s)) {
        uv_timer_start(&s->accept_timer, on_accept_again, ACCEPT_PAUSE_US / 1000, 0);
        return;
    }
    s->stats.no_descriptors = 0;
    log_info("http", "file descriptors are free again: new connections are taken", "connections=%zu",
             s->conn_count + s->ws_count);
}

/* Answer one that waits, without a look at what it asks. 0: none waits, or not even the spare descriptor is there. */
static int answer_spared(struct listener *l)
{
    struct http_server *s = l->server;
    char asked[4096];
    int fd, reads = 0;

    if (s->spare_fd < 0) return 0;
    close(s->spare_fd);
    fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        s->stats.overload_total++;
        while (!l->is_tls && reads++ < SPARED_READS_MAX && recv(fd, asked, sizeof(asked), MSG_DONTWAIT) > 0) {
        } /* closed with bytes unread it would be a reset, and the answer lost */
        if (!l->is_tls && send(fd, exhausted_reply, sizeof(exhausted_reply) - 1, MSG_NOSIGNAL) < 0) errno = 0;
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static void on_exhausted(struct listener *l)
{
    note_exhausted(l->server);
    for (int i = 0; i < SPARED_PER_PAUSE && answer_spared(l); i++) {
    }
    listen__pause(l->server, ACCEPT_PAUSE_US);
}

/* The kernel has no memory for it. */
static void on_short_of_memory(struct http_server *s)
{
    static struct log_every every;
    uint64_t silent;

    s->stats.overload_total++;
    if (log_every(&every, 10000000, &silent))
        log_warn("http", "no memory for connections, accepting pauses", "suppressed=%llu", (unsigned long long)silent);
    listen__pause(s, ACCEPT_PAUSE_US);
}

/* ---- accepting ---- */

static void take(struct listener *l, int fd, const struct sockaddr_storage *addr)
{
    struct http_server *s = l->server;
    char peer[PEER_BYTES_MAX];
    int one = 1, is_loopback, refuse;
    size_t open_count = s->conn_count + s->ws_count;
    name_peer(addr, peer, &is_loopback);
    if (l->port) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    s->stats.connections_total++;
    refuse = open_count >= s->limits.connections_max;
    if (!refuse) refuse = server__peer_add(s, peer) < 0;
    if (refuse && open_count >= s->limits.connections_max + (size_t)OVERLOAD_EXTRA_MAX) {
        s->stats.overload_total++;
        if (send(fd, overload_reply, sizeof(overload_reply) - 1, MSG_NOSIGNAL) < 0) errno = 0;
        close(fd);
        return;
    }
    if (refuse && l->is_tls) { /* there is no session to say it in */
        s->stats.overload_total++;
        close(fd);
        return;
    }
    if (conn__adopt(s, fd, peer, is_loopback, l->is_tls, refuse) < 0 && !refuse) server__peer_del(s, peer);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    CHECK(l->server != NULL);
    if (status < 0) return;
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX; i++) {
        struct sockaddr_storage addr = {0};
        socklen_t len = sizeof(addr);
        int fd = accept4(l->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(l, fd, &addr);
        } else if (errno == EMFILE || errno == ENFILE) {
            on_exhausted(l);
            return;
        } else if (errno == ENOBUFS || errno == ENOMEM) {
            on_short_of_memory(l->server);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
            return; /* EAGAIN: none left */
        }
    }
}

static void on_accept_again(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    for (struct link *i = s->listeners.next; i != &s->listeners; i = i->next)
        uv_poll_start(&link_of(i, struct listener, link)->poll, UV_READABLE, on_readable);
    if (s->stats.no_descriptors) look_for_free(s);
}

void listen__pause(struct http_server *s, int64_t for_us)
{
    for (struct link *i = s->listeners.next; i != &s->listeners; i = i->next)
        uv_poll_stop(&link_of(i, struct listener, link)->poll);
    uv_timer_start(&s->accept_timer, on_accept_again, (uint64_t)for_us / 1000, 0);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    close(l->fd);
    if (l->path[0]) unlink(l->path);
    free(l);
}

void listen__close_all(struct http_server *s)
{
    while (s->listeners.next != &s->listeners) {
        struct listener *l = link_of(s->listeners.next, struct listener, link);
        link_del(&l->link);
        uv_poll_stop(&l->poll);
        uv_close((uv_handle_t *)&l->poll, on_listener_closed);
    }
    uv_timer_stop(&s->accept_timer);
}

/* fd is listening already. Takes it. */
static int watch(struct http_server *s, int fd, int port, int is_tls, const char *path)
{
    struct listener *l = must_calloc(1, sizeof(*l));
    l->server = s;
    l->fd = fd;
    l->port = port;
    l->is_tls = is_tls;
    memcpy(l->path, path, strnlen(path, sizeof(l->path) - 1));
    if (uv_poll_init(s->loop, &l->poll, fd) < 0) {
        close(fd);
        free(l);
        return ERR_IO;
    }
    l->poll.data = l;
    link_add(&s->listeners, &l->link);
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    return 0;
}

static int listen_unix(struct http_server *s, const char *path, char *why, size_t why_size)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;
    if (!*path || strlen(path) >= sizeof(addr.sun_path)) {
        snprintf(why, why_size, "the socket path must have 1 to %zu bytes", sizeof(addr.sun_path) - 1);
        return ERR_INVALID;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) goto fail;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) { /* left behind, or somebody lives there? */
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int alive = probe >= 0 && connect(probe, (struct sockaddr *)&addr, sizeof(addr)) == 0;
        if (probe >= 0) close(probe);
        if (!alive) unlink(path);
    }
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, LISTEN_BACKLOG) < 0) goto fail;
    return watch(s, fd, 0, 0, path);
fail:
    snprintf(why, why_size, "unix:%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return ERR_IO;
}

/* One address of a host. *port 0 is replaced by the one that was picked. */
static int listen_tcp(struct http_server *s, const struct addrinfo *ai, int *port, int is_tls, char *why,
                      size_t why_size)
{
    struct sockaddr_storage addr;
    socklen_t len = ai->ai_addrlen;
    int one = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    memcpy(&addr, ai->ai_addr, len);
    if (addr.ss_family == AF_INET6) ((struct sockaddr_in6 *)(void *)&addr)->sin6_port = htons((uint16_t)*port);
    else ((struct sockaddr_in *)(void *)&addr)->sin_port = htons((uint16_t)*port);
    if (fd < 0) goto fail;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (*port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0) goto fail;
    if (addr.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0) goto fail;
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0) goto fail;
    *port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&addr)->sin6_port
                                             : ((struct sockaddr_in *)(void *)&addr)->sin_port);
    return watch(s, fd, *port, is_tls, "");
fail:
    snprintf(why, why_size, "port %d: %s", *port, strerror(errno));
    if (fd >= 0) close(fd);
    return ERR_IO;
}

/* "host:port", "[v6]:port", ":port". */
static int split_address(const char *address, char host[HOST_BYTES_MAX], int *ret_port)
{
    const char *colon = strrchr(address, ':');
    size_t len;
    char *end;
    long port;
    if (!colon || colon[1] < '0' || colon[1] > '9') return ERR_INVALID;
    port = strtol(colon + 1, &end, 10);
    if (*end || port > 65535) return ERR_INVALID;
    len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    } else if (memchr(address, ':', len)) {
        return ERR_INVALID; /* an IPv6 address wants brackets */
    }
    if (len >= HOST_BYTES_MAX) return ERR_INVALID;
    memcpy(host, address, len);
    host[len] = '\0';
    *ret_port = (int)port;
    return 0;
}

static int listen_at(struct http_server *s, const char *address, int is_tls, char *why, size_t why_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    char host[HOST_BYTES_MAX];
    int port, opened = 0, err = ERR_IO;
    if (strncmp(address, "unix:", 5) == 0 && !is_tls) return listen_unix(s, address + 5, why, why_size);
    if (split_address(address, host, &port) < 0) {
        snprintf(why, why_size, "\"%.100s\" is not HOST:PORT, [IPv6]:PORT, :PORT or unix:PATH", address);
        return ERR_INVALID;
    }
    if (strcmp(host, "localhost") == 0 || !*host) hints.ai_flags &= ~AI_ADDRCONFIG;
    err = getaddrinfo(*host ? host : NULL, "0", &hints, &found);
    if (err != 0) {
        snprintf(why, why_size, "%s: %s", address, gai_strerror(err));
        return ERR_IO;
    }
    /* IPv4 first: it is the one that must work; a machine without IPv6 is no error. */
    for (int family = 0; family < 2; family++)
        for (struct addrinfo *ai = found; ai; ai = ai->ai_next) {
            if (ai->ai_family != (family == 0 ? AF_INET : AF_INET6)) continue;
            err = listen_tcp(s, ai, &port, is_tls, why, why_size);
            if (err == 0) opened++;
            else if (family == 0 || !opened) goto out;
        }
    err = opened ? 0 : ERR_IO;
out:
    freeaddrinfo(found);
    return err;
}

int http_listen(struct http_server *s, const char *address, char *why, size_t why_size)
{
    return listen_at(s, address, 0, why, why_size);
}

int http_listen_tls(struct http_server *s, const char *address, char *why, size_t why_size)
{
    CHECK(s->tls != NULL);
    return listen_at(s, address, 1, why, why_size);
}

static int first_port(const struct http_server *s, int is_tls)
{
    for (struct link *i = s->listeners.next; i != &s->listeners; i = i->next) {
        const struct listener *l = link_of(i, struct listener, link);
        if (l->port && l->is_tls == is_tls) return l->port;
    }
    return 0;
}

int http_port(const struct http_server *s)
{
    return first_port(s, 0);
}

int http_tls_port(const struct http_server *s)
{
    return first_port(s, 1);
}

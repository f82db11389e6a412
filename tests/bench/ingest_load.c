/*
 * tests/bench/ingest_load.c -- lines of a file into joblogd as fast as it acknowledges them.
 *
 *     ingest_load PORT JOB FILE TYPE CONNECTIONS LINES_A_REQUEST [REQUESTS]
 *
 * JOB*N posts to the jobs JOB-0 … JOB-(N-1) in turn; a JOB that begins with / is the path of somebody else
 * (nchan), whose answer must be 2xx.
 *
 * Closed loop: every connection has one request in flight (keep-alive); the file is handed out in order and
 * read again from its start when REQUESTS asks for more. Every reply is read: it must be 200 and accept
 * all lines sent. Prints one JSON object: lines, bytes, seconds, request latencies in microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define REPLY_BYTES_MAX 4096

struct conn {
    int fd;
    char head[512];
    size_t head_len, sent; /* sent: of head and body together */
    const char *body;
    size_t body_len;
    uint64_t lines;
    char reply[REPLY_BYTES_MAX + 1];
    size_t reply_len;
    int64_t started_us;
    int busy;
};

static const char *file, *file_end, *file_pos;
static uint64_t requests_left, lines_sent, bytes_sent, requests_done;
static unsigned lines_a_request;
static const char *job, *type;
static uint64_t job_count, next_job;
static uint32_t *latencies;
static size_t latency_count, latency_cap;

static int64_t mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "ingest_load: %s: %s\n", what, detail ? detail : strerror(errno));
    exit(1);
}

/* The next run of lines; 0 at the end. */
static int next_body(struct conn *c)
{
    if (requests_left == 0)
        return 0;
    if (file_pos == file_end)
        file_pos = file;
    c->body = file_pos;
    for (c->lines = 0; c->lines < lines_a_request && file_pos < file_end; c->lines++) {
        const char *nl = memchr(file_pos, '\n', (size_t)(file_end - file_pos));
        file_pos = nl ? nl + 1 : file_end;
    }
    c->body_len = (size_t)(file_pos - c->body);
    requests_left--;
    return 1;
}

static int begin(struct conn *c)
{
    if (!next_body(c))
        return 0;
    char path[256];
    if (*job == '/')
        snprintf(path, sizeof path, "%s", job);
    else if (job_count)
        snprintf(path, sizeof path, "/v1/jobs/%s-%" PRIu64 "/logs", job, next_job++ % job_count);
    else
        snprintf(path, sizeof path, "/v1/jobs/%s/logs", job);
    c->head_len = (size_t)snprintf(c->head, sizeof c->head,
                                   "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: "
                                   "%s\r\nContent-Length: %zu\r\n\r\n",
                                   path, type, c->body_len);
    c->sent = c->reply_len = 0;
    c->started_us = mono_us();
    c->busy = 1;
    return 1;
}

/* 1: all is out, 0: the socket is full. */
static int send_some(struct conn *c)
{
    while (c->sent < c->head_len + c->body_len) {
        struct iovec v[2];
        int n = 0;
        if (c->sent < c->head_len)
            v[n++] = (struct iovec){c->head + c->sent, c->head_len - c->sent};
        size_t body_at = c->sent > c->head_len ? c->sent - c->head_len : 0;
        v[n++] = (struct iovec){(char *)c->body + body_at, c->body_len - body_at};
        ssize_t w = writev(c->fd, v, n);
        if (w < 0 && errno == EAGAIN)
            return 0;
        if (w < 0)
            fail("write", NULL);
        c->sent += (size_t)w;
    }
    return 1;
}

static void note_latency(int64_t us)
{
    if (latency_count == latency_cap) {
        latency_cap = latency_cap ? latency_cap * 2 : 65536;
        latencies = realloc(latencies, latency_cap * sizeof *latencies);
    }
    latencies[latency_count++] = (uint32_t)us;
}

/* 1: a whole reply was read and checked. */
static int read_reply(struct conn *c)
{
    ssize_t r = read(c->fd, c->reply + c->reply_len, REPLY_BYTES_MAX - c->reply_len);
    if (r < 0 && errno == EAGAIN)
        return 0;
    if (r <= 0)
        fail("read", r ? NULL : "joblogd closed the connection");
    c->reply_len += (size_t)r;
    c->reply[c->reply_len] = '\0';
    char *end = strstr(c->reply, "\r\n\r\n"), *length = strcasestr(c->reply, "content-length:");
    if (!end || !length ||
        c->reply_len < (size_t)(end + 4 - c->reply) + strtoul(length + 15, NULL, 10))
        return 0;
    char *accepted = strstr(end, "\"accepted\":");
    int is_ours = *job != '/';
    if (strncmp(c->reply, "HTTP/1.1 20", 11) != 0 ||
        (is_ours && (!accepted || strtoull(accepted + 11, NULL, 10) != c->lines)))
        fail("a reply is wrong", c->reply);
    note_latency(mono_us() - c->started_us);
    lines_sent += c->lines, bytes_sent += c->body_len, requests_done++;
    c->busy = 0;
    return 1;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static unsigned at_quantile(double q)
{
    return latency_count ? latencies[(size_t)((double)(latency_count - 1) * q)] : 0;
}

static void map_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        fail(path, NULL);
    file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (file == MAP_FAILED)
        fail("mmap", NULL);
    file_pos = file, file_end = file + st.st_size;
    close(fd);
}

int main(int argc, char **argv)
{
    static struct conn conns[CONNECTIONS_MAX];
    if (argc < 7) {
        fprintf(stderr,
                "usage: ingest_load PORT JOB FILE TYPE CONNECTIONS LINES_A_REQUEST [REQUESTS]\n");
        return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(argv[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned count = (unsigned)atoi(argv[5]), open_count = 0;
    job = argv[2], type = argv[4], lines_a_request = (unsigned)atoi(argv[6]);
    char *star = strchr(argv[2], '*');
    if (star) {
        job_count = strtoull(star + 1, NULL, 10);
        *star = '\0';
    }
    if (count == 0 || count > CONNECTIONS_MAX || lines_a_request == 0)
        fail("CONNECTIONS and LINES_A_REQUEST", "out of range");
    map_file(argv[3]);
    if (argc > 7) {
        requests_left = strtoull(argv[7], NULL, 10);
    } else {
        uint64_t lines = 0;
        for (const char *p = file; p < file_end && (p = memchr(p, '\n', (size_t)(file_end - p)));
             p++)
            lines++;
        requests_left = (lines + lines_a_request - 1) / lines_a_request;
    }
    int ep = epoll_create1(0), one = 1;
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = i};
        conns[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(conns[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(conns[i].fd, (struct sockaddr *)&to, sizeof to) != 0)
            fail("connect", NULL);
        fcntl(conns[i].fd, F_SETFL, O_NONBLOCK);
        epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &e);
    }
    int64_t started = mono_us();
    for (unsigned i = 0; i < count; i++)
        if (begin(&conns[i]))
            send_some(&conns[i]), open_count++;
    while (open_count > 0) {
        struct epoll_event events[256];
        int n = epoll_wait(ep, events, 256, 30000);
        if (n == 0)
            fail("no answer", "for 30 s");
        for (int i = 0; i < n; i++) {
            struct conn *c = &conns[events[i].data.u32];
            if (!c->busy)
                continue;
            if (c->sent < c->head_len + c->body_len)
                send_some(c);
            while (c->busy && read_reply(c)) {
                if (begin(c))
                    send_some(c);
                else
                    open_count--;
            }
        }
    }
    double seconds = (double)(mono_us() - started) / 1e6;
    qsort(latencies, latency_count, sizeof *latencies, by_size);
    printf("{\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"requests\":%" PRIu64
           ",\"seconds\":%.4f,\"lines_s\":%.0f,\"requests_s\":%.0f,"
           "\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
           lines_sent, bytes_sent, requests_done, seconds, (double)lines_sent / seconds,
           (double)requests_done / seconds, at_quantile(0.5), at_quantile(0.99), at_quantile(1));
    return 0;
}

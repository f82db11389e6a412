/*
 * tests/bench/tail_load.c -- many WebSocket followers of one channel, one open-loop writer, every line checked.
 *
 *     tail_load PORT SUBSCRIBE_TARGET PUBLISH_TARGET TYPE SUBSCRIBERS LINES_S LINES_A_REQUEST SECONDS [WRITERS]
 *
 * Works against joblogd (…/tail, …/logs) and against anything else that pushes what is posted (nchan). A line is
 * `n=<number> t=<microseconds> <padding>`; a message may hold many, in any wrapping: followers look for the mark
 * `n=`. Every follower must see n = 1, 2, 3 … without holes and repeats.
 *
 * Open loop: request k is due at k * interval whatever became of the one before, and t is the time it was due, so
 * waiting counts as latency (no coordinated omission). LINES_S 0: as fast as replies come, but no further ahead of the
 * slowest follower than all of them can make up for in some seconds (LEAD_DELIVERIES), so that the run ends.
 * Two threads: the writer, and one for all followers. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SUBSCRIBERS_MAX 20000
#define WRITERS_MAX 64
#define READ_BYTES (256 * 1024)
#define HIST_MAX 24 /* powers of two of microseconds, 64 steps each */
#define HIST_STEPS 64
#define LEAD_DELIVERIES UINT64_C(100000000) /* published and not yet received: 20 s at 5 M/s */
#define PAD                                                                                        \
    "step loss=2.3412 lr=2.98e-04 grad_norm=0.812 tokens/s=41233 mem=61.2GB rank time 0.412s"

static const char padding[] = " " PAD;

static struct sockaddr_in server;
static const char *subscribe_target, *publish_target, *type;
static uint32_t subscribers, lines_s, lines_a_request, seconds;

struct follower {
    int fd;
    int open;     /* the 101 was read */
    unsigned got; /* bytes of head or frame header held */
    unsigned char head[1024];
    uint64_t frame_left; /* payload bytes still to come */
    uint64_t last;       /* n of the last line */
    /* an unfinished mark at the end of the last read */
    char rest[64];
    unsigned rest_len;
};

static struct follower *followers;
static _Atomic uint64_t published; /* n of the last line acknowledged */
static _Atomic uint64_t slowest;   /* n of the last line that every follower has, as of a moment ago */
static atomic_int writers_left, ready;
static _Atomic uint64_t next_request;
static int64_t start_us;
static uint64_t received, messages, wrong_order, payload_bytes;
static uint64_t histogram[HIST_MAX * HIST_STEPS];
static int64_t last_receive_us;

static int64_t mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "tail_load: %s: %s\n", what, detail ? detail : strerror(errno));
    exit(1);
}

static int connect_blocking(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0)
        fail("socket", NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        fail("connect", NULL);
    return fd;
}

static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t w = write(fd, data, len);
        if (w <= 0)
            fail("write", NULL);
        data += w, len -= (size_t)w;
    }
}

/* ---- latency: a histogram of 1.6 % steps ---- */

static void note_latency(int64_t us)
{
    unsigned exponent = 0, step;
    uint64_t v = us < 0 ? 0 : (uint64_t)us;
    if (v < HIST_STEPS) {
        step = (unsigned)v;
    } else {
        exponent = 63u - (unsigned)__builtin_clzll(v) - 5u;
        if (exponent >= HIST_MAX)
            exponent = HIST_MAX - 1, v = UINT64_C(63) << exponent;
        step = (unsigned)(v >> exponent);
    }
    histogram[exponent * HIST_STEPS + step]++;
}

static uint64_t at_quantile(double q)
{
    uint64_t total = 0, sum = 0;
    for (unsigned i = 0; i < HIST_MAX * HIST_STEPS; i++)
        total += histogram[i];
    for (unsigned e = 0; e < HIST_MAX; e++)
        for (unsigned s = 0; s < HIST_STEPS; s++)
            if ((sum += histogram[e * HIST_STEPS + s]) > (double)(total - 1) * q && total)
                return (uint64_t)s << e;
    return 0;
}

/* ---- the writer ---- */

static uint64_t write_body(char *out, size_t size, uint64_t n, int64_t due_us, size_t *ret_len)
{
    size_t len = 0;
    for (uint32_t i = 0; i < lines_a_request; i++, n++)
        len += (size_t)snprintf(out + len, size - len, "n=%" PRIu64 " t=%" PRId64 " " PAD "\n", n,
                                due_us);
    *ret_len = len;
    return n;
}

static void read_reply(int fd, char *buf, size_t size)
{
    size_t len = 0;
    for (;;) {
        ssize_t r = read(fd, buf + len, size - 1 - len);
        if (r <= 0)
            fail("publish", "the connection ended");
        len += (size_t)r;
        buf[len] = '\0';
        char *end = strstr(buf, "\r\n\r\n"), *length = strcasestr(buf, "content-length:");
        if (!end)
            continue;
        if (strncmp(buf, "HTTP/1.1 20", 11) != 0)
            fail("publish", buf);
        if (len >=
            (size_t)(end + 4 - buf) + (length && length < end ? strtoul(length + 15, NULL, 10) : 0))
            return;
    }
}

/* Requests are handed out by number; request k carries lines k * lines_a_request + 1 and on. Several writers
 * would let two requests overtake each other, so one channel has one writer and more connections only where
 * order is not asked (wrong_order is then expected). */
static void *write_lines(void *unused)
{
    size_t size = (size_t)lines_a_request * 192 + 1, len;
    char *body = malloc(size), head[512], reply[8192];
    int fd = connect_blocking();
    int64_t interval_us = lines_s ? INT64_C(1000000) * lines_a_request / lines_s : 0;
    while (!ready)
        usleep(1000);
    int64_t end = start_us + seconds * INT64_C(1000000);
    for (;;) {
        while (!interval_us && subscribers && published > slowest + LEAD_DELIVERIES / subscribers && mono_us() < end)
            usleep(1000);
        uint64_t k = next_request++;
        int64_t due = interval_us ? start_us + (int64_t)k * interval_us : mono_us();
        if (due >= end)
            break;
        for (int64_t now = mono_us(); now < due; now = mono_us())
            usleep((useconds_t)(due - now));
        uint64_t n = k * lines_a_request + 1, next = write_body(body, size, n, due, &len);
        int h = snprintf(
            head, sizeof head,
            "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
            publish_target, type, len);
        write_all(fd, head, (size_t)h);
        write_all(fd, body, len);
        read_reply(fd, reply, sizeof reply);
        published += next - n;
    }
    free(body);
    close(fd);
    writers_left--;
    return unused;
}

/* ---- followers ---- */

/* One whole mark "n=… t=…" at p. */
static void take_mark(struct follower *f, const char *p, int64_t now)
{
    char *at;
    uint64_t n = strtoull(p + 2, &at, 10);
    if (n != f->last + 1)
        wrong_order++;
    f->last = n;
    received++;
    note_latency(now - (int64_t)strtoull(at + 3, NULL, 10));
}

/* Payload bytes: find the marks; one that is cut waits in rest. */
static void scan(struct follower *f, const char *data, size_t len, int64_t now)
{
    const char *p = data, *end = data + len;
    if (f->rest_len > 0) {
        char joined[128];
        size_t take = sizeof joined - 1 - f->rest_len;
        if (take > len)
            take = len;
        memcpy(joined, f->rest, f->rest_len);
        memcpy(joined + f->rest_len, data, take);
        joined[f->rest_len + take] = '\0';
        char *t = strstr(joined, " t="), *stop = t ? strchr(t + 3, ' ') : NULL;
        if (joined[0] == 'n' && joined[1] == '=' && stop) {
            take_mark(f, joined, now);
            size_t used = (size_t)(stop - joined);
            p = used > f->rest_len ? data + (used - f->rest_len) : data;
        } else if (joined[0] == 'n' && (joined[1] == '=' || joined[1] == '\0') &&
                   f->rest_len + take < 48) {
            memcpy(f->rest, joined, f->rest_len + take);
            f->rest_len += (unsigned)take;
            return;
        }
        f->rest_len = 0;
    }
    while ((p = memmem(p, (size_t)(end - p), "n=", 2)) != NULL) {
        const char *space = p + 2 < end ? memchr(p + 2, ' ', (size_t)(end - p - 2)) : NULL;
        const char *stop =
            space && space + 4 < end ? memchr(space + 4, ' ', (size_t)(end - space - 4)) : NULL;
        if (stop) {
            if (p[2] >= '0' && p[2] <= '9')
                take_mark(f, p, now);
            p = stop;
            if ((size_t)(end - p) > sizeof padding && memcmp(p, padding, sizeof padding - 1) == 0)
                p += sizeof padding - 1; /* no mark in it: on loopback the search for one costs as much as the server */
        } else if (end - p < 48) {
            f->rest_len = (unsigned)(end - p);
            memcpy(f->rest, p, f->rest_len);
            return;
        } else {
            p += 2;
        }
    }
    if (len > 0 && end[-1] == 'n') {
        f->rest[0] = 'n';
        f->rest_len = 1;
    }
}

static size_t frame_header_bytes(const unsigned char *h, unsigned got, uint64_t *ret_len)
{
    if (got < 2)
        return 0;
    unsigned len = h[1] & 127;
    size_t want = len == 126 ? 4 : len == 127 ? 10 : 2;
    if (got < want)
        return 0;
    *ret_len = len;
    if (len == 126)
        *ret_len = (uint64_t)h[2] << 8 | h[3];
    if (len == 127) {
        *ret_len = 0;
        for (int i = 0; i < 8; i++)
            *ret_len = *ret_len << 8 | h[2 + i];
    }
    return want;
}

static void take_bytes(struct follower *f, const char *data, size_t len, int64_t now)
{
    while (len > 0) {
        if (!f->open) {
            if (f->got == sizeof f->head - 1)
                fail("subscribe", "no head");
            f->head[f->got++] = (unsigned char)*data++, len--;
            f->head[f->got] = '\0';
            if (f->got >= 4 && memcmp(f->head + f->got - 4, "\r\n\r\n", 4) == 0) {
                if (strncmp((char *)f->head, "HTTP/1.1 101", 12) != 0)
                    fail("subscribe", (char *)f->head);
                f->open = 1, f->got = 0;
            }
            continue;
        }
        if (f->frame_left == 0) {
            uint64_t payload = 0;
            f->head[f->got++] = (unsigned char)*data++, len--;
            if (frame_header_bytes(f->head, f->got, &payload) == 0)
                continue;
            f->got = 0;
            f->frame_left = payload;
            if ((f->head[0] & 15) == 8)
                fail("follow", "the server closed");
            if ((f->head[0] & 15) == 9) /* joblogd's ping says "joblog"; an empty pong it is not told of */
                write_all(f->fd, "\x8a\x86\0\0\0\0joblog", 12);
            messages += (f->head[0] & 15) == 1 || (f->head[0] & 15) == 2;
            continue;
        }
        size_t take = f->frame_left < len ? (size_t)f->frame_left : len;
        scan(f, data, take, now);
        payload_bytes += take;
        f->frame_left -= take, data += take, len -= take;
    }
}

static void follow(struct follower *f, char *buf)
{
    ssize_t r = read(f->fd, buf, READ_BYTES);
    if (r < 0 && errno == EAGAIN)
        return;
    if (r <= 0)
        fail("follow", "the connection ended");
    last_receive_us = mono_us();
    take_bytes(f, buf, (size_t)r, last_receive_us);
}

static int open_follower(struct follower *f)
{
    char request[512];
    int n =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 subscribe_target);
    f->fd = connect_blocking();
    write_all(f->fd, request, (size_t)n);
    return fcntl(f->fd, F_SETFL, O_NONBLOCK);
}

static uint32_t count_open(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < subscribers; i++)
        n += (uint32_t)followers[i].open;
    return n;
}

static uint32_t count_behind(void)
{
    uint32_t n = 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < subscribers; i++) {
        n += followers[i].last < published;
        if (followers[i].last < least)
            least = followers[i].last;
    }
    slowest = least;
    return n;
}

static void turn(int ep, char *buf, int wait_ms)
{
    struct epoll_event events[512];
    int n = epoll_wait(ep, events, 512, wait_ms);
    for (int i = 0; i < n; i++)
        follow(&followers[events[i].data.u32], buf);
}

int main(int argc, char **argv)
{
    pthread_t threads[WRITERS_MAX];
    int writers = argc == 10 ? atoi(argv[9]) : 1;
    if (argc != 9 && argc != 10) {
        fprintf(stderr, "usage: tail_load PORT SUBSCRIBE_TARGET PUBLISH_TARGET TYPE SUBSCRIBERS "
                        "LINES_S LINES_A_REQUEST SECONDS [WRITERS]\n");
        return 2;
    }
    server = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    subscribe_target = argv[2], publish_target = argv[3], type = argv[4];
    subscribers = (uint32_t)atoi(argv[5]), lines_s = (uint32_t)atoi(argv[6]);
    lines_a_request = (uint32_t)atoi(argv[7]), seconds = (uint32_t)atoi(argv[8]);
    if (subscribers > SUBSCRIBERS_MAX || lines_a_request == 0 || writers < 1 ||
        writers > WRITERS_MAX)
        fail("arguments", "out of range");
    struct rlimit rl = {65536, 65536};
    if (setrlimit(RLIMIT_NOFILE, &rl) != 0 && getrlimit(RLIMIT_NOFILE, &rl) == 0) { /* as far as it may be raised */
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    followers = calloc(subscribers ? subscribers : 1, sizeof *followers);
    char *buf = malloc(READ_BYTES);
    int ep = epoll_create1(0);
    int64_t connecting = mono_us();
    for (uint32_t i = 0; i < subscribers; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        if (open_follower(&followers[i]) != 0)
            fail("fcntl", NULL);
        epoll_ctl(ep, EPOLL_CTL_ADD, followers[i].fd, &e);
        if (i % 64 == 63)
            turn(ep, buf, 0);
    }
    while (count_open() < subscribers)
        turn(ep, buf, 100);
    double connect_s = (double)(mono_us() - connecting) / 1e6;
    writers_left = writers;
    for (int i = 0; i < writers; i++)
        pthread_create(&threads[i], NULL, write_lines, NULL);
    start_us = mono_us();
    ready = 1;
    while ((count_behind() > 0 && mono_us() - last_receive_us < 5000000) || writers_left > 0)
        for (int i = 0; i < 50; i++)
            turn(ep, buf, 10);
    for (int i = 0; i < writers; i++)
        pthread_join(threads[i], NULL);
    double took = (double)(last_receive_us - start_us) / 1e6;
    uint64_t want = published * subscribers;
    printf("{\"subscribers\":%u,\"published\":%" PRIu64 ",\"received\":%" PRIu64
           ",\"missing\":%" PRId64 ",\"wrong_order\":%" PRIu64 ",\"messages\":%" PRIu64
           ",\"payload_bytes\":%" PRIu64
           ",\"connect_s\":%.3f,\"seconds\":%.3f,\"deliveries_s\":%.0f,\"messages_s\":%.0f,"
           "\"p50_us\":%" PRIu64 ",\"p99_us\":%" PRIu64 ",\"p999_us\":%" PRIu64
           ",\"max_us\":%" PRIu64 "}\n",
           subscribers, (uint64_t)published, received, (int64_t)(want - received), wrong_order,
           messages, payload_bytes, connect_s, took, took > 0 ? (double)received / took : 0,
           took > 0 ? (double)messages / took : 0, at_quantile(0.5), at_quantile(0.99),
           at_quantile(0.999), at_quantile(1));
    return want == received && (wrong_order == 0 || writers > 1) ? 0 : 1;
}

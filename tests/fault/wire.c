/*
 * tests/fault/wire.c -- a network link between this network namespace and another, as bad as it is told to be.
 *
 *     wire NAME NETNS      makes the tun device NAME here and eth0 in NETNS, says "ready", and carries packets between them
 *
 * Each line of its standard input sets all of it anew, for both directions; what is not named is 0 (none):
 *
 *     delay MS             every packet is late by so much,
 *     jitter MS            give or take so much, so that packets overtake each other
 *     reorder PERCENT      of the packets are not late at all
 *     loss PERCENT         of the packets are lost; 100: the link is cut and nobody is told
 *     rate KBIT_S          the line's speed; packets that would wait longer than RATE_WAIT_MS are lost
 *
 * The line "say" is answered "so": what was ordered before is in force.
 *
 * It stands for tc's netem and tbf, which not every kernel has. It ends with its standard input, and the devices with it.
 * Limits     QUEUE_MAX packets on their way in each direction; further ones are lost, as in a router.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_MAX 16384
#define PACKET_BYTES_MAX 65536
#define RATE_WAIT_MS 400

struct packet {
    int64_t due_us;
    uint64_t number; /* packets due at once leave in the order they came */
    size_t bytes;
    char *data;
};

struct direction {
    int from, to;
    struct packet *heap; /* by due time */
    size_t count;
    int64_t line_free_us; /* when the line has sent what came before */
};

static struct {
    int64_t delay_us, jitter_us, kbit_s;
    double reorder, loss; /* shares */
} how;

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int tun_open(const char *name)
{
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0) die("/dev/net/tun");
    return fd;
}

static int tun_open_in(const char *netns)
{
    char path[256];
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there, fd;

    snprintf(path, sizeof path, "/run/netns/%s", netns);
    there = open(path, O_RDONLY | O_CLOEXEC);
    if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0) die(path);
    fd = tun_open("eth0");
    if (setns(home, CLONE_NEWNET) != 0) die("setns");
    close(there);
    close(home);
    return fd;
}

static int is_before(const struct packet *a, const struct packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void heap_add(struct direction *d, struct packet p)
{
    size_t i = d->count++;

    for (; i > 0 && is_before(&p, &d->heap[(i - 1) / 2]); i = (i - 1) / 2) d->heap[i] = d->heap[(i - 1) / 2];
    d->heap[i] = p;
}

static struct packet heap_take(struct direction *d)
{
    struct packet first = d->heap[0], last = d->heap[--d->count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < d->count && is_before(&d->heap[child + 1], &d->heap[child])) child++;
        if (child >= d->count || is_before(&last, &d->heap[child])) break;
        d->heap[i] = d->heap[child];
        i = child;
    }
    d->heap[i] = last;
    return first;
}

static int chance(double share)
{
    return share > 0 && drand48() < share;
}

/* When a packet of so many bytes comes out; -1: it is lost. */
static int64_t due_of(struct direction *d, size_t bytes, int64_t now)
{
    int64_t due = now;

    if (chance(how.loss) || d->count == QUEUE_MAX) return -1;
    if (how.kbit_s) {
        int64_t begin = d->line_free_us > now ? d->line_free_us : now;

        if (begin - now > RATE_WAIT_MS * 1000) return -1;
        due = d->line_free_us = begin + (int64_t)bytes * 8000 / how.kbit_s;
    }
    if (!chance(how.reorder)) due += how.delay_us + (int64_t)((drand48() * 2 - 1) * (double)how.jitter_us);
    return due;
}

static void take_in(struct direction *d)
{
    static char packet[PACKET_BYTES_MAX];
    static uint64_t number;
    ssize_t n;

    for (int i = 0; i < 64 && (n = read(d->from, packet, sizeof packet)) > 0; i++) {
        int64_t now = now_us(), due = due_of(d, (size_t)n, now);
        char *copy;

        if (due < 0) continue;
        if (due <= now && !d->count) {
            if (write(d->to, packet, (size_t)n) < 0) continue; /* the other end is down: lost */
            continue;
        }
        copy = malloc((size_t)n);
        if (!copy) die("malloc");
        memcpy(copy, packet, (size_t)n);
        heap_add(d, (struct packet){due, number++, (size_t)n, copy});
    }
}

static void send_due(struct direction *d)
{
    while (d->count && d->heap[0].due_us <= now_us()) {
        struct packet p = heap_take(d);

        if (write(d->to, p.data, p.bytes) < 0) { /* the other end is down: lost */
        }
        free(p.data);
    }
}

/* One line of orders. 0: no more will come. */
static int obey(void)
{
    char line[256], *word, *rest = line;
    double delay = 0, jitter = 0, reorder = 0, loss = 0, rate = 0;

    if (!fgets(line, sizeof line, stdin)) return 0;
    if (strcmp(line, "say\n") == 0) return puts("so") >= 0 && fflush(stdout) == 0;
    while ((word = strtok_r(rest, " \n", &rest))) {
        const char *value = strtok_r(rest, " \n", &rest);
        double *to = strcmp(word, "delay") == 0     ? &delay
                     : strcmp(word, "jitter") == 0  ? &jitter
                     : strcmp(word, "reorder") == 0 ? &reorder
                     : strcmp(word, "loss") == 0    ? &loss
                     : strcmp(word, "rate") == 0    ? &rate
                                                    : NULL;

        if (!to || !value) {
            fprintf(stderr, "wire: \"%s\" is no order\n", word);
            exit(1);
        }
        *to = atof(value);
    }
    how.delay_us = (int64_t)(delay * 1000);
    how.jitter_us = (int64_t)(jitter * 1000);
    how.kbit_s = (int64_t)rate;
    how.reorder = reorder / 100;
    how.loss = loss / 100;
    return 1;
}

static int wait_for(struct pollfd *fds, const struct direction *d)
{
    int64_t due = INT64_MAX, wait;

    for (int i = 0; i < 2; i++) {
        if (d[i].count && d[i].heap[0].due_us < due) due = d[i].heap[0].due_us;
    }
    wait = due == INT64_MAX ? INT64_C(1000000) : due - now_us();
    if (wait < 0) wait = 0;
    return ppoll(fds, 3, &(struct timespec){.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000}, NULL);
}

int main(int argc, char **argv)
{
    struct direction d[2] = {{0}};
    int here, there;

    if (argc != 3) {
        fprintf(stderr, "usage: wire NAME NETNS\n");
        return 2;
    }
    setvbuf(stdin, NULL, _IONBF, 0);
    here = tun_open(argv[1]);
    there = tun_open_in(argv[2]);
    for (int i = 0; i < 2; i++) {
        d[i].from = i ? there : here;
        d[i].to = i ? here : there;
        d[i].heap = calloc(QUEUE_MAX, sizeof *d[i].heap);
        if (!d[i].heap) die("calloc");
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd fds[] = {
            {.fd = here, .events = POLLIN}, {.fd = there, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

        if (wait_for(fds, d) < 0) continue;
        if (fds[2].revents && !obey()) return 0;
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents & POLLIN) take_in(&d[i]);
            send_due(&d[i]);
        }
    }
}

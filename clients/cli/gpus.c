/*
 * clients/cli/gpus.c -- starting nvidia-smi, reading it with a deadline.
 */
#include "clients/cli/gpus.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (INT64_C(1) << 20)
#define REAP_US 200000 /* so long after SIGKILL it is waited for */

extern char **environ;

void gpus_init(struct gpus *g)
{
    *g = (struct gpus){.deadline_us = GPUS_DEADLINE_US};
}

/* ---- its output ---- */

/* The next field of a line, without the space around it; *p moves behind the comma. */
static size_t next_field(const char **p, const char *end, const char **ret)
{
    const char *start = *p, *comma = memchr(start, ',', (size_t)(end - start)), *stop = comma ? comma : end;

    *p = comma ? comma + 1 : end;
    while (start < stop && (*start == ' ' || *start == '\t'))
        start++;
    while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r'))
        stop--;
    *ret = start;
    return (size_t)(stop - start);
}

/* "93", "0.5"; "[N/A]" and other words are not known. */
static int64_t next_number(const char **p, const char *end)
{
    const char *text;
    size_t len = next_field(p, end, &text);
    int64_t v = 0;

    if (!len || *text < '0' || *text > '9')
        return NODE_UNKNOWN;
    for (size_t i = 0; i < len && text[i] >= '0' && text[i] <= '9' && v < INT64_MAX / 16; i++)
        v = v * 10 + (text[i] - '0');
    return v;
}

static void read_gpu(const char *line, const char *end, struct node_about *about, struct node_sample *sample)
{
    uint32_t i = about->gpu_count;
    const char *name;
    size_t len = next_field(&line, end, &name);
    int64_t percent, used, total;

    if (!len || i == NODE_GPUS_MAX)
        return;
    percent = next_number(&line, end);
    used = next_number(&line, end);
    total = next_number(&line, end);
    memset(&about->gpus[i], 0, sizeof about->gpus[i]);
    for (size_t k = 0; k < len && k < NODE_GPU_NAME_BYTES_MAX; k++)
        about->gpus[i].name[k] = name[k] >= 0x20 && name[k] < 0x7f ? name[k] : '?';
    about->gpus[i].memory_bytes = total < 0 || total > NODE_BYTES_MAX / MIB ? NODE_UNKNOWN : total * MIB;
    sample->gpus[i].permille = percent < 0 || percent > 100 ? NODE_UNKNOWN : (int32_t)percent * 10;
    sample->gpus[i].memory_bytes = used < 0 || used > NODE_BYTES_MAX / MIB ? NODE_UNKNOWN : used * MIB;
    about->gpu_count = sample->gpu_count = i + 1;
}

void gpus_read(const char *text, struct node_about *about, struct node_sample *sample)
{
    about->gpu_count = sample->gpu_count = 0;
    for (const char *line = text, *end; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        if (memchr(line, ',', (size_t)(end - line)))
            read_gpu(line, end, about, sample);
    }
}

/* ---- the child ---- */

/* 0, or an errno. */
static int start(pid_t *ret_pid, int *ret_fd)
{
    static char *const argv[] = {"nvidia-smi", "--query-gpu=name,utilization.gpu,memory.used,memory.total",
                                 "--format=csv,noheader,nounits", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    int out[2], err;

    if (pipe2(out, O_CLOEXEC) < 0)
        return errno;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setpgroup(&attr, 0);
    err = posix_spawnp(ret_pid, argv[0], &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    close(out[1]);
    if (err) {
        close(out[0]);
        return err;
    }
    *ret_fd = out[0];
    return 0;
}

/* What it writes until its end: 1. 0: the deadline passed, or it wrote too much, or all is to end. */
static int read_output(const struct gpus *g, int fd, int64_t until_us, char *text, size_t size)
{
    size_t len = 0;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left_us = until_us - clock_mono_us();
        ssize_t n;

        if (left_us <= 0 || len + 1 >= size || (g->stop && *g->stop))
            return 0;
        if (poll(&p, 1, left_us > 100000 ? 100 : (int)(left_us / 1000) + 1) < 1)
            continue;
        n = read(fd, text + len, size - 1 - len);
        if (n < 0 && errno != EINTR)
            return 0;
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    text[len] = '\0';
    return 1;
}

/* 1 when it is gone by until_us. */
static int reap(pid_t pid, int64_t until_us)
{
    int status;

    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);

        if (got == pid || (got < 0 && errno != EINTR))
            return 1;
        if (clock_mono_us() >= until_us)
            return 0;
        usleep(5000);
    }
}

/* The output of one run of it. 0: there was none, or not all of it. */
static int ask(struct gpus *g, char *text, size_t size)
{
    int64_t until_us = clock_mono_us() + g->deadline_us;
    int fd = -1, is_whole, err;
    pid_t pid;

    if (g->stuck && !reap(g->stuck, 0))
        return 0;
    g->stuck = 0;
    err = start(&pid, &fd);
    if (err) {
        g->is_absent = err == ENOENT;
        return 0;
    }
    is_whole = read_output(g, fd, until_us, text, size);
    close(fd);
    if (!is_whole || !reap(pid, until_us)) {
        kill(-pid, SIGKILL);
        if (!reap(pid, clock_mono_us() + REAP_US))
            g->stuck = pid;
    }
    return is_whole;
}

static void forget_values(const struct gpus *g, struct node_about *about, struct node_sample *sample)
{
    memcpy(about->gpus, g->known.gpus, sizeof about->gpus);
    about->gpu_count = sample->gpu_count = g->known.gpu_count;
    for (uint32_t i = 0; i < sample->gpu_count; i++)
        sample->gpus[i] = (struct node_gpu){.permille = NODE_UNKNOWN, .memory_bytes = NODE_UNKNOWN};
}

int gpus_take(struct gpus *g, struct node_about *about, struct node_sample *sample)
{
    char text[GPUS_OUTPUT_BYTES_MAX];

    about->gpu_count = sample->gpu_count = 0;
    if (g->is_absent)
        return 1;
    if (ask(g, text, sizeof text))
        gpus_read(text, about, sample);
    if (about->gpu_count) {
        memcpy(g->known.gpus, about->gpus, sizeof about->gpus);
        g->known.gpu_count = about->gpu_count;
    } else {
        forget_values(g, about, sample);
    }
    return !g->stop || !*g->stop;
}

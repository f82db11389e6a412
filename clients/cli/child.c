/*
 * clients/cli/child.c -- fork, pipes and signals of the wrapped command.
 */
#include "clients/cli/child.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES 65536

static const int forwarded[] = {SIGTERM, SIGINT,  SIGHUP,   SIGQUIT,
                                SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        sigaddset(set, forwarded[i]);
}

/* In the child; does not return. */
static _Noreturn void become(char **argv, int out, int err, int report, int own_group, pid_t parent,
                             const sigset_t *mask)
{
    int failure;

    if (own_group)
        setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(128 + SIGTERM); /* it died before we asked */
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    failure = errno;
    if (write(report, &failure, sizeof failure) < 0)
        _exit(126);
    _exit(127);
}

int child_start(struct child *c, char **argv)
{
    int out[2], err[2], report[2];
    pid_t parent = getpid();
    sigset_t set, old;
    ssize_t n;

    memset(c, 0, sizeof *c);
    c->pass_out = c->pass_err = 1;
    c->stop_fd = -1;
    c->own_group = !isatty(STDIN_FILENO);
    signal_set(&set);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGPIPE, SIG_IGN);
    c->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (c->signal_fd < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
        pipe2(report, O_CLOEXEC) < 0)
        return ERR_LIMIT;
    c->pid = fork();
    if (c->pid < 0)
        return ERR_LIMIT;
    if (c->pid == 0)
        become(argv, out[1], err[1], report[1], c->own_group, parent, &old);
    close(out[1]);
    close(err[1]);
    close(report[1]);
    do
        n = read(report[0], &c->exec_errno, sizeof c->exec_errno);
    while (n < 0 && errno == EINTR);
    if (n != sizeof c->exec_errno)
        c->exec_errno = 0;
    close(report[0]);
    c->out = out[0];
    c->err = err[0];
    fcntl(c->out, F_SETFL, O_NONBLOCK);
    fcntl(c->err, F_SETFL, O_NONBLOCK);
    return 0;
}

static void reap(struct child *c)
{
    int status;

    if (!c->has_ended && waitpid(c->pid, &status, WNOHANG) == c->pid) {
        c->has_ended = 1;
        c->wait_status = status;
    }
    while (c->has_ended && c->own_group && waitpid(-c->pid, &status, WNOHANG) > 0)
        ; /* as the first process of a container we inherit its orphans */
}

/* Signals that have come: ends of children, and what is passed on. */
static void take_signals(struct child *c)
{
    struct signalfd_siginfo s;

    while (read(c->signal_fd, &s, sizeof s) == sizeof s) {
        if (s.ssi_signo == SIGCHLD) {
            reap(c);
            continue;
        }
        /* the terminal has told the whole group already */
        if (!c->own_group && s.ssi_code == SI_KERNEL)
            continue;
        if (!c->has_ended)
            kill(c->pid, (int)s.ssi_signo);
        c->last_signal = (int)s.ssi_signo;
    }
}

/* ---- stopped from far away ---- */

static void signal_all(struct child *c, int signum)
{
    if (c->own_group)
        kill(-c->pid, signum); /* also when its leader is gone */
    else if (!c->has_ended)
        kill(c->pid, signum);
}

/* Processes of it are left: itself, or others of its group. */
static int is_alive(const struct child *c)
{
    return !c->has_ended || (c->own_group && kill(-c->pid, 0) == 0);
}

static void begin_stop(struct child *c)
{
    uint64_t count;

    if (read(c->stop_fd, &count, sizeof count) < 0 || c->is_stopped)
        return;
    c->is_stopped = 1;
    c->kill_us = clock_mono_us() + c->stop_grace_us;
    if (c->on_stop)
        c->on_stop(c->stop_user);
    signal_all(c, SIGTERM);
    signal_all(c, SIGCONT); /* what is suspended would not hear it */
}

static void kill_when_due(struct child *c, int64_t now_us)
{
    if (!c->kill_us || now_us < c->kill_us)
        return;
    c->kill_us = 0;
    signal_all(c, SIGKILL);
}

/* Milliseconds until kill_when_due() has something to do, at most ms; -1: for ever. */
static int wait_ms(const struct child *c, int ms, int64_t now_us)
{
    int64_t left = c->kill_us ? (c->kill_us - now_us) / 1000 + 1 : -1;

    if (left < 0)
        return ms;
    return ms < 0 || left < ms ? (int)left : ms;
}

/* Signals and stops that came while waiting. */
static void take_news(struct child *c, const struct pollfd *signals, const struct pollfd *stop)
{
    if (signals->revents)
        take_signals(c);
    if (stop->revents)
        begin_stop(c);
    kill_when_due(c, clock_mono_us());
}

/* Byte for byte to our own stdout or stderr, listening to signals meanwhile. */
static void pass_on(struct child *c, int fd, int *pass, const char *data, size_t len)
{
    while (len && *pass) {
        struct pollfd p[3] = {{.fd = fd, .events = POLLOUT},
                              {.fd = c->signal_fd, .events = POLLIN},
                              {.fd = c->stop_fd, .events = POLLIN}};
        ssize_t n;

        if (poll(p, 3, wait_ms(c, -1, clock_mono_us())) < 0 && errno != EINTR)
            return;
        take_news(c, &p[1], &p[2]);
        if (!p[0].revents)
            continue;
        n = write(fd, data, len < PIPE_BUF ? len : PIPE_BUF); /* never blocks after POLLOUT */
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            *pass = 0; /* nobody reads: the log goes on without */
        if (n < 0)
            continue;
        data += n;
        len -= (size_t)n;
    }
}

/* 1: something came. */
static int take_bytes(struct child *c, int *fd, int stream, const struct child_handler *h)
{
    static char data[READ_BYTES];
    ssize_t n = read(*fd, data, sizeof data);

    if (n > 0) {
        pass_on(c, stream ? STDERR_FILENO : STDOUT_FILENO, stream ? &c->pass_err : &c->pass_out,
                data, (size_t)n);
        h->on_bytes(h->user, stream, data, (size_t)n);
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    close(*fd);
    *fd = -1;
    return 0;
}

void child_listen(struct child *c, const struct child_handler *h)
{
    int64_t ended_us = 0, heard_us = clock_mono_us();

    reap(c);
    while (!c->has_ended || c->out >= 0 || c->err >= 0 || (c->kill_us && is_alive(c))) {
        struct pollfd p[4] = {{.fd = c->out, .events = POLLIN},
                              {.fd = c->err, .events = POLLIN},
                              {.fd = c->signal_fd, .events = POLLIN},
                              {.fd = c->stop_fd, .events = POLLIN}};
        int64_t now = clock_mono_us();

        if (c->has_ended && !(c->kill_us && is_alive(c))) { /* of a stopped one the rest has its grace */
            if (!ended_us)
                ended_us = heard_us = now;
            if (now - heard_us >= CHILD_QUIET_US || now - ended_us >= CHILD_LINGER_US)
                break;
        }
        if (poll(p, 4, wait_ms(c, c->has_ended ? CHILD_QUIET_US / 5000 : -1, now)) < 0 && errno != EINTR)
            break;
        take_news(c, &p[2], &p[3]);
        if (p[0].revents && take_bytes(c, &c->out, 0, h))
            heard_us = clock_mono_us();
        if (p[1].revents && take_bytes(c, &c->err, 1, h))
            heard_us = clock_mono_us();
    }
    for (int stream = 0; stream < 2; stream++) {
        int *fd = stream ? &c->err : &c->out;

        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        h->on_end_of(h->user, stream);
    }
}

int child_interrupted(struct child *c)
{
    struct signalfd_siginfo s;
    int found = 0;

    while (read(c->signal_fd, &s, sizeof s) == sizeof s)
        found |= s.ssi_signo == SIGINT || s.ssi_signo == SIGTERM || s.ssi_signo == SIGHUP;
    return found;
}

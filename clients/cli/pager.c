/*
 * clients/cli/pager.c -- starting a pager and waiting for it.
 */
#include "clients/cli/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t pager;
static int terminal = -1;
static int took_stderr;

/* Is there such a program on PATH? */
static int can_run(const char *name)
{
    const char *path = getenv("PATH");
    char file[PATH_MAX];

    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        size_t n = strcspn(p, ":");

        snprintf(file, sizeof file, "%.*s/%s", (int)n, p, name);
        if (n && access(file, X_OK) == 0)
            return 1;
        p += n;
        p += *p == ':';
    }
    return 0;
}

/* NULL: none. */
static const char *choose(void)
{
    const char *command = getenv("JOBLOG_PAGER");

    if (!command)
        command = getenv("PAGER");
    if (!command)
        command = can_run("less") ? "less" : "";
    return !*command || !strcmp(command, "cat") ? NULL : command;
}

static _Noreturn void become_pager(const char *command, int input)
{
    dup2(input, STDIN_FILENO);
    setenv("LESS", "FRX", 0);
    setenv("LV", "-c", 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

void pager_start(int wanted)
{
    const char *command = wanted && isatty(STDOUT_FILENO) ? choose() : NULL;
    const char *term = getenv("TERM");
    int ends[2];

    if (!command || pager || (term && !strcmp(term, "dumb")) || pipe2(ends, O_CLOEXEC) != 0)
        return;
    terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    fflush(NULL);
    pager = fork();
    if (pager == 0)
        become_pager(command, ends[0]);
    close(ends[0]);
    if (pager < 0) {
        pager = 0;
        close(terminal);
        terminal = -1;
    } else {
        took_stderr = isatty(STDERR_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        if (took_stderr)
            dup2(ends[1], STDERR_FILENO);
    }
    close(ends[1]);
}

int pager_terminal(void)
{
    return terminal;
}

void pager_finish(void)
{
    int status;

    if (!pager)
        return;
    fflush(NULL);
    dup2(terminal, STDOUT_FILENO);
    if (took_stderr)
        dup2(terminal, STDERR_FILENO);
    while (waitpid(pager, &status, 0) < 0 && errno == EINTR) {
    }
    pager = 0;
    close(terminal);
    terminal = -1;
}

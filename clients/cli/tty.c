/*
 * clients/cli/tty.c -- termios, the alternate screen, and the handlers that put both back.
 */
#include "clients/cli/tty.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define SCREEN_ON "\x1b[?1049h\x1b[?25l"
#define SCREEN_OFF "\x1b[?25h\x1b[?1049l"

static struct termios before;
static atomic_int is_changed, has_screen; /* a fault of any thread puts the terminal back */

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        return; /* the terminal has gone */
}

void tty_restore(void)
{
    if (has_screen)
        say(SCREEN_OFF);
    has_screen = 0;
    if (is_changed)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    is_changed = 0;
}

static void on_fault(int sig)
{
    tty_restore();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void guard(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT};
    static int is_guarded;

    if (is_guarded)
        return;
    is_guarded = 1;
    atexit(tty_restore);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        signal(faults[i], on_fault);
}

/* stdin and stdout are one terminal, and we are in front of it. */
static int is_ours(void)
{
    struct stat in, out;

    return isatty(STDIN_FILENO) && fstat(STDIN_FILENO, &in) == 0 && fstat(STDOUT_FILENO, &out) == 0 &&
           in.st_rdev == out.st_rdev && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void change(tcflag_t off)
{
    struct termios t;

    if (is_changed || !is_ours() || tcgetattr(STDIN_FILENO, &before) != 0)
        return;
    guard();
    t = before;
    t.c_lflag &= ~off;
    if (off & ICANON) {
        t.c_cc[VMIN] = 0;
        t.c_cc[VTIME] = 0;
    }
    is_changed = 1;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

void tty_hush(void)
{
    change(ECHO | ECHONL);
}

void tty_keys(void)
{
    change(ECHO | ECHONL | ICANON);
}

void tty_screen(void)
{
    guard();
    has_screen = 1;
    say(SCREEN_ON);
}

size_t tty_read(char *keys, size_t size)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n;

    if (!is_changed || poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN))
        return 0;
    n = read(STDIN_FILENO, keys, size);
    return n > 0 ? (size_t)n : 0;
}

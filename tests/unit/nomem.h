/*
 * tests/unit/nomem.h -- the nth allocation fails, for every n, until a run needs fewer.
 *
 *     nomem_sweep(scenario, after)    scenario() in a child for n = 1, 2, …: it ends 0 (done), 1 (an error was returned), or by
 *                                     abort() for want of memory (below). Anything else, a crash or another CHECK above all,
 *                                     fails the test. after(outcome) in the parent judges what the child left behind;
 *                                     NULL: nothing is.
 *     nomem_begin(), nomem_pause()    what a scenario asks for before nomem_begin() is not counted when it calls nomem_pause()
 *                                     first
 *
 * A process ends for want of memory by must_malloc and its like (base/check.h: too small to go on without), by C++'s
 * bad_alloc (base/pattern_re2.cc), or where nomem_also, a piece of the last words, says so.
 *
 * Defines malloc, calloc and realloc over glibc's, so one test file may include it. With a sanitizer or under
 * valgrind, which have allocators of their own, the sweep is one ordinary run.
 */
#ifndef TESTS_UNIT_NOMEM_H
#define TESTS_UNIT_NOMEM_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum nomem_outcome { NOMEM_DONE, NOMEM_ERROR, NOMEM_ABORTED };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NOMEM_ACTIVE 0
static long nomem_at, nomem_passes;
#else
#define NOMEM_ACTIVE (!getenv("TEST_VALGRIND"))
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *p, size_t bytes);

static long nomem_at, nomem_passes; /* 0: off */

static int nomem_fails(void)
{
    if (!nomem_at || ++nomem_passes != nomem_at) return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t bytes)
{
    return nomem_fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return nomem_fails() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *p, size_t bytes)
{
    return nomem_fails() ? NULL : __libc_realloc(p, bytes);
}
#endif

static const char *nomem_also; /* NULL: nothing else */
static long nomem_kept;

static inline void nomem_pause(void)
{
    nomem_kept = nomem_at;
    nomem_at = 0;
}

static inline void nomem_begin(void)
{
    nomem_passes = 0;
    nomem_at = nomem_kept;
}

/* Do the last words speak of memory? They are shown when they do not. */
static inline int nomem_was_memory(int words)
{
    char text[4096];
    ssize_t n = pread(words, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    if (strstr(text, "CHECK(memory)") || strstr(text, "bad_alloc") || (nomem_also && strstr(text, nomem_also)))
        return 1;
    fprintf(stderr, "%s\n", text);
    return 0;
}

/* The runs it took, negative: a run that failed. scenario returns 0 or a negative error; 0 when all memory is there. */
static long nomem_sweep(int (*scenario)(void), void (*after)(enum nomem_outcome outcome))
{
    for (long n = 1;; n++) {
        int status, fds[2];
        char reached = 0;

        if (pipe(fds) != 0) abort();
        fflush(NULL);
        int words = memfd_create("last-words", MFD_CLOEXEC);
        pid_t pid = words < 0 ? -1 : fork();
        if (pid == 0) {
            if (dup2(words, STDERR_FILENO) < 0) _exit(90);
            signal(SIGABRT, SIG_DFL); /* cmocka's handlers would run on as a test */
            signal(SIGSEGV, SIG_DFL);
            nomem_at = n;
            int err = scenario();
            reached = nomem_passes >= nomem_at;
            nomem_at = 0;
            if (write(fds[1], &reached, 1) != 1) _exit(91);
            _exit(err < 0 ? 1 : 0);
        }
        close(fds[1]);
        if (waitpid(pid, &status, 0) != pid) abort();
        ssize_t got = read(fds[0], &reached, 1);
        close(fds[0]);
        int aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && nomem_was_memory(words);
        close(words);
        if (!aborted && !(WIFEXITED(status) && WEXITSTATUS(status) <= 1)) {
            fprintf(stderr, "allocation %ld: status 0x%x\n", n, status);
            return -n;
        }
        if (after) after(aborted ? NOMEM_ABORTED : WEXITSTATUS(status) ? NOMEM_ERROR : NOMEM_DONE);
        if (!aborted && (got != 1 || !reached || !NOMEM_ACTIVE)) {
            if (!WEXITSTATUS(status)) return n;
            fprintf(stderr, "with all memory: an error\n");
            return -n;
        }
    }
}

#endif

/*
 * tests/unit/nomem.h -- the nth allocation fails, for every n, until a run needs fewer.
 *
 *     nomem_sweep(scenario, after)    scenario() in a child for n = 1, 2, …: it ends 0 (done), 1 (an error was returned), or by
 *                                     abort() for want of memory (below). Anything else, a crash or another CHECK above all,
 *                                     fails the test. after(outcome) in the parent judges what the child left behind;
 *                                     NULL: nothing is.
 *     nomem_begin(), nomem_pause()    what a scenario asks for before nomem_begin() is not counted when it calls nomem_pause()
 *                                     first
 *     nomem_stride                    every how many-th n is run. TEST_NOMEM=whole in the environment: every one
 *
 * A process ends for want of memory by must_malloc and its like (base/check.h: too small to go on without), by C++'s
 * bad_alloc (base/pattern_re2.cc), by libuv's abort() without a word when its own table of watched sockets could not grow,
 * or where nomem_also, a piece of the last words, says so. A run that has not ended after NOMEM_RUN_S hangs: it fails.
 *
 * Defines malloc, calloc and realloc over glibc's, so one test file may include it. With a sanitizer or under
 * valgrind, which have allocators of their own, the sweep is one ordinary run.
 */
#ifndef TESTS_UNIT_NOMEM_H
#define TESTS_UNIT_NOMEM_H

#include <dlfcn.h>
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

#define NOMEM_RUN_S 60

enum nomem_outcome { NOMEM_DONE, NOMEM_ERROR, NOMEM_ABORTED };

static long nomem_stride = 1;
static char *nomem_asker;        /* who asked for what failed: the file's name, shared by parent and child */
#define NOMEM_ASKER_BYTES 256

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NOMEM_ACTIVE 0
static long nomem_at, nomem_passes;
#else
#define NOMEM_ACTIVE (!getenv("TEST_VALGRIND"))
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *p, size_t bytes);

static long nomem_at, nomem_passes; /* 0: off */

static const char *nomem_file_of(const void *caller)
{
    Dl_info found;

    return dladdr(caller, &found) && found.dli_fname ? found.dli_fname : "";
}

static int nomem_fails(const void *caller)
{
    if (!nomem_at || ++nomem_passes != nomem_at) return 0;
    snprintf(nomem_asker, NOMEM_ASKER_BYTES, "%s", nomem_file_of(caller));
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t bytes)
{
    return nomem_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return nomem_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *p, size_t bytes)
{
    return nomem_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, bytes);
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
    if (*text == '\0' && strstr(nomem_asker, "libuv")) return 1;
    if (strstr(text, "CHECK(memory)") || strstr(text, "bad_alloc") || (nomem_also && strstr(text, nomem_also)))
        return 1;
    fprintf(stderr, "%s\n", text);
    return 0;
}

static inline long nomem_step(void)
{
    const char *how = getenv("TEST_NOMEM");

    return how && strcmp(how, "whole") == 0 ? 1 : nomem_stride;
}

/* The n of the last run, negative: of one that failed. scenario returns 0 or a negative error; 0 when all memory is there. */
static long nomem_sweep(int (*scenario)(void), void (*after)(enum nomem_outcome outcome))
{
    long step = nomem_step();

    if (!nomem_asker)
        nomem_asker = mmap(NULL, NOMEM_ASKER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (nomem_asker == MAP_FAILED) abort();
    for (long n = 1;; n += step) {
        int status, fds[2];
        char reached = 0;

        *nomem_asker = '\0';
        if (pipe(fds) != 0) abort();
        fflush(NULL);
        int words = memfd_create("last-words", MFD_CLOEXEC);
        pid_t pid = words < 0 ? -1 : fork();
        if (pid == 0) {
            if (dup2(words, STDERR_FILENO) < 0) _exit(90);
            signal(SIGABRT, SIG_DFL); /* cmocka's handlers would run on as a test */
            signal(SIGSEGV, SIG_DFL);
            alarm(NOMEM_RUN_S);
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
            fprintf(stderr, "allocation %ld, asked for by %s: status 0x%x\n", n, nomem_asker, status);
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

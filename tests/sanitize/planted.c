/*
 * tests/sanitize/planted.c -- bugs for a joblogd that ought to be told of by its sanitizer (`make sanitize-planted`).
 *
 * PLANTED=leak|freed|overflow|abort|race makes it happen when main() has returned: no answer was wrong, so only the report
 * can fail the test that ran it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int number;

static void *count(void *user)
{
    for (int i = 0; i < 100000; i++) number++;
    return user;
}

static void race(void)
{
    pthread_t one, other;

    if (pthread_create(&one, NULL, count, NULL) != 0 || pthread_create(&other, NULL, count, NULL) != 0) exit(3);
    pthread_join(one, NULL);
    pthread_join(other, NULL);
}

static void leak(void)
{
    char *volatile p = malloc(77);

    p[0] = 1;
    p = NULL;
}

static void touch_freed(void)
{
    char *volatile p = malloc(77);
    char *volatile q = p;

    free(p);
    q[3] = 1;
}

static void overflow(void)
{
    volatile int n = 2147483647;

    n = n + 1;
}

static void happen(void)
{
    const char *what = getenv("PLANTED");

    if (!what) return;
    if (strcmp(what, "leak") == 0) leak();
    if (strcmp(what, "freed") == 0) touch_freed();
    if (strcmp(what, "overflow") == 0) overflow();
    if (strcmp(what, "abort") == 0) abort();
    if (strcmp(what, "race") == 0) race();
}

static void __attribute__((constructor)) plant(void)
{
    atexit(happen);
}

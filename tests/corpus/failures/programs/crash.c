/* crash.c -- ends as C programs end: crash segv|free|assert|bus */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "segv";
    volatile int *nothing = NULL;
    puts("loading kernels");
    fflush(stdout);
    if (!strcmp(how, "free")) {
        char *p = malloc(32);
        free(p + (argc > 0 ? 16 : 0));
    }
    if (!strcmp(how, "assert")) {
        int shards = argc > 5;
        assert(shards > 0 && "a plan without shards");
    }
    if (!strcmp(how, "bus"))
        raise(SIGBUS);
    *nothing = argc;
    return 0;
}

/*
 * base/fault.c -- named places where a test can make the process die or a call fail.
 *
 * The list is read from JOBLOG_FAULT once, at the first point passed. A malformed entry ends the
 * process: a fault test whose fault is not armed would pass for nothing.
 */
#include "base/fault.h"

#ifdef JOBLOG_FAULTS

#include "base/check.h"
#include "base/err.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX 32
#define FAULT_STALL_MS 250

enum fault_action { FAULT_KILL, FAULT_FAIL, FAULT_EACH, FAULT_STALL };

static struct fault {
    char *name;
    long count;
    enum fault_action action;
    atomic_long passes;
} faults[FAULTS_MAX];
static int fault_count;
static pthread_once_t fault_once = PTHREAD_ONCE_INIT;

static int arm_one(struct fault *f, char *entry)
{
    char *count = strchr(entry, ':'), *end;
    if (!count || count == entry) return ERR_INVALID;
    *count++ = '\0';
    f->count = strtol(count, &end, 10);
    if (end == count || f->count < 1) return ERR_INVALID;
    f->name = entry;
    f->action = FAULT_KILL;
    if (!*end || strcmp(end, ":kill") == 0) return 0;
    if (strcmp(end, ":err") == 0) f->action = FAULT_FAIL;
    else if (strcmp(end, ":each") == 0) f->action = FAULT_EACH;
    else if (strcmp(end, ":stall") == 0) f->action = FAULT_STALL;
    else return ERR_INVALID;
    return 0;
}

static void arm(void)
{
    const char *env = getenv("JOBLOG_FAULT");
    if (!env || !*env) return;
    char *list = must_strdup(env), *rest = list, *entry; /* kept: the names point into it */
    while ((entry = strsep(&rest, ","))) {
        if (!*entry) continue;
        if (fault_count == FAULTS_MAX || arm_one(&faults[fault_count], entry) < 0) {
            fprintf(stderr, "JOBLOG_FAULT: cannot arm \"%s\" (name:count[:kill|err|each|stall])\n", env);
            _exit(2);
        }
        fault_count++;
    }
}

int fault_hit(const char *name)
{
    int failed = 0;
    pthread_once(&fault_once, arm);
    for (int i = 0; i < fault_count; i++) {
        struct fault *f = &faults[i];
        if (strcmp(f->name, name) != 0) continue;
        long pass = atomic_fetch_add(&f->passes, 1) + 1;
        if (f->action == FAULT_EACH ? pass % f->count != 0 : pass != f->count) continue;
        struct timespec stall = {0, FAULT_STALL_MS * 1000000L};
        switch (f->action) {
        case FAULT_KILL: kill(getpid(), SIGKILL); break;
        case FAULT_FAIL:
        case FAULT_EACH: failed = 1; break;
        case FAULT_STALL: nanosleep(&stall, NULL); break;
        }
    }
    return failed;
}

#endif

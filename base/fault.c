/*
 * base/fault.c -- fault points, armed by JOBLOG_FAULT.
 */
#include "base/fault.h"

#ifdef JOBLOG_FAULTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX 16

static struct {
    char name[64];
    long count;
    char action[8];
} armed[FAULTS_MAX];
static int armed_count = -1;

static void arm(void) {
    char copy[1024], *save = NULL;
    const char *env = getenv("JOBLOG_FAULT");
    armed_count = 0;
    if (!env || strlen(env) >= sizeof copy) return;
    strcpy(copy, env);
    for (char *item = strtok_r(copy, ",", &save); item && armed_count < FAULTS_MAX; item = strtok_r(NULL, ",", &save)) {
        char *name = strsep(&item, ":"), *count = strsep(&item, ":");
        strncpy(armed[armed_count].name, name, sizeof armed->name - 1);
        armed[armed_count].count = count ? strtol(count, NULL, 10) : 1;
        strncpy(armed[armed_count].action, item ? item : "kill", sizeof armed->action - 1);
        armed_count++;
    }
}

int fault_hit(const char *name) {
    if (armed_count < 0) arm();
    for (int i = 0; i < armed_count; i++) {
        if (strcmp(armed[i].name, name) != 0) continue;
        if (__atomic_sub_fetch(&armed[i].count, 1, __ATOMIC_RELAXED) != 0) continue;
        if (strcmp(armed[i].action, "err") == 0) return 1;
        if (strcmp(armed[i].action, "stall") == 0)
            nanosleep(&(struct timespec){0, 250000000}, NULL);
        else
            kill(getpid(), SIGKILL);
    }
    return 0;
}
#else
typedef int fault_points_are_not_compiled_in;
#endif

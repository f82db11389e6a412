/*
 * clients/cli/usage.h -- cores, memory and disk in use, of this container or machine.
 *
 * Where a control group above this process limits memory or cores (a container, a batch job), it is the
 * node: its usage against its limits. Otherwise the machine is: /proc/stat, /proc/meminfo. Groups of version 2 and
 * of version 1 are read. Page cache that can be had back is not in use. The disk is the one of the working
 * directory.
 */
#ifndef CLIENTS_CLI_USAGE_H
#define CLIENTS_CLI_USAGE_H

#include "job/node.h"

struct usage {
    const char *proc, *cgroup; /* "/proc", "/sys/fs/cgroup"; tests have their own */
    const char *disk;          /* "." */
    int64_t cpu_us, at_us;     /* at the last call: core time used, and the clock (monotonic); 0: never */
    int64_t cores_milli;       /* 0: ask the system */
};

void usage_init(struct usage *u);
/* Fills about's totals and the sample's cpu_milli, memory_bytes and disk_bytes; what cannot be had is
 * NODE_UNKNOWN. cpu_milli is over the time since the last call, so unknown the first time. */
void usage_take(struct usage *u, int64_t now_us, struct node_about *about, struct node_sample *sample);

#endif

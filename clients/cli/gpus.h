/*
 * clients/cli/gpus.h -- GPUs, as nvidia-smi tells them.
 *
 * nvidia-smi may hang for as long as a driver does: it runs as a child in a group of its own, is read with a
 * deadline and killed at it; one that not even SIGKILL ends is left alone, and none is started while it
 * lasts. Where there is no nvidia-smi it is not looked for again. GPUs it once named stay, with values that are
 * not known, when it hangs or fails later: a node does not lose its GPUs with its driver.
 */
#ifndef CLIENTS_CLI_GPUS_H
#define CLIENTS_CLI_GPUS_H

#include "job/node.h"

#include <stdatomic.h>
#include <sys/types.h>

#define GPUS_DEADLINE_US 5000000
#define GPUS_OUTPUT_BYTES_MAX (16 * 1024)

struct gpus {
    int is_absent;
    pid_t stuck; /* 0: none */
    int64_t deadline_us;
    const atomic_int *stop; /* not 0: end at once; NULL: never */
    struct node_about known; /* its GPUs, as they were named last */
};

void gpus_init(struct gpus *g);
/* Fills the GPUs of about and sample, none when there are none or were never told. Blocks up to the deadline.
 * 0: stop came meanwhile, and what was filled in is not to be believed. */
int gpus_take(struct gpus *g, struct node_about *about, struct node_sample *sample);
/* The output of nvidia-smi --query-gpu=name,utilization.gpu,memory.used,memory.total
 * --format=csv,noheader,nounits. Pure. */
void gpus_read(const char *text, struct node_about *about, struct node_sample *sample);

#endif

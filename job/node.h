/*
 * job/node.h -- what the machine of a rank looks like while it works: a node, and samples of it.
 *
 * A node is what a replica runs on. A sample says how busy it was: cores used, memory, disk, and each GPU.
 * What could not be measured is NODE_UNKNOWN. Pure.
 *
 *     text of a sample    <at_us> <cpu_milli> <memory_bytes> <disk_bytes> [<gpu_permille> <gpu_memory_bytes>]…
 *                         in decimal, '-' for what is not known
 *     JSON of a node      {"replica":"node-1","cpu_count":8,"memory_total_bytes":n,"disk_total_bytes":n,
 *                          "gpu_names":["…"],"gpu_memory_total_bytes":[n],"at":["…"],"cpu":[0.41],
 *                          "memory_bytes":[n],"disk_bytes":[n],"gpu":[[0.93]],"gpu_memory_bytes":[[n]]}
 *                         one line; cpu is the part of all cores; gpu has an array for each sample
 */
#ifndef JOB_NODE_H
#define JOB_NODE_H

#include "base/buf.h"
#include "job/id.h"

#include <stddef.h>
#include <stdint.h>

#define NODE_UNKNOWN (-1)
#define NODE_GPUS_MAX 32
#define NODE_GPU_NAME_BYTES_MAX 63
#define NODE_CPU_MILLI_MAX 10000000 /* 10,000 cores */
#define NODE_BYTES_MAX (INT64_C(1) << 53)
#define NODE_SAMPLE_TEXT_BYTES (21 * (4 + 2 * NODE_GPUS_MAX)) /* with NUL */

struct node_gpu {
    int32_t permille; /* busy */
    int64_t memory_bytes;
};

struct node_sample {
    int64_t at_us;
    int64_t cpu_milli; /* thousandths of a core */
    int64_t memory_bytes, disk_bytes;
    uint32_t gpu_count;
    struct node_gpu gpus[NODE_GPUS_MAX];
};

/* What does not change while it works. */
struct node_about {
    char replica[ID_BYTES_MAX + 1];
    int64_t cpu_milli, memory_bytes, disk_bytes; /* in all */
    uint32_t gpu_count;
    struct {
        char name[NODE_GPU_NAME_BYTES_MAX + 1];
        int64_t memory_bytes;
    } gpus[NODE_GPUS_MAX];
};

/* Append the text. */
int node_sample_write(struct buf *out, const struct node_sample *s);
/* ERR_INVALID. */
int node_sample_read(struct node_sample *s, const char *text, size_t len);
/* Append the JSON line, with '\n'. Samples in order of time. */
int node_write(struct buf *out, const struct node_about *n, const struct node_sample *samples, size_t count);

#endif

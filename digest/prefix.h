/*
 * digest/prefix.h -- what a launcher wrote in front of a line: whose line it is.
 *
 * Global ranks:
 *     [rank3]: …                        torch.distributed's excepthook and c10d logs (PyTorch >= 2.2)
 *     [1,3]<stderr>: …                  Open MPI 4 mpirun --tag-output (also behind its --timestamp-output)
 *     [prterun-h-12@1,3]<stdout>: …     Open MPI 5 / PRRTE --output tag, tag-detailed ("…][host:pid]<stdout>:")
 *     [3]<stdout>: …                    horovodrun
 *     [Rank 3] … [rank 3]: … [RANK 3/8] … [rank: 3] …  scripts, DeepSpeed's log_dist, Lightning's seed message; also
 *                                       behind stamps, levels and other […]: "[2026-…] [INFO] [x.py:96:f] [Rank 0] …"
 *     (worker1, rank=1, pid=7, ip=…) …  SkyPilot on Ray, (Worker rank=1 pid=7) of vLLM. SkyPilot's is the rank of a
 *                                       node: only what stands behind it decides when there is more
 * Not global, so never a rank by itself:
 *     [default3]: …                     torchrun --tee: role and LOCAL rank (torch/distributed/elastic)
 *     3: …                              srun --label: the task. It is a rank only where a whole stream is
 *                                       labelled so (struct prefix_labels): numbered lists and Rust's backtraces
 *                                       look the same
 *     (Worker pid=7, ip=10.0.0.1) …     Ray: only tells sources apart
 * A rank in prose ("waiting for rank 3") is none of these. Of prefixes inside each other the innermost decides,
 * and an innermost local one makes what is around it the rank of a node, which is no rank.
 */
#ifndef DIGEST_PREFIX_H
#define DIGEST_PREFIX_H

#include <stddef.h>
#include <stdint.h>

#define PREFIX_NONE (-1)
#define PREFIX_RANK_MAX 65535
#define PREFIX_LOOK_BYTES 160 /* of a line */

struct prefix {
    size_t bytes;       /* of the prefixes, with the one space behind them where their writer puts one */
    int32_t rank;       /* global */
    int is_launchers;   /* rank is what PyTorch or mpirun writes in front of every line: "[rank3]:", "[1,3]<stderr>:" */
    int32_t local_rank;
    int32_t label;      /* "3: " stands at the start; bytes does not count it */
    size_t label_bytes;
    uint32_t tag;       /* of the prefixes' text: sources that share a stream have different ones; 0: none */
};

/* text without colours. */
void prefix_read(const char *text, size_t len, struct prefix *ret);

/* Can a line that begins with this byte have a prefix? */
int prefix_may_begin(char c);

/* Is a stream labelled by srun? After PREFIX_LABELS_MIN lines, all with a label but srun's own, of at least two
 * tasks, one of them twice (lists do not count back), and as long as that holds. A line of torchrun's says that
 * tasks are nodes: never then. Zeroed at the start of a stream. */
#define PREFIX_LABELS_MIN 8
struct prefix_labels {
    uint8_t is_no, is_yes, is_back /* a number came again */, has_two;
    uint8_t count;
    int32_t first, last;
};
/* The next line of the stream; its rank by label, or PREFIX_NONE. */
int32_t prefix_labels_next(struct prefix_labels *l, const struct prefix *p, const char *text, size_t len);

#endif

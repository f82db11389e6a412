/*
 * clients/cli/plan.h -- which job, rank and producer a wrapped command is, from options and environment: pure.
 *
 *     job       --job, JOBLOG_JOB, SLURM_JOB_ID, TORCHELASTIC_RUN_ID, else made fresh (one rank only)
 *     rank      --rank, RANK, SLURM_PROCID, OMPI_COMM_WORLD_RANK, PMI_RANK, LOCAL_RANK
 *     ranks     --ranks, WORLD_SIZE, SLURM_NTASKS, OMPI_COMM_WORLD_SIZE, PMI_SIZE
 *     producer  --producer, "rank-N", else "<host>-<pid>"
 *     replica   the host's name
 *     nodes     one, where SLURM_NNODES or torchrun's own arguments say so
 *     epoch     milliseconds since 1970 << 8 | TORCHELASTIC_RESTART_COUNT: a later run is newer, and of two
 *               begun in the same millisecond the one restarted more often. Below 2^53 for 2,000 years.
 *
 * Where the command is a launcher that starts the ranks of its node (clients/cli/launcher.h) the environment's number is the
 * node's: the agent has no rank and is "node-N", its lines have the rank that is written in front of them.
 *
 * When torchrun will start a failed worker again (TORCHELASTIC_RESTART_COUNT < TORCHELASTIC_MAX_RESTARTS)
 * its failure is not the job's: neither FAILED nor fin is said.
 */
#ifndef CLIENTS_CLI_PLAN_H
#define CLIENTS_CLI_PLAN_H

#include "clients/cli/agent.h"

#define PLAN_RANKS_MAX 65536

#define PLAN_STOP_GRACE_US 30000000
#define PLAN_STOP_GRACE_US_MAX INT64_C(3600000000) /* what the server waits for at most */

struct plan_options {
    const char *job, *producer; /* NULL: not given */
    int64_t rank, ranks;        /* -1: not given */
    int64_t stop_grace_us;
    char *const *command;       /* NULL: not known */
};

struct plan {
    char job[ID_BYTES_MAX + 1];
    int job_is_fresh;
    struct agent_options agent;
    int will_restart; /* after a failure somebody starts it again */
};

/* getenv_fn and host stand for getenv and gethostname. ERR_INVALID with why. */
int plan_make(struct plan *p, const struct plan_options *o, const char *(*getenv_fn)(const char *),
              const char *host, int64_t pid, int64_t now_us, char *why, size_t why_size);
/* How the command's end is told: wait status of waitpid; exec_errno != 0: it never ran. Fills e and returns
 * the exit code of `joblog run`. is_stopped: a person stopped the job, which is its state already. */
int plan_end(const struct plan *p, int wait_status, int exec_errno, int is_stopped, struct agent_end *e);
/* Letters an id may not hold become '-'. */
void plan_id(char out[ID_BYTES_MAX + 1], const char *text);

#endif

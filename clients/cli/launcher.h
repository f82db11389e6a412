/*
 * clients/cli/launcher.h -- is a command one that starts the ranks of its node: torchrun, accelerate, deepspeed? Pure.
 *
 * A rank in such a command's environment is its node's number, not the rank of what it prints.
 */
#ifndef CLIENTS_CLI_LAUNCHER_H
#define CLIENTS_CLI_LAUNCHER_H

struct launcher {
    int starts_ranks;
    int nodes; /* of the job, as its arguments say; 0: they do not */
};

/* argv: NULL-terminated; may be NULL. */
void launcher_read(char *const *argv, struct launcher *ret);

#endif

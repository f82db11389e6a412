/*
 * clients/cli/fold_key.h -- a message without what differs from rank to rank though the line is the same.
 *
 * Left out: colours; times of day and dates; addresses (0x…); numbers that name the process: its own rank behind the
 * word rank, any number behind local_rank, pid, gpu, cuda, device, and host:pid:tid [n] of NCCL; the replica's name.
 * Everything else counts, other numbers too: step 3 is not step 4.
 */
#ifndef CLIENTS_CLI_FOLD_KEY_H
#define CLIENTS_CLI_FOLD_KEY_H

#include "base/buf.h"

#include <stdint.h>

/* Append the key of a message. rank: its own (RECORD_RANK_NONE: none); replica may be empty. */
int fold_key(struct buf *out, const char *text, size_t len, int32_t rank, const char *replica,
             size_t replica_len);

#endif

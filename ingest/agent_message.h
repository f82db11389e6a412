/*
 * ingest/agent_message.h -- one message of the agent's road, read.
 *
 * Pure: decompresses, reads the header line, decodes the records. May run on a worker thread.
 * Wire format: docs/protocol.md.
 */
#ifndef INGEST_AGENT_MESSAGE_H
#define INGEST_AGENT_MESSAGE_H

#include "ingest/decode.h"
#include "job/node.h"
#include "stream/stream.h"

#define AGENT_MESSAGE_BYTES_MAX (8 * 1024 * 1024) /* after decompression */
#define AGENT_HEADER_BYTES_MAX (64 * 1024)
#define AGENT_STOP_GRACE_S_MAX 3600
#define AGENT_SAMPLE_AGE_MS_MAX (24 * 3600 * 1000)
#define AGENT_SIGNAL_MAX 64

enum agent_type { AGENT_HELLO, AGENT_LINES, AGENT_SKIP, AGENT_PROGRESS, AGENT_STATE, AGENT_FIN, AGENT_SAMPLE };

struct agent_sample {
    int64_t age_us; /* how long ago it was taken */
    struct node_about about; /* replica not set */
    struct node_sample sample; /* at_us not set */
};

struct agent_message {
    enum agent_type type;
    /* hello */
    char producer[ID_BYTES_MAX + 1];
    uint64_t epoch;
    char replica[ID_BYTES_MAX + 1];
    uint32_t ranks, nodes; /* 0: not said */
    int64_t stop_grace_us;
    int32_t rank; /* hello, progress, state; RECORD_RANK_NONE */
    /* lines: from first; skip: first to last; fin: last */
    uint64_t first, last;
    /* fin: how the process ended; signal 0: by none */
    int has_exit_code;
    int32_t exit_code, signal;
    struct batch *batch; /* lines, skip; not numbered yet */
    /* progress: the text; state: change.message points here */
    char *text;
    size_t text_len;
    struct state_change change; /* key not set */
    struct agent_sample *sample;
    struct redact_counts redacted; /* in text */
};

/* o: defaults for the records (rank, replica, limits). The message need not be initialised; on an error nothing
 * is left in it. ERR_INVALID, ERR_TOO_BIG, ERR_NOMEM: why says what is wrong. */
int agent_message_read(struct agent_message *m, const struct decode_options *o, const char *data, size_t len,
                       int is_binary, char *why, size_t why_size);
void agent_message_release(struct agent_message *m);

#endif

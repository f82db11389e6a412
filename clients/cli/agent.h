/*
 * clients/cli/agent.h -- one producer on its way to the server: spool, window and what is to be said, without a network.
 *
 *     owner thread                                 network thread (agent_lws.c)
 *     agent_line, agent_progress, agent_end        agent_on_open/message/close
 *            \-> spool <- lock -> window <---------- agent_next: the next message
 *
 * A connection: hello -> welcome -> [state RUNNING] -> lines, skips, progress -> (ended, all accepted)
 * -> [final state -> state_ack] -> fin -> fin_ack -> done. Wire format: docs/protocol.md. The server's
 * messages are also its control channel: `stop`, or the state STOPPED in any of them, is told the owner.
 *
 * Promises   Records go out in their order, from where the server's welcome says; nothing is freed
 *            before it is durable; what had to be dropped is said by `skip`.
 * Threads    As drawn; everything is under one lock, held for memory and page cache only.
 */
#ifndef CLIENTS_CLI_AGENT_H
#define CLIENTS_CLI_AGENT_H

#include "clients/cli/spool.h"
#include "job/id.h"
#include "job/node.h"
#include "job/state.h"

#include <stdint.h>

#define AGENT_GATHER_US 25000  /* while something is in flight, lines gather for so long … */
#define AGENT_GATHER_LINES 512 /* … or until there are so many */
#define AGENT_BATCH_BYTES (64UL * 1024)
#define AGENT_CATCHUP_LINES 4096 /* so many waiting: larger batches */
#define AGENT_CATCHUP_BYTES (256UL * 1024)
#define AGENT_BATCH_LINES_MAX 10000
#define AGENT_HEADROOM_BYTES                                                                       \
    (2UL << 20)               /* a message is never larger than this: the largest record, escaped */
#define AGENT_PACK_BYTES 1024 /* larger messages are compressed */
#define AGENT_PROGRESS_US 250000 /* at most 4 redraws a second */
#define AGENT_PROGRESS_BYTES 4096
#define AGENT_STREAMS 2             /* stdout, stderr */
#define AGENT_REFUSALS_MAX 3        /* the same message refused so often: it is no use */
#define AGENT_AWAY_RETRY_US 1000000 /* after 1013 and like answers */
#define AGENT_NEVER INT64_MAX
#define AGENT_SAMPLES_MAX 360 /* of the node, while there is no server: an hour of them */

struct agent_options {
    char producer[ID_BYTES_MAX + 1];
    uint64_t epoch;
    int32_t rank;                   /* RECORD_RANK_NONE */
    int64_t ranks;                  /* 0: not known */
    int is_one_node;                /* the job has this node only */
    char replica[ID_BYTES_MAX + 1]; /* "" */
    int announce_running;
    int64_t stop_grace_us; /* told the server: so long it waits for our last lines after a stop */
};

/* How it ends. */
struct agent_end {
    int has_state; /* say this state once every line is accepted */
    enum job_state state;
    int has_exit_code;
    int64_t exit_code;
    int signal; /* that ended it; 0: none */
    char message[256];
    int fin; /* say fin */
};

enum agent_phase {
    AGENT_AWAY,    /* no connection */
    AGENT_OPEN,    /* welcomed */
    AGENT_DONE,    /* the end was said and taken */
    AGENT_REFUSED, /* the server will not take it: status.why */
};

struct agent_status {
    enum agent_phase phase;
    uint64_t last, accepted, durable;
    uint64_t undelivered; /* held here, not accepted */
    uint64_t skipped;     /* told the server that they will never come */
    uint64_t dropped;     /* went from the spool, delivered or not */
    uint64_t held_bytes;  /* in the spool */
    int64_t away_us;      /* since when there is no connection; 0: there is one */
    int is_hopeless;      /* trying again will not help: a token is wrong, say */
    char why[256];        /* of the last failure */
    enum job_state job_state;
    int knows_job_state;
};

struct agent;

/* The spool is taken. Records it holds already are sent too. */
struct agent *agent_new(const struct agent_options *o, struct spool **spool);
/* The spool goes to *ret_spool (NULL: it is closed, its files stay). */
void agent_free(struct agent **a, struct spool **ret_spool);

/* ---- the owner ---- */

/* One record: canonical JSON of its own; ts now. fields NULL: none. */
void agent_line(struct agent *a, const char *stream, const char *text, size_t len,
                const char *fields, size_t fields_len);
/* A record that is JSON already, without '\n'. */
void agent_record(struct agent *a, const char *json, size_t len);
/* What was added may be sent. */
void agent_flush(struct agent *a);
/* What a redrawn line of stream (0, 1) shows now; len 0: nothing any more. */
void agent_progress(struct agent *a, unsigned stream, const char *text, size_t len);
/* A sample of this node; at_us and replica are not looked at. Kept until it can be sent, the last AGENT_SAMPLES_MAX. */
void agent_sample(struct agent *a, const struct node_about *about, const struct node_sample *sample);
void agent_end(struct agent *a, const struct agent_end *e);
/* fd (an eventfd, borrowed; -1: none) is written to once, when the job was stopped by a person. */
void agent_on_stop(struct agent *a, int fd);
/* Until something changes, or timeout. */
void agent_wait(struct agent *a, int64_t timeout_us);
void agent_get_status(struct agent *a, struct agent_status *ret);

/* ---- the network ---- */

/* How to wake the network thread; NULL: there is none. */
void agent_set_wake(struct agent *a, void (*wake)(void *user), void *user);
/* A connection is open: the next message is hello. */
void agent_on_open(struct agent *a);
/* ERR_PROTOCOL: close the connection. */
int agent_on_message(struct agent *a, const char *data, size_t len);
/* The connection is gone or could not be made. code: WebSocket close code, 0 for none. */
void agent_on_close(struct agent *a, int code, const char *why, int64_t now_us);
/* The server answers, but refuses: why for people; it is tried again now and then. */
void agent_on_refusal(struct agent *a, const char *why, int64_t now_us);
/* 1: *out holds the next message (cleared before), 0: nothing until *ret_due_us or a wake. */
int agent_next(struct agent *a, int64_t now_us, struct buf *out, int *ret_binary,
               int64_t *ret_due_us);
/* When to connect; AGENT_NEVER: it is over. */
int64_t agent_connect_due(struct agent *a);

#endif

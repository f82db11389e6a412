/*
 * ingest/agent.h -- one producer on the agent's road.
 *
 *     on_message -> inbox -> read (here or on a worker) -> dispatch -> stream -> ack at the end of the turn
 *
 *     CONNECTED -hello-> GREETING -welcome-> OPEN -(drain)-> LEAVING -> CLOSING
 *
 * Messages are taken strictly in order: while one is with the worker, or the hello is being answered, the
 * others wait in the inbox (bounded: then the socket is not read).
 *
 * Rewinding: after `gap` or `busy` whatever was sent ahead is ignored until a message begins at or before
 * accepted + 1. Answers of appends that were under way then belong to an older generation: their success
 * counts, their failure says nothing new.
 */
#ifndef INGEST_AGENT_H
#define INGEST_AGENT_H

#include "ingest/agent_message.h"
#include "ingest/ingest_int.h"

#define AGENT_WINDOW_MESSAGES 32
#define AGENT_WINDOW_BYTES (8 * 1024 * 1024)
#define AGENT_INBOX_MESSAGES_MAX 64                      /* waiting; above it, or above … */
#define AGENT_INBOX_BYTES_MAX (2 * AGENT_WINDOW_BYTES)   /* … this, the socket is not read */
#define AGENT_PROGRESS_US 200000 /* a redraw that comes sooner after the last one is dropped */
#define AGENT_PROGRESS_BYTES_MAX 4096
/* Samples: so many at once (those of an hour without a server), then so many a second; more are dropped. */
#define AGENT_SAMPLES_BURST 400
#define AGENT_SAMPLES_PER_S 10
#define AGENT_MARKS_MAX 16
#define AGENT_STATES_MAX 16 /* state changes waiting for their answer */

/* X(name) */
#define AGENT_PHASE_TABLE(X) X(CONNECTED) X(GREETING) X(OPEN) X(LEAVING) X(CLOSING)
enum agent_phase {
#define X(name) AGENT_PHASE_##name,
    AGENT_PHASE_TABLE(X)
#undef X
};

struct agent_input {
    struct agent_input *next;
    size_t len;
    int is_binary;
    char data[];
};

/* In class accepted: seq was acknowledged at at_us, by Redis on connection round. */
struct agent_mark {
    uint64_t seq;
    int64_t at_us;
    uint64_t round;
};

struct agent_flight {
    uint64_t last;
    size_t bytes; /* as sent */
};

struct agent {
    struct ingest *in;
    struct ws *w; /* NULL: closed */
    struct agent *prev, *next;
    struct agent *dirty_next;
    int is_dirty;
    enum agent_phase phase;
    struct job_key key;
    struct token *token; /* whose quota is charged; NULL: nobody's */
    char producer[ID_BYTES_MAX + 1];
    uint64_t epoch;
    struct decode_options decode;
    /* taken, not looked at yet */
    struct agent_input *inbox_head, *inbox_tail;
    uint32_t inbox_count;
    size_t inbox_bytes, charged;
    int paused, pumping, opened;
    /* with the worker */
    uv_work_t work;
    int work_active;
    struct agent_input *work_input;
    struct agent_message work_message;
    int work_err;
    char work_why[200];
    /* with the stream */
    uint32_t call_count;     /* calls of any kind that will come back */
    /* a ring: messages of lines that are not acknowledged, as the agent counts them: what lies at or below accepted, or was
     * sent before the last rewind, is not in the window though Redis may not have answered it yet */
    struct agent_flight flights[AGENT_WINDOW_MESSAGES];
    uint32_t flight_first, flight_count;
    size_t flight_bytes;
    uint32_t generation;
    int rewinding;
    uint64_t accepted, durable;
    uint64_t accepted_round; /* of the answer that moved accepted */
    struct agent_mark marks[AGENT_MARKS_MAX];
    uint32_t mark_count;
    int ack_due;
    enum job_state state;
    int is_stopped; /* the job was stopped: told, or to be told with the welcome */
    enum job_state state_asked[AGENT_STATES_MAX]; /* a ring: first, count */
    uint32_t state_first, state_count;
    int has_fin, fin_active;
    uint64_t fin;
    int has_exit_code; /* said with the fin */
    int32_t exit_code, signal;
    int64_t progress_us; /* of the last redraw that was passed on */
    double sample_credit; /* samples that may come now */
    int64_t sample_us;    /* when that was worked out; 0: never */
};

/* agent.c: what the connection (ws_agent.c) calls. */
/* A message was read, or (err) is bad. Takes what is in m. bytes: as it was sent. */
void agent__dispatch(struct agent *a, struct agent_message *m, int err, const char *why, size_t bytes);
void agent__mark_dirty(struct agent *a);
/* Send what is due at the end of a turn: the ack, and the goodbye of a drain. */
void agent__flush(struct agent *a);
void agent__sweep(struct agent *a);
/* The job was stopped: tell it, once. */
void agent__stop(struct agent *a);
/* ws_agent.c: what dispatching calls. */
/* The producer is known: what an earlier connection of it left open of a private key. */
void agent__take_marks(struct agent *a);
/* Go on with the inbox, free an agent that is over. a may be gone after it. */
void agent__pump(struct agent *a);
/* {"type":"error",…} and close: 4400 or 4409; 1011, 1012, 1013 without the message (code NULL). */
void agent__close(struct agent *a, int close_code, const char *code, const char *message);

#endif

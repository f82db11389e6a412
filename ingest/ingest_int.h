/*
 * ingest/ingest_int.h -- what the doors of the room share: memory, counters, how errors are answered.
 *
 * Threads    Worker threads decode big bodies: they touch their own decoder and ingest__charge() only.
 */
#ifndef INGEST_INGEST_INT_H
#define INGEST_INGEST_INT_H

#include "auth/caller.h"
#include "base/json_tree.h"
#include "ingest/ingest.h"

/* From here on a body is decoded on a worker thread, so that the loop is never held for long. */
#define INGEST_INLINE_BYTES_MAX (256 * 1024)
/* So much waits for the worker before the socket is paused; below the low mark it is read again. */
#define INGEST_PENDING_HIGH_BYTES (1024 * 1024)
/* Numbers of producers pass through doubles in Redis' scripts: 2^53 - 1. */
#define INGEST_NUMBER_MAX UINT64_C(9007199254740991)
/* Class `accepted`: when an acknowledged line is taken as flushed (everysec plus its 2 s of delay). */
#define INGEST_FLUSH_US 3000000

#define INGEST_SPARE_DECODERS_MAX 8

struct agent;
struct marks_pool;

struct ingest {
    struct ingest_options o;
    struct ingest_stats stats;
    size_t memory_bytes; /* atomic */
    uint32_t open_count; /* uploads, events and agents that still point here */
    int draining, closed;
    struct decoder *spares[INGEST_SPARE_DECODERS_MAX]; /* used ones, to be used again */
    uint32_t spare_count;
    struct marks_pool *marks; /* of producers between their requests */
    struct agent *agents; /* doubly linked */
    struct agent *dirty;  /* those with something to send at the end of the turn */
    int64_t flush_us;     /* INGEST_FLUSH_US; tests shorten it */
    uv_prepare_t flush;   /* sends the acks of a loop turn: one message for many appends */
    uv_timer_t sweep;     /* moves `durable` in class accepted */
    int handle_count;     /* of the two that are not closed yet */
};

/* One user of the room begins or ends; the last one out of a closed room frees it. */
void ingest__enter(struct ingest *i);
void ingest__leave(struct ingest *i);
/* Account for memory that was *charged and is now `now` bytes. ERR_BUSY above memory_bytes_max: then nothing
 * was changed. Any thread. */
int ingest__charge(struct ingest *i, size_t *charged, size_t now);
/* A decoder, a used one if there is; and back with it (takes and NULLs). Loop thread. As decoder_new(). */
int ingest__decoder_get(struct ingest *i, const struct decode_options *o, struct decoder **ret_decoder);
void ingest__decoder_put(struct ingest *i, struct decoder **d);
/* Take the counters of a batch that was stored. */
void ingest__count_batch(struct ingest *i, const struct batch *b);

/* How an error of the stream or the decoder is told to a peer. */
struct answer {
    int status;          /* HTTP */
    unsigned retry_after; /* seconds; 0: none */
    const char *code;
    const char *message;
};
struct answer ingest__answer(int err);
/* The token of a caller (as http_guest() gives it), a reference of one's own; NULL: there is none. */
struct token *ingest__token(const struct caller *c);
/* May lines be taken on this token (NULL: yes)? 0, or microseconds to wait, counted as a refusal. */
int64_t ingest__quota_wait(struct ingest *i, struct token *t, enum quota *ret_which);
/* So much was stored on it. */
void ingest__charge_quota(struct token *t, uint64_t lines, uint64_t bytes);
/* Count a refusal. */
void ingest__count_refusal(struct ingest *i, int err);

/* The time of a JSON member: RFC 3339 or epoch, string or number. 1 found, 0 absent, ERR_INVALID. */
int ingest__time(const struct json_tree *v, const char *key, int64_t *ret_us);
/* Decimal digits only, at most INGEST_NUMBER_MAX. ERR_INVALID. */
int ingest__number(const char *s, uint64_t *ret);

/* The members of a state change (state, ts, message, exit_code, rank); key is the caller's. message borrows from v.
 * ERR_INVALID: *ret_why says which is wrong. */
int ingest__read_state(const struct json_tree *v, struct state_change *c, const char **ret_why);

/* ws_agent.c, for ingest.c */
void agent__flush_all(struct ingest *i);
void agent__sweep_all(struct ingest *i);
void agent__drain_all(struct ingest *i);
/* stops.c */
void stops__open(struct ingest *i);
void stops__close(struct ingest *i);

#endif

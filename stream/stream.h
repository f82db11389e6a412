/*
 * stream/stream.h -- the moving present: jobs and their last records, in Redis.
 *
 * One stream entry is one frame, one script does the append atomically:
 *     sealed? fenced? gap or repeat? -> number -> XADD -> counters, per-rank last seen -> doorbell
 * Keys of a job share a hash tag: jl:{project/job}:log :meta :prod :rank. Layout in docs/format-redis.md.
 *
 * Promises   A callback with success means Redis has answered so: never acknowledged from memory.
 *            Every call's callback comes exactly once, never from inside the call. Error replies are
 *            handled by name: NOSCRIPT is reloaded, LOADING/BUSY/MASTERDOWN/TRYAGAIN are retried within the call's
 *            deadline then ERR_UNAVAILABLE, OOM is ERR_FULL, MISCONF is ERR_FULL or ERR_IO,
 *            READONLY is ERR_READONLY. An unknown outcome (connection lost after sending) is retried only
 *            when a producer sequence makes it idempotent, else ERR_UNAVAILABLE.
 * Not here   Archives (storage/), who follows (stream/hub.h), decoding (ingest/).
 * Threads    The loop thread only. Our own transport over libuv, replies read by hiredis (stream/conn.h).
 * Limits     STREAM_INFLIGHT_BYTES_MAX queued to Redis; over it ERR_BUSY at once (429/503 upstairs).
 */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include "job/batch.h"
#include "job/cursor.h"
#include "job/info.h"

#include <uv.h>

#define STREAM_INFLIGHT_BYTES_MAX (64 * 1024 * 1024)
#define STREAM_CALL_US_MAX 10000000 /* a call that Redis has not answered by then: ERR_TIMEOUT */

enum durability { DURABILITY_ACCEPTED, DURABILITY_DURABLE, DURABILITY_REPLICATED };
const char *durability_name(enum durability d);
int durability_parse(const char *s, enum durability *ret);

struct stream;
struct stream_past; /* stream/past.h */

struct stream_options {
    uv_loop_t *loop;
    const char *url;          /* stream/conn_address.h; NULL: embedded */
    const char *data_dir;     /* embedded: DATA/redis */
    const char *redis_server; /* path or name of the binary, "redis-server" */
    int64_t redis_memory_bytes; /* embedded maxmemory; 0: none */
    enum durability
        durability; /* sets appendfsync of the embedded server; checked against CONFIG GET of a foreign one */
    int64_t drain_us; /* from terminal to sealed at the latest */
    const struct stream_past *past; /* NULL: there is no archive */
    void *past_user;
    const char *node; /* id of this node, kept over restarts: it takes its own leases back; NULL: none */
};

struct stream_stats {
    uint64_t appends, append_lines, append_bytes, duplicates_lines, gaps, fenced, sealed_refused,
        transition_refused;
    uint64_t redis_errors_loading, redis_errors_misconf, redis_errors_oom, redis_errors_readonly,
        redis_errors_noscript, redis_errors_busy, redis_errors_other, reconnects, timeouts,
        embedded_restarts;
    uint64_t ack_us_bucket[16]; /* <=2^(i+6) us: 64us, 128us, … ; last is +Inf */
    uint64_t ack_us_sum, ack_count;
    uint64_t inflight_bytes, inflight_calls;
    int connected, loading;
    uint64_t unreadable; /* entries passed over as lost */
    uint64_t rollbacks;  /* logs whose epoch changed because Redis had lost records */
    uint64_t restored;   /* logs taken up again from the archive */
    int64_t redis_memory_bytes, redis_memory_max_bytes; /* from INFO, refreshed every 2 s */
};

/* Starts connecting (and the embedded server). ERR_INVALID (why): a bad URL, or a redis-server that cannot be found. */
int stream_open(const struct stream_options *opts, char *why, size_t why_size,
                struct stream **ret_stream);
/* 0 when lines can be taken; else ERR_UNAVAILABLE, ERR_FULL, ERR_READONLY (why: the reason for /readyz). */
int stream_ready(const struct stream *st, char *why, size_t why_size);
/* Finish what is queued (at most 5 s), stop the embedded server cleanly, then done(user). */
void stream_close(struct stream **st, void (*done)(void *user), void *user);
void stream_stats(const struct stream *st, struct stream_stats *ret);
enum durability stream_durability(const struct stream *st); /* the class really reached */
/* When the newest answered request was sent (clock_mono_us), and on which connection (it grows with each one that is lost).
 * What was acknowledged 3 s before on the same one is in Redis' file, with everysec too: it puts writes off for 2 s at most. */
int64_t stream_heard_us(const struct stream *st, uint64_t *ret_round);
/* Where its Redis is, for a connection of one's own (stream/conn.h). Borrowed. */
const char *stream_url(const struct stream *st);

/* ---- appending ---- */
struct append_result {
    int err; /* 0, ERR_SEALED, ERR_FENCED, ERR_GAP, ERR_UNAVAILABLE, ERR_FULL, ERR_READONLY, … */
    uint64_t epoch;          /* of the job's log */
    uint64_t first, last;    /* seqs given; 0 when nothing was stored */
    uint64_t accepted;       /* lines stored */
    uint64_t duplicates;     /* lines that were held already */
    uint64_t expected;       /* with ERR_GAP: the sequence to send next */
    uint64_t producer_epoch; /* with ERR_FENCED: the newer epoch */
    uint64_t producer_last;  /* last sequence now held for the producer */
    enum durability durability;
    enum job_state state; /* of the job after the append */
    int sealed;           /* this append sealed it */
};
typedef void stream_append_fn(void *user, const struct append_result *res);
/* Append b whole or not at all (an unknown job is created, RUNNING; project must be a valid id). A batch
 * with no lines and has_fin only notes the fin. b is taken and NULLed. Appends of one job keep their call order. */
void stream_append(struct stream *st, const struct job_key *key, struct batch **b,
                   stream_append_fn *done, void *user);
/* What is held for a producer: for the agent's welcome. Opens the job when unknown (RUNNING).
 * stop_grace_us: how long the producer may go on after the job is stopped: a stopped job is drained that
 * much longer (the longest of its producers counts). */
typedef void stream_hello_fn(void *user, int err, uint64_t producer_epoch, uint64_t producer_last,
                             enum job_state state, int sealed);
void stream_hello(struct stream *st, const struct job_key *key, const char *producer,
                  uint64_t epoch, int32_t rank, uint32_t ranks_declared, int64_t stop_grace_us,
                  stream_hello_fn *done, void *user);

struct state_change {
    struct job_key key;
    enum job_state to;
    int64_t ts_us;       /* 0: now */
    const char *message; /* may be NULL; cut at 4096 bytes at a character boundary */
    int has_exit_code;
    int64_t exit_code;
    int32_t rank;
};
/* err 0: moved or repeated (moved tells); ERR_TRANSITION: from is the state it is in; ERR_SEALED; ERR_NOT_FOUND. */
typedef void stream_state_fn(void *user, int err, int moved, enum job_state from, uint64_t seq);
void stream_change_state(struct stream *st, const struct state_change *c, stream_state_fn *done,
                         void *user);

/* A redraw of a live line: reaches tails of all nodes, is not stored, may be dropped. text is valid UTF-8. */
void stream_progress(struct stream *st, const struct job_key *key, int32_t rank, const char *text,
                     size_t len);

/* ---- reading ---- */
/* Frames with last_seq > after, in order, at most frames_max (and about 4 MiB). The array and frames are borrowed
 * (ref to keep). tail_seq: the job's last seq at that time; first_held: first seq Redis still holds
 * (tail_seq + 1 when none): when after + 1 < first_held the caller must read the archive first. An entry whose bytes
 * are damaged comes as a lost frame (job/frame.h). ERR_NOT_FOUND. */
typedef void stream_read_fn(void *user, int err, struct frame *const *frames, uint32_t count,
                            uint64_t first_held, uint64_t tail_seq, uint64_t epoch);
void stream_read(struct stream *st, const struct job_key *key, uint64_t after, uint32_t frames_max,
                 stream_read_fn *done, void *user);
/* The same backwards: frames with first_seq < before, newest first. before 0: from the end. */
void stream_read_back(struct stream *st, const struct job_key *key, uint64_t before,
                      uint32_t frames_max, stream_read_fn *done, void *user);

/* ---- for the pump (serve/pump.h): archive, then trim ---- */
/* Jobs that may hold unarchived records, oldest mark first. keys borrowed. */
typedef void stream_hot_fn(void *user, int err, const struct job_key *keys, const int64_t *since_us,
                           uint32_t count);
void stream_hot_jobs(struct stream *st, uint32_t count_max, stream_hot_fn *done, void *user);
/* Take or renew the archive lease of a job for 30 s; token fences. ERR_BUSY when another node has it. A lease of this
 * node's earlier life is taken over at once. */
typedef void stream_lease_fn(void *user, int err, uint64_t token);
void stream_lease(struct stream *st, const struct job_key *key, uint64_t token,
                  stream_lease_fn *done, void *user);
/* Commit archived_upto under the lease (never backwards) and trim exactly (XTRIM MINID) what lies at or below trim_upto <= upto.
 * epoch: in which the records were read. cold 1: the job is sealed and fully archived: takes it off the hot list. ERR_FENCED.
 * ERR_RESET: history went back meanwhile and these records may not be the log's; nothing is trimmed. */
void stream_commit_archived(struct stream *st, const struct job_key *key, uint64_t token, uint64_t epoch, uint64_t upto,
                            uint64_t trim_upto, int cold, void (*done)(void *user, int err), void *user);

#include "stream/jobs.h"
#include "stream/observe.h"
#endif

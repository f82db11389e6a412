/*
 * stream/stream_int.h -- what the files of this room share. Keys and fields: docs/format-redis.md.
 */
#ifndef STREAM_STREAM_INT_H
#define STREAM_STREAM_INT_H

#include "base/log.h"
#include "base/map.h"
#include "stream/conn.h"
#include "stream/embedded.h"
#include "stream/hub.h"
#include "stream/past.h"
#include "stream/stops.h"
#include "stream/headroom.h"
#include "stream/stream.h"
#include "stream/tokens.h"

#include <sys/queue.h>

struct hub;
struct sealer;

#define STREAM_CLOSE_US_MAX 5000000 /* what is queued may take so long at close */
#define STREAM_UNREADABLE_MAX 4096  /* damaged entries remembered as logged; then forgotten: logged again */
#define STREAM_SEQUENCE_MAX ((UINT64_C(1) << 53) - 1) /* the script counts in doubles */

struct stream_later;
STAILQ_HEAD(stream_later_queue, stream_later);

struct stream {
    uv_loop_t *loop;
    char *url;
    enum durability durability_asked;
    enum durability durability_local; /* what Redis' own configuration reaches */
    enum durability durability;       /* really reached: by the last append when replicas count */
    int64_t drain_us;
    int64_t call_us_max;       /* of an append: STREAM_CALL_US_MAX; tests are less patient */
    struct conn *cmd;          /* requests */
    struct conn *bell;         /* channels */
    struct embedded *embedded; /* NULL with a foreign Redis */
    struct map *known; /* known.c: project/job -> what is known of it */
    uint32_t known_round;
    struct map *recoveries; /* recover.c: jobs that are being mended */
    const struct stream_past *past; /* NULL: nothing is settled anywhere */
    void *past_user;
    uint32_t past_calls; /* questions to the past: the stream outlives its close for them */
    int server_gone;     /* closing: only questions to the past are still out */
    char node[32];
    char history[48];       /* of Redis, as it said last (conn_history()) */
    char clean_history[48]; /* of the embedded Redis that was stopped last, in order; "": none */
    int has_mark;    /* STREAM_KEY_STORE was there */
    struct headroom headroom;
    struct log_every away_told; /* since the connection was lost */
    int lacks_replica; /* class replicated: the last WAIT named none */
    uint32_t whole_round;
    uint64_t append_serial;
    struct map *
        lanes; /* project/job -> appends that wait for the first one of a job not known (append.c) */
    struct map *groups; /* project/job -> small appends that will leave together (append_group.c) */
    struct map *unreadable; /* "project/job id" of damaged entries that were logged and counted (read.c) */
    struct hub *hub; /* hub.c */
    struct sealer *sealer;
    const struct stream_tokens_ops *tokens_ops; /* tokens.c; NULL: nobody watches */
    void *tokens_user;
    stream_stopped_fn *stopped; /* stops.c; NULL: nobody watches */
    void *stopped_user;
    const struct stream_observer *observer; /* NULL: none */
    void *observer_user;
    struct stream_stats stats; /* counters of this room; conn's are added by stream_stats() */
    int closing;
    uv_timer_t tick; /* INFO every 2 s */
    uv_timer_t close_limit;
    uv_timer_t later_timer;
    struct stream_later_queue later;
    uint32_t calls; /* public calls whose callback is due: stream_close waits for them */
    void (*close_done)(void *user);
    void *close_user;
    uint32_t close_parts;
};

/* ---- keys ---- */
#define STREAM_KEY_BYTES (JOB_KEY_TEXT_BYTES + 16)
/* "jl:{project/job}:<part>", part (at most 8 bytes) one of log meta prod rank node bell. Returns out. */
const char *stream__key(char out[STREAM_KEY_BYTES], const struct job_key *key, const char *part);
#define STREAM_IDS_KEY_BYTES (ID_BYTES_MAX + 16)
/* "jl:ids:<job>" */
const char *stream__ids_key(char out[STREAM_IDS_KEY_BYTES], const char *job);
#define STREAM_KEY_JOBS "jl:jobs"         /* zset created_us, "project/job": every job */
#define STREAM_KEY_ACTIVE "jl:active"     /* zset created_us: not sealed */
#define STREAM_KEY_HOT "jl:hot"           /* zset mark_us: may hold unarchived records */
#define STREAM_KEY_DRAINING "jl:draining" /* zset drain_until_us: terminal, not sealed */
#define STREAM_KEY_STORE "jl:store"       /* string: when the archive was last brought in; missing: Redis was emptied */
#define STREAM_KEY_PROJECTS "jl:projects" /* set of names; jl:project:<p> has the jobs of each */
#define STREAM_CHANNEL_STOPS "jl:stops" /* "project/job" of each job that was stopped; the script's */
#define STREAM_KEY_PROJECT_META "jl:project_meta" /* hash: project -> "created_us name" */
/* "jl:project:<project>": zset created_us, "project/job": the jobs of one project */
const char *stream__project_key(char out[STREAM_IDS_KEY_BYTES], const char *project);

/* ---- the script: one op on one job ---- */
/* Begin "EVALSHA <sha> 4 log meta prod rank <op> <channel>" with argc further words to be added by the caller. What is
 * known of the job goes with the op: the answer may be BACK (stream/known.h). */
void stream__script_begin(struct stream *st, struct conn_request *r, const struct job_key *key,
                          const char *op, uint32_t argc);
/* Class replicated: is it asked for; WAIT behind the commands of r (on the same connection it covers them; nothing in other
 * classes); did its reply name a replica (noted for stream_ready and stream_durability). */
int stream__replicates(const struct stream *st);
void stream__add_wait(struct stream *st, struct conn_request *r);
int stream__note_wait(struct stream *st, const struct reply *wait);
/* The index entries of a job, written before it is created so that a crash never leaves an unindexed job:
 * ZADD NX jl:jobs, jl:project:<p>, jl:active, jl:hot; SADD jl:ids:<job>, jl:projects; HSETNX jl:project_meta. */
void stream__index_add(struct conn_request *r, const struct job_key *key, int64_t created_us);
#define STREAM_INDEX_COMMANDS 8
/* The same without jl:active, jl:hot and jl:unfed: of a job that is sealed and archived. Five commands. */
void stream__index_add_cold(struct conn_request *r, const struct job_key *key, int64_t created_us);
#define STREAM_INDEX_COLD_COMMANDS 5
/* Two words: header and payload of record 1 of a job that begins with a state, not with lines. */
void stream__first_record(struct conn_request *r, enum job_state state, int64_t now_us);
/* ZADD jl:unfed: a state of the job is about to change, and whoever reads states (alert/) has not been told.
 * Written ahead, so that any node can tell it when this one dies. One command. */
void stream__mark_unfed(struct conn_request *r, const struct job_key *key, int64_t now_us);
/* This node has stored lines of the job; it has made it, or changed or sealed its state. */
void stream__observe_lines(struct stream *st, const struct job_key *key);
void stream__observe_state(struct stream *st, const struct job_key *key);
/* Call fn(user) from the loop, soon: for answers known at once. */
void stream__later(struct stream *st, void (*fn)(void *user), void *user);
void stream__run_later(struct stream *st);
/* A question to the past begins / was answered. */
void stream__past_begin(struct stream *st);
void stream__past_done(struct stream *st);
/* A public call begins / its callback has been called (for a clean close). */
void stream__call_begin(struct stream *st);
void stream__call_end(struct stream *st);

/* A job was not found although Redis is taken for whole: then(arg) once the mark jl:store was looked for. Without it Redis
 * was emptied just now, and it is a new round. */
void stream__look_for_mark(struct stream *st, void (*then)(void *arg), void *arg);

/* ---- hub.c, as the core calls it ---- */
void hub__open(struct stream *st);
/* No callback after this; frees the hub. Handles (uv_close) may end later: done when they have. */
void hub__close(struct stream *st, void (*done)(void *user), void *user);
/* Does anybody here follow the job? Then appended frames are worth numbering. */
int hub__follows(const struct stream *st, const struct job_key *key);
/* This node has appended f (borrowed; ref to keep) in epoch. */
void hub__offer(struct stream *st, const struct job_key *key, uint64_t epoch, struct frame *f);
/* The job was sealed or deleted by this node: look again (the bell says so too). */
void hub__poke(struct stream *st, const struct job_key *key);

/* ---- sealer.c ---- */
void sealer__open(struct stream *st);
void sealer__close(struct stream *st, void (*done)(void *user), void *user);
/* The job is terminal and will be sealed at until_us at the latest. */
void sealer__note(struct stream *st, const struct job_key *key, int64_t until_us);
/* It is sealed: off the lists. */
void sealer__sealed(struct stream *st, const struct job_key *key);

#endif

/*
 * stream/stream_int.h -- what the files of this room share. Keys and fields: docs/format-redis.md.
 */
#ifndef STREAM_STREAM_INT_H
#define STREAM_STREAM_INT_H

#include "base/map.h"
#include "stream/conn.h"
#include "stream/embedded.h"
#include "stream/hub.h"
#include "stream/stream.h"

#include <sys/queue.h>

struct hub;
struct sealer;

#define STREAM_CLOSE_US_MAX 5000000 /* what is queued may take so long at close */
#define STREAM_INDEXED_MAX 65536    /* then forgotten: costs each job one append at a time once */
#define STREAM_SEQUENCE_MAX ((UINT64_C(1) << 53) - 1) /* the script counts in doubles */

struct stream_later;
STAILQ_HEAD(stream_later_queue, stream_later);

struct stream {
    uv_loop_t *loop;
    enum durability durability_asked;
    enum durability durability_local; /* what Redis' own configuration reaches */
    enum durability durability;       /* really reached: by the last append when replicas count */
    int64_t drain_us;
    int64_t call_us_max;       /* of an append: STREAM_CALL_US_MAX; tests are less patient */
    struct conn *cmd;          /* requests */
    struct conn *bell;         /* channels */
    struct embedded *embedded; /* NULL with a foreign Redis */
    struct map *
        indexed; /* project/job: jobs known to exist, so with index entries (at most STREAM_INDEXED_MAX) */
    struct map *
        lanes; /* project/job -> appends that wait for the first one of a job not known (append.c) */
    struct hub *hub; /* hub.c */
    struct sealer *sealer;
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
/* "jl:{project/job}:<part>", part (at most 8 bytes) one of log meta prod rank bell. Returns out. */
const char *stream__key(char out[STREAM_KEY_BYTES], const struct job_key *key, const char *part);
#define STREAM_IDS_KEY_BYTES (ID_BYTES_MAX + 16)
/* "jl:ids:<job>" */
const char *stream__ids_key(char out[STREAM_IDS_KEY_BYTES], const char *job);
#define STREAM_KEY_JOBS "jl:jobs"         /* zset created_us, "project/job": every job */
#define STREAM_KEY_ACTIVE "jl:active"     /* zset created_us: not sealed */
#define STREAM_KEY_HOT "jl:hot"           /* zset mark_us: may hold unarchived records */
#define STREAM_KEY_DRAINING "jl:draining" /* zset drain_until_us: terminal, not sealed */
#define STREAM_KEY_PROJECTS "jl:projects" /* set of names; jl:project:<p> has the jobs of each */
/* "jl:project:<project>": zset created_us, "project/job": the jobs of one project */
const char *stream__project_key(char out[STREAM_IDS_KEY_BYTES], const char *project);

/* ---- the script: one op on one job ---- */
/* Begin "EVALSHA <sha> 4 log meta prod rank <op> <channel>" with argc further words to be added by the caller. */
void stream__script_begin(struct stream *st, struct conn_request *r, const struct job_key *key,
                          const char *op, uint32_t argc);
/* The index entries of a job, written before it is created so that a crash never leaves an unindexed job:
 * ZADD NX jl:jobs, jl:project:<p>, jl:active, jl:hot; SADD jl:ids:<job>, jl:projects. Six commands. */
void stream__index_add(struct conn_request *r, const struct job_key *key, int64_t created_us);
#define STREAM_INDEX_COMMANDS 6
/* Is it known to exist? Says so of a job deleted by another node too: the script tells (NEED_INDEX). */
int stream__is_indexed(const struct stream *st, const struct job_key *key);
void stream__note_indexed(struct stream *st, const struct job_key *key);
void stream__forget_indexed(struct stream *st, const struct job_key *key);
/* Change the epoch of a job's log because stored history went back (old: the epoch seen; nothing
 * happens when it has changed already). done may be NULL. */
void stream__bump_epoch(struct stream *st, const struct job_key *key, uint64_t old_epoch,
                        void (*done)(void *user, int err, uint64_t epoch), void *user);

/* Call fn(user) from the loop, soon: for answers known at once. */
void stream__later(struct stream *st, void (*fn)(void *user), void *user);
void stream__run_later(struct stream *st);
/* A public call begins / its callback has been called (for a clean close). */
void stream__call_begin(struct stream *st);
void stream__call_end(struct stream *st);

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

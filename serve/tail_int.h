/*
 * serve/tail_int.h -- one follower: the session and its sink, shared by the tail_*.c files.
 *
 *     LOOKUP -> (WAIT -> LOOKUP)* -> (LOCATE) -> OPENING -> LIVE <-> BACKLOG -> OVER
 *                                                            '-> RESETTING -'
 */
#ifndef SERVE_TAIL_INT_H
#define SERVE_TAIL_INT_H

#include "http/ws.h"
#include "base/link.h"
#include "serve/query.h"
#include "serve/reader.h"
#include "serve/tail.h"
#include "stream/hub.h"

#include <stdint.h>

#define TAIL_TICK_MS 50
#define TAIL_RETRY_US 1000000
#define TAIL_WS_MESSAGE_BYTES_MAX 4096 /* what a follower may say to us; it is not listened to */

enum tail_phase {
    TAIL_LOOKUP,    /* Redis is asked for the job */
    TAIL_WAIT,      /* there is no such job yet */
    TAIL_LOCATE,    /* the reader looks for the Nth match from the end */
    TAIL_OPENING,   /* the sink is being opened */
    TAIL_LIVE,      /* pulling from the hub */
    TAIL_BACKLOG,   /* pulling from the reader */
    TAIL_RESETTING, /* history was lost or the job deleted: Redis is asked which */
    TAIL_OVER,      /* the sink was closed: only its on_close is awaited */
};

struct tail;
struct tail_progress;

/* Where a session's output goes. */
struct tail_sink {
    int json; /* takes messages through emit; else bytes through raw */
    uint64_t *(*open_count)(struct tail_stats *s);
    /* Answer the request; tail__opened() follows, now or later, or the exchange's on_close. */
    void (*open)(struct tail *t);
    void (*emit)(struct tail *t, const char *type, const char *json, size_t len);
    void (*raw)(struct tail *t, const char *data, size_t len);
    /* Unfiltered frames in a row given whole, as one `lines` message shared by all who stand at the same
     * place; NULL: not offered. */
    void (*run)(struct tail *t, const struct run *run);
    /* Orderly: everything was said. */
    void (*close)(struct tail *t, int code, const char *reason);
    /* At once, so that the client comes back. code for sinks that can say it. */
    void (*drop)(struct tail *t, int code);
    size_t (*backlog)(const struct tail *t);
    /* It cannot begin (tail__over() was called); NULL: the request is answered so. */
    void (*refuse)(struct tail *t, int status, int err);
};
extern const struct tail_sink tail__ws, tail__sse, tail__text;

struct tail {
    struct serve_ctx *ctx;
    struct link in_all, in_ticking;
    const struct tail_sink *sink;
    struct http *x; /* until its on_close */
    struct ws *w;   /* from on_open to on_close */
    enum tail_phase phase;
    uint8_t is_open, is_gone /* the last callback of the sink has come */, accepting, upgraded,
        needs_reset;
    unsigned calls; /* stream calls under way */
    struct job_key key;
    struct query query;
    struct shape shape; /* borrows query.sieve */
    struct hub_sub *sub;
    struct reader *reader;
    uint64_t epoch;
    uint64_t cursor; /* every record up to here was given or told lost */
    uint64_t nth;    /* while locating */
    char *hello;     /* the job's JSON, until it is said */
    int64_t wait_until_us, retry_us /* 0: none */, sent_us;
    struct tail_progress *progress; /* NULL until there is one */
};

struct tails {
    uv_loop_t *loop;
    uv_timer_t timer; /* runs while somebody is in ticking */
    struct link all, ticking;
    struct buf lines, message; /* scratch of the session at work */
    struct buf plain;          /* a bar without its escapes; lines may hold records while one is said */
    struct tail_stats stats;
};

struct tails *tails_new(uv_loop_t *loop);
void tails_free(struct tails **ts);
/* Have tail__tick called every TAIL_TICK_MS, or not. */
void tail__set_ticking(struct tail *t, int on);

/* tail.c */
void tail__opened(struct tail *t);
void tail__pull(struct tail *t);
/* retry_us is over. */
void tail__retry(struct tail *t);
/* The sink's last callback came: t may be freed here. */
void tail__gone(struct tail *t);
/* Let go of hub and reader; the sink's on_close is awaited. */
void tail__over(struct tail *t);
int tail__is_full(const struct tail *t);

/* tail_start.c */
/* t: zeroed but for its query. Without a request of its own: sink has a refuse. */
void tail__begin(struct serve_ctx *ctx, struct tail *t, const struct tail_sink *sink,
                 const struct job_key *key);
void tail__start(struct tail *t);
void tail__woken(struct tail *t); /* while waiting for the job */
void tail__wait_tick(struct tail *t, int64_t now_us);
void tail__located(struct tail *t);

/* tail_message.c: each builds a message in the sink's form and sends it */
void tail__say_hello(struct tail *t);
void tail__say_lines(struct tail *t, const char *records, size_t len);
void tail__say_state(struct tail *t, const char *line, size_t len);
void tail__say_progress(struct tail *t, int32_t rank, const char *text, size_t len);
void tail__say_gap(struct tail *t, uint64_t from, uint64_t to, int err);
void tail__say_reset(struct tail *t, int deleted);
void tail__say_end(struct tail *t, const struct job_info *info);
/* {"type":"lines","cursor":"E:S","lines":[…]} of whole frames in a row. */
int tail__lines_of_run(struct buf *out, uint64_t epoch, const struct run *run);

/* tail_progress.c */
void tail__on_progress(struct tail *t, int32_t rank, const char *text, size_t len);
/* Lines of these ranks came: redraws of theirs that still wait are old. */
void tail__progress_over(struct tail *t, const struct frame_summary *s);
void tail__progress_tick(struct tail *t, int64_t now_us);
int tail__progress_pending(const struct tail *t);
void tail__progress_free(struct tail *t);

#endif

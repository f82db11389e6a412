/*
 * stream/conn_int.h -- inside the connection: what request.c, conn.c, conn_channel.c and conn_redis.c share.
 */
#ifndef STREAM_CONN_INT_H
#define STREAM_CONN_INT_H

#include "base/map.h"
#include "stream/conn.h"
#include "stream/conn_address.h"

#include <sys/queue.h>

/* ---- conn_redis.c: bytes in, reply trees out ---- */
struct reply_tree {
    struct reply root;
    struct reply *nodes; /* all below the root, one block */
    void *native;        /* owns the strings */
};
struct reply_reader;
struct reply_reader *reply_reader_new(void);
void reply_reader_free(struct reply_reader **rd);
/* ERR_NOMEM, ERR_PROTOCOL: the connection is useless. */
int reply_reader_feed(struct reply_reader *rd, const void *data, size_t len);
/* 1: *ret_tree is the next whole reply. 0: more bytes are needed. ERR_PROTOCOL. */
int reply_reader_next(struct reply_reader *rd, struct reply_tree **ret_tree);
void reply_tree_free(struct reply_tree **tree);

/* ---- error replies ---- */
enum reply_fault {
    FAULT_NONE,
    FAULT_LOADING,  /* LOADING */
    FAULT_BUSY,     /* BUSY, MASTERDOWN, TRYAGAIN, CLUSTERDOWN, UNBLOCKED: try again soon */
    FAULT_NOSCRIPT, /* NOSCRIPT: load it again */
    FAULT_OOM,
    FAULT_MISCONF,
    FAULT_READONLY,
    FAULT_OTHER
};
/* What an error text means: the ERR_* and the kind. */
int reply_fault(const char *text, size_t len, enum reply_fault *ret_fault);

/* ---- requests ---- */
#define CONN_PARTS_MAX 1024 /* commands of one request: the filter of a list asks for many jobs at once */
struct conn_request {
    TAILQ_ENTRY(conn_request) link;
    int refs; /* a queue's and a running write's */
    struct buf wire;
    int build_err;
    uint32_t parts_due, parts_have, main_part; /* main_part: index, defaults to the last */
    int main_set;
    uint32_t words_left; /* of the command begun */
    struct reply_tree **parts; /* parts_cap places, parts_have of them set */
    uint32_t parts_cap;
    uint64_t serial;
    int flags;
    int64_t deadline_us;
    conn_reply_fn *done; /* NULL: nobody waits (any more) */
    void *user;
    int abandoned; /* timed out after sending: its answer is thrown away, never sent again */
    int internal;  /* handshake, PING */
    int err;       /* on the failed list */
    int64_t sent_us;
};
TAILQ_HEAD(conn_queue, conn_request);
void conn_request_ref(struct conn_request *r);
void conn_request_unref(struct conn_request **r);
void conn_request_drop_parts(struct conn_request *r);

/* ---- the connection ---- */
enum conn_state { CONN_WAITING, CONN_CONNECTING, CONN_GREETING, CONN_OPEN, CONN_PARKED, CONN_CLOSED };

/* One socket's life: outlives the conn's interest in it until its handle is closed. */
struct conn_link {
    struct conn *conn; /* NULL: detached */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    int resolving;
    struct reply_reader *reader;
    char in[65536];
};

struct conn {
    uv_loop_t *loop;
    struct conn_address addr;
    int subscriber;
    char *script; /* NULL: none */
    char sha[41];
    size_t inflight_bytes_max;
    void (*on_open)(void *user);
    void (*on_lost)(void *user, const char *why);
    void *user;

    enum conn_state state;
    struct conn_link *link;
    char why[200];
    int loading;
    uint32_t attempt;
    int64_t state_since_us, last_rx_us, ping_sent_us;
    int64_t heard_us; /* when the newest request was sent that is answered */
    int64_t down_since_us;  /* 0 while the gate is open */
    int64_t park_pause_us;  /* of the next transient error; 0: none since the last success */
    int park_only_noscript; /* nothing to wait for but the script */
    uint64_t serial;
    struct conn_queue waiting, sent, parked, failed;
    size_t inflight_bytes;
    uint64_t inflight_calls;
    struct conn_stats stats;
    uint64_t random;

    struct map *channels; /* conn_channel.c */

    uv_timer_t tick, retry, later;
    uv_prepare_t flush;
    int handles; /* still to close */
    void (*closed)(void *user);
    void *closed_user;
};

#define CONN_WRITE_BATCH 32
/* Put count whole requests on the wire (a reference is held until written). A libuv error code: the link is broken, or a request
 * is torn and nothing was written: the link is of no use. */
int conn__write(struct conn *c, struct conn_request **batch, uint32_t count);
/* The link is dead: why for people. */
void conn__lost(struct conn *c, const char *why);
/* conn_channel.c: a push arrived; all channels again after a reconnect; free. */
void conn__on_push(struct conn *c, const struct reply *r);
void conn__resubscribe(struct conn *c);
void conn__channels_free(struct conn *c);
/* conn_greet.c: AUTH, SELECT, CLIENT SETNAME, SCRIPT LOAD; then the gate opens. */
void conn__greet(struct conn *c);
/* The gate opens. */
void conn__opened(struct conn *c);
/* Pause, then greet again on the same link (LOADING and the like). */
void conn__pause_greeting(struct conn *c, int64_t pause_us);
/* conn_ssl.c: what Redis calls a script, 40 hex digits. */
void conn__hash_script(const char *script, char out[41]);
/* conn_queue.c */
/* A reply of the link (taken): to its request, or to the channels. */
void conn__on_reply(struct conn *c, struct reply_tree **tree);
/* The link is gone: what may be sent again waits, the rest ends with ERR_UNAVAILABLE. */
void conn__requeue_lost(struct conn *c);
/* Write what waits, if the gate is open. */
void conn__flush_queue(struct conn *c);
/* Deadlines. */
void conn__expire(struct conn *c, int64_t now_us);
/* Everything ends with ERR_CANCELLED, at once. */
void conn__cancel_all(struct conn *c);
/* Put an internal request on the wire at once. */
void conn__send_internal(struct conn *c, struct conn_request **r, conn_reply_fn *done);
void conn__ping(struct conn *c);

#endif

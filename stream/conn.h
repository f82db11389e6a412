/*
 * stream/conn.h -- one connection to Redis that comes back by itself: requests, replies, channels.
 *
 *     queue   [sent][sent][sent] | [waiting][waiting]        one order, kept across reconnects
 *                 ^ oldest unanswered    ^ written when the gate is open
 *
 * A request is one or more commands written together and answered together (EVALSHA, WAIT, MULTI
 * … EXEC). The transport is ours over libuv (nothing is copied on a partial write, unlike hiredis'
 * output buffer); hiredis' reader parses the replies (conn_redis.c is its only door, and its types
 * do not travel).
 *
 * Promises   Every callback comes exactly once, from the loop, never from inside conn_send().
 *            Connection lost: unsent and CONN_IDEMPOTENT requests are sent again in their order, the
 *            others end with ERR_UNAVAILABLE. LOADING, BUSY, MASTERDOWN, TRYAGAIN, CLUSTERDOWN and
 *            NOSCRIPT as the answer of the main command close the gate, the request waits and is sent again
 *            within its deadline (a CONN_ORDERED one ends with ERR_UNAVAILABLE when a later CONN_ORDERED one
 *            was stored meanwhile: order first). The gate opens when Redis has taken the script.
 *            With sentinels (redis+sentinel://) they are asked before each connecting, and the gate opens only to a server that
 *            says that it is a master. READONLY there, or sentinels that name another one: connected to anew.
 * Limits     inflight_bytes_max of requests: over it a request ends with ERR_BUSY. A request
 *            unanswered at its deadline ends with ERR_TIMEOUT when it was sent, else
 *            ERR_UNAVAILABLE; a peer silent for CONN_SILENT_US_MAX
 *            while an answer is due is dropped.
 * Threads    The loop thread.
 */
#ifndef STREAM_CONN_H
#define STREAM_CONN_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define CONN_SILENT_US_MAX 5000000
#define CONN_CONNECT_US_MAX 3000000
#define CONN_PING_US 2000000
/* A sentinel has this long to be connected to and to answer; after it the next one is asked. */
#define CONN_SENTINEL_US_MAX 500000
/* How often they are asked whether the master is still the one. */
#define CONN_SENTINEL_WATCH_US 1000000
/* Away for longer than this: a request ends with ERR_UNAVAILABLE at once instead of waiting. */
#define CONN_PATIENCE_US 5000000
#define CONN_CHANNEL_BYTES_MAX 512

/* ---- replies: a tree, valid during the callback ---- */
enum reply_kind { REPLY_NIL, REPLY_INT, REPLY_STR, REPLY_ARRAY, REPLY_ERROR };
struct reply {
    enum reply_kind kind;
    int err;         /* REPLY_ERROR: the ERR_* it means */
    int64_t num;     /* REPLY_INT */
    const char *str; /* REPLY_STR and REPLY_ERROR: NUL-terminated, binary-safe by len; "" else */
    size_t len;
    const struct reply *items; /* REPLY_ARRAY */
    uint32_t count;
};
/* err 0: reply is the answer (never REPLY_ERROR at the top; of a request with several commands an
 * array with one reply per command, in which items other than the main one may be errors).
 * err < 0: reply is NULL. */
typedef void conn_reply_fn(void *user, int err, const struct reply *reply);
/* Readers that never fail: 0 / "" when it is something else. Decimal strings count as numbers. */
int64_t reply_i64(const struct reply *r);
uint64_t reply_u64(const struct reply *r);
/* items[i], or a shared nil; r NULL, what comes with an error, reads as nil here and below. */
const struct reply *reply_at(const struct reply *r, uint32_t i);
/* The value of field in a flat [field, value, field, value …] array (HGETALL), or a shared nil. */
const struct reply *reply_field(const struct reply *r, const char *field);
/* The value of field in the text of INFO, *ret_len bytes up to the end of its line; "" and 0 when it has none. Borrowed. */
const char *reply_info(const struct reply *r, const char *field, size_t *ret_len);

/* ---- requests ---- */
enum conn_flag {
    CONN_IDEMPOTENT = 1, /* may be sent again when its outcome is unknown */
    CONN_ORDERED = 2,    /* see above */
};
struct conn_request;
/* bytes_hint: expected size on the wire, 0 for small. */
struct conn_request *conn_request_new(size_t bytes_hint);
void conn_request_free(struct conn_request **r);
/* Start the next command of the request with argc words, then add exactly argc words. */
void conn_request_begin(struct conn_request *r, uint32_t argc);
void conn_request_arg(struct conn_request *r, const void *data, size_t len);
void conn_request_str(struct conn_request *r, const char *s);
void conn_request_u64(struct conn_request *r, uint64_t v);
void conn_request_i64(struct conn_request *r, int64_t v);
/* The command begun last is the main one: its errors are the request's. Default: the last command. */
void conn_request_main(struct conn_request *r);
size_t conn_request_bytes(const struct conn_request *r);

struct conn;
/* r is taken and NULLed. deadline_us: clock_mono_us() time, 0: STREAM_CALL_US_MAX from now. done may be NULL
 * (errors are counted only). */
void conn_send(struct conn *c, struct conn_request **r, int flags, int64_t deadline_us,
               conn_reply_fn *done, void *user);
/* One command in one call. len NULL: NUL-terminated words. */
void conn_command(struct conn *c, int flags, conn_reply_fn *done, void *user, uint32_t argc,
                  const char *const *argv, const size_t *len);
/* The same for plain words: conn_words(c, flags, done, user, "ZREM", key, member, NULL). */
void conn_words(struct conn *c, int flags, conn_reply_fn *done, void *user, ...)
    __attribute__((sentinel));

/* ---- channels (on a connection opened with subscriber = 1) ---- */
struct conn_channel_ops {
    void (*message)(void *user, const char *text, size_t len);
    /* Redis has confirmed the subscription: the first time and after every reconnect. Messages sent before
     * may have been missed: look at the truth now. May be NULL. */
    void (*subscribed)(void *user);
};
/* At most one subscriber per channel (CHECKed). ops and user stay valid until conn_unsubscribe(). */
void conn_subscribe(struct conn *c, const char *channel, const struct conn_channel_ops *ops,
                    void *user);
/* No callback of this channel after this. */
void conn_unsubscribe(struct conn *c, const char *channel);

/* ---- life ---- */
struct conn_options {
    uv_loop_t *loop;
    const char *url;    /* stream/conn_address.h */
    int subscriber;     /* 1: only channels, no requests */
    const char *script; /* loaded before the gate opens; NULL: none */
    size_t inflight_bytes_max;
    void (*on_open)(void *user); /* gate open: first time and after reconnects */
    void (*on_lost)(void *user,
                    const char *why); /* was open (or connecting failed): trying again */
    void *user;
};
struct conn_stats {
    uint64_t reconnects, timeouts;
    uint64_t errors_loading, errors_misconf, errors_oom, errors_readonly, errors_noscript,
        errors_busy, errors_other;
    uint64_t inflight_bytes, inflight_calls;
    int open, loading;
};
/* ERR_INVALID (why) for a bad URL. Starts connecting on the next turn of the loop; */
int conn_open(const struct conn_options *opts, char *why, size_t why_size, struct conn **ret_conn);
/* Try now (the embedded server has just come up) instead of at the end of the pause. */
void conn_kick(struct conn *c);
int conn_is_open(const struct conn *c);
/* When the newest request was sent that is answered (clock_mono_us). */
int64_t conn_heard_us(const struct conn *c);
/* Why it is not open, for people. Borrowed. */
const char *conn_why(const struct conn *c);
void conn_stats(const struct conn *c, struct conn_stats *ret);
/* Which history of data the Redis has that was greeted last: its replication id, 40 hex digits. Two of the same id are the same
 * log of changes; a master that was started anew, or a replica that was promoted, has another one. "": it does not say, or none
 * was greeted yet. Known when on_open() is called. Borrowed until the next greeting. */
const char *conn_history(const struct conn *c);
/* All that waits to be sent ends with ERR_UNAVAILABLE, from the loop: what was prepared for one history must not be done to
 * another. From on_open() only, before anything else is sent. */
void conn_refuse_waiting(struct conn *c);
/* The 40 hex digits of the script. */
const char *conn_script_sha(const struct conn *c);
/* Everything pending ends with ERR_CANCELLED, from inside this call; done(user) when the handles are closed. Takes and NULLs. */
void conn_close(struct conn **c, void (*done)(void *user), void *user);

#endif

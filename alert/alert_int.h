/*
 * alert/alert_int.h -- what the files of this room share. Keys and ops: docs/format-redis.md, alert/script.lua.
 */
#ifndef ALERT_ALERT_INT_H
#define ALERT_ALERT_INT_H

#include "alert/alert.h"
#include "stream/conn.h"

#define ALERT_INFLIGHT_BYTES_MAX (32 * 1024 * 1024)
#define ALERT_BELL "jl:{alert}:bell"
#define ALERT_RULES_KEY "jl:{alert}:rules" /* also the key that routes calls of the slot */
#define ALERT_TICK_MS 250

struct store;
struct watch;
struct feed;
struct events;
struct deliver;
struct tally;
struct alert_event;

struct alert {
    uv_loop_t *loop;
    struct stream *stream;
    struct conn *cmd, *bell;
    struct store *store;
    struct watch *watch;
    struct feed *feed;
    struct events *feed_events;
    struct deliver *deliver;
    struct tally *tally;
    char *node, *public_url;
    const struct alert_past_ops *past;
    void *past_user;
    uint32_t
        calls; /* callbacks of the stream and the past that are due: alert_close waits for them */
    uint64_t events, capped; /* published; of them over a rule's limit */
    uv_timer_t tick;
    uint32_t close_parts;
    int closing;
    void (*close_done)(void *user);
    void *close_user;
};

/* Begin "EVALSHA sha 1 <key> <op>" with argc further words to be added. */
void alert__script_begin(struct alert *a, struct conn_request *r, const char *key, const char *op,
                         uint32_t argc);

/* An entry of the feed as a new event; NULL: it is none. */
struct alert_event *alert__event_read(const struct reply *entry);

/* ---- store.c ---- */
/* ERR_INVALID with why: the rules file. */
int store_open(struct alert *a, const char *rules_file, char *why, size_t why_size);
void store_close(struct alert *a);
int store_reload(struct alert *a, char *why, size_t why_size);
/* The bell rang: look whether there is another version. fresh: the connection is new, Redis may have lost some. */
void store_look(struct alert *a, int fresh);
void store_tick(struct alert *a);
struct ruleset *store_ruleset(const struct alert *a);
/* The ruleset is another one now (alert.c). */
void alert__ruleset_changed(struct alert *a);

#endif

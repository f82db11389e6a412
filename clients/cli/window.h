/*
 * clients/cli/window.h -- what of a producer's sequence is sent, taken and safe: pure bookkeeping.
 *
 *     1 ... durable ... accepted ... in flight ... next ... last
 *
 * Only what is durable may be forgotten. `gap` and `busy` rewind next; the messages in flight are then
 * forgotten, for the server ignores them.
 */
#ifndef CLIENTS_CLI_WINDOW_H
#define CLIENTS_CLI_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#define WINDOW_MESSAGES_MAX 1024 /* a larger promise of the server is not used */
#define WINDOW_BUSY_US_MAX 60000000

struct window_message {
    uint64_t last;
    size_t bytes;
    int64_t sent_us;
};

struct window {
    int is_open;
    uint64_t next, accepted, durable;
    uint64_t sent; /* the highest number that ever went out, or was held at a welcome */
    uint32_t messages_max;
    uint64_t bytes_max;
    struct window_message flight[WINDOW_MESSAGES_MAX]; /* a ring */
    uint32_t first, count;
    uint64_t flight_bytes;
    int64_t busy_until_us; /* 0: not busy */
};

void window_init(struct window *w);
/* welcome: the server holds up to last, safely if is_durable. */
void window_open(struct window *w, uint64_t last, int is_durable, uint32_t messages,
                 uint64_t bytes);
/* The connection is gone. */
void window_close(struct window *w);
int window_may_send(const struct window *w, size_t bytes, int64_t now_us);
/* Records or a skip from w->next to last went out. */
void window_sent(struct window *w, uint64_t last, size_t bytes, int64_t now_us);
/* ERR_PROTOCOL: more is acknowledged than was ever sent. After a rewind an answer to what was sent before it
 * may still come: then next moves on. */
int window_ack(struct window *w, uint64_t accepted, uint64_t durable);
int window_gap(struct window *w, uint64_t expected);
void window_busy(struct window *w, int64_t retry_us, int64_t now_us);
/* When the oldest message in flight was sent; 0: none is. */
int64_t window_oldest_us(const struct window *w);

#endif

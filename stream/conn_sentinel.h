/*
 * stream/conn_sentinel.h -- where the master is now: the sentinels' word.
 *
 * A part of the connection (stream/conn_int.h). What makes an answer good, and which sentinel is asked: conn_sentinel.c.
 */
#ifndef STREAM_CONN_SENTINEL_H
#define STREAM_CONN_SENTINEL_H

#include "stream/conn_address.h"

#include <stdint.h>
#include <uv.h>

struct conn;
struct conn_link;
struct conn_sentinels {
    struct conn *conn;
    struct conn_link *link; /* to sentinel `at`; kept for the next question when it has answered */
    uint32_t at, tried;     /* being asked, or answered last; how many were asked in this round */
    int asking;
    uint32_t replies;          /* still due of the question */
    int64_t asked_us;          /* when the round began */
    uint64_t epoch;            /* the highest configuration epoch that was told: a sentinel with less is behind */
    uint64_t told_epoch;       /* of the answer under way */
    uint32_t behind;           /* of this round: how many were, and */
    struct conn_endpoint best; /* the newest of their answers; port 0: none */
    uint64_t best_epoch;
    char why[200]; /* the last sentinel that was of no use */
    uv_timer_t timer;
};

/* Ask the sentinels, unless that is being done: conn__told_master(), or conn__told_nothing(), comes from the loop. */
void conn__ask_sentinels(struct conn *c);
void conn__told_master(struct conn *c, const struct conn_endpoint *at);
void conn__told_nothing(struct conn *c, const char *why);
void conn__sentinels_open(struct conn *c);
/* The timer is left to be closed by the caller. */
void conn__sentinels_close(struct conn *c);

#endif

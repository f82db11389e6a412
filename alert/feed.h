/*
 * alert/feed.h -- states of jobs on their way into the feed.
 *
 * Every creation and every change of a state has left a mark in jl:unfed before it was made (stream/). Whoever sees a
 * mark reads the job's history, publishes it (the feed takes each entry once), has the job considered for evaluation,
 * and takes the mark away if it is still the same. The node that made the change does so at once; every node sweeps.
 * A job that is terminal keeps its mark until it is sealed: then its end is published too.
 */
#ifndef ALERT_FEED_H
#define ALERT_FEED_H

#include "alert/alert_int.h"

#define FEED_SWEEP_US 2000000
#define FEED_MARKS_MAX 256 /* looked at in one sweep */

void feed_open(struct alert *a);
void feed_close(struct alert *a);
void feed_stop(struct alert *a);
int feed_idle(const struct alert *a);
void feed_tick(struct alert *a);
/* This node has changed a state: sweep soon. */
void feed_poke(struct alert *a);

#endif

/*
 * serve/alert_past.h -- what alerts need of a job's log beyond Redis: old records, moments, post-mortems.
 */
#ifndef SERVE_ALERT_PAST_H
#define SERVE_ALERT_PAST_H

#include "alert/alert.h"
#include "serve/ctx.h"

/* Its user is the struct serve_ctx. */
extern const struct alert_past_ops alert_past_ops;

#endif

/*
 * serve/alert_summary.h -- a job's post-mortem in a few words, for the alert on its end.
 *
 *     {"kind":"failed","sentence":"…","rank":3,"cause":"cuda_oom","confidence":"certain","line":"…"}
 *
 * Members as in serve/postmortem.h's JSON (rank, cause and line may be null).
 */
#ifndef SERVE_ALERT_SUMMARY_H
#define SERVE_ALERT_SUMMARY_H

#include "job/id.h"
#include "serve/ctx.h"

struct alert_summary;
/* The summarize and cancel of struct alert_past_ops; user is the struct serve_ctx. */
struct alert_summary *alert_summarize(void *user, const struct job_key *key,
                                      void (*done)(void *user, int err, const char *json),
                                      void *done_user);
void alert_summary_cancel(struct alert_summary **s);

#endif

/*
 * serve/retention.h -- old jobs removed: by age, and by bytes of a project.
 *
 *     --retention default=30d  --retention research=90d/500GiB  --retention '*=1y/2TiB'
 *
 * A round looks at every job, page by page, and removes (serve/purge.h), one after the other, those that were sealed longer
 * ago than their project's age, then the longest sealed ones of a project that holds more bytes (of messages) than its rule.
 *
 * Promises   Only jobs that are sealed and archived to their last record: never a live one, never one whose archive was not
 *            verified. A project without a rule, and none for *, keeps everything. A wall clock that is set ahead while joblogd
 *            runs removes nothing for an hour, in which it may be set right.
 * Not here   DELETE /v1/jobs/J (serve/api_jobs.c), quotas that refuse (serve/quotas.h).
 * Threads    The loop thread.
 * Limits     Memory: 300 bytes a job during a round.
 */
#ifndef SERVE_RETENTION_H
#define SERVE_RETENTION_H

#include "job/id.h"
#include "serve/ctx.h"

#include <stddef.h>

#define RETENTION_EVERY_US 10000000 /* between rounds; less with ages under 40 s, more when a round takes long */
#define RETENTION_JUMP_US INT64_C(3600000000) /* nothing goes by age so long after a jump ahead */

struct retention_rule {
    char project[ID_BYTES_MAX + 1]; /* or "*" */
    int64_t age_us;  /* 0: any */
    int64_t bytes;   /* 0: any */
};
/* "PROJECT=AGE", "PROJECT=BYTES" or "PROJECT=AGE/BYTES": ages with s, m, h, d, w or y, bytes with KiB, MiB, GiB, TiB.
 * ERR_INVALID. */
int retention_parse(const char *text, struct retention_rule *ret_rule);

struct retention_stats {
    uint64_t rounds, jobs, bytes, errors;
};

struct retention;
/* rules: NULL-terminated texts that retention_parse() takes, or NULL. Without any nothing is done. */
void retention_open(struct serve_ctx *ctx, char *const *rules, struct retention **ret_retention);
/* Begin nothing new. */
void retention_stop(struct retention *r);
int retention_idle(const struct retention *r);
/* Detach and free, also while something is under way. The loop must run once more. Takes and NULLs; NULL is fine. */
void retention_close(struct retention **r);
void retention_stats(const struct retention *r, struct retention_stats *ret);

#endif

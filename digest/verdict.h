/*
 * digest/verdict.h -- what became of a job and why: which rank failed first, with what, how sure.
 *
 *     digest (what the log says) + job_info (states, exits) + now  ->  verdict
 *
 * How it is reached (docs/postmortem.md tells it with examples):
 *  1. Every error and every end of a process is a sign of its rank, with a cause (digest/cause.h). Errors that
 *     the rank survived, because it made steps or lines afterwards or ended in order, are none.
 *  2. Times are put on one clock: the producer's time plus the smallest difference it ever had to the time
 *     received. What may be wrong about two of them is the clock error.
 *  3. The earliest sign that is a reason of its own (PRIMARY, GENERIC) is the cause; what peers say when one of
 *     them has gone (CASCADE) is a consequence. Two reasons on different ranks closer than the clock error:
 *     the verdict is cannot_tell, not the luckier one. The same error on every rank has no first rank.
 *  4. While the job runs, ranks that broke their habit of talking are weighed instead: is it hung?
 *
 * Promises   Pure: equal inputs, equal verdict. Never a rank without a sign of that rank or a launcher's word.
 * Memory     verdict_release() frees everything; names in it are borrowed from the digest and the info.
 * Limits     VERDICT_* below; what does not fit is counted.
 * Threads    Any.
 */
#ifndef DIGEST_VERDICT_H
#define DIGEST_VERDICT_H

#include "digest/cause.h"
#include "digest/verdict_names.h"
#include "job/info.h"

#define VERDICT_SENTENCE_BYTES 768
#define VERDICT_TEXT_BYTES 240
#define VERDICT_EVIDENCE_MAX 8
#define VERDICT_EVENTS_MAX 200
#define VERDICT_RANKS_MAX 4096 /* rows of the table; the first so many, and the culprit */

struct verdict_evidence {
    uint64_t seq; /* 0: no line of the log, but the job's bookkeeping */
    char why[VERDICT_TEXT_BYTES];
};

struct verdict_cause {
    enum cause cause;
    enum verdict_role role;
    uint64_t count;
    struct buf ranks; /* "0-2,4"; "" when none is named */
    struct digest_at first;
    int64_t at_us; /* of first, on the one clock */
    int32_t rank;
    const char *line; /* a group's title */
};

struct verdict_event {
    int64_t at_us; /* on the one clock */
    uint64_t seq;  /* 0: none */
    enum verdict_event_what what;
    int32_t rank;
    char text[VERDICT_TEXT_BYTES];
};

struct verdict_rank {
    int32_t rank;                    /* RECORD_RANK_NONE: lines without one */
    const char *replica;             /* "" */
    const struct digest_rank *entry; /* NULL: no line of it is there */
    enum verdict_status status;
    uint64_t errors;
    int64_t last_us;       /* of its last line, on the one clock; 0: none */
    int64_t age_at_end_us; /* from its last line to the end, or to now; -1: no line */
    int64_t silent_us;     /* of a job that is live: since its last line; -1: not live or no line */
    int64_t step, step_lag; /* -1: not known; lag: behind the farthest rank */
    int64_t skew_us;        /* its clock is ahead of the others' by this */
    int has_exit_code, exit_code, signal;
    int64_t exit_us; /* 0: not known */
};

struct verdict_hung {
    enum verdict_hung_kind kind;
    struct buf ranks; /* "0-2,4" */
    int64_t since_us, silent_us;
};

struct verdict {
    enum verdict_kind kind;
    int is_live;
    char sentence[VERDICT_SENTENCE_BYTES];
    int32_t rank; /* RECORD_RANK_NONE: none is to be named */
    const char *replica;
    enum cause cause;
    enum verdict_confidence confidence;
    int has_margin, has_clock_error;
    int64_t margin_us, clock_error_us;
    struct verdict_evidence evidence[VERDICT_EVIDENCE_MAX];
    uint32_t evidence_count;
    struct verdict_cause *causes;
    uint32_t cause_count;
    struct verdict_event *events; /* by time */
    uint32_t event_count;
    uint64_t events_omitted;
    struct verdict_rank *ranks;
    uint32_t rank_count;
    uint64_t ranks_omitted;
    enum verdict_role *group_roles;   /* of digest->groups */
    const struct digest_group *group; /* the culprit's error; NULL: there is none */
    struct verdict_hung hung;
};

/* d is settled. info with ranks and producers. now_us: the wall clock (of a job that is over it matters nothing). */
void verdict_make(struct verdict *v, const struct digest *d, const struct job_info *info,
                  int64_t now_us);
void verdict_release(struct verdict *v);
/* A time of the log on the one clock: when the line was written, in the server's time. */
int64_t verdict_when(const struct digest *d, int32_t rank, uint32_t replica,
                     const struct digest_at *at);

#endif

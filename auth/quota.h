/*
 * auth/quota.h -- how much a token may do, counted by each node for itself.
 *
 *     lines_per_second, bytes_per_second   buckets: filled at that rate up to QUOTA_BURST_S seconds' worth. A batch is
 *                     taken whole while the bucket holds anything, and may leave it in debt; until the debt is
 *                     paid back nothing more is taken. So on average the rate holds, whatever the size of batches.
 *     live_jobs       jobs of the token's project that are not over, asked of Redis when one is to be made
 *     tailers         followers open at the same time
 *     stored_bytes    bytes of messages of all jobs of the project, looked up every QUOTA_STORED_US (QUOTA_RETRY_S
 *                     when full), with what this node took since
 *
 * Nothing is counted for tokens without that quota. Nodes do not share buckets: a token that sends to two nodes
 * may send twice as fast.
 */
#ifndef AUTH_QUOTA_H
#define AUTH_QUOTA_H

#include "base/buf.h"
#include "base/json.h"
#include "base/json_tree.h"

#include <stdint.h>

#define QUOTA_BURST_S 2
#define QUOTA_VALUE_MAX ((INT64_C(1) << 53) - 1)
#define QUOTA_STORED_US INT64_C(30000000)
#define QUOTA_RETRY_S 5         /* of those that time alone does not heal */
#define QUOTA_RETRY_S_MAX 3600

/* X(NAME, word, what it is, for people) */
#define QUOTA_TABLE(X)                                                                             \
    X(LINES, lines_per_second, "lines per second")                                                 \
    X(BYTES, bytes_per_second, "bytes of messages per second")                                     \
    X(JOBS, live_jobs, "jobs of this project that are not over")                                   \
    X(TAILERS, tailers, "open tails")                                                              \
    X(STORED, stored_bytes, "bytes stored in this project")
enum quota {
#define X(name, word, text) QUOTA_##name,
    QUOTA_TABLE(X)
#undef X
        QUOTA_COUNT
};

/* What a token may; 0: no limit. */
struct quotas {
    uint64_t max[QUOTA_COUNT];
};

struct bucket {
    double level;  /* may be below 0 */
    int64_t at_us; /* when it was looked at; 0: never, it is full */
};

/* What it has used of it on this node. Zeroed at the start. */
struct quota_use {
    struct bucket lines, bytes;
    unsigned tailers;
    uint64_t stored;        /* as last looked up */
    uint64_t stored_since;  /* taken since then, or since looking began */
    int64_t stored_us;      /* when that was; 0: never */
    int is_stored_asked;    /* it is being looked up */
    int is_stored_wanted;   /* something was taken since */
};

const char *quota_word(enum quota q);
int quotas_any(const struct quotas *q);
/* An object {"lines_per_second":…}: whole numbers from 1 to QUOTA_VALUE_MAX. ERR_INVALID: *ret_bad (may be NULL) is
 * the member, borrowed. */
int quotas_read(struct quotas *q, const struct json_tree *object, const char **ret_bad);
void quotas_write(struct json *j, const struct quotas *q);

/* May something be taken in? 0, or microseconds to wait, and *ret_which. */
int64_t quota_wait(const struct quotas *q, struct quota_use *u, int64_t mono_us, enum quota *ret_which);
/* So much was. */
void quota_charge(const struct quotas *q, struct quota_use *u, uint64_t lines, uint64_t bytes, int64_t mono_us);
/* The same in whole seconds, at least 1. */
unsigned quota_seconds(int64_t wait_us);
/* The answer to who has used it up: {"code":"quota","message":…,"quota":…,"limit":…}. Seconds for Retry-After. */
unsigned quota_answer(const struct quotas *q, enum quota which, int64_t wait_us, struct buf *out);

#endif

/*
 * serve/pump_int.h -- the pump and one job's run through it, shared by pump.c and pump_job.c.
 */
#ifndef SERVE_PUMP_INT_H
#define SERVE_PUMP_INT_H

#include "base/log.h"
#include "base/map.h"
#include "serve/pump.h"

#include <limits.h>

#define PUMP_HOT_MAX 4096
#define PUMP_LOOK_US 1000000          /* a job that was not due is looked at again after this */
#define PUMP_CLOCK_SLACK_US 60000000  /* a job that is waiting since later than this was dated before the clock was set back */
#define PUMP_BUSY_US 5000000          /* one that another node archives */
#define PUMP_RENEW_US 10000000        /* the lease lasts 30 s */
#define PUMP_RUN_SEGMENTS 8           /* of segment_bytes each, that one run makes one segment of */
#define PUMP_FRAMES 16                /* read at a time */
#define PUMP_KNOWN_US 120000000       /* what is remembered of a job is forgotten after this */
#define PUMP_RECORD_BYTES_DEFAULT 160 /* while nothing is known of the size of records */
#define PUMP_RECORD_BYTES_AROUND 80   /* of a record besides msg */
#define PUMP_LOG_US 30000000
#define PUMP_SEGMENT_BYTES_DEFAULT (8ULL << 20)
#define PUMP_AGE_US_DEFAULT 300000000
#define PUMP_HOT_BYTES_DEFAULT (4ULL << 20)

/* What is remembered of a job between looks. */
struct pump_known {
    int64_t next_us; /* clock_mono: no look before */
    int64_t seen_us;
    uint64_t token; /* of the lease last had; 0: none */
    int is_active;
};

struct pump_job;

struct pump {
    struct pump_options o;
    uv_timer_t timer;
    struct map *known; /* key text -> struct pump_known */
    unsigned active;   /* jobs running */
    unsigned looking;  /* jobs being looked at */
    unsigned pending;  /* calls and steps under way: the pump outlives pump_close() for them */
    int asked_hot;
    int stopping, closed, timer_closed;
    int64_t backoff_us, backoff_until_us;
    struct log_every quiet;
    struct pump_stats stats;
};

void pump__begin(struct pump *p);
/* The end of a call or step; frees a closed pump with the last. */
void pump__done(struct pump *p);
struct pump_known *pump__known(struct pump *p, const struct job_key *key);
/* A job's run went wrong (or right: err 0). */
void pump__note(struct pump *p, const struct job_key *key, const char *step, int err);
/* Bytes of NDJSON that count records of the job are likely to have. */
uint64_t pump__bytes(const struct job_info *info, uint64_t records);

/* Archive what info shows. */
void pump__run(struct pump *p, const struct job_info *info);

#endif

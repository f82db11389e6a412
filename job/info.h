/*
 * job/info.h -- what is known of a job: the answer of GET /v1/jobs/J before it is printed.
 */
#ifndef JOB_INFO_H
#define JOB_INFO_H

#include "job/id.h"
#include "job/level.h"
#include "job/state.h"

#include <stddef.h>
#include <stdint.h>

#define JOB_LABELS_MAX 64
#define JOB_LABEL_KEY_BYTES_MAX 63
#define JOB_LABEL_VALUE_BYTES_MAX 255
#define JOB_NAME_BYTES_MAX 255
#define JOB_RANKS_MAX 65536
#define JOB_PRODUCERS_MAX 65536
#define JOB_HISTORY_MAX 16 /* a job walks at most STATE_COUNT states */

struct job_history {
    enum job_state state;
    int64_t at_us;
    uint64_t seq;
    int has_exit_code;
    int64_t exit_code;
    int32_t rank;
    char *message; /* may be NULL */
};

struct job_rank {
    int32_t rank;
    uint64_t lines;
    uint64_t last_seq;
    int64_t last_ts_us;   /* of its last line */
    int64_t last_recv_us; /* when that came in */
};

struct job_producer {
    char id[ID_BYTES_MAX + 1];
    uint64_t epoch;
    uint64_t last; /* last sequence held */
    int32_t rank;
    int has_fin;
    uint64_t fin;
    int64_t fin_us; /* when it said so; 0: not known */
    int has_exit_code; /* how its process ended, when it told */
    int32_t exit_code;
    int32_t signal; /* 0: none */
};

/* Every pointer is owned; job_info_free frees all. */
struct job_info {
    struct job_key key;
    char *name;             /* may be NULL */
    char *labels_json;      /* object text, "{}" at least */
    char *extra_json;       /* creation fields the service does not own (instance_type, priority, …): object */
    uint32_t ranks_declared; /* 0: not declared */
    enum job_state state;
    int64_t created_us, updated_us, started_us /* first RUNNING */, ended_us /* terminal */;
    int has_exit_code;
    int64_t exit_code;
    char *error_message; /* of a failed state; may be NULL */
    uint64_t epoch;
    uint64_t seq; /* last record */
    uint64_t lines, bytes, batches, duplicates, gaps, refused_sealed;
    uint64_t level_count[LEVEL_COUNT];
    uint64_t archived_upto;
    uint64_t first_in_stream; /* first seq Redis still holds; seq + 1 when none */
    int64_t recv_next_us;     /* earliest receive time of the next record; 0: not known */
    int producers_unknown;    /* rebuilt from records alone: who sent them is not known */
    int sealed;
    uint64_t sealed_seq;
    int64_t sealed_us;
    int complete;       /* valid when sealed */
    char *missing_json; /* array text; "[]" */
    int64_t drain_until_us; /* terminal but not sealed: when the drain time is over */
    struct job_history history[JOB_HISTORY_MAX];
    uint32_t history_count;
    struct job_rank *ranks; /* by rank ascending; only when asked for */
    uint32_t rank_count;
    struct job_producer *producers;
    uint32_t producer_count;
};

struct job_info *job_info_new(void);
/* All of it again. */
struct job_info *job_info_copy(const struct job_info *info);
void job_info_free(struct job_info **info);
/* "project/job" is not live any more and nothing will follow. */
static inline int job_info_ended(const struct job_info *i) { return i->sealed; }

#endif

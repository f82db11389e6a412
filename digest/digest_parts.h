/*
 * digest/digest_parts.h -- how much a digest keeps of each thing, and the small things among them.
 */
#ifndef DIGEST_DIGEST_PARTS_H
#define DIGEST_DIGEST_PARTS_H

#include "job/level.h"
#include "job/state.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_GROUPS_MAX 256
#define DIGEST_GROUPS_EARLY 96         /* the first so many distinct ones are never let go; nor are those with a cause */
#define DIGEST_CAUSE_GROUPS_MAX 12     /* groups of one cause that are kept for it */
#define DIGEST_TEXT_BYTES_MAX 16384    /* of a group's first block */
#define DIGEST_TEXTS_BYTES_MAX (1 << 20) /* of all of them; over it new ones are cut to … */
#define DIGEST_TEXT_BYTES_MIN 1024
#define DIGEST_TITLE_BYTES_MAX 400
#define DIGEST_GROUP_RANKS_MAX 128     /* ranks of a group with their first occurrence; the rest as bits */
#define DIGEST_RANKS_MAX (65536 + 1024)
#define DIGEST_DETAILS_MAX 1024        /* ranks with struct digest_detail */
#define DIGEST_REPLICAS_MAX 4096
#define DIGEST_LINE_BYTES_MAX 512
#define DIGEST_STATES_MAX 64
#define DIGEST_GAPS_MAX 64
#define DIGEST_REPORTS_MAX 256
#define DIGEST_SERIES_MAX 512          /* name and rank */
#define DIGEST_POINTS_MAX 256
#define DIGEST_NAME_BYTES_MAX 63       /* of a metric; host of a report */
#define DIGEST_OPEN_MAX 2048           /* blocks being read at a time; over it the oldest is taken as ended */
#define DIGEST_OPEN_BYTES_MAX (4 << 20) /* of their text; over it their text is cut */
#define DIGEST_FRAMES_MAX 64           /* of a stack tell errors apart */
#define DIGEST_SECTIONS_MAX 512
#define DIGEST_SECTION_BYTES_MAX 127
#define DIGEST_BUCKETS_MAX 2048
#define DIGEST_CELLS_MAX 256           /* buckets of one rank's activity */
#define DIGEST_BUCKET_US_MIN 100000    /* doubled until everything fits */

/* A record: seq 0 is none. recv_us 0: not known. */
struct digest_at {
    uint64_t seq;
    int64_t ts_us, recv_us;
};

/* A line as its readers see it. */
struct digest_line {
    const char *text; /* without colours and launcher prefix; not NUL-terminated */
    size_t len;
    enum level level;
    int32_t rank;     /* RECORD_RANK_NONE: not said */
    int is_block;     /* inside or at the start of a multi-line block */
};

struct digest_state {
    struct digest_at at;
    enum job_state state;
    int32_t rank;
    int has_exit_code;
    int64_t exit_code;
    char *message; /* cut to DIGEST_LINE_BYTES_MAX; "" */
};

struct digest_gap {
    struct digest_at at; /* seq: of the gap record; of records that are lost: the first of them, times 0 */
    uint64_t from, to;   /* the producer's sequence numbers; of lost records: seqs */
    int32_t rank;
    int is_lost;         /* records of the log that nobody has any more */
    char *reason;        /* what the gap record says; "" */
};

enum digest_launcher {
    DIGEST_TORCHRUN,       /* its closing report: ranks are global */
    DIGEST_TORCHRUN_AGENT, /* "failed (exitcode: …) local_rank: …", DeepSpeed's: no global rank */
    DIGEST_SRUN,           /* ranks are Slurm tasks: nodes, where torchrun runs below srun */
    DIGEST_MPIRUN,
};

/* One worker's end, as a launcher told it (digest/report.h). */
struct digest_report {
    enum digest_launcher launcher;
    struct digest_at at;  /* the line with its exit code */
    int32_t from_rank;    /* of the lines of the report, as the record says */
    uint32_t from_replica;
    int32_t rank;         /* global; RECORD_RANK_NONE: not said */
    int32_t local_rank;   /* -1: not said */
    int is_root;          /* "Root Cause (first observed failure)" */
    int has_exit_code, exit_code, signal; /* signal: also out of a negative exit code */
    int64_t pid;          /* 0: not said */
    int64_t failed_us;    /* "time": local time of that host, read as UTC; 0: not said */
    char host[DIGEST_NAME_BYTES_MAX + 1];
    char *title;          /* "train.py FAILED", or the line itself */
};

struct digest_section {
    char name[DIGEST_SECTION_BYTES_MAX + 1];
    uint32_t key; /* GitLab's name, hashed; 0: ended by the next end, 1: by the next of its kind (Buildkite) */
    int32_t rank;
    uint32_t replica;
    struct digest_at from, to; /* to.seq 0: still open */
};

#endif

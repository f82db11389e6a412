/*
 * digest/digest_group.h -- all occurrences of one error, as one entry.
 */
#ifndef DIGEST_DIGEST_GROUP_H
#define DIGEST_DIGEST_GROUP_H

#include "digest/digest_parts.h"

/* X(name, printed) */
#define DIGEST_KIND_TABLE(X)                                                                       \
    X(LINE, "line") X(PYTHON, "python") X(CPP, "cpp") X(CUDA, "cuda") X(NCCL, "nccl") X(GO, "go")  \
    X(RUST, "rust")
enum digest_kind {
#define X(name, printed) DIGEST_KIND_##name,
    DIGEST_KIND_TABLE(X)
#undef X
    DIGEST_KIND_COUNT
};

struct digest_group_rank {
    int32_t rank; /* RECORD_RANK_NONE too: then replica tells where from */
    uint32_t replica;
    uint64_t count;
    struct digest_at first;
};

/* A multi-line block, a line of level error or fatal, or a line with a known cause: all that look alike. */
struct digest_group {
    uint64_t fingerprint;
    enum digest_kind kind;
    enum level level;
    uint32_t cause;       /* of the classifier; 0: none */
    int is_block;         /* more than one line */
    char *title;          /* "ValueError: bad shape": the line that names it */
    char *text;           /* the first one, whole but cut to text_bytes */
    size_t text_bytes, whole_bytes;
    uint64_t count;
    struct digest_at first, last; /* of their first lines */
    uint64_t first_end_seq;       /* last line of the first one; other ranks' lines may lie between */
    int32_t first_rank, last_rank;
    uint32_t first_replica, last_replica;
    struct digest_group_rank *ranks; /* in order of first occurrence */
    uint32_t rank_listed;            /* in ranks */
    uint32_t rank_count;             /* in all */
    uint8_t *rank_bits;              /* bit r: rank r, also those listed */
    uint32_t rank_bits_bytes;
};

#endif

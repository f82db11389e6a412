/*
 * digest/digest.h -- what a job's log says: read record by record, once, and kept bounded.
 *
 *     records 1, 2, 3 … --digest_add_frame()--> groups, ranks, series, sections, time, states
 *
 * Promises   A pure function of the numbered records and their times received: digest(1..n) is the same
 *            whoever computes it and however the run is cut. No limit below makes it fail: what does not fit is counted.
 * Reading    Everything below is yours to read, nothing to write. Before it is read, digest_settle() ends the
 *            blocks that are still open; after that nothing may be added.
 * Not here   Causes and verdicts (digest/cause.h, digest/verdict.h), who feeds it (serve/digests.h).
 * Times      `at`: a place of the log. Its ts is the producer's clock, its recv ours.
 * Threads    One owner at a time, any thread.
 */
#ifndef DIGEST_DIGEST_H
#define DIGEST_DIGEST_H

#include "digest/digest_group.h"
#include "digest/digest_parts.h"
#include "digest/digest_rank.h"
#include "digest/digest_time.h"
#include "job/frame.h"
#include "job/record.h"

struct digest_inner;

struct digest {
    uint64_t upto;          /* the last record read; 0: none. Next comes upto + 1 */
    uint64_t lines, bytes;  /* lines (not state changes, not gap records) and bytes of their msg, escaped */
    uint64_t levels[LEVEL_COUNT];
    struct digest_at first, last;

    struct digest_group *groups; /* by first.seq once settled */
    uint32_t group_count;
    uint64_t groups_omitted;     /* groups that were let go, or had no room */

    struct digest_rank *ranks;   /* once settled: lines without a rank first, then by rank */
    uint32_t rank_count;
    uint64_t ranks_omitted_lines; /* lines of ranks and replicas beyond DIGEST_RANKS_MAX */
    char **replicas;             /* names; [0] is "" */
    uint32_t replica_count;

    struct digest_state *states;
    uint32_t state_count;
    struct digest_gap *gaps;     /* the first DIGEST_GAPS_MAX */
    uint32_t gap_count;
    uint64_t gaps_omitted;
    struct digest_report *reports; /* what launchers said of their workers' ends */
    uint32_t report_count;
    uint64_t reports_omitted;

    struct digest_series *series;
    uint32_t series_count;
    uint64_t series_omitted;     /* values of series that had no room */
    struct digest_section *sections;
    uint32_t section_count;
    uint64_t sections_omitted;

    struct digest_time time;
    struct digest_inner *in;
};

/* cause: asked for a line (of level error or not) and for a block when it ends; NULL: nothing is asked. Must be
 * pure. version goes into files: another version makes them anew. */
struct digest_classifier {
    uint32_t version;
    /* The number of a known cause, 0: none. A line with a cause is kept as a group though its level is none. */
    uint32_t (*line)(const struct digest_line *line);
    /* text: the whole block, cut to DIGEST_TEXT_BYTES_MAX; title: the line that names the error. */
    uint32_t (*block)(enum digest_kind kind, const char *title, const char *text, size_t len);
};

/* c is borrowed for the digest's life; NULL is fine. */
int digest_new(const struct digest_classifier *c, struct digest **ret_digest);
void digest_free(struct digest **d);
/* Read the records of f after d->upto; those up to it are passed over. A lost frame is a gap; one from the archive
 * should come with its times (archive_walk_with_times). ERR_ORDER: f starts after upto + 1 (digest_lost() first).
 * ERR_CORRUPT: no canonical line; what came before it is in. ERR_NOMEM. */
int digest_add_frame(struct digest *d, const struct frame *f);
/* One canonical line, numbered d->upto + 1. recv_us 0: not known. As above. */
int digest_add_line(struct digest *d, const char *line, size_t len, int64_t recv_us);
/* Records from..to are nowhere any more (from > upto): a gap without a time. Blocks end there. */
int digest_lost(struct digest *d, uint64_t from, uint64_t to);
/* End open blocks, sort groups by first.seq and ranks by rank. Idempotent. */
int digest_settle(struct digest *d);

/* The entry of a rank (RECORD_RANK_NONE: replica tells which), NULL when there is none. */
const struct digest_rank *digest_rank_of(const struct digest *d, int32_t rank, uint32_t replica);
/* Did this group occur on that rank? */
int digest_group_has_rank(const struct digest_group *g, int32_t rank);
/* "0-2,4-63" (and "none" for lines without rank) of all ranks of the group. */
int digest_group_ranks(const struct digest_group *g, struct buf *out);
/* "python", "cpp", "cuda", "nccl", "go", "rust", "line". */
const char *digest_kind_name(enum digest_kind k);
/* Bytes of memory held, roughly. */
size_t digest_bytes(const struct digest *d);

#endif

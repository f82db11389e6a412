/*
 * ingest/marks.h -- what is read of lines on their way in: the rank in a launcher's prefix, blocks of several lines.
 *
 *     "[rank3]: Traceback (most recent call last):"    rank 3, level error
 *     "[rank3]:   File \"a.py\", line 3, in f"         rank 3, level error, fields.block 2
 *     "[default3]:loss 2.3"                            fields.local_rank 3: that is no rank of the job, unless the
 *                                                      agent said that the job has one node
 *
 * The readers are those of digest/ (digest/prefix.h, digest/block.h); here is what they must remember between
 * lines: for each source (rank, replica, stream, prefix) the block that is open, and whether srun labels the lines.
 * Best effort: what it remembers is lost with the process, and a digest does not depend on it.
 * A line that brings a level of its own is the record of a logger: it begins no block and keeps its level; a rank
 * that the sender gave stands. An agent's own rank does, too, until its lines show that it carries many (torchrun below
 * `srun joblog run`): PyTorch's or mpirun's prefixes of two ranks, or of one that the agents' count does not reach, or a
 * local rank over 0. From then on its lines have the rank of their prefix, or none: the agent's is a node's number.
 * Memory     MARKS_SOURCES_MAX open blocks, the one unused longest goes; about 2 KiB.
 * Threads    One owner at a time, any thread.
 */
#ifndef INGEST_MARKS_H
#define INGEST_MARKS_H

#include "ingest/line.h"
#include "job/redact.h"

#define MARKS_SOURCES_MAX 40
#define MARKS_LOOK_BYTES 1024 /* of a message are read */
#define MARKS_FLOWS_MAX 16    /* sources in whose lines there was a private key; the one unused longest goes */

struct marks;
struct marks *marks_new(void);
void marks_free(struct marks **m);
/* Forget everything. */
void marks_reset(struct marks *m);

/* Of the agent whose lines follow: how many ranks it says there are (0: it does not), and whether the job has one node. */
void marks_sender(struct marks *m, uint32_t ranks, int is_one_node);

/* 0: marks_line() would do nothing, as the first byte shows. text may still have its JSON escapes. */
int marks_want(const struct marks *m, const struct line *line, int level_given, const char *text, size_t len);
/* Read the line whose message is text (no JSON escapes, at least MARKS_LOOK_BYTES of it; colours are fine): sets rank and
 * level where they are not given, appends members to extra (with a comma when it is not empty). level: as read from the
 * text. ERR_NOMEM. */
int marks_line(struct marks *m, struct line *line, int level_given, const char *text, size_t len, struct buf *extra);

/* Private keys over lines (job/redact.h): the flow of line's source, good until the next call, and afterwards
 * marks_flow_keep() with the same line. */
struct redact_flow *marks_flow(struct marks *m, const struct line *line);
void marks_flow_keep(struct marks *m, const struct line *line, const struct redact_flow *f);
/* Lines were not stored and may come again: forget everything, but look for the rest of every key there was. */
void marks_reopen(struct marks *m);
/* Was there a key? */
int marks_has_flows(const struct marks *m);

/* ---- between requests: a producer's marks wait here for its next one ---- */
#define MARKS_POOL_MAX 512 /* the ones unused longest go */

struct marks_pool;
struct marks_pool *marks_pool_new(void);
void marks_pool_free(struct marks_pool **p);
/* Those of key, or fresh ones while another request has them. They are yours. NULL: no memory. */
struct marks *marks_pool_take(struct marks_pool *p, const char *key, size_t key_len);
/* Takes and NULLs; NULL is fine. */
void marks_pool_give(struct marks_pool *p, const char *key, size_t key_len, struct marks **m);

#endif

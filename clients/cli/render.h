/*
 * clients/cli/render.h -- records as people and programs want to see them.
 *
 *     text   [timestamp] [rank 3 | ]message       a terminal: made safe, coloured by rank and level
 *     json   the canonical record, one a line
 *
 * The live row: on a terminal the newest redraw of a progress bar stands below the last line and is
 * taken away before the next thing is written.
 */
#ifndef CLIENTS_CLI_RENDER_H
#define CLIENTS_CLI_RENDER_H

#include "clients/cli/term.h"
#include "job/record.h"

#define RENDER_FLUSH_BYTES (64 * 1024)

struct render {
    struct term term;
    int json, timestamps, no_prefix;
    int many_ranks; /* lines carry their rank */
    int rank_seen;  /* a rank was seen: first_rank */
    int32_t first_rank;
    int width;     /* digits of the largest rank */
    int row_shown; /* the live row is on the terminal */
    int part_open; /* the last line ended in the middle of a split line */
    struct buf out, scratch;
};

/* color: "auto", "always" or "never". Output goes to stdout. */
void render_init(struct render *r, const char *color, int json, int timestamps, int no_prefix);
void render_release(struct render *r);
/* The job has so many ranks (0: unknown). */
void render_ranks(struct render *r, int64_t ranks);
/* One canonical line. ERR_CORRUPT: it is none; ERR_* of render_flush. */
int render_line(struct render *r, const char *line, size_t len);
/* Show text as the live row. */
int render_progress(struct render *r, int32_t rank, const char *text, size_t len);
/* Take the live row away, so that others may write to the terminal. */
int render_clear_row(struct render *r);
/* Write what is gathered. ERR_CLOSED, ERR_CANCELLED, ERR_IO. */
int render_flush(struct render *r);

#endif

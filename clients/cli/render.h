/*
 * clients/cli/render.h -- records as people and programs want to see them, on stdout.
 *
 *     text       [time] [rank 3 | ]message      a terminal: made safe, coloured by rank and level, found words lit
 *     raw        message                        as the job wrote it (made safe on a terminal, too)
 *     template   a line of the reader's making
 *     json       the canonical record, one a line
 *
 * On a terminal the rows of the board (clients/cli/board.h) stand below the last line.
 */
#ifndef CLIENTS_CLI_RENDER_H
#define CLIENTS_CLI_RENDER_H

#include "clients/cli/board.h"
#include "clients/cli/fold.h"
#include "clients/cli/match.h"
#include "clients/cli/stamp.h"
#include "clients/cli/template.h"
#include "clients/cli/term.h"
#include "job/record.h"

#define RENDER_FLUSH_BYTES (64 * 1024)

enum render_form { RENDER_TEXT, RENDER_RAW, RENDER_TEMPLATE, RENDER_JSON };

struct render_options {
    enum render_form form;
    const char *color;      /* "auto", "always" or "never" */
    const char *timestamps; /* STAMP_CHOICES, NULL: none */
    int no_prefix;
    const struct match *match;       /* lit in text; NULL: none */
    const struct template *template; /* of TEMPLATE */
    const char *job;
    int has_board; /* rows at the foot of a terminal */
    int fold;      /* of TEXT: lines that are the same are one */
    int is_live;   /* fold: a line waits FOLD_HOLD_US at most */
};

struct render {
    struct render_options o;
    struct term term;
    struct stamp stamp;
    struct board board;
    struct fold *fold; /* NULL: not wanted */
    int many_ranks; /* lines carry their rank */
    int rank_seen;  /* a rank was seen: first_rank */
    int32_t first_rank;
    int width;     /* digits of the largest rank */
    int part_open; /* the last line ended in the middle of a split line */
    int board_moved; /* what is on the screen is not what the board holds */
    struct buf out, scratch, frame;
};

/* o's pointers are borrowed for as long as r lives. */
void render_init(struct render *r, const struct render_options *o);
void render_release(struct render *r);
/* The job has so many ranks (0: unknown). */
void render_ranks(struct render *r, int64_t ranks);
/* When the job began, for times that count from there. */
void render_start(struct render *r, int64_t start_us);
/* One canonical line. ERR_CORRUPT: it is none; ERR_* of render_flush. */
int render_line(struct render *r, const char *line, size_t len);
/* The same for a record that was read already. */
int render_record(struct render *r, const struct record_view *v, const char *line, size_t len);
/* A line of JSON that is no record, as the server said it; on a terminal only what is text of it. */
int render_json(struct render *r, const char *line, size_t len);
/* "--" between lines that do not follow one another. */
int render_separator(struct render *r);
/* An empty line that is not the job's. */
void render_blank(struct render *r);
/* The newest redraw of a rank's progress bar. */
void render_progress(struct render *r, int32_t rank, const char *text, size_t len);
/* The line of status. */
void render_status(struct render *r, const char *text);
/* Write what is gathered (of what folds, what has waited long enough), the board below it. ERR_CLOSED,
 * ERR_CANCELLED, ERR_IO. */
int render_flush(struct render *r);
/* Everything that waits, and an end for a line that has none; then as render_hide. */
int render_finish(struct render *r);
/* Write what is gathered, also what waits to be folded, and take the board off the screen, so that others may write
 * there or nothing is left. The next flush with something to show puts it back. */
int render_hide(struct render *r);
/* The window has another size, or this process is in front again: draw anew at the next flush. */
void render_resized(struct render *r);

#endif

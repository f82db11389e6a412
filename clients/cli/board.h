/*
 * clients/cli/board.h -- the rows that stay at the foot of a terminal: live progress bars, and one line of status.
 *
 *     … the log, scrolling …
 *     rank 0 |  40%|####      | 40/100          rows, by rank; at most a third of the screen and BOARD_ROWS_MAX
 *     rank 1 |  38%|###       | 38/100
 *     … and 6 more
 *     demo RUNNING 2m 10s  …                    the status
 *
 * The log is written in between: board_erase() takes the rows off the screen, board_draw() puts them back, both into
 * the buffer of the same write. Rows never wrap (they are cut one column short). When the window was made
 * narrower, terminals that reflow have wrapped them: then they stand on as many lines as their width says.
 *
 * Not here   Whether this process may draw at all, a pipe or a background job: render.c.
 */
#ifndef CLIENTS_CLI_BOARD_H
#define CLIENTS_CLI_BOARD_H

#include "base/buf.h"
#include "clients/cli/term.h"

#include <stdint.h>

#define BOARD_ROWS_MAX 8
#define BOARD_ROWS_KEPT 256         /* bars of more ranks are not shown */
#define BOARD_TEXT_BYTES_MAX 4096   /* of a row */
#define BOARD_STALE_US 120000000    /* a bar that was not redrawn for so long is taken away */
#define BOARD_DRAWN_MAX (BOARD_ROWS_MAX + 2)

struct board_row {
    int32_t rank;
    int64_t seen_us;
    char *prefix, *text;
};

struct board {
    struct board_row rows[BOARD_ROWS_KEPT]; /* by rank */
    size_t count;
    struct buf status; /* empty: none */
    int drawn[BOARD_DRAWN_MAX]; /* columns of each row on the screen */
    int drawn_count;
    int reflows; /* this terminal wraps anew when its width changes */
};

void board_init(struct board *b);
void board_release(struct board *b);
/* The bar of a rank (RECORD_RANK_NONE: of none), or its bars, a line each. prefix is safe text that stands before it. */
void board_set_row(struct board *b, int32_t rank, const char *prefix, const char *text, size_t len,
                   int64_t now_us);
/* The bar is done: its line is in the log now. */
void board_drop_row(struct board *b, int32_t rank);
/* One line without colours; "" takes the status away. */
void board_set_status(struct board *b, const char *text);
int board_is_drawn(const struct board *b);
int board_is_empty(const struct board *b);
/* Append what takes the rows off a screen of t->columns and puts the cursor where the first one began. */
void board_erase(struct board *b, const struct term *t, struct buf *out);
/* Append the rows. The cursor must stand at the start of a line. */
void board_draw(struct board *b, const struct term *t, struct buf *out, int64_t now_us);

#endif

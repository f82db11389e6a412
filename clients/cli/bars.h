/*
 * clients/cli/bars.h -- several rows of a terminal that are drawn over by moving the cursor up: many bars at once.
 *
 *     "\rA 10%\n\rB 20%\x1b[A\rA 15%\n\rB 25%\x1b[A"     tqdm with position=: two bars, not four lines
 *     "\r\x1b[2K\x1b[1A\x1b[2KA 10%\nB 20%"               rich: the frame is erased upwards and written again
 *     "\x1b[2A\x1b[2K\rid: 10%\r\x1b[2B"                  docker: up, the row anew, down
 *
 * A bar is known by its name (what stands before its numbers), one without a name by its row. Text on a new row below
 * all bars is an ordinary line, and then they are done; text that pushes the bars down (tqdm.write, rich's
 * console.print) is one too, when its row can no longer be reached. How far up the cursor goes says what can be
 * reached. A bar out of reach is a record: its last text, with thinned history.
 *
 * What was written before the cursor first moved up has been given out as lines: the first state of such bars is a line
 * of its own. Empty lines between bars are dropped.
 * Limits     BARS_MAX rows, then the topmost is done; BARS_TEXT_BYTES of a text; BARS_REACH_MAX rows up.
 */
#ifndef CLIENTS_CLI_BARS_H
#define CLIENTS_CLI_BARS_H

#include "clients/cli/track.h"

#define BARS_MAX 64
#define BARS_NAME_BYTES 48
#define BARS_TEXT_BYTES 4096
#define BARS_REACH_MAX 256
#define BARS_LIVE_MAX 16 /* rows of bars_live() */

struct bar {
    struct track track;
    char name[BARS_NAME_BYTES]; /* "": known by its row */
    int64_t row;
    int is_once; /* written once, with a line's end, above the bottom: perhaps an ordinary line */
};

/* Zeroed: no bars. */
struct bars {
    struct bar *bars[BARS_MAX]; /* in no order */
    unsigned count;
    int64_t row, bottom, reach;
    int is_on, after_cr;
    struct buf live, scratch;
};

/* A record: fields NULL for an ordinary line. */
typedef int (*bars_on_line)(void *user, const char *text, size_t len, const char *fields, size_t fields_len);

void bars_release(struct bars *b);
/* Does the text move the cursor up? */
int bars_wanted(const char *text, size_t len);
/* Bars begin: what the open row has shown so far (is left empty); after_cr: the cursor was sent back to its start. */
void bars_begin(struct bars *b, struct track *open_row, int after_cr);
enum bars_end { BARS_CR, BARS_LF, BARS_MOVE };
/* Text up to a carriage return, a line's end or (BARS_MOVE) the end of what is to be taken now. is_on may be 0 afterwards. */
int bars_take(struct bars *b, const char *text, size_t len, enum bars_end end, bars_on_line on_line, void *user);
/* How much of text (still open) may be taken with BARS_MOVE: up to behind its last move. */
size_t bars_settled(const char *text, size_t len);
/* All are done. */
int bars_finish(struct bars *b, bars_on_line on_line, void *user);
/* What they show, a line each from the top, open in place of the row it stands on; borrowed. 0: nothing. */
int bars_live(struct bars *b, const char *open, size_t open_len, const char **ret_text, size_t *ret_len);

#endif

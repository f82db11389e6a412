/*
 * clients/cli/term.h -- what may be shown on a terminal, and in which colour.
 *
 * A job's log may hold anything: sequences that move the cursor, set the title, answer back, or turn
 * text around (CVE-2021-25743 and its kin). On a terminal only text, tab, newline and colour (SGR) pass;
 * the rest is shown as \x1b, \u202e and the like. Into a pipe bytes go as they are.
 */
#ifndef CLIENTS_CLI_TERM_H
#define CLIENTS_CLI_TERM_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define TERM_SGR_BYTES_MAX 64 /* a longer colour sequence is none */
#define TERM_COLUMNS_DEFAULT 80
#define TERM_ROWS_DEFAULT 24
#define TERM_TAB 8

enum term_color { TERM_COLOR_KEEP, TERM_COLOR_DROP };

struct term {
    int fd;
    int is_tty;
    int color;
    int columns, rows; /* asked again by term_resize */
};

/* Of stdout behind a pager: the terminal. when: "auto" (a terminal, no NO_COLOR, TERM not dumb), "always" or "never". */
void term_init(struct term *t, int fd, const char *when);
void term_resize(struct term *t);
/* Can the cursor be moved? Not where TERM is dumb. */
int term_can_move(void);

/* Append text made safe. *ret_colored (may be NULL): a colour sequence passed, so a reset is due. */
int term_clean(struct buf *out, const char *text, size_t len, enum term_color color,
               int *ret_colored);

/* Bytes [from, to) of a text that are to stand out: found words. In order, none over another. */
struct term_mark {
    size_t from, to;
};
/* As term_clean, with the marks shown by reverse video. They are moved out of escape sequences; colours of the
 * text go on under and after them. */
int term_clean_marked(struct buf *out, const char *text, size_t len, enum term_color color,
                      const struct term_mark *marks, size_t count, int *ret_colored);
/* The bytes as they are, with the marks: for pipes. */
int term_add_marked(struct buf *out, const char *text, size_t len, const struct term_mark *marks,
                    size_t count);

/* The same on one row of at most columns: newline and tab become spaces, colour is dropped, cut to fit. Returns
 * the columns it takes. */
int term_clean_row(struct buf *out, const char *text, size_t len, int columns);
/* Columns of one line of safe text (as term_clean makes it; colour sequences take none). An upper bound where
 * terminals differ: joined emoji count as their parts. */
int term_width(const char *text, size_t len);

#define TERM_RESET "\x1b[0m"

#endif

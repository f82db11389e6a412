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
#include "job/level.h"

#include <stdint.h>

#define TERM_SGR_BYTES_MAX 64 /* a longer colour sequence is none */
#define TERM_COLUMNS_DEFAULT 80

enum term_color { TERM_COLOR_KEEP, TERM_COLOR_DROP };

struct term {
    int fd;
    int is_tty;
    int color;
    int columns; /* asked again by term_resize */
};

/* when: "auto" (a terminal, no NO_COLOR, TERM not dumb), "always" or "never". */
void term_init(struct term *t, int fd, const char *when);
void term_resize(struct term *t);

/* Append text made safe. *ret_colored (may be NULL): a colour sequence passed, so a reset is due. */
int term_clean(struct buf *out, const char *text, size_t len, enum term_color color,
               int *ret_colored);
/* The same on one row of at most columns: newline and tab become spaces, colour is dropped, cut to fit. */
int term_clean_row(struct buf *out, const char *text, size_t len, int columns);

/* "31;1" and the like; "" for none. */
const char *term_level_sgr(enum level l);
const char *term_rank_sgr(int32_t rank);
#define TERM_RESET "\x1b[0m"

#endif

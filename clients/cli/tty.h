/*
 * clients/cli/tty.h -- the terminal's own settings, changed while we draw and put back on every way out.
 *
 * Put back by tty_restore(), at exit, before a stop by Ctrl-Z, and when the process dies of a fault, a failed CHECK or
 * Ctrl-\. Only SIGKILL leaves them: `reset` then helps.
 * Threads    The main one.
 */
#ifndef CLIENTS_CLI_TTY_H
#define CLIENTS_CLI_TTY_H

#include <stddef.h>

/* What is typed does not show: it would end up among the rows of the board. Nothing happens when stdin is not the
 * terminal of stdout, or this process is not in front; call again when it may have come there. */
void tty_hush(void);
/* Keys come one by one and unseen; Ctrl-C and Ctrl-Z still are signals. */
void tty_keys(void);
/* The alternate screen without a cursor, to be drawn on from its first row. */
void tty_screen(void);
/* As before the first of these calls. Safe in a signal handler. */
void tty_restore(void);
/* Bytes typed since; never waits. 0: none, or nothing was changed by tty_hush or tty_keys. */
size_t tty_read(char *keys, size_t size);

#endif

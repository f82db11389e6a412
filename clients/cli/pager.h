/*
 * clients/cli/pager.h -- long output through less, as git does.
 *
 * Only on a terminal. The program is $JOBLOG_PAGER, else $PAGER, else less when there is one; empty or `cat` means
 * none. LESS=FRX is set unless LESS is: what fits on a screen is just printed, colours pass, the text stays. stderr
 * goes the same way when it is the terminal, too. What is written is made safe for a terminal as without a pager.
 */
#ifndef CLIENTS_CLI_PAGER_H
#define CLIENTS_CLI_PAGER_H

/* Put a pager between stdout and the terminal; nothing happens when it is not wanted, or stdout is no terminal. */
void pager_start(int wanted);
/* A descriptor of the terminal behind the pager; -1: there is no pager. */
int pager_terminal(void);
/* No more output: wait until the person has read it. */
void pager_finish(void);

#endif

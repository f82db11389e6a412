/*
 * clients/cli/child.h -- the wrapped command: started, listened to, signalled, waited for.
 *
 * Its stdout and stderr are pipes; what comes is passed on byte for byte at once and given to on_bytes.
 * Signals that reach us are forwarded. With a terminal on stdin the command stays in our process
 * group (the terminal's own signals reach it without us); else it gets a group of its own, so that a
 * signal to our group reaches it once. When we die it gets SIGTERM.
 *
 * When stop_fd becomes readable the command is ended: SIGTERM to its group (with a terminal: to it alone),
 * SIGKILL after the grace. What its processes write until they are gone is still read.
 */
#ifndef CLIENTS_CLI_CHILD_H
#define CLIENTS_CLI_CHILD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_QUIET_US                                                                             \
    250000 /* after its end: nothing came for so long, so its pipes are done with … */
#define CHILD_LINGER_US                                                                            \
    2000000 /* … at the latest after this: a grandchild may hold them for ever */

struct child {
    pid_t pid;    /* 0: never ran */
    int out, err; /* -1: at its end */
    int signal_fd;
    int exec_errno; /* != 0: it could not be executed */
    int has_ended, wait_status;
    int pass_out, pass_err; /* our stdout and stderr still have a reader */
    int own_group;
    int last_signal; /* forwarded last; 0: none */
    /* set after child_start() */
    int stop_fd; /* -1: none */
    int64_t stop_grace_us;
    void (*on_stop)(void *user); /* may be NULL */
    void *stop_user;
    int is_stopped;
    int64_t kill_us; /* when the grace is over; 0: no more */
};

struct child_handler {
    /* stream 0: stdout, 1: stderr */
    void (*on_bytes)(void *user, int stream, const char *data, size_t len);
    void (*on_end_of)(void *user, int stream);
    void *user;
};

/* Blocks the signals that are forwarded: call before threads are made. ERR_LIMIT when it cannot fork. */
int child_start(struct child *c, char **argv);
/* Until it has ended and its pipes are empty. */
void child_listen(struct child *c, const struct child_handler *h);
/* 1: SIGINT, SIGTERM or SIGHUP came since. For the time after the command. */
int child_interrupted(struct child *c);

#endif

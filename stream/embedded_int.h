/*
 * stream/embedded_int.h -- what embedded.c and embedded_setup.c share.
 */
#ifndef STREAM_EMBEDDED_INT_H
#define STREAM_EMBEDDED_INT_H

#include "stream/embedded.h"

#include <limits.h>

#define EMBEDDED_AOF_DIR "appendonlydir" /* Redis' own name for it (7.0 on) */

struct embedded {
    uv_loop_t *loop;
    char binary[PATH_MAX];
    char dir[PATH_MAX]; /* absolute, without links */
    char conf_path[PATH_MAX + 32];
    char socket_path[EMBEDDED_SOCKET_BYTES];
    char url[EMBEDDED_SOCKET_BYTES + 16];
    int lock_fd;
    void (*on_up)(void *user);
    void *user;

    int pid; /* 0: none runs */
    int was_killed; /* it did not stop in time */
    char note[64]; /* to be left when it ends in order */
    int adopted;
    uv_process_t process;
    uv_pipe_t output;
    int process_open, output_open;
    char line[4096];
    size_t line_len;
    uv_timer_t timer; /* start, restart, watching it stop */
    int64_t started_us, stop_us;
    unsigned deaths; /* in quick succession */
    unsigned failed_starts; /* since one that accepted connections */
    int is_accepting; /* it said so since its start */
    char words[256]; /* the last bad thing it said since then, "" when nothing */
    uint64_t restarts;
    int closing;
    void (*closed)(void *user);
    void *closed_user;
};

/* Binary, directory, lock, configuration; adopts or stops what a killed joblogd left. Blocks for some ms,
 * at most a few seconds when an old server must be stopped. */
int embedded__setup(struct embedded *e, const struct embedded_options *opts, char *why, size_t why_size);
/* Is pid alive and working in our directory? */
int embedded__is_ours(const struct embedded *e, int pid);
void embedded__part_gone(struct embedded *e);
void embedded__finish_close(struct embedded *e);

#endif

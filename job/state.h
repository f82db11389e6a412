/*
 * job/state.h -- the states of a job and the one table of moves between them.
 *
 * Names are Baseten's: TRAINING_JOB_ + the X-macro name. CREATED -> DEPLOYING -> RUNNING ->
 * COMPLETED; PENDING and QUEUED are earlier waiting states; FAILED and STOPPED from any active
 * state; DEPLOY_FAILED from any state before RUNNING. Steps may be skipped forward (CREATED ->
 * RUNNING), never walked back. The same state again is a repeat, not a move. Terminal is final.
 * A new job starts in CREATED.
 */
#ifndef JOB_STATE_H
#define JOB_STATE_H

#include <stddef.h>

/* X(name, terminal) in order of life */
#define STATE_TABLE(X)                                                                             \
    X(CREATED, 0)                                                                                  \
    X(PENDING, 0)                                                                                  \
    X(QUEUED, 0)                                                                                   \
    X(DEPLOYING, 0)                                                                                \
    X(RUNNING, 0)                                                                                  \
    X(COMPLETED, 1)                                                                                \
    X(DEPLOY_FAILED, 1)                                                                            \
    X(FAILED, 1)                                                                                   \
    X(STOPPED, 1)

enum job_state {
#define X(name, terminal) STATE_##name,
    STATE_TABLE(X)
#undef X
        STATE_COUNT
};

enum state_move { MOVE_OK, MOVE_REPEAT, MOVE_BAD };

/* "TRAINING_JOB_RUNNING" */
const char *state_name(enum job_state s);
/* "RUNNING" */
const char *state_short(enum job_state s);
/* Full or short, any case. ERR_INVALID. */
int state_parse(const char *text, size_t len, enum job_state *ret);
int state_is_terminal(enum job_state s);
enum state_move state_move(enum job_state from, enum job_state to);

#endif

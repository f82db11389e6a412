/*
 * job/state.c -- the states of a job and the one table of moves between them.
 */
#include "job/state.h"

#include "base/check.h"
#include "base/err.h"

#include <string.h>
#include <strings.h>

#define STATE_PREFIX "TRAINING_JOB_"
#define STATE_PREFIX_LEN (sizeof STATE_PREFIX - 1)

static const struct state_row {
    const char *name;
    int terminal;
} state_rows[STATE_COUNT] = {
#define X(name, terminal) {STATE_PREFIX #name, terminal},
    STATE_TABLE(X)
#undef X
};

const char *state_name(enum job_state s)
{
    CHECKF((unsigned)s < STATE_COUNT, "state=%d", (int)s);
    return state_rows[s].name;
}

const char *state_short(enum job_state s)
{
    return state_name(s) + STATE_PREFIX_LEN;
}

int state_parse(const char *text, size_t len, enum job_state *ret)
{
    if (len > STATE_PREFIX_LEN && strncasecmp(text, STATE_PREFIX, STATE_PREFIX_LEN) == 0) {
        text += STATE_PREFIX_LEN;
        len -= STATE_PREFIX_LEN;
    }
    for (int i = 0; i < STATE_COUNT; i++) {
        const char *name = state_rows[i].name + STATE_PREFIX_LEN;
        if (strlen(name) == len && strncasecmp(name, text, len) == 0) {
            *ret = (enum job_state)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

int state_is_terminal(enum job_state s)
{
    CHECKF((unsigned)s < STATE_COUNT, "state=%d", (int)s);
    return state_rows[s].terminal;
}

enum state_move state_move(enum job_state from, enum job_state to)
{
    CHECKF((unsigned)to < STATE_COUNT, "to=%d", (int)to);
    if (from == to) return MOVE_REPEAT;
    if (state_is_terminal(from)) return MOVE_BAD;
    switch (to) {
    case STATE_DEPLOY_FAILED: return from < STATE_RUNNING ? MOVE_OK : MOVE_BAD;
    case STATE_FAILED:
    case STATE_STOPPED: return MOVE_OK;
    default: return from < to ? MOVE_OK : MOVE_BAD; /* steps may be skipped forward */
    }
}

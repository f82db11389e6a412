/*
 * job/state.c -- state names, and which move is allowed.
 */
#include "job/state.h"

#include "base/check.h"
#include "base/err.h"

#include <string.h>
#include <strings.h>

#define PREFIX "TRAINING_JOB_"
#define PREFIX_BYTES (sizeof PREFIX - 1)

static const struct {
    const char *name;
    int terminal;
} states[STATE_COUNT] = {
#define X(name, terminal) {PREFIX #name, terminal},
    STATE_TABLE(X)
#undef X
};

const char *state_name(enum job_state s) {
    CHECK((unsigned)s < STATE_COUNT);
    return states[s].name;
}

const char *state_short(enum job_state s) { return state_name(s) + PREFIX_BYTES; }

int state_parse(const char *text, size_t len, enum job_state *ret) {
    if (len > PREFIX_BYTES && strncasecmp(text, PREFIX, PREFIX_BYTES) == 0) {
        text += PREFIX_BYTES;
        len -= PREFIX_BYTES;
    }
    for (int s = 0; s < STATE_COUNT; s++) {
        const char *name = states[s].name + PREFIX_BYTES;
        if (strlen(name) == len && strncasecmp(name, text, len) == 0) {
            *ret = (enum job_state)s;
            return 0;
        }
    }
    return ERR_INVALID;
}

int state_is_terminal(enum job_state s) {
    CHECK((unsigned)s < STATE_COUNT);
    return states[s].terminal;
}

enum state_move state_move(enum job_state from, enum job_state to) {
    if (from == to) return MOVE_REPEAT;
    if (state_is_terminal(from)) return MOVE_BAD;
    switch (to) {
    case STATE_FAILED:
    case STATE_STOPPED: return MOVE_OK;
    case STATE_DEPLOY_FAILED: return from < STATE_RUNNING ? MOVE_OK : MOVE_BAD;
    default: return to > from ? MOVE_OK : MOVE_BAD; /* forward along the order of life */
    }
}

/*
 * clients/cli/palette.h -- the colours of ranks, levels and states.
 *
 * A rank has the same colour in every job, terminal and session. Where the terminal has 256 colours those used
 * have a contrast of at least 3.7 : 1 against black and against white alike, so that they can be read on both;
 * elsewhere the nearest of the eight.
 */
#ifndef CLIENTS_CLI_PALETTE_H
#define CLIENTS_CLI_PALETTE_H

#include "job/level.h"

#include <stdint.h>

#define PALETTE_RANKS 12

/* Eight colours only, by TERM: asked once, at the first call of the others. */
int palette_is_basic(const char *term);
/* What stands in "\x1b[…m"; "" for none. Borrowed. */
const char *palette_level(enum level l);
const char *palette_rank(int32_t rank);
const char *palette_state(const char *state);
/* For what is said beside the log: counts, times, separators. */
const char *palette_faint(void);

#endif

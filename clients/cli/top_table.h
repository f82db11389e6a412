/*
 * clients/cli/top_table.h -- live jobs as a table: sorted, fitted to a width; pure.
 *
 *     JOB        PROJECT  STATE    RANKS  LINES/S  AGE      STEP  DONE  SLOWEST  SILENT
 *     llama-70b  default  RUNNING  63/64  1,204    2h 10m  4,120   45%  r5 -12       0s
 *
 * RANKS    alive of all: heard in the last minute, or started and silent so far
 * STEP     the newest of any rank; SLOWEST: which rank is how many steps behind it
 * DONE     what the progress bar of its lowest rank says
 * SILENT   since the last line or move of a bar of any rank
 *
 * "-" is what is not known. Where the width does not do for all, names are cut, then columns left out: SLOWEST, PROJECT,
 * DONE, AGE.
 */
#ifndef CLIENTS_CLI_TOP_TABLE_H
#define CLIENTS_CLI_TOP_TABLE_H

#include "base/buf.h"
#include "clients/cli/fleet.h"

/* X(NAME, option, key) in the order of columns; key: what is typed to sort by it. */
#define TOP_KEYS(X)                                                                                \
    X(JOB, "job", 'j')                                                                             \
    X(PROJECT, "project", 'p')                                                                     \
    X(STATE, "state", 's')                                                                         \
    X(RANKS, "ranks", 'r')                                                                         \
    X(RATE, "rate", 'l')                                                                           \
    X(AGE, "age", 'a')                                                                             \
    X(STEP, "step", 't')                                                                           \
    X(DONE, "done", 'd')                                                                           \
    X(SLOWEST, "slowest", 'b')                                                                     \
    X(SILENT, "silent", 'i')
enum top_key {
#define X(name, option, key) TOP_##name,
    TOP_KEYS(X)
#undef X
        TOP_KEY_COUNT
};
#define TOP_SORT_CHOICES "age|job|project|state|ranks|rate|step|done|slowest|silent"

/* By the option's word; TOP_KEY_COUNT: no such. */
enum top_key top_key_of(const char *option);
/* By what was typed. */
enum top_key top_key_typed(char c);
const char *top_key_title(enum top_key k);

/* What asks for attention first: most ranks missing, longest silence, most lines, newest, … A known value stands before one
 * that is not, in either direction; equal ones in the order they had. */
void top_sort(struct fleet_job *jobs, unsigned count, enum top_key key, int is_reversed);

struct top_table {
    int columns;      /* 0: as wide as it is */
    int color;
    int on_screen;    /* every row ends with "erase to the right" */
    enum top_key key; /* the column that is marked */
    int64_t now_us;   /* clock_mono_us(): times have gone on since the look */
};
/* Append the header and rows [from, to) of jobs; widths are those of all jobs. */
void top_table_add(struct buf *out, const struct top_table *t, const struct fleet_job *jobs, unsigned count,
                   unsigned from, unsigned to);

#endif

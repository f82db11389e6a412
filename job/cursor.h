/*
 * job/cursor.h -- a place in a job's log: "<epoch>:<seq>", opaque to clients.
 *
 * Points after record seq: reading from a cursor yields seq + 1 first. 0 is before the first.
 * The epoch changes only when stored history was lost or reset; a cursor of another epoch is
 * answered `reset`.
 */
#ifndef JOB_CURSOR_H
#define JOB_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#define CURSOR_TEXT_BYTES 42

struct cursor {
    uint64_t epoch;
    uint64_t seq;
};

/* Decimal digits only, no sign, no overflow. A bare "<seq>" is taken as epoch 0 = "the current one"
 * (people type it). ERR_INVALID. */
int cursor_parse(const char *s, size_t len, struct cursor *ret);
const char *cursor_format(const struct cursor *c, char out[CURSOR_TEXT_BYTES]);

#endif

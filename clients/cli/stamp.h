/*
 * clients/cli/stamp.h -- the time before a line, in one of four ways.
 *
 *     utc        2026-11-23T20:54:01.123456Z   the record's own
 *     local      2026-11-23 21:54:01.123       in the time zone here (TZ)
 *     relative   +00:12:01.123                 since the job began; since the first line shown when that is unknown
 *     delta      +    0.250                    seconds since the line shown before
 */
#ifndef CLIENTS_CLI_STAMP_H
#define CLIENTS_CLI_STAMP_H

#include "base/buf.h"

#include <stdint.h>

#define STAMP_CHOICES "utc|local|relative|delta"

enum stamp_kind { STAMP_NONE, STAMP_UTC, STAMP_LOCAL, STAMP_RELATIVE, STAMP_DELTA };

struct stamp {
    enum stamp_kind kind;
    int64_t start_us; /* 0: not known */
    int64_t last_us;  /* of the line before; 0: none */
};

/* name: one of STAMP_CHOICES, NULL for none. */
void stamp_init(struct stamp *s, const char *name);
/* Append the time and a space; nothing for STAMP_NONE. */
int stamp_add(struct stamp *s, struct buf *out, int64_t ts_us);
/* The same in a way of one's own and without the space. */
int stamp_format(const struct stamp *s, enum stamp_kind kind, struct buf *out, int64_t ts_us);

#endif

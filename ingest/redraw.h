/*
 * ingest/redraw.h -- a line that a terminal program drew over itself with carriage returns.
 *
 *     "  0%|   |\r 40%|## |\r100%|####|"   ->   "100%|####|", 2 redraws, history of both
 *
 * What stands on the screen at the end is the line: its last segment that shows something. A segment of
 * spaces and ANSI control sequences only shows nothing. A '\r' before a '\n' is a line end, no redraw.
 * Limits     REDRAW_HISTORY_MAX earlier segments are kept, evenly thinned, each cut to
 *            REDRAW_SEGMENT_BYTES_MAX at a character boundary.
 */
#ifndef INGEST_REDRAW_H
#define INGEST_REDRAW_H

#include "ingest/scan.h"

#define REDRAW_HISTORY_MAX 8
#define REDRAW_SEGMENT_BYTES_MAX 512

struct redraw {
    const char *text; /* the final segment, borrowed */
    size_t len;
    uint64_t count; /* earlier segments that showed something */
};

void redraw_read(const char *text, size_t len, struct redraw *ret);
/* Append "redraws":n,"history":[…] to fields (a comma first when it is not empty). Replaced bytes of the history
 * are not counted twice. count > 0. */
int redraw_write(const char *text, size_t len, const struct redraw *r, struct buf *fields);

#endif

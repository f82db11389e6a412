/*
 * serve/baseten_line.h -- one record as a log line of the Baseten training API.
 *
 *     {"timestamp":"1795640063123456789","message":"step 1","replica":"node-1","level":"INFO","rank":3}
 *
 * timestamp is when the record was received (job/frame.h), in nanoseconds; where that is not known any more
 * (an archive's index was lost), its own time. replica is null when none was given; level and rank are left
 * out then. A state change is a line too: "TRAINING_JOB_FAILED: exited with code 1". Pure.
 */
#ifndef SERVE_BASETEN_LINE_H
#define SERVE_BASETEN_LINE_H

#include "job/frame.h"
#include "job/record.h"

/* Append record v of frame f. */
int baseten_line(struct buf *out, const struct frame *f, const struct record_view *v);
/* Append the line that stands for records which are lost, received at recv_ns. */
int baseten_line_lost(struct buf *out, int64_t recv_ns, uint64_t from, uint64_t to, const char *reason);

#endif

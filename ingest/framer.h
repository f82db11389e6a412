/*
 * ingest/framer.h -- canonical lines gathered into the frames of a batch.
 *
 * A frame is closed at FRAME_RAW_BYTES_MAX, at FRAME_LINES_MAX, and earlier where the last ones showed
 * that so much text would not pack below FRAME_PACKED_BYTES_AIM. One that is over the aim all the same is
 * halved, down to single lines.
 *
 * Memory     One frame of text being filled, and the batch.
 * Errors     ERR_TOO_BIG: a line over FRAME_TEXT_BYTES_HARD_MAX, or more frames than a batch holds.
 */
#ifndef INGEST_FRAMER_H
#define INGEST_FRAMER_H

#include "ingest/line.h"
#include "job/batch.h"

#define FRAMER_PACK_BYTES_MIN 400 /* smaller frames are not packed: nothing to gain */

struct framer_line { /* what halving needs to know */
    uint32_t end; /* offset behind it in the text */
    int32_t rank;
    int64_t ts_us;
    enum level level;
};

struct framer {
    struct batch *batch;
    struct buf text;
    struct buf packed;
    struct framer_line *lines;
    uint32_t line_count, line_cap;
    size_t text_aim; /* bytes of text that should pack below the aim */
    int pack_level;  /* 0: do not pack */
};

void framer_init(struct framer *f);
/* Begin a batch, dropping an unfinished one; buffers of the last are used again. */
int framer_start(struct framer *f, int pack_level, int64_t recv_us);
void framer_release(struct framer *f);
/* Append the record of line; extra holds more members for its fields (without braces, may be empty). */
int framer_add(struct framer *f, const struct line *line, const char *extra, size_t extra_len);
/* Close the last frame and hand the batch over; no call but release after it. */
int framer_finish(struct framer *f, struct batch **ret_batch);
/* Bytes of memory held, roughly. */
size_t framer_bytes(const struct framer *f);

#endif

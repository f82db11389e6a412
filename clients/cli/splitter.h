/*
 * clients/cli/splitter.h -- from the bytes of a pipe to records: lines, split long lines, redrawn lines.
 *
 *     "a\nb"            -> "a"; "b" at the flush
 *     "1%\r2%\r3%\n"    -> "3%", redraws 2, history ["1%","2%"]; "1%", "2%" are live meanwhile
 *     300 KiB + "\n"    -> two parts
 *
 * One record is one number of the producer's sequence, so lines are split here and not by the server.
 * "\r\n" ends a line. A segment of spaces and control sequences only shows nothing and is no redraw.
 * Limits     SPLITTER_PART_BYTES a record, cut at a character; a line over SPLITTER_LINE_BYTES is
 *            given out in pieces before its end is seen (their "of" is then one more than "n").
 *            SPLITTER_HISTORY_MAX earlier segments, evenly thinned, SPLITTER_SEGMENT_BYTES of each.
 */
#ifndef CLIENTS_CLI_SPLITTER_H
#define CLIENTS_CLI_SPLITTER_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define SPLITTER_PART_BYTES (256UL * 1024)
#define SPLITTER_LINE_BYTES (4UL << 20)
#define SPLITTER_HISTORY_MAX 8
#define SPLITTER_SAMPLES_MAX (2 * SPLITTER_HISTORY_MAX) /* kept while the line is being redrawn */
#define SPLITTER_SEGMENT_BYTES 512

struct splitter_line {
    const char *text; /* borrowed */
    size_t len;
    const char *fields; /* JSON object text, NULL for none */
    size_t fields_len;
};

struct splitter {
    struct buf line;  /* of the open line, after the last '\r' */
    struct buf shown; /* the last segment that showed something */
    struct buf fields;
    char *samples[SPLITTER_SAMPLES_MAX];
    unsigned sample_count;
    uint64_t stride, redraws; /* earlier segments that showed something */
    unsigned parts;           /* of the open line, given out already */
    int after_cr, is_redrawn, has_shown;
};

typedef int (*splitter_on_line)(void *user, const struct splitter_line *l);

void splitter_init(struct splitter *s);
void splitter_release(struct splitter *s);
/* < 0 of on_line ends the feeding with that code. */
int splitter_feed(struct splitter *s, const char *data, size_t len, splitter_on_line on_line,
                  void *user);
/* The pipe has ended: give out an open line. */
int splitter_flush(struct splitter *s, splitter_on_line on_line, void *user);
/* What a redrawn line shows now; 0 when no line is being redrawn. */
int splitter_live(const struct splitter *s, const char **ret_text, size_t *ret_len);

#endif

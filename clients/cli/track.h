/*
 * clients/cli/track.h -- one row of a terminal that is drawn over again and again: what it shows, and thinned what it
 * showed before.
 *
 * Limits     TRACK_HISTORY_MAX earlier texts, evenly thinned, TRACK_SEGMENT_BYTES of each.
 */
#ifndef CLIENTS_CLI_TRACK_H
#define CLIENTS_CLI_TRACK_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define TRACK_HISTORY_MAX 8
#define TRACK_SAMPLES_MAX (2 * TRACK_HISTORY_MAX) /* kept while it is drawn over */
#define TRACK_SEGMENT_BYTES 512

/* Zeroed: a row that has shown nothing. */
struct track {
    struct buf shown; /* the last text that showed something */
    char *samples[TRACK_SAMPLES_MAX];
    unsigned sample_count;
    uint64_t stride, redraws; /* earlier texts that showed something */
    int has_shown;
};

/* As zeroed, memory of shown is kept. */
void track_clear(struct track *t);
void track_release(struct track *t);
/* What it shows becomes history. text is copied. */
int track_draw(struct track *t, const char *text, size_t len);
/* What it shows becomes history, and nothing is shown: text that is kept elsewhere follows. */
void track_cover(struct track *t);
/* {"redraws":2,"history":["1%","2%"]} over what fields held. */
int track_fields(const struct track *t, struct buf *fields);

/* Does anything remain when blanks and control sequences (ESC '[' … letter) are taken away? */
int track_shows(const char *text, size_t len);
/* At most max bytes of text, not ending inside a UTF-8 sequence. */
size_t track_cut(const char *text, size_t len, size_t max);

#endif

/*
 * clients/cli/splitter.h -- from the bytes of a pipe to records: lines, split long lines, redrawn lines.
 *
 *     "a\nb"            -> "a"; "b" at the flush
 *     "1%\r2%\r3%\n"    -> "3%", redraws 2, history ["1%","2%"]; "1%", "2%" are live meanwhile
 *     300 KiB + "\n"    -> two parts
 *     "\rA 1%\n\rB 1%\x1b[A\rA 2%…"   -> rows, one record each at their end (clients/cli/bars.h)
 *
 * One record is one number of the producer's sequence, so lines are split here and not by the server.
 * "\r\n" ends a line. A segment of spaces and control sequences only shows nothing and is no redraw.
 * Limits     SPLITTER_PART_BYTES a record, cut at a character; a line over SPLITTER_LINE_BYTES is
 *            given out in pieces before its end is seen (their "of" is then one more than "n").
 *            Earlier segments are thinned: clients/cli/track.h.
 */
#ifndef CLIENTS_CLI_SPLITTER_H
#define CLIENTS_CLI_SPLITTER_H

#include "clients/cli/bars.h"
#include "clients/cli/track.h"
#include "job/redact.h"

#include <stddef.h>
#include <stdint.h>

#define SPLITTER_PART_BYTES (256UL * 1024)
#define SPLITTER_LINE_BYTES (4UL << 20)

struct splitter_line {
    const char *text; /* borrowed */
    size_t len;
    const char *fields; /* JSON object text, NULL for none */
    size_t fields_len;
};

struct splitter {
    struct buf line;    /* of the open line, after the last '\r' */
    struct track track; /* what was drawn on it before that */
    struct bars bars;   /* on: several rows are drawn over, and take what comes */
    struct buf fields;
    unsigned parts; /* of the open line, given out already */
    int after_cr, is_redrawn;
    const struct redact *redact; /* NULL: text goes out as it came */
    int is_json;
    struct redact_flow flow;
    struct redact_counts *redacted;
    struct buf clean, clean_json, clean_live;
};

typedef int (*splitter_on_line)(void *user, const struct splitter_line *l);

void splitter_init(struct splitter *s);
void splitter_release(struct splitter *s);
/* From here on secrets are taken out of lines before they are cut into parts, of segments before they are kept, and of
 * what is live; counted in counts. is_json: a line may be a JSON object and stays one. All are borrowed. */
void splitter_redact(struct splitter *s, const struct redact *r, int is_json, struct redact_counts *counts);
/* < 0 of on_line ends the feeding with that code. */
int splitter_feed(struct splitter *s, const char *data, size_t len, splitter_on_line on_line,
                  void *user);
/* The pipe has ended: give out an open line. */
int splitter_flush(struct splitter *s, splitter_on_line on_line, void *user);
/* What a redrawn line shows now, of several rows one a line; 0 when no line is being redrawn. */
int splitter_live(struct splitter *s, const char **ret_text, size_t *ret_len);

#endif

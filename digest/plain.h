/*
 * digest/plain.h -- the text of a line as a reader wants it: unescaped, without colours.
 *
 * ANSI: CSI sequences (colours, cursor), OSC (titles, links) and two-byte escapes go; other control bytes stay.
 * A line without a backslash (or ESC) is used where it lies.
 */
#ifndef DIGEST_PLAIN_H
#define DIGEST_PLAIN_H

#include "base/buf.h"

#define PLAIN_BYTES_MAX 16384 /* of a line is looked at; the rest is not read */

/* From the inside of a JSON string. *ret_text lies in json or in scratch (overwritten). Text is cut to
 * PLAIN_BYTES_MAX, at a character. ERR_NOMEM; a bad escape ends the text. */
int plain_from_json(struct buf *scratch, const char *json, size_t len, const char **ret_text, size_t *ret_len);
/* The same from plain bytes (ingest). */
int plain_from_text(struct buf *scratch, const char *text, size_t len, const char **ret_text, size_t *ret_len);
/* The largest n <= max at which UTF-8 text may be cut; len when it is not longer. */
size_t plain_cut(const char *text, size_t len, size_t max);

#endif

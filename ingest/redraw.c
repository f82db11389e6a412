/*
 * ingest/redraw.c -- a line that a terminal program drew over itself.
 *
 * Two walks over the segments: the first finds the final one and counts, the second, when there is
 * something to tell, writes the thinned history. Nothing is stored in between.
 */
#include "ingest/redraw.h"

#include "base/err.h"

#include <string.h>

/* Next segment at *pos; 0 at the end. */
static int next_segment(const char *text, size_t len, size_t *pos, const char **ret_segment, size_t *ret_len)
{
    size_t start = *pos, at = start;

    if (start > len) return 0;
    for (;;) {
        const char *cr = at < len ? memchr(text + at, '\r', len - at) : NULL;
        at = cr ? (size_t)(cr - text) : len;
        if (!cr || at + 1 == len || text[at + 1] != '\n') break;
        at++; /* "\r\n": a line end inside a message */
    }
    *ret_segment = text + start;
    *ret_len = at - start;
    *pos = at + 1;
    return 1;
}

/* Does anything remain when spaces and control sequences (ESC '[' … letter) are taken away? */
static int shows(const char *s, size_t len)
{
    size_t i = 0;

    while (i < len) {
        if (s[i] == ' ' || s[i] == '\t') {
            i++;
        } else if (s[i] == '\x1b' && i + 1 < len && s[i + 1] == '[') {
            for (i += 2; i < len && (s[i] < '@' || s[i] > '~'); i++) {
                if (s[i] < ' ' || s[i] > '?') return 1;
            }
            i++;
        } else {
            return 1;
        }
    }
    return 0;
}

void redraw_read(const char *text, size_t len, struct redraw *ret)
{
    const char *segment;
    size_t pos = 0, n;
    uint64_t shown = 0;

    ret->text = "";
    ret->len = 0;
    while (next_segment(text, len, &pos, &segment, &n)) {
        if (!shows(segment, n)) continue;
        shown++;
        ret->text = segment;
        ret->len = n;
    }
    ret->count = shown ? shown - 1 : 0;
}

int redraw_write(const char *text, size_t len, const struct redraw *r, struct buf *fields)
{
    uint64_t kept = r->count < REDRAW_HISTORY_MAX ? r->count : REDRAW_HISTORY_MAX;
    uint64_t index = 0, taken = 0;
    const char *segment;
    size_t pos = 0, n;
    int err = 0;

    if (fields->len) err = buf_addc(fields, ',');
    if (!err) err = buf_addf(fields, "\"redraws\":%llu,\"history\":[", (unsigned long long)r->count);
    while (!err && taken < kept && next_segment(text, len, &pos, &segment, &n)) {
        struct scan s;

        if (!shows(segment, n)) continue;
        if (index++ != taken * r->count / kept) continue;
        if (n > REDRAW_SEGMENT_BYTES_MAX) n = scan_cut(segment, REDRAW_SEGMENT_BYTES_MAX);
        err = taken++ ? buf_add(fields, ",\"", 2) : buf_addc(fields, '"');
        scan_init(&s, segment, n);
        if (!err) err = scan_escape(&s, fields, segment, n);
        if (!err) err = buf_addc(fields, '"');
    }
    return err ? err : buf_addc(fields, ']');
}

/*
 * clients/cli/sse.h -- Server-Sent Events (WHATWG HTML, 9.2), and the messages of a tail inside them.
 *
 * Bytes in any pieces in, whole events out. LF, CR and CRLF end lines; comments are dropped.
 * Limits     SSE_EVENT_BYTES_MAX a line and an event: ERR_TOO_BIG.
 */
#ifndef CLIENTS_CLI_SSE_H
#define CLIENTS_CLI_SSE_H

#include "base/buf.h"

#include <stddef.h>

#define SSE_EVENT_BYTES_MAX (64UL << 20)
#define SSE_ID_BYTES_MAX 16384

struct sse_event {
    const char *type; /* "message" when none was given */
    const char *id;   /* the last one given, "" for none */
    const char *data;
    size_t len;
};

struct sse {
    struct buf line, data;
    char type[32];
    char id[SSE_ID_BYTES_MAX];
    int has_data;
    int after_cr;
};

void sse_init(struct sse *s);
void sse_release(struct sse *s);
/* < 0 of on_event ends the feeding with that code. */
int sse_feed(struct sse *s, const char *bytes, size_t len,
             int (*on_event)(void *user, const struct sse_event *e), void *user);

/* The records of {"type":"lines",…,"lines":[{…},{…}]}: each is a canonical line, so they are found by
 * scanning. *pos starts at 0. 1: the next one; 0: the end; ERR_PROTOCOL. */
int lines_next(const char *message, size_t len, size_t *pos, const char **ret_line,
               size_t *ret_len);
/* The canonical line inside {"type":"state","cursor":"…",<members>}, appended to out. ERR_PROTOCOL. */
int lines_state(const char *message, size_t len, struct buf *out);

#endif

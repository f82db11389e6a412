/*
 * clients/cli/resume.h -- one feed of Server-Sent Events, read on from its last cursor over any number of connections.
 *
 *     resume_init -> resume_run -> resume_release
 *
 * `cursor` holds the id of the last event, for make_path or Last-Event-ID; an event comes before its id is kept.
 */
#ifndef CLIENTS_CLI_RESUME_H
#define CLIENTS_CLI_RESUME_H

#include "clients/cli/backoff.h"
#include "clients/cli/http.h"
#include "clients/cli/sse.h"

struct resume {
    struct http_server *server; /* borrowed */
    int has_header;             /* send the cursor as Last-Event-ID: too long for an address */
    /* The address of the next connection. ERR_INVALID: said; the feed is over with CLI_EXIT_USAGE. */
    int (*make_path)(void *user, struct buf *path);
    int (*on_event)(void *user, const struct sse_event *e);
    /* A connection came to an end by itself (err, the reply's status): an exit code, or -1 to connect again. */
    int (*over)(void *user, int err, const struct http_reply *r);
    void *user;

    /* What on_event adds goes to stdout after each piece, on a terminal made safe; a closed pipe ends the process as it does. */
    struct buf out;
    /* kept here */
    struct sse sse;
    struct backoff backoff;
    char cursor[SSE_ID_BYTES_MAX];
    int is_connected; /* set by resume_alive() */
    int write_err;
};

void resume_init(struct resume *s);
void resume_release(struct resume *s);
/* The server speaks: the next pause is a short one again. */
void resume_alive(struct resume *s);
/* Until it is over, or interrupted. The exit code; what went wrong has been said. */
int resume_run(struct resume *s);

#endif

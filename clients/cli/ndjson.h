/*
 * clients/cli/ndjson.h -- an answer of records, line by line while it comes.
 */
#ifndef CLIENTS_CLI_NDJSON_H
#define CLIENTS_CLI_NDJSON_H

#include "clients/cli/http.h"

struct ndjson {
    /* A line without its newline, not empty. 1: enough, the rest is not wanted; < 0 ends the read with that code. */
    int (*on_line)(void *user, const char *line, size_t len);
    /* After the lines of each piece that came; NULL: nobody cares. < 0 ends the read. */
    int (*on_piece)(void *user);
    void *user;
};

/* 0: all was read, if ret->status is 200; else the body tells why not. 1: on_line had enough. ERR_* of the callbacks and
 * of http_stream. */
int ndjson_read(const struct http_server *s, const char *path, const struct ndjson *n,
                struct http_reply *ret);

#endif

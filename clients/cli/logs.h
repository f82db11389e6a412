/*
 * clients/cli/logs.h -- one read of what is stored, on its way to stdout.
 *
 *     plain       the server filters, each line is printed
 *     -v          the server gives the lines of the other filters, the pattern is applied here
 *     -A -B -C    around.c
 */
#ifndef CLIENTS_CLI_LOGS_H
#define CLIENTS_CLI_LOGS_H

#include "clients/cli/cli.h"
#include "clients/cli/ndjson.h"
#include "clients/cli/pick.h"

struct logs {
    const struct pick *pick;
    const char *job;
    struct http_server server;
    struct render render;
    struct buf scratch;
    void *user;     /* of the callbacks of logs_around */
    void *locating; /* of logs_locate */
    uint64_t found; /* lines that are what was looked for */
    int quiet;      /* complain of nothing: somebody else will */
    int lost;       /* the server told of lost records */
    int write_err;
    int code; /* != 0: a request was refused, and that was said */
};

/* What lies between cursors, and how much of it; 0 and NULL: not asked. */
struct logs_range {
    uint64_t after, before;
    const char *tail;
    uint64_t limit;
    const char *order;
    int with_match;
};

/* Read a range; on_line as in ndjson.h, user is l. 0 or 1 as ndjson_read; < 0: over, l->code or l->write_err say why. */
int logs_read(struct logs *l, const struct logs_range *range,
              int (*on_line)(void *user, const char *line, size_t len));
/* Is the record a line that is looked for? Its text is left in l->scratch. */
int logs_matches(struct logs *l, const struct record_view *v);
/* A line {"gap":…}: is said. 0: it is none. */
int logs_take_gap(struct logs *l, const char *line, size_t len);
/* The lines found with those around them. As logs_read. */
int logs_around(struct logs *l);
/* The n-th line (from 1) from the end that is looked for: its seq; 0: there are not so many; < 0 as logs_read. */
int64_t logs_locate(struct logs *l, uint64_t n);
/* After which record the n lines before record seq begin, what is looked for aside. 0, or < 0 as logs_read. */
int logs_before(struct logs *l, uint64_t seq, uint64_t n, uint64_t *ret_after);

#endif

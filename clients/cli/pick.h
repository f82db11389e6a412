/*
 * clients/cli/pick.h -- which records and how they look: the options tail and logs share.
 */
#ifndef CLIENTS_CLI_PICK_H
#define CLIENTS_CLI_PICK_H

#include "clients/cli/args.h"
#include "clients/cli/render.h"

struct pick {
    struct args_common common; /* first */
    const char *count;         /* -n: a number or "all" */
    const char *since, *until, *grep, *q, *rank, *replica, *level, *stream;
    int ignore_case;
    const char *output; /* text, json or ndjson */
    int timestamps, no_prefix;
    const char *color;
    /* tail */
    const char *wait;
    int no_reconnect, follow;
    /* logs */
    const char *order;
    int64_t limit;
};

/* The rows of the option tables; struct pick must be the target. */
#define PICK_OPTIONS                                                                                \
    {0,         "since",                                                                            \
     ARGS_TEXT, offsetof(struct pick, since),                                                       \
     "T",       "from T on: 10m, 2h or 2026-11-23T20:54:01Z",                                       \
     NULL,      0,                                                                                  \
     0},                                                                                            \
        {0,         "grep",                                                                         \
         ARGS_TEXT, offsetof(struct pick, grep),                                                    \
         "RE",      "lines that match an RE2 pattern",                                              \
         NULL,      0,                                                                              \
         0},                                                                                        \
        {'q',  "search", ARGS_TEXT, offsetof(struct pick, q), "TEXT", "lines that hold TEXT",       \
         NULL, 0,        0},                                                                        \
        {'i',  "ignore-case",       ARGS_FLAG, offsetof(struct pick, ignore_case),                  \
         NULL, "for --grep and -q", NULL,      0,                                                   \
         0},                                                                                        \
        {0,    "rank", ARGS_TEXT, offsetof(struct pick, rank), "LIST", "ranks, like 0,3-5",         \
         NULL, 0,      0},                                                                          \
        {0, "replica", ARGS_TEXT, offsetof(struct pick, replica), "ID", "one replica", NULL, 0, 0}, \
        {0,         "level",                                                                        \
         ARGS_TEXT, offsetof(struct pick, level),                                                   \
         "L",       "at least trace, debug, info, warn, error or fatal",                            \
         NULL,      0,                                                                              \
         0},                                                                                        \
        {0,    "stream", ARGS_TEXT, offsetof(struct pick, stream), "S", "stdout or stderr",         \
         NULL, 0,        0},                                                                        \
        {'o',                                                                                       \
         "output",                                                                                  \
         ARGS_TEXT,                                                                                 \
         offsetof(struct pick, output),                                                             \
         "FORM",                                                                                    \
         "text, json or ndjson",                                                                    \
         "text|json|ndjson",                                                                        \
         0,                                                                                         \
         0},                                                                                        \
        {'t',       "timestamps",                                                                   \
         ARGS_FLAG, offsetof(struct pick, timestamps),                                              \
         NULL,      "time before each line",                                                        \
         NULL,      0,                                                                              \
         0},                                                                                        \
        {0,         "no-prefix",                                                                    \
         ARGS_FLAG, offsetof(struct pick, no_prefix),                                               \
         NULL,      "no `rank 3 | ` before lines",                                                  \
         NULL,      0,                                                                              \
         0},                                                                                        \
    {                                                                                               \
        0, "color", ARGS_TEXT, offsetof(struct pick, color), "WHEN", "auto, always or never",       \
            "auto|always|never", 0, 0                                                               \
    }

void pick_init(struct pick *p);
/* ERR_INVALID was said. */
int pick_check(const struct pick *p);
/* Append the filters to a path. */
void pick_args(struct buf *path, const struct pick *p);

/* Follow job until it ends. Returns the exit code. */
int tail_follow(const struct pick *p, const char *job);

#endif

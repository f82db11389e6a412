/*
 * clients/cli/pick.h -- which records and how they look: the options tail and logs share.
 */
#ifndef CLIENTS_CLI_PICK_H
#define CLIENTS_CLI_PICK_H

#include "clients/cli/args.h"
#include "clients/cli/context.h"
#include "clients/cli/match.h"
#include "clients/cli/render.h"

struct pick {
    struct args_common common; /* first */
    /* which */
    const char *count; /* -n: a number or "all" */
    const char *since, *until, *rank, *replica, *level, *stream;
    const char *grep, *search;
    int fixed, ignore_case, invert;
    int64_t after, before, around; /* -A, -B, -C; -1: not given */
    /* how */
    const char *output, *template_text, *timestamps, *color;
    int raw, no_prefix, fold;
    /* tail */
    const char *wait;
    int no_reconnect, no_status, follow;
    struct args_list labels;
    /* logs */
    const char *order;
    int64_t limit;
    int no_pager;
    /* made by pick_check */
    struct match *match;       /* NULL: nothing is looked for */
    struct template *template; /* of -o template */
    int has_context;           /* before and after are then the lines wanted */
};

/* A row of an option table; struct pick must be the target. */
#define PICK_TEXT(letter, name, member, meta, help)                                                \
    {letter, name, ARGS_TEXT, offsetof(struct pick, member), meta, help, NULL, 0, 0}
#define PICK_FLAG(letter, name, member, help)                                                      \
    {letter, name, ARGS_FLAG, offsetof(struct pick, member), NULL, help, NULL, 0, 0}
#define PICK_LINES(letter, name, member, help)                                                     \
    {letter, name, ARGS_COUNT, offsetof(struct pick, member), "N", help, NULL, 0, CONTEXT_LINES_MAX}

#define PICK_WHICH                                                                                 \
    PICK_TEXT(0, "since", since, "T", "from T on"),                                                \
        PICK_TEXT(0, "rank", rank, "LIST", "like 0,3-5"),                                          \
        PICK_TEXT(0, "replica", replica, "ID", "one replica"),                                     \
        PICK_TEXT(0, "level", level, "L", "at least L"),                                           \
        PICK_TEXT(0, "stream", stream, "S", "stdout or stderr"),                                   \
        PICK_TEXT('e', "grep", grep, "RE", "RE2 pattern"),                                         \
        PICK_FLAG('F', "fixed-strings", fixed, "RE is plain text"),                                \
        PICK_TEXT('q', "search", search, "TEXT", "lines with TEXT"),                               \
        PICK_FLAG('i', "ignore-case", ignore_case, "of -e and -q"),                                \
        PICK_FLAG('v', "invert-match", invert, "the other lines"),                                 \
        PICK_LINES('A', "after-context", after, "lines around it"),                                \
        PICK_LINES('B', "before-context", before, NULL), PICK_LINES('C', "context", around, NULL)

#define PICK_HOW                                                                                   \
    {'o',  "output", ARGS_TEXT, offsetof(struct pick, output),                                     \
     "FORM", "see below", "text|json|ndjson|template", 0, 0},                                      \
        PICK_TEXT(0, "template", template_text, "TEXT", "see below"),                              \
        {'t', "timestamps", ARGS_OPTIONAL, offsetof(struct pick, timestamps), "W",                 \
         "see below", STAMP_CHOICES, 0, 0},                                                        \
        PICK_FLAG(0, "raw", raw, "as the job wrote"),                                              \
        PICK_FLAG(0, "no-prefix", no_prefix, "no `rank 3 | `"),                                    \
        PICK_FLAG(0, "fold", fold, "same lines as one"),                                           \
    {                                                                                              \
        0, "color", ARGS_TEXT, offsetof(struct pick, color), "WHEN", "auto always never",          \
            "auto|always|never", 0, 0                                                              \
    }

#define PICK_NOTES                                                                                 \
    "  T: 10m, 2h, 2026-11-23T20:54:01Z   L: trace debug info warn error fatal\n"                  \
    "  FORM: text json ndjson template    W: utc (also -t), local, relative, delta\n"              \
    "  TEXT: {{ts}} {{rank:3}} {{level}} {{msg}} {{fields.loss}} … (man joblog)"

void pick_init(struct pick *p);
/* Makes match and template. ERR_INVALID was said. */
int pick_check(struct pick *p);
void pick_release(struct pick *p);
/* Append the filters to a path; with_match: what is looked for too. */
void pick_args(struct buf *path, const struct pick *p, int with_match);
/* The server cannot decide alone which lines are shown: -v. */
int pick_is_local(const struct pick *p);
/* Canonical records are printed. */
int pick_is_json(const struct pick *p);
struct render_options pick_render(const struct pick *p, const char *job);

/* Follow job until it ends. p was checked. Returns the exit code. */
int tail_follow(struct pick *p, const char *job);

#endif

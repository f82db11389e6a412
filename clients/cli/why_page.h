/*
 * clients/cli/why_page.h -- a post-mortem (the JSON of GET …/postmortem) drawn for a terminal.
 *
 * The verdict is the first line. Then: facts, lines over time as a row of marks, causes, the error itself, ranks,
 * timeline, last lines. Every text of the job is made safe (term.h).
 */
#ifndef CLIENTS_CLI_WHY_PAGE_H
#define CLIENTS_CLI_WHY_PAGE_H

#include "base/buf.h"
#include "base/json_tree.h"

#define WHY_RANKS 12       /* rows of the table, unless all are wanted */
#define WHY_TRACE_LINES 30 /* of the error: the last so many */
#define WHY_EVENTS 24
#define WHY_TAIL_LINES 6
#define WHY_COLUMNS_MIN 40

struct why_page {
    int columns; /* rows are cut and wrapped at this; 0: not at all */
    int color;
    int all; /* nothing is left out for brevity */
};

/* Append the page. ERR_INVALID: root is no post-mortem. */
int why_page_write(const struct why_page *p, const struct json_tree *root, struct buf *out);

#endif

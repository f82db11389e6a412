/*
 * clients/cli/redaction.h -- secrets that an agent takes out before a line leaves the process: run and ship.
 *
 * On when the flag is given, a file of patterns is (--redact-patterns, JOBLOG_REDACT_PATTERNS), or JOBLOG_REDACT is neither
 * empty nor 0. What is found is told once, at the end. The terminal still shows what the command wrote.
 */
#ifndef CLIENTS_CLI_REDACTION_H
#define CLIENTS_CLI_REDACTION_H

#include "job/redact.h"

struct redaction {
    struct redact *rules; /* NULL: lines stay as they are */
    struct redact_counts counts;
};

/* ERR_INVALID, or the error of reading the file: said. */
int redaction_open(struct redaction *r, int is_wanted, const char *patterns_file);
void redaction_release(struct redaction *r);
/* "3 secrets were taken out: aws 1, bearer 2"; nothing when there were none. */
void redaction_tell(const struct redaction *r);

#endif

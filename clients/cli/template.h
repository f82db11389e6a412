/*
 * clients/cli/template.h -- -o template: a line of one's own making out of each record.
 *
 *     --template '{{local}} {{rank:3}} {{level:-5}} {{msg}} {{fields.loss}}'
 *
 * Names: seq ts local relative delta rank replica stream level msg job fields json, and fields.NAME
 * (fields.a.b for nested ones). `:8` pads on the left to 8 columns, `:-8` on the right. What a
 * record does not have is empty. \n, \t, \e, \\ and \{ as usual; a newline is put at the end.
 * Limits     TEMPLATE_PARTS_MAX parts, TEMPLATE_PAD_MAX columns.
 */
#ifndef CLIENTS_CLI_TEMPLATE_H
#define CLIENTS_CLI_TEMPLATE_H

#include "clients/cli/stamp.h"
#include "job/record.h"

#define TEMPLATE_PARTS_MAX 128
#define TEMPLATE_PAD_MAX 1000

struct template;

/* ERR_INVALID with why. */
int template_new(const char *text, struct template **ret, char *why, size_t why_size);
void template_free(struct template **t);
/* Append the record (v was read from line) with a newline. The text is not made safe for a terminal. */
int template_add(const struct template *t, struct buf *out, const struct record_view *v,
                 const char *line, size_t len, const char *job, struct stamp *stamp);

#endif

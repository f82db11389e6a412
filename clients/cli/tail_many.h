/*
 * clients/cli/tail_many.h -- joblog tail without a job: all jobs of a project, or with a label, in one stream.
 */
#ifndef CLIENTS_CLI_TAIL_MANY_H
#define CLIENTS_CLI_TAIL_MANY_H

#include "clients/cli/pick.h"

/* Until it is interrupted (130), or cannot go on. Forms: text ("JOB rank 3 | line") and json (records with project and
 * job); what is of one job only is refused (2). labels: "K=V". */
int tail_many(struct pick *p, const struct args_list *labels);

#endif

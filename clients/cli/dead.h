/*
 * clients/cli/dead.h -- joblog receivers waiting|dead|replay|drop: deliveries that wait, and those that were given up.
 */
#ifndef CLIENTS_CLI_DEAD_H
#define CLIENTS_CLI_DEAD_H

#include "clients/cli/http.h"

/* What waits for whom, a row each; output "json": the server's answer. Exit code. */
int dead_waiting(const struct http_server *s, const char *output);
/* Dead letters, of one receiver or (NULL) of all. "name": their ids; "json": an object a line. Exit code. */
int dead_list(const struct http_server *s, const char *receiver, const char *output);
/* verb "replay" or "drop" on words: ids of dead letters, or one receiver; none and all: all of them. Exit code: 1 when there was
 * nothing. */
int dead_move(const struct http_server *s, const char *verb, char **words, unsigned count, int all);

#endif

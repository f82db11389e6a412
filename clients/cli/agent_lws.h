/*
 * clients/cli/agent_lws.h -- the agent's connection: a WebSocket client on a thread of its own.
 */
#ifndef CLIENTS_CLI_AGENT_LWS_H
#define CLIENTS_CLI_AGENT_LWS_H

#include "clients/cli/agent.h"
#include "clients/cli/http.h"

struct agent_link;

struct agent_link_options {
    struct agent *agent; /* borrowed until agent_link_stop */
    const struct http_server *server;
    const char *job;
    /* Called on the thread before a connection is made, until it has succeeded once. 0; ERR_UNAVAILABLE:
     * try again; ERR_INVALID: the server refuses. why for people. NULL: nothing to prepare. */
    int (*prepare)(void *user, char *why, size_t why_size);
    void *prepare_user;
};

/* ERR_NOMEM, ERR_LIMIT (no thread). */
int agent_link_start(const struct agent_link_options *o, struct agent_link **ret_link);
/* Ends the thread, whatever is in flight. Takes and NULLs. ERR_TIMEOUT: it hangs (a name server that does not
 * answer); then link and agent stay its own, and the process should _exit. */
int agent_link_stop(struct agent_link **link);

#endif

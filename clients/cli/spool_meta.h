/*
 * clients/cli/spool_meta.h -- whose lines lie in a spool: DIR/meta.json, and DIR/lock while somebody works on it.
 */
#ifndef CLIENTS_CLI_SPOOL_META_H
#define CLIENTS_CLI_SPOOL_META_H

#include "clients/cli/agent.h"
#include "clients/cli/http.h"

struct spool_meta {
    char url[HTTP_URL_BYTES_MAX];
    char project[ID_BYTES_MAX + 1]; /* "" */
    char job[ID_BYTES_MAX + 1];
    struct agent_options agent;
    int has_end;
    struct agent_end end;
};

/* $XDG_STATE_HOME/joblog or ~/.local/state/joblog, else /tmp/joblog-<uid>. */
void spool_base(struct buf *out);
/* base/<job>/<producer>.<epoch> */
void spool_place(struct buf *out, const char *base, const struct spool_meta *m);
/* ERR_IO, ERR_FULL, … */
int spool_meta_write(const char *dir, const struct spool_meta *m);
/* ERR_NOT_FOUND: no spool there; ERR_INVALID: not ours. */
int spool_meta_read(const char *dir, struct spool_meta *m);
/* A descriptor that holds the lock until it is closed; ERR_BUSY: somebody else does. */
int spool_lock(const char *dir);
/* Everything but the segments goes, then the directory and its job's directory when empty. */
void spool_meta_remove(const char *dir);

#endif

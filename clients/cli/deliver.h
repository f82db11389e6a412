/*
 * clients/cli/deliver.h -- one producer from its spool to the server: what run and ship share.
 *
 *     deliver_open -> deliver_agent() is fed -> deliver_finish (waits, says what is left) -> deliver_close
 */
#ifndef CLIENTS_CLI_DELIVER_H
#define CLIENTS_CLI_DELIVER_H

#include "clients/cli/agent_lws.h"
#include "clients/cli/spool_meta.h"

#define DELIVER_FLUSH_US 60000000 /* how long an ending run waits for the server */

struct deliver;

struct deliver_options {
    struct http_server server; /* its strings live longer than the delivery */
    struct spool_meta meta;
    const char *
        spool_base; /* NULL: the default place; records then lie in <base>/<job>/<producer>.<epoch> */
    const char *spool_dir; /* an existing spool instead */
    int in_memory;         /* no directory at all */
    int64_t spool_bytes;
    const char *create_json; /* body of POST /v1/jobs, NULL: do not create */
    const char
        *rest_hint; /* what to do about lines that were not delivered; NULL: what fits the spool */
    int is_quiet;   /* only trouble is told */
    int (*interrupted)(void *user); /* ends the wait of deliver_finish */
    void *user;
};

/* A spool directory that cannot be used is told, and memory is used. Nothing is sent before
 * deliver_start. ERR_BUSY: somebody else works on spool_dir. */
int deliver_open(const struct deliver_options *o, struct deliver **ret_deliver);
int deliver_start(struct deliver *d);
struct agent *deliver_agent(struct deliver *d);
/* Say what a person should know by now: the server is away, lines were dropped. Cheap; call it often. */
void deliver_notice(struct deliver *d);
/* Say the end and wait up to flush_us (< 0: for ever) until all is delivered. 0; ERR_TIMEOUT, ERR_CANCELLED:
 * the rest stays in the spool, which was said; ERR_SEALED: the server refuses it, which was said. */
int deliver_finish(struct deliver *d, const struct agent_end *end, int64_t flush_us);
/* Removes the spool when all was delivered. Takes and NULLs. */
void deliver_close(struct deliver **d);
/* With several ranks: when every producer has finished and none failed, say COMPLETED. Tries for a while, then says
 * what is left to do. */
void deliver_complete_job(const struct http_server *s, const char *job, int64_t ranks);

#endif

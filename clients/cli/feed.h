/*
 * clients/cli/feed.h -- one file (or stdin) on its way into a job.
 *
 * A file's producer is made of host and path, its epoch of its time of birth, its sequence of its
 * lines: shipping it again goes on after the last line the server holds. Under -F a file that was
 * replaced (another inode) or cut is finished and begun anew under a later epoch.
 *
 *     feed_open -> feed_step (until it has nothing) -> feed_finish
 */
#ifndef CLIENTS_CLI_FEED_H
#define CLIENTS_CLI_FEED_H

#include "clients/cli/deliver.h"
#include "clients/cli/redaction.h"

#define FEED_MEMORY_BYTES (64L << 20) /* lines of files wait in memory: the file is the spool */

struct feed_options {
    struct http_server server;
    const char *job, *host;
    const char *producer, *stream; /* NULL: made; none */
    int32_t rank;
    int is_json; /* lines that are JSON objects are records */
    int follow;
    const char *spool;   /* base directory, for stdin */
    int64_t spool_bytes; /* for stdin */
    const char *create_json;
    int (*interrupted)(void *user);
    struct redaction *redaction; /* borrowed */
};

struct feed;

/* path NULL: stdin. ERR_NOT_FOUND, ERR_READONLY, ERR_IO: said. */
int feed_open(const struct feed_options *o, const char *path, struct feed **ret_feed);
/* Take what there is now. 1: something was taken; 0: nothing for now (or the server must catch up); ERR_CLOSED:
 * the end; ERR_IO: said. */
int feed_step(struct feed *f);
/* For poll: stdin's descriptor when it may be read, -1 otherwise. */
int feed_fd(const struct feed *f);
/* Say the end as end says, wait up to flush_us. As deliver_finish; ERR_ORDER: the server holds more lines of this
 * producer than there are (said). Takes and NULLs. */
int feed_finish(struct feed **f, const struct agent_end *end, int64_t flush_us);

#endif

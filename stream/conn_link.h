/*
 * stream/conn_link.h -- one socket to one address: requests out, replies in.
 *
 * A part of the connection (stream/conn_int.h), which has one to Redis and one to a sentinel.
 */
#ifndef STREAM_CONN_LINK_H
#define STREAM_CONN_LINK_H

#include "stream/conn_address.h"

#include <stdint.h>
#include <uv.h>

struct conn_request;
struct reply_tree;

#define CONN_WRITE_BATCH 32
struct conn_link;
/* Callbacks of a link, none after it was dropped. From each of them it may be dropped. */
struct conn_link_ops {
    void (*connected)(void *user);
    void (*reply)(void *user, struct reply_tree **tree); /* taken */
    void (*lost)(void *user, const char *why);           /* of no more use: to be dropped */
};
/* A libuv error code: there is no link. host is resolved beside the loop. */
int conn_link_open(uv_loop_t *loop, const struct conn_endpoint *to, const struct conn_link_ops *ops, void *user,
                   struct conn_link **ret_link);
struct conn_link *conn_link_open_unix(uv_loop_t *loop, const char *path, const struct conn_link_ops *ops, void *user);
/* Put count whole requests on the wire (a reference is held until written). A libuv error code: the link is broken, or a request
 * is torn and nothing was written: the link is of no use. */
int conn_link_write(struct conn_link *l, struct conn_request *const *batch, uint32_t count);
/* When it last gave a byte, or was connected. */
int64_t conn_link_heard_us(const struct conn_link *l);
/* Takes and NULLs; NULL is fine. */
void conn_link_drop(struct conn_link **link);

#endif

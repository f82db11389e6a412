/*
 * http/tunnel.h -- how a WebSocket under TLS reaches libwebsockets: a socketpair behind the connection.
 *
 *     peer <== TLS ==> conn ── tunnel ──[ socketpair ]── libwebsockets' ws role
 *
 * The state of a TLS session cannot be handed over with a descriptor, so the connection stays and carries the
 * plain bytes both ways. Each direction holds at most TUNNEL_BYTES here: what the socketpair does not take stops
 * the peer being read, what the peer does not take stops the socketpair being read.
 */
#ifndef HTTP_TUNNEL_H
#define HTTP_TUNNEL_H

#include <stddef.h>

#define TUNNEL_BYTES (64 * 1024)

struct conn;
struct tunnel;

/* Make the pair: *ret_far is for libwebsockets. ERR_IO: no descriptors. */
int tunnel__open(struct conn *c, int *ret_far);
/* Plain bytes from the peer. */
void tunnel__input(struct conn *c, const char *data, size_t len);
/* The peer will send no more. */
void tunnel__input_end(struct conn *c);
/* May more be read from the peer? */
int tunnel__has_room(const struct conn *c);
/* The connection's output went: go on if it was waited for. */
void tunnel__advance(struct conn *c);
/* Takes and NULLs c->tunnel; NULL is fine. libwebsockets sees the end of its socket. */
void tunnel__close(struct conn *c);

#endif

/*
 * http/ws.h -- a WebSocket connection (RFC 6455) after a validated upgrade.
 *
 * In on_request, when http_is_upgrade(x) holds: authorise first, then ws_accept(). The exchange's
 * on_close is called (clean) and from then on only ws callbacks come. Messages are assembled whole
 * up to message_bytes_max (1009 above it), text is checked for UTF-8 (1007).
 *
 * Sending: ws_send_* writes to the socket at once when nothing is buffered, else queues; ws_backlog()
 * says how much is queued. Callers stop above WS_BACKLOG_HIGH_BYTES until on_drain.
 * Pings every 25 s, dropped after 40 s of silence (timer values in ws_lws.c).
 * Not here   Compression (permessage-deflate stays off), Origin policy (serve/origin.h).
 */
#ifndef HTTP_WS_H
#define HTTP_WS_H

#include "http/http.h"

#define WS_BACKLOG_HIGH_BYTES (256 * 1024)
#define WS_BACKLOG_LOW_BYTES (64 * 1024)

struct ws;

struct ws_handler {
    void (*on_open)(struct ws *w);
    void (*on_message)(struct ws *w, const char *data, size_t len, int is_binary);
    void (*on_drain)(struct ws *w); /* backlog fell below WS_BACKLOG_LOW_BYTES */
    void (*on_close)(struct ws *w, int code); /* last callback; also when on_open never came. 1006: no close frame */
};

/* A message built once and sent to many: payload with headroom, reference-counted. */
struct ws_message;
struct ws_message *ws_message_new(const void *data, size_t len, int is_binary);
struct ws_message *ws_message_ref(struct ws_message *m);
void ws_message_unref(struct ws_message **m);
size_t ws_message_bytes(const struct ws_message *m);

/* A valid WebSocket upgrade (GET, 1.1, version 13, good key)? Other Upgrade tokens are ignored. */
int http_is_upgrade(const struct http *x);
/* The client's offered subprotocols contain name? */
int http_offers_subprotocol(const struct http *x, const char *name);
/* subprotocol NULL: none is named. message_bytes_max caps a received message. Also later than
 * on_request, from any callback of the loop thread. On ERR_* the answer has been sent and no ws
 * callback will come: user stays the caller's. x is dead after the call either way (its on_close
 * comes). */
int ws_accept(struct http *x, const char *subprotocol, size_t message_bytes_max, const struct ws_handler *h,
              void *user);
void *ws_user(const struct ws *w);
const char *ws_peer(const struct ws *w);
/* That of the exchange it was (http_set_guest); NULL: none was set. */
void *ws_guest(const struct ws *w);
/* Bytes are copied. Returns the backlog; 0 and dropped when closing. */
size_t ws_send_text(struct ws *w, const void *data, size_t len);
size_t ws_send_message(struct ws *w, struct ws_message *m); /* takes its own reference */
size_t ws_backlog(const struct ws *w);
void ws_pause_read(struct ws *w);
void ws_resume_read(struct ws *w);
/* Send a close frame after what is queued and wait for the peer's (2 s). reason <= 123 bytes. on_close follows. */
void ws_close(struct ws *w, int code, const char *reason);
/* Drop at once. */
void ws_abort(struct ws *w);
/* Visit every open WebSocket of the server (drain: close each with 1012). */
void ws_each(struct http_server *s, void (*visit)(struct ws *w, void *user), void *user);

#endif
